//! The compact form of a JWT, taken apart, before anything is believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{claims::Claims, error::InvalidReason, organization};

/// The JOSE header (RFC 7515 section 4.1). `jku`, `jwk`, `x5u` and `x5c` are not even read: a token
/// does not choose the key that verifies it.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    /// A number stands for its digits, as in a key set; what is neither names no key.
    #[serde(default, deserialize_with = "name")]
    pub(crate) kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    crit: Value,
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Value::deserialize(deserializer).map(|value| organization::word(&value))
}

impl Header {
    /// `typ` and `crit`: RFC 8725 section 3.11, RFC 7515 section 4.1.11.
    fn check(&self) -> Result<(), InvalidReason> {
        // Those after the second tell no kind of token from another, and are what some issuers write.
        const TYPES: &[&str] = &["jwt", "at+jwt", "", "jose", "bearer", "access_token"];
        if !self.asks_for_nothing() {
            return Err(InvalidReason::Critical);
        }
        if !self.is_type(TYPES) {
            return Err(InvalidReason::Type);
        }
        Ok(())
    }

    /// Whether `crit` names nothing. An issuer should not write an empty list, and one asks for nothing.
    pub(crate) fn asks_for_nothing(&self) -> bool {
        match &self.crit {
            Value::Null => true,
            Value::Array(names) => names.is_empty(),
            _ => false,
        }
    }

    /// Whether `typ` is one of these, in lower case, or is not there.
    pub(crate) fn is_type(&self, types: &[&str]) -> bool {
        let Some(typ) = &self.typ else { return true };
        let typ = typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        types.contains(&typ)
    }

    /// Whether `typ` is there and is this, in lower case.
    pub(crate) fn says(&self, typ: &str) -> bool {
        self.typ.is_some() && self.is_type(&[typ])
    }

    /// Whether it says outright that this is an access token (RFC 9068 section 2.1).
    pub(crate) fn says_access_token(&self) -> bool {
        self.says("at+jwt")
    }
}

/// A token taken apart: once, for everybody who looks at it, and proven by nobody yet.
#[derive(Debug)]
pub(crate) enum ParsedToken {
    /// What it begins with is no JOSE header: its issuer alone knows what it means.
    Opaque,
    /// A JWT, or what is wrong with it.
    Jwt(Result<Jwt, InvalidReason>),
}

/// The parts of a compact JWS (RFC 7515 section 7.1).
#[derive(Debug)]
pub(crate) struct Jwt {
    header: Header,
    claims: Claims,
    /// Where the last dot is.
    signature: usize,
}

/// A JWT beside its text. Nothing in it is proven yet.
#[derive(Debug)]
pub(crate) struct Unverified<'t> {
    pub(crate) header: &'t Header,
    pub(crate) claims: &'t Claims,
    /// `base64(header) "." base64(claims)`: what the signature covers.
    pub(crate) message: &'t str,
    pub(crate) signature: &'t str,
}

impl ParsedToken {
    pub(crate) fn of(token: &str) -> Self {
        let header = token.split_once('.').map(|(header, _)| decode(header));
        match header {
            Some(Ok(header)) => Self::Jwt(Jwt::of(token, header)),
            _ => Self::Opaque,
        }
    }

    /// The JWT, with the text that it was parsed from.
    pub(crate) fn unverified<'t>(
        &'t self,
        token: &'t str,
    ) -> Result<Unverified<'t>, InvalidReason> {
        let Self::Jwt(jwt) = self else {
            return Err(InvalidReason::Malformed);
        };
        let jwt = jwt.as_ref().map_err(|reason| *reason)?;
        let (message, signature) = token.split_at(jwt.signature);
        Ok(Unverified {
            header: &jwt.header,
            claims: &jwt.claims,
            message,
            signature: &signature[1..],
        })
    }
}

impl Jwt {
    fn of(token: &str, header: Header) -> Result<Self, InvalidReason> {
        let mut dots = token.match_indices('.').map(|(at, _)| at);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(InvalidReason::Malformed);
        };
        header.check()?;
        Ok(Self {
            header,
            claims: decode(&token[first + 1..second])?,
            signature: second,
        })
    }
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, InvalidReason> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| InvalidReason::Malformed)?;
    let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(json).map_err(|_| InvalidReason::Malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_critical_header_is_refused_unless_it_asks_for_nothing() {
        for crit in [json!([]), json!(null)] {
            let header: Header =
                serde_json::from_value(json!({"alg": "RS256", "crit": crit})).unwrap();
            assert_eq!(header.check(), Ok(()), "{crit}");
        }
        for crit in [json!(["b64"]), json!([null]), json!("x"), json!({})] {
            let header: Header =
                serde_json::from_value(json!({"alg": "RS256", "crit": crit})).unwrap();
            assert_eq!(header.check(), Err(InvalidReason::Critical), "{crit}");
        }
    }
}
