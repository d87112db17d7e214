//! Pages that end a login: what went wrong and what to do about it, or that there is nothing left to do.

use bytes::Bytes;
use http::{Response, StatusCode};
use maud::html;

use super::{layout, response, text::plain};

/// Technical sentences longer than this are cut.
const DETAIL: usize = 500;

/// What went wrong. Text of a stranger has its place in `detail` alone.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// The status of the answer.
    pub status: StatusCode,
    /// What the user wanted to use, by its name.
    pub service: &'a str,
    /// The problem in a few words.
    pub title: &'a str,
    /// What happened, in a sentence or two.
    pub happened: &'a str,
    /// What the user can do now, where that was not said yet.
    pub advice: Option<&'a str>,
    /// Where the app waits for the answer: a redirect URI of the client, with the error.
    pub back: Option<&'a str>,
    /// What helps those who are asked for help.
    pub detail: Option<&'a str>,
    /// Finds the request in the logs.
    pub request_id: Option<&'a str>,
}

/// The end of a login that redirects nowhere.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// What the login was for, by its name.
    pub service: &'a str,
    /// How it ended, in a few words.
    pub title: &'a str,
    /// What follows from that, in a sentence.
    pub text: &'a str,
}

/// The page of a problem.
pub fn problem(page: &Problem<'_>) -> Response<Bytes> {
    let main = html! {
        h1 { (page.title) }
        p { (page.happened) }
        @if let Some(advice) = page.advice {
            p { strong { "What you can do: " } (advice) }
        }
        @if let Some(back) = page.back {
            p { a href=(back) { "Go back to the app" } }
        }
        @if page.detail.is_some() || page.request_id.is_some() {
            details {
                summary { "If you ask for help" }
                dl {
                    @if let Some(detail) = page.detail {
                        dt { "Reason" }
                        dd { bdi { (plain(detail, DETAIL)) } }
                    }
                    @if let Some(id) = page.request_id {
                        dt { "Request" }
                        dd { code { (plain(id, DETAIL)) } }
                    }
                    dt { "Status" }
                    dd { (page.status.as_u16()) }
                }
            }
        }
    };
    let title = format!("{} – {}", page.title, page.service);
    response(page.status, layout(page.service, &title, main))
}

/// The page that sends the user back to where the login began.
pub fn finished(page: &Finished<'_>) -> Response<Bytes> {
    let main = html! {
        h1 { (page.title) }
        p { (page.text) }
        p { "You may close this window and go back to your app." }
    };
    let title = format!("{} – {}", page.title, page.service);
    response(StatusCode::OK, layout(page.service, &title, main))
}
