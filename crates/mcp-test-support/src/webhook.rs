//! What identity providers post, signed as they sign it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;

use crate::hex;

/// The header `WorkOS-Signature` of this body, signed so many seconds from now.
#[must_use]
pub fn workos_signature(secret: &str, body: &str, from_now: i64) -> String {
    let now = SystemTime::now();
    let offset = Duration::from_secs(from_now.unsigned_abs());
    let at = if from_now < 0 {
        now - offset
    } else {
        now + offset
    };
    let stamp = at
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{stamp}.{body}").as_bytes());
    format!("t={stamp}, v1={}", hex(tag.as_ref()))
}
