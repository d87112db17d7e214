//! The hosted server as a client meets it: through its public URL, whatever stands in front.

use mcp_outbound::read_body;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, ORIGIN, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;

use super::check;
use super::finding::Finding;
use crate::config::HttpSettings;
use crate::tenants::AddressArgs;

/// An origin that nobody has (RFC 6761).
const STRANGER: &str = "https://doctor.invalid";

/// A first request, as a client without a token sends it.
const FIRST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"doctor","version":"0"}}}"#;

/// The protected resource metadata (RFC 9728), as far as it matters.
#[derive(Deserialize)]
struct Metadata {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
}

/// Looks at the public URL, the challenge, the Origin rule, and the addresses of organizations.
pub(super) async fn check(
    client: &Client,
    http: &HttpSettings,
    address: &AddressArgs,
) -> [Finding; 4] {
    let public = http.public_url_at(http.listen.port());
    if public.ends_with(":0") {
        let says = "not checked: the system chooses the port";
        return [
            check::PUBLIC_URL,
            check::CHALLENGE,
            check::ORIGIN,
            check::ORGANIZATIONS,
        ]
        .map(|check| Finding::not_checked(check, says));
    }
    let (origin_of_it, path) = split(&public);
    // The well-known part goes between host and path (RFC 9728 section 3.1).
    let document = format!("{origin_of_it}/.well-known/oauth-protected-resource{path}/mcp");
    let first = match public_url(client, http, &public, &document).await {
        Ok(good) => good,
        Err(problem) => {
            let says = "not checked: the public URL does not lead here";
            return [
                problem,
                Finding::not_checked(check::CHALLENGE, says),
                Finding::not_checked(check::ORIGIN, says),
                Finding::not_checked(check::ORGANIZATIONS, says),
            ];
        }
    };
    let endpoint = format!("{public}/mcp");
    [
        first,
        challenge(client, &endpoint, &document).await,
        origin(client, &endpoint).await,
        organizations(client, &endpoint, &document, address).await,
    ]
}

/// Whether what is below the endpoint leads here, too: a proxy may pass on just what it knows.
async fn organizations(
    client: &Client,
    endpoint: &str,
    document: &str,
    address: &AddressArgs,
) -> Finding {
    let (below, named) = match address.below() {
        // One that nobody has: all that can be one are answered alike.
        none if none.is_empty() => ("/doctor".to_owned(), false),
        below => (below, true),
    };
    let (endpoint, document) = (format!("{endpoint}{below}"), format!("{document}{below}"));
    let metadata = match client.get(&document).send().await {
        Ok(answer) => read(answer).await,
        Err(_) => None,
    };
    let told = match post(client, &endpoint).send().await {
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => challenges(answer.headers()),
        _ => String::new(),
    };
    let is_there = metadata.is_some_and(|metadata| metadata.resource == endpoint)
        && told.contains(&format!("resource_metadata=\"{document}\""));
    let fix = "route everything below /mcp and below /.well-known/oauth-protected-resource of that name \
               to this server";
    match (is_there, named) {
        (true, true) => Finding::good(check::ORGANIZATIONS, format!("{endpoint} is this server")),
        (true, false) => Finding::good(check::ORGANIZATIONS, "each has an address below /mcp"),
        (false, true) => {
            let says = format!("{endpoint} and its metadata do not lead to this server");
            Finding::problem(check::ORGANIZATIONS, says, fix)
        }
        (false, false) => {
            let says = "what is below /mcp does not lead to this server, so they have no addresses";
            Finding::warning(check::ORGANIZATIONS, says, fix)
        }
    }
}

/// A public URL before its path, and the path.
fn split(public: &str) -> (&str, &str) {
    let host = public.find("://").map_or(0, |at| at + 3);
    let path = public.get(host..).and_then(|rest| rest.find('/'));
    public.split_at(path.map_or(public.len(), |at| host + at))
}

/// Whether the URL leads to this server, as this configuration has it.
async fn public_url(
    client: &Client,
    http: &HttpSettings,
    public: &str,
    document: &str,
) -> Result<Finding, Finding> {
    let problem = |says: String, fix: &str| Finding::problem(check::PUBLIC_URL, says, fix);
    let answer = client.get(document).send().await.map_err(|error| {
        let why = if error.is_timeout() { "in time" } else { "at all" };
        problem(
            format!("{public} does not answer {why}"),
            &format!(
                "start the server (`{}`); if it runs, correct MCP_HOST, its DNS name, its certificate \
                 or the proxy in front of it",
                crate::program::run("--transport http")
            ),
        )
    })?;
    let status = answer.status();
    if status == StatusCode::FORBIDDEN {
        return Err(problem(
            format!("{public} refuses its own name"),
            "the proxy changes the Host header: pass it on, or name it in ALLOWED_HOSTS",
        ));
    }
    let Some(metadata) = read(answer).await.filter(|_| status == StatusCode::OK) else {
        return Err(problem(
            format!(
                "{document} answers with {} and no such document",
                status.as_u16()
            ),
            "something else answers there: route / of that name to this server, /mcp and \
             /.well-known included",
        ));
    };
    let resource = format!("{public}/mcp");
    if metadata.resource != resource {
        return Err(problem(
            format!("the server there is another resource, not {resource}"),
            "restart it with this MCP_HOST; clients refuse metadata of another name",
        ));
    }
    let ours = http.auth.issuers.iter().map(|it| &it.accepted.issuer);
    if !metadata.authorization_servers.iter().eq(ours) {
        return Err(problem(
            "the server there names other authorization servers".to_owned(),
            "restart it: it runs with another OAUTH_ISSUER than the one set here",
        ));
    }
    Ok(Finding::good(
        check::PUBLIC_URL,
        format!("{resource} is this server"),
    ))
}

async fn read(answer: Response) -> Option<Metadata> {
    let body = read_body(answer, 65_536).await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// Whether a client without a token is told where to log in.
async fn challenge(client: &Client, endpoint: &str, document: &str) -> Finding {
    let problem = |says: String, fix: &str| Finding::problem(check::CHALLENGE, says, fix);
    let Ok(answer) = post(client, endpoint).send().await else {
        return problem(
            format!("{endpoint} does not answer a POST"),
            "let the proxy pass POST on, with its body",
        );
    };
    let status = answer.status().as_u16();
    if status != 401 {
        return problem(
            format!("{endpoint} answers {status} without a token, not 401"),
            "let the proxy in front pass /mcp on to this server as it is: something answers for it",
        );
    }
    let told = challenges(answer.headers());
    if told.contains(&format!("resource_metadata=\"{document}\"")) {
        return Finding::good(check::CHALLENGE, "401, and where to log in");
    }
    problem(
        "401, but WWW-Authenticate does not say where to log in".to_owned(),
        "let the proxy pass WWW-Authenticate on as it is",
    )
}

fn challenges(headers: &HeaderMap) -> String {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(", ")
}

/// Whether a page from anywhere is kept out (DNS rebinding).
async fn origin(client: &Client, endpoint: &str) -> Finding {
    match post(client, endpoint).header(ORIGIN, STRANGER).send().await {
        Ok(answer) if answer.status() == StatusCode::FORBIDDEN => {
            Finding::good(check::ORIGIN, "a page from elsewhere gets 403")
        }
        Ok(answer) => Finding::problem(
            check::ORIGIN,
            format!(
                "a page from elsewhere gets {}, not 403",
                answer.status().as_u16()
            ),
            "let the proxy pass the Origin header on, and answer nothing itself (no CORS rules \
             there)",
        ),
        Err(_) => Finding::not_checked(check::ORIGIN, "not checked: no answer"),
    }
}

fn post(client: &Client, endpoint: &str) -> RequestBuilder {
    client
        .post(endpoint)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream")
        .body(FIRST)
}
