//! One real call, as a client makes it: through the public URL, with a real token.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mcp_outbound::read_body;
use mcp_transport_http::TenantAudience;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::check;
use super::finding::Finding;
use crate::config::{HttpSettings, UpstreamSettings};
use crate::tenants::AddressArgs;

/// The revision that is spoken.
const REVISION: &str = "2025-11-25";

/// Largest answer that is read, in bytes.
const LARGEST: usize = 4 * 1024 * 1024;

/// Tools that change nothing, want no argument and ask BrainGrid; the first that is offered is called.
const HARMLESS: &[&str] = &["get_profile", "list_projects", "info"];

/// What was found, and whether the last step succeeded.
pub(super) struct Probe {
    pub(super) findings: Vec<Finding>,
    pub(super) went_through: bool,
}

/// Takes the steps of a client; the first that fails is the last.
pub(super) async fn probe(
    client: &Client,
    http: &HttpSettings,
    address: &AddressArgs,
    token: &SecretString,
) -> Probe {
    let public = http.public_url_at(http.listen.port());
    let endpoint = format!("{public}/mcp{}", address.below());
    let mut findings = vec![about_token(token, &endpoint, address, http)];
    let mut caller = Caller {
        client,
        endpoint: &endpoint,
        token,
    };
    let steps = caller.steps(&mut findings).await;
    Probe {
        findings,
        went_through: steps.is_some(),
    }
}

struct Caller<'a> {
    client: &'a Client,
    endpoint: &'a str,
    token: &'a SecretString,
}

impl Caller<'_> {
    /// `None` when a step failed.
    async fn steps(&mut self, findings: &mut Vec<Finding>) -> Option<()> {
        let hello = json!({
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": { "name": "doctor", "version": env!("CARGO_PKG_VERSION") },
        });
        let server = self.step(check::INITIALIZE, "initialize", hello, findings);
        let server = server.await?;
        let name = at(&server, "/serverInfo/name")
            .as_str()
            .unwrap_or("no name");
        let says = format!("the server calls itself {}", short(name));
        findings.push(Finding::good(check::INITIALIZE, says));

        let listed = self.step(check::TOOLS_LIST, "tools/list", json!({}), findings);
        let listed = listed.await?;
        let names = at(&listed, "/tools").as_array().into_iter().flatten();
        let names: Vec<_> = names
            .filter_map(|tool| at(tool, "/name").as_str())
            .collect();
        let says = format!("{} tools", names.len());
        findings.push(Finding::good(check::TOOLS_LIST, says));

        let Some(tool) = HARMLESS.iter().copied().find(|tool| names.contains(tool)) else {
            let says = "not called: no tool is offered that changes nothing and wants no argument";
            findings.push(Finding::not_checked(check::TOOLS_CALL, says));
            return Some(());
        };
        let call = json!({ "name": tool, "arguments": {} });
        let result = self.step(check::TOOLS_CALL, "tools/call", call, findings);
        let result = result.await?;
        if at(&result, "/isError") == &Value::Bool(true) {
            let text = at(&result, "/content/0/text").as_str().unwrap_or_default();
            findings.push(Finding::problem(
                check::TOOLS_CALL,
                format!("{tool}: {}", short(text)),
                "do what it says; if BrainGrid does not accept the token, let the issuer put the \
                 API's audience (UPSTREAM_AUDIENCE) into it, or where tokens are exchanged \
                 (UPSTREAM_MODE, [issuers.upstream]) into those for the API",
            ));
            return None;
        }
        let says = format!("{tool} was answered by BrainGrid");
        findings.push(Finding::good(check::TOOLS_CALL, says));
        Some(())
    }

    /// The result of one request; a failure is a finding.
    async fn step(
        &self,
        check: &'static str,
        method: &str,
        params: Value,
        findings: &mut Vec<Finding>,
    ) -> Option<Value> {
        match self.ask(method, params).await {
            Ok(result) => Some(result),
            Err((says, fix)) => {
                findings.push(Finding::problem(check, says, fix));
                None
            }
        }
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, (String, &'static str)> {
        let proxy = "see the server's log, and that the proxy in front passes /mcp on as it is";
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let bearer = format!("Bearer {}", self.token.expose_secret());
        let Ok(mut bearer) = HeaderValue::try_from(bearer) else {
            return Err(("the token is none".to_owned(), "paste the token alone"));
        };
        bearer.set_sensitive(true);
        let request = self
            .client
            .post(self.endpoint)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", REVISION)
            .header(AUTHORIZATION, bearer)
            .body(body.to_string());
        let Ok(answer) = request.send().await else {
            return Err((format!("{method}: no answer"), proxy));
        };
        let status = answer.status().as_u16();
        let read = read(answer).await;
        let Some(message) = read else {
            return Err((format!("{method}: {status}, and no JSON-RPC answer"), proxy));
        };
        if status != 200 {
            let why = at(&message, "/error_description").as_str();
            let why = why.or_else(|| at(&message, "/error/message").as_str());
            let why = short(why.unwrap_or("no reason was given"));
            let fix = refused(status, &why);
            return Err((format!("{method}: {status}: {why}"), fix));
        }
        match at(&message, "/error") {
            Value::Null => Ok(at(&message, "/result").clone()),
            error => {
                let why = short(at(error, "/message").as_str().unwrap_or_default());
                Err((format!("{method}: {why}"), proxy))
            }
        }
    }
}

/// What to do about a status, and the server's reason.
fn refused(status: u16, why: &str) -> &'static str {
    match status {
        403 if why.contains("speaks for a service") => {
            "write service_principals = true into the [[issuers]] entry of this issuer, if services \
             are to get in; or take the token of a user"
        }
        401 => {
            "the token is not accepted: see the line \"token\" above, and the reason in the \
             server's access log"
        }
        403 => {
            "the token is good, and not enough: let the issuer put the organization, the scopes \
             and UPSTREAM_AUDIENCE into it, or let it exchange the token where UPSTREAM_MODE or \
             [issuers.upstream] says so; the server's access log has the reason"
        }
        503 => "the server cannot check the token: see the issuer's lines",
        _ => "see the server's log",
    }
}

/// The JSON-RPC answer, alone or as the last event of a stream.
async fn read(answer: Response) -> Option<Value> {
    let body = read_body(answer, LARGEST).await.ok()?;
    let text = std::str::from_utf8(&body).ok()?;
    if let Ok(message) = serde_json::from_str(text) {
        return Some(message);
    }
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    events
        .rev()
        .find_map(|data| serde_json::from_str(data).ok())
}

/// What the token says of itself. It proves nothing; it explains.
fn about_token(
    token: &SecretString,
    resource: &str,
    address: &AddressArgs,
    http: &HttpSettings,
) -> Finding {
    let check = check::TOKEN;
    let Some(claims) = claims(token) else {
        return Finding::not_checked(
            check,
            "it is opaque: only the issuer can say what it is for",
        );
    };
    let audiences: Vec<_> = match at(&claims, "/aud") {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let issuer = at(&claims, "/iss").as_str().unwrap_or_default();
    let settings = http
        .auth
        .issuers
        .iter()
        .find(|it| it.accepted.issuer == issuer);
    let Some(settings) = settings else {
        return Finding::problem(
            check,
            format!("it is of {:?}, which is no issuer here", short(issuer)),
            "write OAUTH_ISSUER exactly so, or take a token of the issuer that is set",
        );
    };
    let above = resource.strip_suffix(&address.below()).unwrap_or(resource);
    let own_alone = http.auth.organization_tokens == TenantAudience::Own;
    let accepted = |aud: &&str| match *aud {
        aud if aud == resource => true,
        _ if own_alone && above != resource => false,
        aud => {
            let below = address.below();
            let left = aud
                .strip_prefix(above)
                .and_then(|rest| below.strip_prefix(rest));
            let is_above = left.is_some_and(|it| it.is_empty() || it.starts_with('/'));
            is_above || settings.accepted.audiences.iter().any(|it| it == aud)
        }
    };
    let named = short(&audiences.join(", "));
    if !audiences.is_empty() && !audiences.iter().any(accepted) {
        return Finding::problem(
            check,
            format!("it is for {named}, and not for {resource}"),
            "let the issuer put that resource into aud (RFC 8707), or list the audience it puts \
             there in audiences of the [[issuers]] entry",
        );
    }
    let claim = &settings.accepted.organization_claim;
    let claims = claims.as_object();
    let named_by_token = claims.and_then(|claims| mcp_auth::organization_at(claims, claim));
    if let Some(wanted) = &address.organization
        && named_by_token.as_deref() != Some(wanted)
    {
        let said = named_by_token.map_or_else(|| "none".to_owned(), |named| short(&named));
        return Finding::problem(
            check,
            format!("it is for the organization {said}, and not for {wanted}"),
            "log in for that organization, or leave --organization out",
        );
    }
    if let Some(UpstreamSettings::SameAudience(upstream)) = &settings.upstream
        && !audiences.is_empty()
        && !audiences.contains(&upstream.as_str())
    {
        return Finding::problem(
            check,
            format!("it is for {named}; UPSTREAM_AUDIENCE is {upstream}, which it does not name"),
            "let the issuer put UPSTREAM_AUDIENCE into aud too, or correct it: no call of this \
             token can be sent on",
        );
    }
    Finding::good(check, format!("it is for {named}"))
}

fn claims(token: &SecretString) -> Option<Value> {
    let payload = token.expose_secret().split('.').nth(1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// A text of somebody else, as a line may show it.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    crate::terminal::plain(&line)
}

/// A member of a document; null where there is none.
pub(super) fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or(&Value::Null)
}
