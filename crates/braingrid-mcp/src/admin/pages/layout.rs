//! What the pages have in common around what they say.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{LOGOUT, REVOCATIONS, SESSIONS, STATUS, Said, TASKS, Visit};
use crate::operators::Right;

const STYLE: &str = include_str!("style.css");

/// Nothing but this style sheet, named by its hash, forms that lead here, and no frame.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    );
    // Base64 and the words above are always a header's value.
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// The pages, as they are called.
const PAGES: [(&str, &str); 4] = [
    (STATUS, "Status"),
    (SESSIONS, "Connected users"),
    (REVOCATIONS, "Revocations"),
    (TASKS, "Tasks"),
];

/// A page for somebody.
pub(super) struct View<'v> {
    visit: &'v Visit,
    path: &'v str,
    said: Said,
}

impl<'v> View<'v> {
    pub(super) fn new(visit: &'v Visit, path: &'v str, said: Said) -> Self {
        Self { visit, path, said }
    }

    pub(super) fn path(&self) -> &str {
        self.path
    }

    pub(super) fn may_change(&self) -> bool {
        self.visit.operator.right >= Right::Write
    }

    /// What binds a form to the login.
    pub(super) fn form_field(&self) -> Markup {
        html! { input type="hidden" name="form" value=(self.visit.login.form); }
    }

    pub(super) fn title(&self) -> &'static str {
        let page = PAGES.iter().find(|(path, _)| *path == self.path);
        page.map_or("Operators", |(_, title)| title)
    }

    pub(super) fn page(&self, status: StatusCode, main: &Markup) -> Response<Bytes> {
        let head = html! {
            form.logout method="post" action=(LOGOUT) {
                (self.form_field())
                span {
                    (self.visit.operator.name)
                    @if !self.may_change() { " (may only read)" }
                }
                button type="submit" { "Log out" }
            }
            nav aria-label="Pages" {
                ul {
                    @for (path, title) in PAGES {
                        li { a href=(path) aria-current=[(path == self.path).then_some("page")] { (title) } }
                    }
                }
            }
        };
        let main = html! {
            h1 { (self.title()) }
            (self.done())
            (main)
        };
        response(status, self.title(), &head, &main)
    }

    /// A list: the names of its columns, and its rows. Narrow windows show each row as a card, and roles
    /// keep it a table for those who hear it.
    pub(super) fn table(&self, columns: &[&str], rows: &[Vec<Markup>]) -> Markup {
        html! {
            table role="table" aria-label=(self.title()) {
                thead role="rowgroup" {
                    tr role="row" {
                        @for name in columns { th role="columnheader" scope="col" { (name) } }
                    }
                }
                tbody role="rowgroup" {
                    @for row in rows {
                        tr role="row" {
                            @for (name, cell) in columns.iter().zip(row) {
                                td role="cell" data-label=(name) { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }

    /// What was done a moment ago.
    fn done(&self) -> Markup {
        let Some(state) = self.said.state.as_deref() else {
            return html! {};
        };
        let what = match state {
            "signed_out" => "Signed out.",
            "suspended" => "Suspended.",
            "resumed" => "Let in again.",
            "cancelled" => "Cancelled.",
            _ => "Changed.",
        };
        let denied = matches!(state, "signed_out" | "suspended");
        html! {
            p.done role="status" {
                strong { (what) }
                @if !self.said.everywhere {
                    " It holds on this instance. The store is away: the others are told as soon as it is back."
                }
                @if denied && self.said.sessions_here == 0 {
                    " No session of this instance was theirs: if that is a surprise, compare the name."
                }
            }
        }
    }
}

/// A page.
pub(super) fn response(
    status: StatusCode,
    title: &str,
    head: &Markup,
    main: &Markup,
) -> Response<Bytes> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " – BrainGrid MCP" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header { p { "BrainGrid MCP server: operators" } (head) }
                main #main tabindex="-1" { (main) }
            }
        }
    };
    let mut response = Response::new(Bytes::from(page.into_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    let fixed = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-language", "en"),
        ("cache-control", "no-store"),
        // With `no-referrer` forms would be posted with `Origin: null`.
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        // For browsers that do not know `frame-ancestors`.
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
