//! The inbound access token: parsed once at the door, shown in no log.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use zeroize::Zeroizing;

use crate::{
    error::{AuthError, InvalidReason},
    jwt::{ParsedToken, Unverified},
};

/// Longest token that is looked at, in bytes. Real ones are 1–3 KiB; header limits of common
/// front ends are 16 KiB.
const MAX_LEN: usize = 16 * 1024;

/// A bearer token as a client sent it (RFC 6750): proof of its syntax, of nothing else.
///
/// It is wiped when the last clone is dropped, has a redacted `Debug`, no `Display` and no serde.
///
/// It is taken apart when that is first needed, once for all its clones, and not at all where its
/// session is known.
#[derive(Clone)]
pub struct AccessToken(Arc<Presented>);

struct Presented {
    text: Zeroizing<String>,
    parsed: OnceLock<ParsedToken>,
}

impl AccessToken {
    /// Reads the value of an `Authorization` header (RFC 6750 section 2.1). The scheme is
    /// case-insensitive (RFC 9110 section 11.1).
    ///
    /// # Errors
    /// [`AuthError::NoToken`] when the header is empty or of another scheme,
    /// [`InvalidReason::Malformed`] or [`InvalidReason::TooLarge`] when what follows `Bearer` can
    /// be no token.
    pub fn parse(header: &str) -> Result<Self, AuthError> {
        let header = header.trim_matches([' ', '\t']);
        let (scheme, rest) = header.split_once([' ', '\t']).unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::NoToken);
        }
        let token = rest.trim_start_matches([' ', '\t']);
        if token.is_empty() {
            return Err(AuthError::NoToken);
        }
        if token.len() > MAX_LEN {
            return Err(InvalidReason::TooLarge.into());
        }
        if !is_b64token(token) {
            return Err(InvalidReason::Malformed.into());
        }
        Ok(Self(Arc::new(Presented {
            text: Zeroizing::new(token.to_owned()),
            parsed: OnceLock::new(),
        })))
    }

    /// The token itself. Use it in the one line that sends or hashes it.
    pub fn expose(&self) -> &str {
        &self.0.text
    }

    /// Whether it is a JWT, a broken one too; otherwise it is opaque.
    pub(crate) fn is_jwt(&self) -> bool {
        matches!(self.parsed(), ParsedToken::Jwt(_))
    }

    /// Its parts, of which nothing is proven.
    pub(crate) fn jwt(&self) -> Result<Unverified<'_>, InvalidReason> {
        self.parsed().unverified(self.expose())
    }

    fn parsed(&self) -> &ParsedToken {
        let parse = || ParsedToken::of(self.expose());
        self.0.parsed.get_or_init(parse)
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

/// `b64token` of RFC 6750 section 2.1: one or more of the token characters, then any number of `=`.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=').as_bytes();
    // To the end, whatever is found: without a branch, many bytes are looked at in one step.
    let sound = |sound, byte: &u8| sound & is_token_character(*byte);
    !body.is_empty() && body.iter().fold(true, sound)
}

fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-'..=b'/' | b'_' | b'~' | b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_case_insensitive_and_blanks_are_tolerated() {
        for header in [
            "Bearer abc.d",
            "bearer abc.d",
            "BEARER   abc.d",
            " Bearer\tabc.d ",
        ] {
            assert_eq!(
                AccessToken::parse(header).unwrap().expose(),
                "abc.d",
                "{header:?}"
            );
        }
    }

    #[test]
    fn other_schemes_and_nothing_are_no_token() {
        for header in [
            "",
            " ",
            "Basic dXNlcg==",
            "Bearer",
            "Bearer ",
            "Bearerabc",
            "DPoP abc",
        ] {
            assert_eq!(
                AccessToken::parse(header),
                Err(AuthError::NoToken),
                "{header:?}"
            );
        }
    }

    #[test]
    fn what_can_be_no_token_is_invalid() {
        for header in [
            "Bearer a b",
            "Bearer \"abc\"",
            "Bearer a,b",
            "Bearer ===",
            "Bearer a=b",
        ] {
            let expected = Err(AuthError::InvalidToken(InvalidReason::Malformed));
            assert_eq!(AccessToken::parse(header), expected, "{header:?}");
        }
        let huge = format!("Bearer {}", "a".repeat(MAX_LEN + 1));
        assert_eq!(
            AccessToken::parse(&huge),
            Err(InvalidReason::TooLarge.into())
        );
    }

    #[test]
    fn a_token_is_taken_apart_once_for_all_its_clones() {
        let token = AccessToken::parse("Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln").unwrap();
        let clone = token.clone();
        assert!(token.0.parsed.get().is_none(), "not before somebody asks");
        let (first, second) = (token.jwt().unwrap(), clone.jwt().unwrap());
        assert!(std::ptr::eq(first.claims, second.claims));
        assert_eq!(
            (first.message, first.signature),
            ("eyJhbGciOiJSUzI1NiJ9.e30", "c2ln")
        );
    }

    #[test]
    fn what_begins_with_a_jose_header_is_a_jwt_and_all_else_is_opaque() {
        let parsed = |token: &str| {
            let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
            (token.is_jwt(), token.jwt().err())
        };
        let header = "eyJhbGciOiJSUzI1NiJ9";
        let malformed = Some(InvalidReason::Malformed);
        assert_eq!(parsed(&format!("{header}.e30.")), (true, None));
        for broken in ["", ".", ".e30", ".e30.a.b", ".e30.a.b.c", "..a", ".bm8.a"] {
            let (is_jwt, error) = parsed(&format!("{header}{broken}"));
            assert_eq!((is_jwt, error), (!broken.is_empty(), malformed), "{broken}");
        }
        for opaque in [
            "opaque",
            "a.b.c",
            "e30.e30.a",
            ".e30.a",
            "gho_16C7e42F292c6912E7710c838347Ae178B4a",
        ] {
            assert_eq!(parsed(opaque), (false, malformed), "{opaque}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let token = AccessToken::parse("Bearer s3cret").unwrap();
        assert_eq!(format!("{token:?}"), "AccessToken([redacted])");
    }
}
