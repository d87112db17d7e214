//! The page on which an operator says who they are.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use maud::html;

use super::super::access::Refusal;
use super::LOGIN;
use super::layout::response;

/// The form, and why the last token was not taken.
pub(super) fn page(refusal: Option<&Refusal>) -> Response<Bytes> {
    let why = refusal.map(Refusal::problem);
    let status = why.as_ref().map_or(StatusCode::OK, |why| why.status);
    let main = html! {
        h1 { "Log in" }
        @if let Some(why) = &why {
            p.problem role="alert" { (why.error) }
        }
        form.card method="post" action=(LOGIN) {
            // Browsers that keep passwords want a name to keep this one by.
            input type="text" name="username" value="operator" autocomplete="username" hidden;
            div.field {
                label for="token" { "Operator's token" }
                input #token type="password" name="token" required autocomplete="current-password"
                    spellcheck="false" aria-describedby="about-token";
                p.quiet #about-token { "A token of ADMIN_TOKENS_FILE. You stay logged in for eight hours." }
            }
            button.primary type="submit" { "Log in" }
        }
    };
    let mut response = response(status, "Log in", &html! {}, &main);
    if let Some(Refusal::TooMany(wait)) = refusal {
        let seconds = (wait.as_secs() + 1).into();
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
