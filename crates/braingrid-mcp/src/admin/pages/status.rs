//! The page that shows how this instance is, and its log level.

use bytes::Bytes;
use http::{Response, StatusCode};
use maud::{Markup, html};
use serde_json::Value;

use super::STATUS;
use super::layout::View;
use super::lists::field;

/// How the parts are, as `GET /ready` has them.
pub(super) fn page(view: &View<'_>, parts: &Value, level: &str) -> Response<Bytes> {
    let is_ready = parts["draining"] == false;
    let (store, api) = (&parts["store"], &parts["braingrid_api"]);
    let is_in_memory = store["kind"] == "memory";
    let answers = store["answers"] == true;
    let main = html! {
        p.quiet { "How this instance is. Other instances have their own page." }
        dl.parts {
            (part("Instance", is_ready, if is_ready { "ready" } else { "stopping" }, &html! {
                "Version " (env!("CARGO_PKG_VERSION")) ", requests in flight: " (parts["requests_in_flight"])
            }))
            @if is_in_memory {
                (part("Session store", true, "in memory", &html! { "Sessions end with the process." }))
            } @else {
                (part("Session store", answers, if answers { "answers" } else { "away" }, &html! {
                    "Redis. " (store["error"].as_str().unwrap_or_default())
                }))
            }
            (part("BrainGrid API", api["circuit"] == "closed", reached(api), &html! {}))
            @for issuer in parts["issuers"].as_array().into_iter().flatten() { (issuer_part(issuer)) }
        }
        (log_level(view, level))
    };
    view.page(StatusCode::OK, &main)
}

fn reached(api: &Value) -> &'static str {
    match api["circuit"].as_str() {
        Some("closed") => "is called",
        _ => "fails: calls are refused for a moment",
    }
}

fn issuer_part(issuer: &Value) -> Markup {
    let has_keys = issuer["keys"].as_u64().is_some_and(|keys| keys > 0);
    let word = if has_keys {
        "keys are known"
    } else {
        "no keys"
    };
    part(
        "Issuer",
        has_keys,
        word,
        &html! {
            bdi { (issuer["issuer"].as_str().unwrap_or_default()) }
            br;
            "Keys: " (issuer["keys"]) ", fetched: " (issuer["fetched"]) ", failed: " (issuer["fetches_failed"])
            @if let Some(age) = issuer["keys_age_seconds"].as_u64() { ", " (age) " seconds old" }
        },
    )
}

/// A part, whether it is well, in a word, and what else there is to say.
fn part(name: &str, is_well: bool, word: &str, more: &Markup) -> Markup {
    html! {
        div.card {
            dt { (name) }
            dd {
                p { strong.badge.good[is_well].bad[!is_well] { (word) } }
                p.quiet { (more) }
            }
        }
    }
}

fn log_level(view: &View<'_>, level: &str) -> Markup {
    html! {
        h2 { "Log level" }
        @if view.may_change() {
            form.card method="post" action=(STATUS) {
                (view.form_field())
                (field("level", "Level or directives", Some(level), true))
                p.quiet {
                    "error, warn, info, debug, trace, off, or directives such as info,mcp_session=debug. "
                    "It holds on this instance until the process ends."
                }
                button.primary type="submit" { "Change the log level" }
            }
        } @else {
            p { code { (level) } }
        }
    }
}
