//! What identity providers tell unasked: believed when it is proven, and refused in every other case.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_auth::{
    Auth0Events, EventError, EventKind, EventSubject, LogoutTokens, ReceivedEvents, SecurityEvents,
    WorkosEvent, WorkosWebhooks, http_client,
};
use mcp_test_support::{Algorithm, Issuer, SigningKey, TokenBuilder, workos_signature};
use serde_json::{Value, json};

use crate::world::issuer;

const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn logout_token(issuer: &Issuer) -> TokenBuilder {
    let token = issuer.token().audience("our-client").subject("ada");
    token
        .header("typ", "logout+jwt")
        .claim("events", json!({ LOGOUT: {} }))
}

async fn logged_out(issuer: &Issuer, token: &str) -> Result<ReceivedEvents, EventError> {
    let clients = vec!["our-client".to_owned(), "another".to_owned()];
    let tokens = LogoutTokens::new(issuer.url(), clients, None, http_client().unwrap());
    tokens.unwrap().verify(token, SystemTime::now()).await
}

#[tokio::test]
async fn a_logout_token_of_a_client_signs_its_user_out() {
    let issuer = issuer().await;
    let good = logout_token(&issuer).claim("iat", now() - 60);
    for token in [
        good.clone(),
        good.clone().without("exp"),
        good.clone().without_header("typ"),
        good.clone().header("typ", "JWT"),
        good.clone().claim("sid", "s"),
        good.clone().claim("aud", json!(["x", "our-client"])),
    ] {
        let received = logged_out(&issuer, &token.mint()).await.unwrap();
        assert!(received.id.is_some());
        let [event] = &received.events[..] else {
            unreachable!("{received:?}")
        };
        assert_eq!(event.issuer, Some(issuer.url()));
        assert_eq!(event.subject, EventSubject::User("ada".to_owned()));
        assert_eq!(event.kind, EventKind::SignedOut);
        let at = UNIX_EPOCH + Duration::from_secs(now() - 60);
        assert!(event.at <= at && event.at + Duration::from_secs(30) > at);
    }
}

#[tokio::test]
async fn what_is_no_logout_token_for_us_signs_nobody_out() {
    let issuer = issuer().await;
    let good = || logout_token(&issuer);
    let malformed = |text| EventError::Malformed(text);
    let no_logout = malformed("it tells of no logout");
    let kind = malformed("its type says it is another kind of token");
    let stranger = std::sync::Arc::new(SigningKey::generate(Algorithm::Rs256));
    for (token, error) in [
        (good().tampered(), EventError::Key),
        (good().unsigned(), EventError::Key),
        (good().hmac_with_public_key(), EventError::Key),
        (
            good().signed_by(stranger).header("typ", "jwt"),
            EventError::Key,
        ),
        (good().audience("somebody"), EventError::Audience),
        (good().without("aud"), EventError::Audience),
        (good().claim("iss", "https://b.test"), EventError::Issuer),
        (good().without("iss"), malformed("iss is missing")),
        (good().without("jti"), malformed("jti is missing")),
        (
            good().without("iat"),
            malformed("iat is missing, or no time"),
        ),
        (good().claim("iat", now() - 601), EventError::Stale),
        (good().claim("iat", now() + 120), EventError::Stale),
        (good().expires_in(-120), EventError::Stale),
        (good().claim("exp", "soon"), malformed("exp is no time")),
        (good().claim("nonce", "n"), malformed("it has a nonce")),
        (good().without("events"), no_logout),
        (good().claim("events", json!({ LOGOUT: 7 })), no_logout),
        (good().claim("events", json!({"x": {}})), no_logout),
        (good().claim("events", json!([LOGOUT])), no_logout),
        (good().header("typ", "at+jwt"), kind),
        (good().header("typ", "secevent+jwt"), kind),
        (
            good().header("crit", json!(["b64"])),
            malformed("its header has critical parameters"),
        ),
        (
            good().without("sub").claim("sid", "s"),
            malformed("it names no user (sub): a session alone (sid) is not known here"),
        ),
        (
            good().claim("x", "a".repeat(9_000)),
            malformed("it is no signed JWT"),
        ),
    ] {
        assert_eq!(
            logged_out(&issuer, &token.mint()).await,
            Err(error),
            "{token:?}"
        );
    }
    for garbage in ["", ".", "..", "a.b.c", "é", "e30.e30.", "{}"] {
        let refused = logged_out(&issuer, garbage).await.unwrap_err();
        assert!(matches!(refused, EventError::Malformed(_)), "{garbage}");
    }
    issuer.stop().await;
    let refused = logged_out(&issuer, &good().mint()).await.unwrap_err();
    assert!(matches!(refused, EventError::Unavailable { .. }));
}

fn event_token(issuer: &Issuer, uri: &str, event: Value) -> TokenBuilder {
    let token = issuer.token().without("sub").without("exp");
    let token = token.audience("https://mcp.test/events");
    token
        .header("typ", "secevent+jwt")
        .claim("events", json!({ uri: event }))
}

async fn told(issuer: &Issuer, token: &TokenBuilder) -> Result<ReceivedEvents, EventError> {
    let audiences = vec!["https://mcp.test/events".to_owned()];
    let events = SecurityEvents::new(issuer.url(), audiences, None, http_client().unwrap());
    events
        .unwrap()
        .verify(&token.mint(), SystemTime::now())
        .await
}

#[tokio::test]
async fn security_events_are_told_as_what_they_mean() {
    let issuer = issuer().await;
    let subject = json!({"format": "iss_sub", "iss": "https://a.test", "sub": "ada"});
    let at = now() - 300;
    let caep = |name: &str| format!("{CAEP}{name}");
    let risc = |name: &str| format!("{RISC}{name}");
    for (uri, kind) in [
        (caep("session-revoked"), Some(EventKind::SignedOut)),
        (
            caep("credential-change"),
            Some(EventKind::CredentialChanged),
        ),
        (caep("token-claims-change"), Some(EventKind::ClaimsChanged)),
        (risc("account-disabled"), Some(EventKind::Disabled)),
        (risc("account-enabled"), Some(EventKind::Enabled)),
        (risc("account-purged"), Some(EventKind::Removed)),
        (caep("device-compliance-change"), None),
        (
            "https://schemas.openid.net/secevent/ssf/event-type/verification".to_owned(),
            None,
        ),
        ("session-revoked".to_owned(), None),
    ] {
        // As the framework has it, and as its drafts had it.
        let event = json!({"event_timestamp": at});
        let framework = event_token(&issuer, &uri, event).claim("sub_id", subject.clone());
        let draft = json!({"event_timestamp": at, "subject": subject});
        for token in [framework, event_token(&issuer, &uri, draft)] {
            let received = told(&issuer, &token).await.unwrap();
            let kinds: Vec<_> = received.events.iter().map(|event| event.kind).collect();
            assert_eq!(kinds, Vec::from_iter(kind), "{uri}");
            for event in received.events {
                assert_eq!(event.issuer.as_deref(), Some("https://a.test"));
                assert_eq!(event.at, UNIX_EPOCH + Duration::from_secs(at));
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_security_event_of_the_transmitter_is_refused() {
    let issuer = issuer().await;
    let good = || {
        let subject = json!({"format": "iss_sub", "iss": "https://a.test", "sub": "ada"});
        let uri = format!("{CAEP}session-revoked");
        event_token(&issuer, &uri, json!({})).claim("sub_id", subject)
    };
    assert_eq!(told(&issuer, &good()).await.unwrap().events.len(), 1);
    // It may have waited for long.
    let old = good().claim("iat", now() - 86_400);
    assert_eq!(told(&issuer, &old).await.unwrap().events.len(), 1);
    for (token, error) in [
        (good().tampered(), EventError::Key),
        (good().audience("https://b.test"), EventError::Audience),
        (good().claim("iss", "https://b.test"), EventError::Issuer),
        (good().claim("iat", now() + 120), EventError::Stale),
        (
            good().header("typ", "at+jwt"),
            EventError::Malformed("its type says it is another kind of token"),
        ),
        (
            good().claim("events", json!([])),
            EventError::Malformed("it holds no events"),
        ),
        (
            good().without("events"),
            EventError::Malformed("it holds no events"),
        ),
    ] {
        assert_eq!(told(&issuer, &token).await, Err(error), "{token:?}");
    }
}

fn workos(body: &str, signature: Option<&str>) -> Result<ReceivedEvents, EventError> {
    use WorkosEvent::{OrganizationMembershipDeleted, SessionRevoked, UserDeleted};
    let all = vec![UserDeleted, OrganizationMembershipDeleted, SessionRevoked];
    let webhooks = WorkosWebhooks::new("s3cret", all);
    assert!(!format!("{webhooks:?}").contains("s3cret"));
    webhooks.verify(signature, body.as_bytes(), SystemTime::now())
}

fn signed(body: &Value) -> Result<ReceivedEvents, EventError> {
    let body = body.to_string();
    workos(&body, Some(&workos_signature("s3cret", &body, 0)))
}

#[test]
fn webhooks_of_workos_are_told_as_what_they_mean() {
    let user = |id: &str| EventSubject::User(id.to_owned());
    let member = EventSubject::Member {
        user: "user_1".to_owned(),
        organization: "org_1".to_owned(),
    };
    let data = json!({"id": "user_9", "user_id": "user_1", "organization_id": "org_1"});
    for (event, told) in [
        ("user.deleted", Some((user("user_9"), EventKind::Removed))),
        (
            "organization_membership.deleted",
            Some((member, EventKind::Removed)),
        ),
        (
            "session.revoked",
            Some((user("user_1"), EventKind::SignedOut)),
        ),
        ("session.created", None),
        ("user.created", None),
    ] {
        let body = json!({"id": "event_1", "event": event, "data": data,
            "created_at": "2026-01-02T03:04:05.678Z"});
        let received = signed(&body).unwrap();
        assert_eq!(received.id.as_deref(), Some("event_1"));
        let events = received.events.into_iter();
        let happened: Vec<_> = events.map(|it| ((it.subject, it.kind), it.at)).collect();
        let at = UNIX_EPOCH + Duration::from_millis(1_767_323_045_678);
        assert_eq!(
            happened,
            Vec::from_iter(told.map(|told| (told, at))),
            "{event}"
        );
    }
}

#[test]
fn an_event_that_was_not_asked_for_tells_nothing() {
    let body = json!({"id": "e", "event": "session.revoked", "data": {"user_id": "u"}}).to_string();
    let signature = workos_signature("s3cret", &body, 0);
    let received = |events| {
        let webhooks = WorkosWebhooks::new("s3cret", events);
        let received = webhooks.verify(Some(&signature), body.as_bytes(), SystemTime::now());
        received.unwrap().events.len()
    };
    assert_eq!(received(vec![WorkosEvent::UserDeleted]), 0);
    assert_eq!(received(vec![WorkosEvent::SessionRevoked]), 1);
}

#[test]
fn a_webhook_that_workos_did_not_sign_just_now_is_refused() {
    let body = json!({"id": "e", "event": "user.deleted", "data": {"id": "user_1"},
        "created_at": "2026-01-02T03:04:05Z"});
    let body = body.to_string();
    let at = |from_now| workos_signature("s3cret", &body, from_now);
    assert!(workos(&body, Some(&at(-290))).is_ok());
    for stale in [at(-310), at(310)] {
        assert_eq!(workos(&body, Some(&stale)), Err(EventError::Stale));
    }
    let good = at(0);
    let (stamp, tag) = good.split_once(", ").unwrap();
    let another = workos_signature("another", &body, 0);
    for bad in [
        "",
        "t=1",
        stamp,
        tag,
        &another,
        &format!("{tag}, {stamp}"),
        &format!("{stamp}0, {tag}"),
        &format!("{good}00"),
        &format!("{good}, v1=00"),
        &format!("{stamp}, v0={}", &tag[3..]),
        &format!("{stamp}, v1="),
        &format!("{stamp}, v1=zz"),
        "é",
    ] {
        let refused = workos(&body, Some(bad));
        assert_eq!(refused, Err(EventError::Unauthenticated), "{bad}");
    }
    assert_eq!(workos(&body, None), Err(EventError::Unauthenticated));
    let altered = body.replace("user_1", "user_2");
    let refused = workos(&altered, Some(&good));
    assert_eq!(refused, Err(EventError::Unauthenticated));
    for garbage in [
        "",
        "[]",
        "7",
        "{}",
        r#"{"id": "e"}"#,
        r#"{"id": "", "event": "user.deleted", "data": {"id": "u"}}"#,
        r#"{"id": "e", "event": 7}"#,
        r#"{"id": "e", "event": "user.deleted"}"#,
        r#"{"id": "e", "event": "user.deleted", "data": {"id": 7}}"#,
        r#"{"id": "e", "event": "organization_membership.deleted", "data": {"user_id": "u"}}"#,
    ] {
        let refused = workos(garbage, Some(&workos_signature("s3cret", garbage, 0)));
        let malformed = matches!(refused, Err(EventError::Malformed(_)));
        assert!(malformed, "{garbage}: {refused:?}");
    }
    let huge = format!("\"{}\"", "a".repeat(70_000));
    let refused = workos(&huge, Some(&workos_signature("s3cret", &huge, 0)));
    assert_eq!(refused, Err(EventError::Malformed("it is too long")));
}

fn auth0(authorization: Option<&str>, body: &str) -> Result<Vec<ReceivedEvents>, EventError> {
    let events = Auth0Events::new("t0ken".to_owned().into());
    assert_eq!(format!("{events:?}"), "Auth0Events([redacted])");
    events.verify(authorization, body.as_bytes())
}

fn cloud_event(kind: &str, object: Value) -> Value {
    json!({"specversion": "1.0", "type": kind, "id": "evt_1", "time": "2026-01-02T03:04:05.678Z",
        "source": "urn:auth0:a", "a0tenant": "a", "a0stream": "est_1", "data": {"object": object}})
}

#[test]
fn an_entry_that_cannot_be_read_silences_none_beside_it() {
    let good = cloud_event("user.deleted", json!({"user_id": "auth0|ada"}));
    let bad = cloud_event("user.deleted", json!({}));
    let batch = json!([bad, good, {"data": {"type": "sdu"}}]).to_string();
    let told = auth0(Some("Bearer t0ken"), &batch).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].events.len(), 1);
    let refused = auth0(Some("Bearer t0ken"), &json!([bad]).to_string());
    assert!(matches!(refused, Err(EventError::Malformed(_))));
}

#[test]
fn streams_of_auth0_are_told_as_what_they_mean() {
    let ada = || EventSubject::User("auth0|ada".to_owned());
    let member = EventSubject::Member {
        user: "auth0|ada".to_owned(),
        organization: "org_1".to_owned(),
    };
    let user = json!({"user_id": "auth0|ada"});
    let blocked = |blocked| json!({"user_id": "auth0|ada", "blocked": blocked});
    let membership = json!({"organization": {"id": "org_1"}, "user": user});
    let organization = EventSubject::Organization("org_1".to_owned());
    let log = |kind: &str| {
        json!({"log_id": "evt_1", "data": {"type": kind, "user_id": "auth0|ada",
            "date": "2026-01-02T03:04:05.678Z"}})
    };
    let at = UNIX_EPOCH + Duration::from_millis(1_767_323_045_678);
    for (body, told) in [
        (
            cloud_event("user.deleted", user.clone()),
            Some((ada(), EventKind::Removed)),
        ),
        (
            cloud_event("user.updated", blocked(true)),
            Some((ada(), EventKind::Disabled)),
        ),
        (
            cloud_event("user.updated", blocked(false)),
            Some((ada(), EventKind::Enabled)),
        ),
        (cloud_event("user.updated", user.clone()), None),
        (
            cloud_event("organization.member.deleted", membership),
            Some((member, EventKind::Removed)),
        ),
        (
            cloud_event("organization.deleted", json!({"id": "org_1"})),
            Some((organization, EventKind::Removed)),
        ),
        (cloud_event("user.created", user), None),
        (log("sdu"), Some((ada(), EventKind::Removed))),
        (log("scp"), Some((ada(), EventKind::CredentialChanged))),
        (log("s"), None),
    ] {
        for authorization in ["t0ken", "Bearer t0ken", "bearer  t0ken"] {
            let received = auth0(Some(authorization), &body.to_string()).unwrap();
            let [received] = &received[..] else {
                unreachable!("{received:?}")
            };
            assert_eq!(received.id.as_deref(), Some("evt_1"));
            let events = received.events.iter().cloned();
            let happened: Vec<_> = events.map(|it| ((it.subject, it.kind), it.at)).collect();
            let told = told.clone().map(|told| (told, at));
            assert_eq!(happened, Vec::from_iter(told), "{body}");
        }
    }
    // As an array, or a line each.
    let (one, two) = (log("sdu").to_string(), log("scp").to_string());
    for body in [format!("[{one}, {two}]"), format!("{one}\n{two}\n")] {
        assert_eq!(auth0(Some("t0ken"), &body).unwrap().len(), 2);
    }
    assert_eq!(auth0(Some("t0ken"), "[]").unwrap(), []);
    let mut test = cloud_event("user.deleted", json!({"user_id": "auth0|ada"}));
    test["a0purpose"] = json!("test");
    assert_eq!(
        auth0(Some("t0ken"), &test.to_string()).unwrap()[0].events,
        []
    );
}

#[test]
fn a_stream_without_its_token_or_its_form_is_refused() {
    let body = cloud_event("user.deleted", json!({"user_id": "auth0|ada"})).to_string();
    let strangers = [
        "",
        "Bearer",
        "Bearer ",
        "t0ke",
        "t0kenn",
        "Basic t0ken",
        "bearert0ken",
        "é",
    ];
    for stranger in strangers {
        let refused = auth0(Some(stranger), &body);
        assert_eq!(refused, Err(EventError::Unauthenticated), "{stranger}");
    }
    assert_eq!(auth0(None, &body), Err(EventError::Unauthenticated));
    for garbage in [
        "{",
        "7",
        "{}",
        r#"{"specversion": "1.0", "type": "user.deleted"}"#,
        r#"{"specversion": "1.0", "id": "e", "type": "user.deleted", "time": "2026-01-02T03:04:05Z"}"#,
        r#"{"specversion": "1.0", "id": "e", "type": "user.deleted", "data": {"object": {"user_id": "u"}}}"#,
        r#"{"log_id": "l", "data": {"type": "sdu", "user_id": "u", "date": "yesterday"}}"#,
        r#"{"log_id": "l", "data": {"type": "sdu", "date": "2026-01-02T03:04:05Z"}}"#,
    ] {
        let refused = auth0(Some("t0ken"), garbage);
        let malformed = matches!(refused, Err(EventError::Malformed(_)));
        assert!(malformed, "{garbage}: {refused:?}");
    }
    let huge = format!("\"{}\"", "a".repeat(70_000));
    let refused = auth0(Some("t0ken"), &huge);
    assert_eq!(refused, Err(EventError::Malformed("it is too long")));
}

#[test]
fn an_empty_secret_proves_nothing() {
    let body = r#"{"id":"e","event":"user.deleted","data":{"id":"ada"}}"#;
    let webhooks = WorkosWebhooks::new("", vec![WorkosEvent::UserDeleted]);
    let signature = workos_signature("", body, 0);
    let told = webhooks.verify(Some(&signature), body.as_bytes(), SystemTime::now());
    assert_eq!(told, Err(EventError::Unauthenticated));
    for header in ["", "Bearer ", "bearer  "] {
        assert!(!mcp_auth::is_bearer(Some(header), ""), "{header:?}");
    }
}
