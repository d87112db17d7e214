//! What must hold for any input, for the fuzz targets and for the replay of their seeds.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    AccessToken, AssertionKeys, Auth0Events, AuthError, EventSubject, IssuerConfig, ProviderEvent,
    TokenVerifier, VerifierConfig, WorkosEvent,
    actor::Actor,
    assertion_issuer,
    audience::MeantFor,
    claims::Claims,
    events,
    identity_assertion::{Expected, read},
    jwk::ALGORITHMS,
    key_set::KeySet,
    principal::PrincipalRecord,
    times::{Limits, Times},
};

/// The value of an `Authorization` header gives a token that can be sent on, or none.
pub fn authorization(data: &[u8]) {
    let Ok(header) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(token) = AccessToken::parse(header) else {
        return;
    };
    let text = token.expose();
    assert!(!text.is_empty() && text.len() <= header.len());
    assert!(
        text.bytes()
            .all(|b| b.is_ascii_graphic() && !b"\",\\;".contains(&b))
    );
    assert_eq!(
        AccessToken::parse(&format!("Bearer {text}")).as_ref(),
        Ok(&token)
    );
    assert_eq!(format!("{token:?}"), "AccessToken([redacted])");
}

/// A JWT gives claims that are well-formed, or a reason. The input is taken as a whole token, and
/// as the JSON of a header and of claims with a line break between them.
pub fn jwt(data: &[u8]) {
    each_token(data, one_jwt);
}

fn each_token(data: &[u8], check: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    if let (Some(header), Some(claims)) = (parts.next(), parts.next()) {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        check(&format!("{header}.{claims}.c2lnbmF0dXJl"));
    }
}

fn one_jwt(text: &str) {
    let Ok(token) = AccessToken::parse(&format!("Bearer {text}")) else {
        return;
    };
    let now = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let refused = VERIFIER.check_shape(&token, now).err();
    assert!(refused.is_none_or(|error| matches!(error, AuthError::InvalidToken(_))));
    assert!(!VERIFIER.keys_warm(&token), "no key was ever fetched");
    let Ok(jwt) = token.jwt() else {
        return;
    };
    assert!(token.is_jwt());
    assert_eq!(format!("{}.{}", jwt.message, jwt.signature), token.expose());
    for now in [
        UNIX_EPOCH,
        now,
        UNIX_EPOCH + Duration::from_secs(u64::MAX >> 2),
    ] {
        claims(jwt.claims, now);
    }
}

fn claims(claims: &Claims, now: SystemTime) {
    let limits = |leeway| Limits {
        leeway: Duration::from_secs(leeway),
        max_lifetime: Duration::from_hours(31 * 24),
    };
    if let Ok(times) = Times::of(claims) {
        let strict = times.check(now, limits(0));
        assert!(strict.is_err() || times.check(now, limits(90)).is_ok());
    }
    let _ = crate::service::is_service(claims);
    let meant_for = MeantFor::Audiences(vec!["https://mcp.test/mcp".to_owned()]);
    let principal = claims.principal(meant_for, "o.id", now, limits(90));
    if let Ok(record) = principal {
        well_formed(&record);
    }
}

fn well_formed(record: &PrincipalRecord) {
    assert!(!record.issuer.is_empty() && !record.subject.is_empty());
    assert!(
        record.scopes.is_sorted_by(|a, b| a < b),
        "sorted, each once"
    );
    let names = record.actor.iter().flat_map(Actor::names);
    let mut letters = names.flat_map(str::chars);
    assert!(!letters.any(char::is_control));
    let organization = record.organization.as_deref();
    assert!(!matches!(organization, Some("" | "default")));
}

/// An identity assertion names its issuer, this server, its client, a user and one id, and is over some
/// time; or there is a reason. The input is taken as [`jwt`] takes it.
pub fn identity_assertion(data: &[u8]) {
    each_token(data, one_assertion);
}

fn one_assertion(text: &str) {
    let expected = Expected {
        issuer: "https://a.test",
        audience: "https://as.test",
        client_id: "agent",
    };
    let now = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let assertion = match read(text, &expected, now) {
        Ok((_, assertion)) => assertion,
        Err(error) => {
            assert!(!matches!(error, AuthError::Unavailable { .. }));
            return;
        }
    };
    assert_eq!(assertion_issuer(text).as_deref(), Some(expected.issuer));
    let client = assertion.claims.get("client_id");
    assert_eq!(client, Some(&expected.client_id.into()));
    assert!((1..=256).contains(&assertion.id.len()));
    assert!(assertion.issued_at <= now + Duration::from_secs(90));
    assert!(assertion.over_at > now);
    // The longest life, what its clock may be ahead, and what the slowest may be behind.
    assert!(assertion.over_at <= now + Duration::from_secs(3_600 + 90 + 180));
}

/// A key set gives keys that are each bound to safe algorithms, and none that believes a signature
/// made by somebody else.
pub fn jwks(data: &[u8]) {
    let Ok(document) = serde_json::from_slice(data) else {
        return;
    };
    let keys = KeySet::usable(&document, std::time::Instant::now());
    for token in &*FOREIGN {
        let Ok(token) = token.jwt() else {
            continue;
        };
        assert!(!keys.check(&token, ALGORITHMS).is_verified());
    }
    let Ok(keys) = AssertionKeys::parse(data) else {
        return;
    };
    for token in &*FOREIGN {
        assert!(keys.verify(token.expose()).is_err());
    }
}

/// A message of an identity provider tells what is well-formed, or is refused. The input is taken as the
/// body of a webhook, and as the claims of a security event token.
pub fn provider_event(data: &[u8]) {
    let at = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let all = [
        WorkosEvent::UserDeleted,
        WorkosEvent::OrganizationMembershipDeleted,
        WorkosEvent::SessionRevoked,
    ];
    let workos = events::workos::received(data, &all, at);
    let secret = "s3cret".to_owned().into();
    let auth0 = Auth0Events::new(secret).verify(Some("Bearer s3cret"), data);
    for received in auth0.into_iter().flatten().chain(workos) {
        assert!(received.id.is_some_and(|id| !id.is_empty()));
        received.events.iter().for_each(well_named);
    }
    let claims = serde_json::from_slice::<Claims>(data).ok();
    let told = claims.and_then(|claims| events::security::told(&claims, at).ok());
    for event in told.unwrap_or_default() {
        assert!(event.at <= at && event.issuer.is_some());
        well_named(&event);
    }
}

fn well_named(event: &ProviderEvent) {
    let names = match &event.subject {
        EventSubject::User(name) | EventSubject::Organization(name) => [name, name],
        EventSubject::Member { user, organization } => [user, organization],
    };
    assert!(names.iter().all(|name| (1..=512).contains(&name.len())));
    assert!(event.at >= UNIX_EPOCH);
}

static VERIFIER: LazyLock<TokenVerifier> = LazyLock::new(|| {
    let issuer = IssuerConfig::new("https://a.test", ["https://mcp.test/mcp"]);
    #[expect(clippy::expect_used, reason = "fixed values")]
    TokenVerifier::new(
        vec![issuer],
        crate::http_client().expect("a client"),
        VerifierConfig::default(),
    )
    .expect("a configuration that is fine")
});

/// One token per algorithm, with and without `kid`, signed by nobody.
static FOREIGN: LazyLock<Vec<AccessToken>> = LazyLock::new(|| {
    let tokens = ALGORITHMS.iter().flat_map(|algorithm| {
        let named = format!(r#"{{"alg":"{algorithm:?}","kid":"k"}}"#);
        [named, format!(r#"{{"alg":"{algorithm:?}"}}"#)].map(|header| {
            let signature: Vec<u8> = (1..=64).collect();
            let [header, claims, signature] =
                [header.as_bytes(), b"{}", &signature].map(|part| URL_SAFE_NO_PAD.encode(part));
            AccessToken::parse(&format!("Bearer {header}.{claims}.{signature}"))
        })
    });
    tokens.flatten().collect()
});

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn replay(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/seeds")
            .join(target);
        let mut seeds = 0;
        for file in fs::read_dir(folder).unwrap() {
            check(&fs::read(file.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "{target} has no seeds");
    }

    #[test]
    fn headers_of_the_fuzz_seeds_are_read_or_refused() {
        replay("authorization", authorization);
    }

    #[test]
    fn tokens_of_the_fuzz_seeds_are_read_or_refused() {
        replay("jwt", jwt);
    }

    #[test]
    fn assertions_of_the_fuzz_seeds_are_read_or_refused() {
        replay("identity_assertion", identity_assertion);
    }

    #[test]
    fn events_of_the_fuzz_seeds_are_told_or_refused() {
        replay("provider_event", provider_event);
    }

    #[test]
    fn key_sets_of_the_fuzz_seeds_believe_no_foreign_signature() {
        replay("jwks", jwks);
    }
}
