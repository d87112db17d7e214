//! What a person sees of this server: the question whether a client may have access, what went wrong,
//! and the end of a login that leads nowhere else. Made whole here, without scripts and without anything
//! that a browser would have to fetch.
//!
//! What stands in them is partly a stranger's: a client's name, the host it is sent to. Templates escape
//! every value (`maud`), and `text.rs` leaves names nothing but what is seen.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

mod consent;
mod destination;
mod problem;
mod text;

#[cfg(test)]
mod tests;

pub use consent::{Consent, Identity, consent};
pub use problem::{Finished, Problem, finished, problem};

const STYLE: &str = include_str!("pages/style.css");

/// Nothing but this style sheet, named by its hash, and in no frame.
///
/// `form-action` is for pages without a form only. Chromium holds every redirect after a form against it,
/// and the decision is followed by many: to the provider, through whatever it logs its users in with, back
/// here, and to the client's redirect URI, `https`, loopback or a scheme of its own, and on from there. A
/// list that lets all of them through keeps nobody out.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| policy(""));
static POLICY_WITHOUT_FORM: LazyLock<HeaderValue> =
    LazyLock::new(|| policy("; form-action 'none'"));

fn policy(more: &str) -> HeaderValue {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'{more}"
    );
    // Base64 and the words above are always a header's value.
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

/// What pages have in common around what they say.
fn layout(service: &str, title: &str, main: Markup) -> Bytes {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { p { (service) } }
                main { (main) }
            }
        }
    };
    Bytes::from(page.into_string())
}

/// `Cross-Origin-Opener-Policy` is missing on purpose: clients that are web pages open the login in a
/// window of their own and hear of its end there. With it they would lose that window.
fn response(status: StatusCode, page: Bytes) -> Response<Bytes> {
    let mut response = Response::new(page);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY_WITHOUT_FORM.clone());
    let fixed = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-language", "en"),
        // The pages are about one login, and made for one browser.
        ("cache-control", "no-store"),
        // Their addresses hold what the client sent, a code among it.
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        // For browsers that do not know `frame-ancestors`.
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=(), payment=(), publickey-credentials-get=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
