//! The compact form of a JWT, taken apart, before anything is believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{claims::Claims, error::InvalidReason, organization, token::AccessToken};

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
        // An issuer should not write an empty list, and one asks for nothing.
        let asks_for_nothing = match &self.crit {
            Value::Null => true,
            Value::Array(names) => names.is_empty(),
            _ => false,
        };
        if !asks_for_nothing {
            return Err(InvalidReason::Critical);
        }
        let Some(typ) = &self.typ else { return Ok(()) };
        let typ = typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        // The others tell no kind of token from another, and are what some issuers write.
        if matches!(
            typ,
            "jwt" | "at+jwt" | "" | "jose" | "bearer" | "access_token"
        ) {
            Ok(())
        } else {
            Err(InvalidReason::Type)
        }
    }

    /// Whether it says outright that this is an access token (RFC 9068 section 2.1).
    pub(crate) fn says_access_token(&self) -> bool {
        let typ = self.typ.as_deref().unwrap_or_default();
        ["at+jwt", "application/at+jwt"]
            .iter()
            .any(|name| typ.eq_ignore_ascii_case(name))
    }
}

/// A JWT taken apart. Nothing in it is proven yet.
#[derive(Debug)]
pub(crate) struct Unverified<'t> {
    pub(crate) header: Header,
    pub(crate) claims: Claims,
    /// `base64(header) "." base64(claims)`: what the signature covers.
    pub(crate) message: &'t str,
    pub(crate) signature: &'t str,
}

impl<'t> Unverified<'t> {
    /// Splits and decodes a compact JWS (RFC 7515 section 7.1).
    pub(crate) fn parse(token: &'t AccessToken) -> Result<Self, InvalidReason> {
        let (message, signature) = token
            .expose()
            .rsplit_once('.')
            .ok_or(InvalidReason::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(InvalidReason::Malformed)?;
        if claims.contains('.') {
            return Err(InvalidReason::Malformed);
        }
        let header: Header = decode(header)?;
        header.check()?;
        let claims = decode(claims)?;
        Ok(Self {
            header,
            claims,
            message,
            signature,
        })
    }

    /// Reads the header alone: what is needed to know whether its key is at hand.
    pub(crate) fn header_of(token: &AccessToken) -> Result<Header, InvalidReason> {
        let (header, _) = token
            .expose()
            .split_once('.')
            .ok_or(InvalidReason::Malformed)?;
        decode(header)
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, InvalidReason> {
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
