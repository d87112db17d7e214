//! Prints the pages of a login as JSON, one for each case that looks different: `cargo xtask pages` shows
//! them to a browser.

use http::{Response, StatusCode};
use mcp_authorization_server::pages::{
    Consent, Finished, Identity, Problem, consent, finished, problem,
};
use serde_json::{Value, json};

/// Where a decision is posted to.
const ACTION: &str = "/authorize";

#[expect(clippy::print_stdout, reason = "the pages are the result")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pages: Vec<Value> = [consents()?, ends()].concat();
    println!("{}", serde_json::to_string(&pages)?);
    Ok(())
}

fn consents() -> Result<Vec<Value>, url::ParseError> {
    let document = "https://claude.ai/oauth/client".parse()?;
    let provider = "https://login.example.com/oauth2/authorize".parse()?;
    let web = "https://claude.ai/api/mcp/auth_callback".parse()?;
    let elsewhere =
        "https://callback.of-a-host-whose-name-is-rather-long.example.net:8443/cb?client=7"
            .parse()?;
    let loopback = "http://127.0.0.1:33418/callback".parse()?;
    let scheme = "cursor://anysphere.cursor-retrieval/oauth/callback".parse()?;
    let plain = Consent {
        service: "BrainGrid",
        client_name: Some("Claude"),
        identity: Identity::Document(&document),
        redirect_uri: &web,
        part: None,
        abilities: &[
            "read your projects, requirements and tasks",
            "create and change requirements and tasks",
            "do so while you are away, until you end its access",
        ],
        provider: &provider,
        action: ACTION,
        request: "sealed-request_0123456789",
    };
    let odd = "<b onclick=alert(1)>“Claude”\u{202e}evil</b> שלום &lt;script&gt; \
               an-unusually-long-name-without-any-space-in-it";
    Ok([
        ("document", plain),
        (
            "document-loopback",
            Consent {
                client_name: Some("Claude Code"),
                redirect_uri: &loopback,
                ..plain
            },
        ),
        (
            "document-elsewhere",
            Consent {
                redirect_uri: &elsewhere,
                ..plain
            },
        ),
        (
            "registered-scheme",
            Consent {
                client_name: Some("Cursor"),
                identity: Identity::Registered,
                redirect_uri: &scheme,
                ..plain
            },
        ),
        (
            "registered-web",
            Consent {
                client_name: Some(odd),
                identity: Identity::Registered,
                redirect_uri: &elsewhere,
                ..plain
            },
        ),
        (
            "configured",
            Consent {
                client_name: None,
                identity: Identity::Configured,
                abilities: &[],
                ..plain
            },
        ),
    ]
    .map(|(name, page)| shown(name, consent(&page)))
    .to_vec())
}

fn ends() -> Vec<Value> {
    let trouble = Problem {
        status: StatusCode::BAD_REQUEST,
        service: "BrainGrid",
        title: "This login cannot go on",
        happened: "It was begun more than ten minutes ago, or in another browser.",
        advice: Some("Go back to your app and log in again."),
        back: None,
        detail: Some("no cookie of this login came with the request"),
        request_id: Some("0198f2c4-7d1e-7c3a-9a55-0d5e6b1f2a77"),
    };
    let over = Finished {
        service: "BrainGrid",
        title: "Nothing was allowed",
        text: "The app has no access to BrainGrid.",
    };
    vec![
        shown("problem", problem(&trouble)),
        shown("finished", finished(&over)),
    ]
}

fn shown(name: &str, response: Response<bytes::Bytes>) -> Value {
    let headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    json!({
        "name": name,
        "status": response.status().as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(response.body()),
    })
}
