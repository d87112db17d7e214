//! What a token endpoint may say, and who has to act on it; errors that come with the browser.

use mcp_test_support::{Algorithm, ProviderFault, SigningKey, payload_of};
use serde_json::{Value, json};

use super::*;

const TOKEN: &str = IdentityProvider::TOKEN_PATH;

/// What comes of an answer to a code, and to a refresh token.
async fn verdicts(
    provider: &Provider,
    idp: &IdentityProvider,
    (status, body): (u16, &str),
) -> [ProviderError; 2] {
    idp.break_path(TOKEN, ProviderFault::Fixed(status, body.to_owned()));
    let tokens = ProviderTokens {
        access_token: Zeroizing::new("hush".to_owned()),
        refresh_token: Some(Zeroizing::new("quiet".to_owned())),
        expires_at: None,
        scope: None,
    };
    // Nothing is counted against the provider: each answer is judged alone.
    provider.breaker.close();
    let redeemed = redeem(provider, "a code").await.unwrap_err();
    let refreshed = refresh(provider, &tokens).await.unwrap_err();
    [redeemed, refreshed]
}

fn error(code: &str) -> Value {
    json!({ "error": code, "error_description": "pe3r" })
}

#[tokio::test]
async fn every_error_says_who_must_act() {
    const OVER: [&str; 2] = ["invalid_grant", "invalid_grant"];
    const AGAIN: [&str; 2] = ["refused", "invalid_grant"];
    const MEND: [&str; 2] = ["misconfigured", "misconfigured"];
    const LATER: [&str; 2] = ["unavailable", "unavailable"];
    let rows = [
        (400, error("invalid_grant"), OVER),
        (401, error("invalid_grant"), OVER),
        (403, error("invalid_grant"), OVER),
        (200, error("invalid_grant"), OVER),
        (200, error("bad_verification_code"), OVER),
        (200, error("bad_refresh_token"), OVER),
        (400, error("interaction_required"), AGAIN),
        (400, error("consent_required"), AGAIN),
        (403, error("access_denied"), AGAIN),
        (401, error("invalid_client"), MEND),
        (400, error("invalid_client"), MEND),
        (200, error("incorrect_client_credentials"), MEND),
        (401, json!({}), MEND),
        (400, error("unauthorized_client"), MEND),
        (400, error("unsupported_grant_type"), MEND),
        (400, error("invalid_scope"), MEND),
        (400, error("invalid_request"), MEND),
        (404, error("invalid_grant"), MEND),
        (405, json!({}), MEND),
        (307, json!({}), MEND),
        (500, error("invalid_grant"), LATER),
        (503, error("access_denied"), LATER),
        (429, error("invalid_grant"), LATER),
        (400, error("slow_down"), LATER),
        (400, error("temporarily_unavailable"), LATER),
        (200, error("server_error"), LATER),
        (400, error("pe3r"), LATER),
        (403, json!({}), LATER),
        (200, json!({}), LATER),
        (200, json!([]), LATER),
        (204, json!({}), LATER),
    ];
    let (idp, provider) = world().await;
    for (status, body, expected) in rows {
        let errors = verdicts(&provider, &idp, (status, &body.to_string())).await;
        assert_eq!(
            [kind(&errors[0]), kind(&errors[1])],
            expected,
            "{status} {body}"
        );
        for error in errors {
            let shown = format!("{error} {error:?} {}", error.sentence());
            for hidden in ["pe3r", "hush", "quiet", IdentityProvider::CLIENT_SECRET] {
                assert!(!shown.contains(hidden), "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn an_operator_reads_what_to_change() {
    let (idp, provider) = world().await;
    for (code, part) in [
        (
            "redirect_uri_mismatch",
            "register https://mcp.test/callback as redirect URI of client",
        ),
        ("invalid_client", "check client id and secret"),
        (
            "unauthorized_client",
            "allow the grant authorization_code for client",
        ),
        ("invalid_scope", "scope"),
    ] {
        let body = error(code).to_string();
        let [redeemed, _] = verdicts(&provider, &idp, (400, &body)).await;
        let sentence = misconfigured(redeemed);
        assert!(sentence.contains(part), "{sentence}");
    }
    // A wrong secret, and a redirect URI that is not registered, as the stand-in itself sees them.
    let (idp, mut config) = open_id().await;
    let wrong = Zeroizing::new("another secret".to_owned());
    config.authentication = ClientAuthentication::SecretPost(wrong);
    let provider = super::provider(config);
    let code = code_of(&provider).await;
    let sentence = misconfigured(redeem(&provider, &code).await.unwrap_err());
    assert!(
        sentence.contains("secret") && !sentence.contains("another secret"),
        "{sentence}"
    );
    assert_eq!(idp.logins(), 0);
}

#[tokio::test]
async fn a_secret_may_be_sent_in_the_form() {
    let (_idp, mut config) = open_id().await;
    config.authentication = ClientAuthentication::SecretPost(secret());
    log_in(&provider(config)).await.unwrap();
}

#[test]
fn a_client_with_a_key_sends_an_assertion_and_no_secret() {
    let key = SigningKey::generate(Algorithm::Es256);
    let signer = mcp_auth::ClientKey::from_pem(&key.private_pem()).unwrap();
    let by_key = ClientAuthentication::PrivateKeyJwt(signer);
    let (client, endpoint) = (("client", &by_key), "https://a.test/token");
    let endpoint = Url::parse(endpoint).unwrap();
    let request = mcp_auth::http_client().unwrap().post(endpoint.clone());
    let asked = as_client(
        request,
        &[("code", "c")],
        client,
        &endpoint,
        SystemTime::now(),
    );
    let asked = asked.unwrap().build().unwrap();
    assert!(!asked.headers().contains_key("authorization"));
    let form = asked.body().and_then(reqwest::Body::as_bytes).unwrap();
    let form: HashMap<_, _> = url::form_urlencoded::parse(form).into_owned().collect();
    let names = [
        "code",
        "client_id",
        "client_assertion_type",
        "client_assertion",
    ];
    assert!(form.len() == 4 && names.iter().all(|name| form.contains_key(*name)));
    let (message, signature) = form["client_assertion"].rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(key.verifies("ES256", message.as_bytes(), &signature));
    let claims = payload_of(&form["client_assertion"]).unwrap();
    assert_eq!(claims["aud"], "https://a.test/token");
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("client"), &json!("client"))
    );
}

#[tokio::test]
async fn tokens_that_cannot_be_used_are_none() {
    let (idp, provider) = world().await;
    for (changes, expected) in [
        (json!({"access_token": ""}), "unavailable"),
        (json!({"access_token": 7}), "unavailable"),
        (json!({"access_token": null}), "unavailable"),
        (json!({"access_token": "two words"}), "unavailable"),
        (json!({"access_token": "line\r\nfeed"}), "unavailable"),
        (json!({"access_token": "x".repeat(20_000)}), "unavailable"),
        (json!({"token_type": "DPoP"}), "misconfigured"),
        (json!({"token_type": "mac"}), "misconfigured"),
    ] {
        let mut body = json!({"access_token": "good", "token_type": "Bearer", "expires_in": 300});
        let fields = body.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        let errors = verdicts(&provider, &idp, (200, &body.to_string())).await;
        assert_eq!(kind(&errors[1]), expected, "{changes}");
    }
}

#[tokio::test]
async fn lifetimes_and_scopes_are_read_as_providers_write_them() {
    let (idp, provider) = world().await;
    let tokens = log_in(&provider).await.unwrap().tokens;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    for (expires_in, expires_at) in [
        (json!(300), Some(1_300)),
        (json!(300.9), Some(1_300)),
        (json!("300"), Some(1_300)),
        (json!(0), Some(1_000)),
        (json!(-5), Some(1_000)),
        (json!(1e300), Some(1_000 + 366 * 86_400)),
        (json!(null), None),
        (json!("soon"), None),
        (json!({}), None),
    ] {
        let body = json!({
            "access_token": "good", "token_type": "bearer", "scope": "repo,read:org  user",
            "expires_in": expires_in,
        });
        idp.break_path(TOKEN, ProviderFault::Fixed(200, body.to_string()));
        let fresh = provider.refresh(&tokens, now).await.unwrap();
        assert_eq!(fresh.expires_at, expires_at, "{expires_in}");
        assert_eq!(fresh.scope.as_deref(), Some("repo read:org user"));
    }
}

#[tokio::test]
async fn errors_that_come_with_the_browser_are_told_to_client_and_person() {
    let (idp, provider) = world().await;
    for (code, expected, to_mend) in [
        ("access_denied", "access_denied", None),
        ("login_required", "access_denied", None),
        ("interaction_required", "access_denied", None),
        ("consent_required", "access_denied", None),
        ("temporarily_unavailable", "temporarily_unavailable", None),
        ("server_error", "server_error", None),
        ("redirect_uri_mismatch", "server_error", Some(CALLBACK)),
        (
            "invalid_scope",
            "server_error",
            Some("openid profile email offline_access"),
        ),
        (
            "unauthorized_client",
            "server_error",
            Some("authorization_code"),
        ),
        (
            "unsupported_response_type",
            "server_error",
            Some("authorization_code"),
        ),
        ("invalid_request", "server_error", Some(CALLBACK)),
        ("application_suspended", "server_error", Some("suspended")),
        ("<script>", "server_error", Some("not known")),
    ] {
        idp.refuse_logins(code);
        let answer = answer_of(&provider).await;
        let refusal = provider.callback_refusal(&answer["error"], CALLBACK);
        assert_eq!(refusal.error, expected, "{code}");
        assert!(refusal.sentence.ends_with('.'), "{code}");
        let found = refusal.to_mend.as_deref();
        assert_eq!(found.is_some(), to_mend.is_some(), "{code}");
        if let (Some(found), Some(part)) = (found, to_mend) {
            assert!(found.contains(part) && !found.contains('<'), "{found}");
        }
    }
}
