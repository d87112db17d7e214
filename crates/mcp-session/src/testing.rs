//! Values for the unit tests of this crate.

use std::time::{Duration, UNIX_EPOCH};

use mcp_auth::{Principal, PrincipalRecord, Upstream, UpstreamToken};
use zeroize::Zeroizing;

pub(crate) fn principal(subject: &str, expires_at: u64) -> Principal {
    Principal::from_record(PrincipalRecord {
        issuer: "https://auth.example.com".to_owned(),
        subject: subject.to_owned(),
        client_id: Some("client_01JZ7Q3V5W8X9Y0Z1A2B3C4D5E".to_owned()),
        actor: None,
        organization: Some("org_01JZ7Q3V5W8X9Y0Z1A2B3C4D5E".to_owned()),
        scopes: [
            "profile",
            "requirements:read",
            "requirements:write",
            "tasks:read",
        ]
        .map(str::to_owned)
        .to_vec(),
        audiences: vec!["https://mcp.example.com/mcp".to_owned()],
        stand_in: None,
        expires_at,
        issued_at: Some(500),
        token_id: Some("jti_01JZ7Q3V5W8X9Y0Z1A2B3C4D5E".to_owned()),
        verified_by: Some(0x1234_5678_9abc_def0),
    })
}

pub(crate) fn upstream(secret: &str, expires_at: u64) -> Upstream {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let (renew_at, expires_at) = (at(expires_at - 60), at(expires_at));
    let secret = Zeroizing::new(secret.to_owned());
    Upstream::Exchanged(UpstreamToken::new(secret, renew_at, expires_at))
}
