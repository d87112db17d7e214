//! Its authorization endpoint: at once, or on a page with a button.

use bytes::Bytes;
use http::{Request, StatusCode};

use super::{Dialect, IdentityProvider, State, grants::Pending, redirect};
use crate::{
    http::{Answer, with_type},
    lock::lock,
};

/// The parameters of an authorization request or a form.
pub(super) type Form = std::collections::BTreeMap<String, String>;

pub(super) fn form(text: &[u8]) -> Form {
    url::form_urlencoded::parse(text).into_owned().collect()
}

impl State {
    pub(super) fn authorize(&self, request: &Request<Bytes>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let asked = form(query.as_bytes());
        if let Some(problem) = self.problem_of(&asked) {
            return page(StatusCode::BAD_REQUEST, &format!("<h1>{problem}</h1>"));
        }
        let (shown, refusal) = {
            let settings = lock(&self.settings);
            (settings.login_page, settings.refusal.clone())
        };
        let silent = asked.get("prompt").is_some_and(|prompt| prompt == "none");
        if shown && silent {
            let refusal = refusal.as_deref().unwrap_or("login_required");
            return self.send_back(&asked, Some(refusal));
        }
        if shown {
            return login_page(&asked, &lock(&self.settings).user.name());
        }
        self.send_back(&asked, refusal.as_deref())
    }

    /// The user pressed a button of the page.
    pub(super) fn decide(&self, request: &Request<Bytes>) -> Answer {
        let asked = form(request.body());
        if let Some(problem) = self.problem_of(&asked) {
            return page(StatusCode::BAD_REQUEST, &format!("<h1>{problem}</h1>"));
        }
        let cancelled = asked.get("decision").map(String::as_str) != Some("sign-in");
        self.send_back(&asked, cancelled.then_some("access_denied"))
    }

    /// Why nobody is sent anywhere: what is wrong with client or redirect URI is shown here.
    fn problem_of(&self, asked: &Form) -> Option<&'static str> {
        let field = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let settings = lock(&self.settings);
        if field("client_id") != settings.client_id {
            return Some("unknown client");
        }
        let mut known = settings.redirect_uris.iter();
        if !known.any(|uri| uri == field("redirect_uri")) {
            return Some("redirect_uri_mismatch");
        }
        (field("code_challenge_method") != "S256" || field("code_challenge").len() != 43)
            .then_some("PKCE with S256 is required")
    }

    fn send_back(&self, asked: &Form, refusal: Option<&str>) -> Answer {
        let field = |name: &str| asked.get(name).cloned().unwrap_or_default();
        let unspoken = match field("response_type").as_str() {
            "code" => None,
            _ => Some("unsupported_response_type"),
        };
        let mut answer = url::form_urlencoded::Serializer::new(String::new());
        answer.append_pair("state", &field("state"));
        if self.dialect == Dialect::OpenId {
            answer.append_pair("iss", &self.url());
        }
        match refusal.or(unspoken) {
            Some(error) => answer.append_pair("error", error),
            None => {
                let code = self.grants.begin(Pending {
                    challenge: field("code_challenge"),
                    redirect_uri: field("redirect_uri"),
                    nonce: asked.get("nonce").cloned(),
                    scope: field("scope"),
                    user: lock(&self.settings).user.clone(),
                });
                answer.append_pair("code", &code)
            }
        };
        let to = format!("{}?{}", field("redirect_uri"), answer.finish());
        redirect(StatusCode::SEE_OTHER, &to)
    }
}

fn login_page(asked: &Form, name: &str) -> Answer {
    let hidden = asked.iter().map(|(name, value)| {
        let (name, value) = (escaped(name), escaped(value));
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
    });
    let hidden: String = hidden.collect();
    let (action, name) = (IdentityProvider::DECISION_PATH, escaped(name));
    page(
        StatusCode::OK,
        &format!(
            "<h1>Sign in</h1><p>You are {name}.</p><form method=\"post\" action=\"{action}\">{hidden}\
             <button name=\"decision\" value=\"sign-in\">Sign in</button>\
             <button name=\"decision\" value=\"cancel\">Cancel</button></form>"
        ),
    )
}

fn page(status: StatusCode, body: &str) -> Answer {
    let title = "The stand-in identity provider";
    let page = format!("<!doctype html><html lang=\"en\"><title>{title}</title>{body}</html>");
    with_type(status, "text/html; charset=utf-8", page)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
