//! A login as an MCP client and its user do it, step by step over HTTP: what `dev` gets its tokens
//! by, and what its test looks at.
//!
//! The client knows the address of the endpoint alone and finds the rest, as the authorization part
//! of MCP has it. The user presses the buttons of the pages that come.

mod behind;
mod browser;

use anyhow::{Context as _, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_test_support::random_hex;
use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

pub use behind::{provider, settings};
pub use browser::Page;
use browser::{Arrived, Browser};

/// Nobody listens there: the browser is not sent on that far.
const REDIRECT_URI: &str = "http://127.0.0.1/callback";

/// A client whose user has logged in. Without `Debug`: it holds tokens.
pub struct LoggedIn {
    /// What the endpoint takes.
    pub access_token: String,
    /// What gets the next one.
    pub refresh_token: String,
    /// Whom the client registered as.
    pub client_id: String,
    /// Where tokens come from.
    pub token_endpoint: Url,
    /// The pages that the user was shown, in order.
    pub pages: Vec<Page>,
}

/// Registers a client of this name, and has its user press `buttons`, one on each page.
///
/// # Errors
///
/// When a step is not answered as a client needs it.
pub async fn log_in(
    mcp_url: &str,
    client_name: &str,
    buttons: &[&str],
) -> anyhow::Result<LoggedIn> {
    let http = mcp_test_support::http_client();
    let server = Server::found(&http, mcp_url).await?;
    let client_id = server.register(&http, client_name).await?;
    let (verifier, state) = (random_hex(32), random_hex(16));
    let link = server.link(&client_id, &verifier, &state);
    let (back, pages) = press(&http, link, REDIRECT_URI, buttons).await?;
    let answer = |name: &str| {
        let mut pairs = back.query_pairs();
        let found = pairs.find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned())
    };
    ensure!(answer("state").as_ref() == Some(&state), "another state");
    ensure!(
        answer("iss").as_ref() == Some(&server.issuer),
        "another issuer"
    );
    let code = answer("code").context("no code came back")?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("client_id", client_id.as_str()),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", verifier.as_str()),
        ("resource", server.resource.as_str()),
    ];
    let tokens = tokens(&http, &server.token_endpoint, &form).await?;
    Ok(LoggedIn {
        access_token: text(&tokens, "access_token")?,
        refresh_token: text(&tokens, "refresh_token")?,
        client_id,
        token_endpoint: server.token_endpoint,
        pages,
    })
}

/// What an authorization server is asked for tokens with, and its answer.
///
/// # Errors
///
/// When it does not answer with status 200 and JSON.
pub async fn tokens(http: &Client, endpoint: &Url, form: &[(&str, &str)]) -> anyhow::Result<Value> {
    let (status, answer) = answer(http, endpoint, form).await?;
    let error = answer.get("error");
    ensure!(status == StatusCode::OK, "no tokens: {status} {error:?}");
    Ok(answer)
}

/// The same, whatever it answers.
///
/// # Errors
///
/// When it does not answer with JSON.
pub async fn answer(
    http: &Client,
    endpoint: &Url,
    form: &[(&str, &str)],
) -> anyhow::Result<(StatusCode, Value)> {
    let answer = http.post(endpoint.clone()).form(form).send().await?;
    let status = answer.status();
    Ok((status, answer.json().await.context("no JSON came")?))
}

/// What a client finds out before it asks anybody.
pub struct Server {
    resource: String,
    /// Its issuer identifier.
    pub issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    registration_endpoint: Url,
}

impl Server {
    /// From the 401 to the resource's metadata, and from there to the authorization server's.
    ///
    /// # Errors
    ///
    /// When it is not found there.
    pub async fn found(http: &Client, mcp_url: &str) -> anyhow::Result<Self> {
        let refusal = http.post(mcp_url).json(&json!({})).send().await?;
        ensure!(
            refusal.status() == StatusCode::UNAUTHORIZED,
            "without a token the endpoint answers {}",
            refusal.status()
        );
        let challenge = refusal.headers().get(header::WWW_AUTHENTICATE);
        let challenge = challenge.context("no challenge")?.to_str()?;
        let (_, place) = challenge
            .split_once("resource_metadata=\"")
            .context("the challenge names no metadata")?;
        let (place, _) = place.split_once('"').context("an open quote")?;
        let metadata = document(http, place).await?;
        let issuer = metadata.pointer("/authorization_servers/0");
        let issuer = issuer.and_then(Value::as_str).context("no issuer")?;
        let mut place: Url = issuer.parse()?;
        let path = place.path().trim_end_matches('/').to_owned();
        place.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
        let server = document(http, place.as_str()).await?;
        let endpoint = |name: &str| anyhow::Ok(text(&server, name)?.parse::<Url>()?);
        Ok(Self {
            resource: text(&metadata, "resource")?,
            issuer: text(&server, "issuer")?,
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            registration_endpoint: endpoint("registration_endpoint")?,
        })
    }

    /// The id of a client that introduces itself under this name. It is one of the user's own machine, and
    /// takes any port there.
    ///
    /// # Errors
    ///
    /// When it is not taken.
    pub async fn register(&self, http: &Client, name: &str) -> anyhow::Result<String> {
        let client = json!({
            "client_name": name,
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let request = http.post(self.registration_endpoint.clone()).json(&client);
        let answer = request.send().await?;
        let status = answer.status();
        ensure!(status == StatusCode::CREATED, "no registration: {status}");
        text(&answer.json().await?, "client_id")
    }

    fn link(&self, client_id: &str, verifier: &str, state: &str) -> Url {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let mut link = self.authorization_endpoint.clone();
        link.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", REDIRECT_URI),
            ("state", state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &self.resource),
        ]);
        link
    }
}

/// What the user does who follows a link: where the browser ends, which is where the client waits, and
/// the pages on its way.
///
/// # Errors
///
/// When another page comes than one with these buttons, in this order.
pub async fn press(
    http: &Client,
    link: Url,
    redirect_uri: &str,
    buttons: &[&str],
) -> anyhow::Result<(Url, Vec<Page>)> {
    let mut browser = Browser::new(http.clone(), redirect_uri);
    let mut pages = Vec::new();
    let mut arrived = browser.open(link).await?;
    for button in buttons {
        let Arrived::Page(page) = arrived else {
            anyhow::bail!("no page asks for `{button}`");
        };
        arrived = browser.press(&page, button).await?;
        pages.push(page);
    }
    match arrived {
        Arrived::Back(url) => Ok((url, pages)),
        Arrived::Page(page) => anyhow::bail!("a page is left at {}", page.url.path()),
    }
}

async fn document(http: &Client, place: &str) -> anyhow::Result<Value> {
    let answer = http.get(place).send().await?.error_for_status()?;
    answer.json().await.with_context(|| place.to_owned())
}

fn text(json: &Value, name: &str) -> anyhow::Result<String> {
    let text = json.get(name).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {name}"))?.to_owned())
}
