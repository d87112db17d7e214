//! The stand-in identity provider, as a browser and a client that is not ours meet it.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_test_support::{Api, IdentityProvider, http_client, payload_of};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

const CALLBACK: &str = "http://127.0.0.1:1/callback";
const VERIFIER: &str = "a verifier that is long enough for anybody who asks";

type Pairs = BTreeMap<String, String>;

async fn provider() -> IdentityProvider {
    let idp = IdentityProvider::start().await.unwrap();
    idp.register_redirect(CALLBACK);
    idp
}

fn request<'a>(changes: &[(&'a str, &'a str)]) -> BTreeMap<&'a str, &'a str> {
    let challenge = "DxRLGFsyJ2O3l3RPCWbgS4DkRdeVCpJUGUKYKUaQgL0";
    let mut request = BTreeMap::from([
        ("client_id", IdentityProvider::CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("state", "a \"state\" & <more>"),
        ("nonce", "n"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ]);
    request.extend(changes.iter().copied());
    request
}

async fn authorize(idp: &IdentityProvider, request: &BTreeMap<&str, &str>) -> Response {
    let mut url = Url::parse(&idp.at(IdentityProvider::AUTHORIZE_PATH)).unwrap();
    url.query_pairs_mut().extend_pairs(request);
    http_client().get(url).send().await.unwrap()
}

fn sent_back(answer: &Response) -> Pairs {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let location = answer.headers().get("location").unwrap();
    let location = Url::parse(location.to_str().unwrap()).unwrap();
    location.query_pairs().into_owned().collect()
}

async fn token(idp: &IdentityProvider, form: &[(&str, &str)]) -> (u16, Value) {
    let (id, secret) = ("client_id", "client_secret");
    let mut form = form.to_vec();
    form.push((id, IdentityProvider::CLIENT_ID));
    form.push((secret, IdentityProvider::CLIENT_SECRET));
    let url = idp.at(IdentityProvider::TOKEN_PATH);
    let answer = http_client().post(url).form(&form).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap())
}

fn challenge_of(verifier: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

#[tokio::test]
async fn only_the_known_client_with_a_registered_redirect_gets_anywhere() {
    let idp = provider().await;
    let deeper = format!("{CALLBACK}/deeper");
    for change in [
        ("client_id", "another"),
        ("redirect_uri", deeper.as_str()),
        ("code_challenge_method", "plain"),
        ("code_challenge", "short"),
    ] {
        let answer = authorize(&idp, &request(&[change])).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{change:?}");
    }
    let answer = authorize(&idp, &request(&[("response_type", "token")])).await;
    let error = sent_back(&answer).remove("error");
    assert_eq!(error.as_deref(), Some("unsupported_response_type"));
    idp.refuse_logins("access_denied");
    let answer = sent_back(&authorize(&idp, &request(&[])).await);
    assert_eq!(answer.get("error").unwrap(), "access_denied");
    assert_eq!(answer.get("iss"), Some(&idp.url()));
}

#[tokio::test]
async fn a_code_is_redeemed_once_and_every_refresh_replaces_the_token() {
    let idp = provider().await;
    let challenge = challenge_of(VERIFIER);
    let answer = authorize(&idp, &request(&[("code_challenge", &challenge)])).await;
    let answer = sent_back(&answer);
    assert_eq!(answer.get("state").unwrap(), "a \"state\" & <more>");
    let code = answer.get("code").unwrap();
    let redeeming = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let (status, tokens) = token(&idp, &redeeming).await;
    assert_eq!(status, 200, "{tokens}");
    let field = |tokens: &Value, name: &str| {
        let value = tokens.get(name).and_then(Value::as_str);
        value.map(str::to_owned).unwrap()
    };
    let claims = payload_of(&field(&tokens, "id_token")).unwrap();
    assert_eq!(claims.get("nonce").unwrap(), "n");
    assert_eq!(claims.get("aud").unwrap(), IdentityProvider::CLIENT_ID);
    assert_eq!(token(&idp, &redeeming).await.0, 400);

    let first = field(&tokens, "refresh_token");
    let refreshing = |refresh: &str| {
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let ask = async |refresh: &str| {
        let form = refreshing(refresh);
        let form = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        token(&idp, &form.collect::<Vec<_>>()).await
    };
    let (status, fresh) = ask(&first).await;
    assert_eq!(status, 200);
    let (status, refused) = ask(&first).await;
    assert_eq!(
        (status, refused.get("error").unwrap()),
        (400, &Value::from("invalid_grant"))
    );
    assert_eq!(ask(&field(&fresh, "refresh_token")).await.0, 200);
    assert_eq!(idp.refreshed(), 2);
}

/// What a browser sends when a button of the page is pressed.
async fn press(idp: &IdentityProvider, page: &str, decision: &str) -> Pairs {
    let mut form = vec![("decision".to_owned(), decision.to_owned())];
    for field in page.split("<input type=\"hidden\" name=\"").skip(1) {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        let (value, _) = rest.split_once('"').unwrap();
        let value = value.replace("&quot;", "\"").replace("&lt;", "<");
        form.push((name.to_owned(), value.replace("&amp;", "&")));
    }
    let url = idp.at(IdentityProvider::DECISION_PATH);
    sent_back(&http_client().post(url).form(&form).send().await.unwrap())
}

#[tokio::test]
async fn a_login_page_waits_for_a_button() {
    let idp = provider().await;
    idp.show_login_page();
    let answer = authorize(&idp, &request(&[])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.text().await.unwrap();
    let signed_in = press(&idp, &page, "sign-in").await;
    assert!(signed_in.contains_key("code"), "{signed_in:?}");
    assert_eq!(signed_in.get("state").unwrap(), "a \"state\" & <more>");
    let cancelled = press(&idp, &page, "cancel").await;
    assert_eq!(cancelled.get("error").unwrap(), "access_denied");
}

#[tokio::test]
async fn introspection_says_whose_a_token_is_while_it_is_good() {
    let idp = provider().await;
    idp.rename_client("another name");
    let challenge = challenge_of(VERIFIER);
    let changes = [
        ("code_challenge", challenge.as_str()),
        ("client_id", "another name"),
    ];
    let answer = sent_back(&authorize(&idp, &request(&changes)).await);
    let mut form = vec![
        ("client_id", "another name"),
        ("client_secret", IdentityProvider::CLIENT_SECRET),
        ("grant_type", "authorization_code"),
        ("code", answer.get("code").unwrap()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let url = idp.at(IdentityProvider::TOKEN_PATH);
    let tokens = http_client().post(url).form(&form).send().await.unwrap();
    let tokens: Value = tokens.json().await.unwrap();
    let access_token = tokens.get("access_token").unwrap().as_str().unwrap();

    form.push(("token", access_token));
    let url = idp.at(IdentityProvider::INTROSPECT_PATH);
    let ask = async |form: &[(&str, &str)]| {
        let answer = http_client().post(&url).form(form).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let claims = json!({ "active": true, "sub": "user_ada", "org_id": "org_ada" });
    assert_eq!(ask(&form).await, (200, claims));
    assert_eq!(ask(&form[2..]).await.0, 401);

    let api = Api::start().await.unwrap();
    api.introspect_at(idp.introspection());
    let profile = format!("{}/api/v1/profile", api.url());
    let profile = async || {
        let asked = http_client().get(&profile).bearer_auth(access_token);
        asked.send().await.unwrap().status()
    };
    assert_eq!(profile().await, StatusCode::OK);
    idp.end_logins();
    assert_eq!(ask(&form).await, (200, json!({ "active": false })));
    assert_eq!(profile().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn like_github_it_answers_with_a_form_and_says_errors_with_status_200() {
    let idp = IdentityProvider::start_like_github().await.unwrap();
    idp.register_redirect(CALLBACK);
    let (status, refused) = token(&idp, &[("code", "made up")]).await;
    let code = refused.get("error").unwrap();
    assert_eq!((status, code), (200, &Value::from("bad_verification_code")));
    let challenge = challenge_of(VERIFIER);
    let answer = sent_back(&authorize(&idp, &request(&[("code_challenge", &challenge)])).await);
    assert!(!answer.contains_key("iss"));
    let form = [
        ("client_id", IdentityProvider::CLIENT_ID),
        ("client_secret", IdentityProvider::CLIENT_SECRET),
        ("code", answer.get("code").unwrap()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let url = idp.at(IdentityProvider::TOKEN_PATH);
    let answer = http_client().post(url).form(&form).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let fields: Pairs = url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect();
    let access_token = fields.get("access_token").unwrap();
    assert!(!fields.contains_key("refresh_token") && !fields.contains_key("expires_in"));
    let url = idp.at(IdentityProvider::USERINFO_PATH);
    let user = http_client()
        .get(url)
        .bearer_auth(access_token)
        .send()
        .await;
    let user: Value = user.unwrap().json().await.unwrap();
    assert_eq!(user.get("id").unwrap(), 583_231);
}
