//! A digest of a call's arguments: equal ones are seen to be equal, and nothing else is seen.

use aws_lc_rs::hmac;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Makes digests. HMAC-SHA256 and no plain hash: arguments are short and guessable (`REQ-12`,
/// `COMPLETED`), and whoever reads the log could try them all. The key is derived from
/// `ENCRYPTION_KEY`, so all instances agree; without one it is random, and digests compare within
/// one run of one process only.
pub(crate) struct Digest(hmac::Key);

impl Digest {
    /// With a key made from this secret.
    pub(crate) fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let key = mcp_session::sub_key(secret, "audit");
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
    }

    /// `hmac-sha256:` and 64 hexadecimal digits. The organization and the tool are part of it:
    /// the same words in two organizations give different digests.
    pub(crate) fn of(
        &self,
        organization: Option<&str>,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> String {
        let mut mac = hmac::Context::with_key(&self.0);
        for part in [organization.unwrap_or_default(), tool] {
            mac.update(part.as_bytes());
            // No organization and no tool has one in its name.
            mac.update(&[0]);
        }
        // Keys come sorted out of this map. Writing to memory cannot fail.
        mac.update(&Zeroizing::new(
            serde_json::to_vec(arguments).unwrap_or_default(),
        ));
        format!("hmac-sha256:{}", hex::encode(mac.sign()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(key: u8, organization: &str, tool: &str, arguments: &Value) -> String {
        let digest = Digest::new(&Zeroizing::new([key; 32]));
        digest.of(Some(organization), tool, arguments.as_object().unwrap())
    }

    #[test]
    fn equal_calls_have_equal_digests_and_no_others() {
        let first = digest(1, "org", "tool", &json!({"a": 1, "b": {"c": 2, "d": 3}}));
        let same = serde_json::from_str(r#"{"b": {"d": 3, "c": 2}, "a": 1}"#).unwrap();
        assert_eq!(first, digest(1, "org", "tool", &same), "whatever the order");
        assert_eq!(first.len(), "hmac-sha256:".len() + 64);
        for other in [
            digest(2, "org", "tool", &same),
            digest(1, "org2", "tool", &same),
            digest(1, "org", "tool2", &same),
            digest(1, "org", "tool", &json!({"a": 1})),
        ] {
            assert_ne!(first, other);
        }
    }
}
