//! A server that logs people in itself, at a stand-in of an identity provider.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::header;
use mcp_test_support::{IdentityProvider, ServerCommand, http_client};
use serde_json::{Value, json};
use url::Url;

use crate::world::World;

/// A provider that knows this world's server, and asks people on a page.
pub(crate) async fn provider(world: &World) -> IdentityProvider {
    let provider = IdentityProvider::start().await.unwrap();
    provider.register_redirect(&callback(world));
    provider.show_login_page();
    provider
}

/// Where the provider sends browsers back to.
pub(crate) fn callback(world: &World) -> String {
    world.resource().replace("/mcp", "/callback")
}

/// The command of the instance that the public URL leads to, with its own authorization server before
/// this provider; `more` are further keys of its table.
pub(crate) fn command(world: &World, provider: &IdentityProvider, more: &str) -> ServerCommand {
    let (issuer, id) = (provider.url(), IdentityProvider::CLIENT_ID);
    let table = format!(
        "[authorization_server]\nissuer = \"{issuer}\"\nclient_id = \"{id}\"\n\
         client_secret_file = \"provider-secret\"\n{more}"
    );
    let folder = world.home.path();
    std::fs::write(
        folder.join("provider-secret"),
        IdentityProvider::CLIENT_SECRET,
    )
    .unwrap();
    let file = folder.join("own.toml");
    std::fs::write(&file, table).unwrap();
    let command = world.command_at_public_url().without_env("OAUTH_ISSUER");
    let command = command.without_env("UPSTREAM_AUDIENCE");
    let command = command.env("ENCRYPTION_KEY", &world.encryption_key);
    command.arg("--config").arg(file)
}

const APP: &str = "http://127.0.0.1/app";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-000";

/// A client that registered itself at a server of this kind.
pub(crate) struct App {
    http: reqwest::Client,
    server: String,
    id: String,
}

impl App {
    pub(crate) async fn register(world: &World) -> Self {
        let server = world.resource().replace("/mcp", "");
        let http = http_client();
        let client = json!({
            "redirect_uris": [APP],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let asked = http.post(format!("{server}/register")).json(&client);
        let registered: Value = asked.send().await.unwrap().json().await.unwrap();
        let id = registered["client_id"].as_str().unwrap().to_owned();
        Self { http, server, id }
    }

    /// Logs a user in, who agrees to everything and is known to the provider; the tokens.
    pub(crate) async fn log_in(&self) -> Value {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let asked = [
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", APP),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let page = Url::parse_with_params(&format!("{}/authorize", self.server), asked);
        let page = self.http.get(page.unwrap()).send().await.unwrap();
        let browser = cookies(&page);
        let html = page.text().await.unwrap();
        let (_, sealed) = html.split_once("name=\"request\" value=\"").expect(&html);
        let (sealed, _) = sealed.split_once('"').unwrap();
        let decision = [("request", sealed), ("decision", "allow")];
        let agreed = self.http.post(format!("{}/authorize", self.server));
        let agreed = agreed.header("cookie", browser).form(&decision);
        let agreed = agreed.send().await.unwrap();
        let browser = cookies(&agreed);
        let back = self.http.get(location(&agreed)).send().await.unwrap();
        let back = self.http.get(location(&back)).header("cookie", browser);
        let app = location(&back.send().await.unwrap());
        let mut pairs = app.query_pairs();
        let code = pairs.find(|(name, _)| name == "code");
        let (_, code) = code.expect("a code for the client");
        self.tokens(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", APP),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    /// The next tokens for those of a login.
    pub(crate) async fn refresh(&self, tokens: &Value) -> Value {
        let next = self.try_to_refresh(tokens).await;
        assert!(next["access_token"].is_string(), "{next}");
        next
    }

    /// The same, whatever comes of it.
    pub(crate) async fn try_to_refresh(&self, tokens: &Value) -> Value {
        let token = tokens["refresh_token"].as_str().unwrap();
        self.ask(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    async fn tokens(&self, form: &[(&str, &str)]) -> Value {
        let tokens = self.ask(form).await;
        assert!(tokens["access_token"].is_string(), "{tokens}");
        tokens
    }

    async fn ask(&self, form: &[(&str, &str)]) -> Value {
        let mut form = form.to_vec();
        form.push(("client_id", &self.id));
        let answer = self.http.post(format!("{}/token", self.server)).form(&form);
        answer.send().await.unwrap().json().await.unwrap()
    }
}

/// What a browser sends back of an answer's cookies.
fn cookies(answer: &reqwest::Response) -> String {
    let set = answer.headers().get_all(header::SET_COOKIE).iter();
    let pairs = set.map(|line| line.to_str().unwrap().split(';').next().unwrap());
    pairs.collect::<Vec<_>>().join("; ")
}

fn location(answer: &reqwest::Response) -> Url {
    let location = answer.headers().get(header::LOCATION);
    let location = location.expect("an answer that leads elsewhere");
    location.to_str().unwrap().parse().unwrap()
}
