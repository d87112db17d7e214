//! The question to the user: may this client have access? Who asks, what of it is verified, where the
//! answer goes, what it allows and what comes next.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use maud::{Markup, html};
use url::Url;

use super::{
    POLICY,
    destination::{Destination, host},
    layout, response,
    text::plain,
};

/// Longer names are cut.
const NAME: usize = 60;
/// As are redirect URIs among the technical details.
const URI: usize = 500;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Consent<'a> {
    /// What the access is for, as its users call it.
    pub service: &'a str,
    /// What the client calls itself.
    pub client_name: Option<&'a str>,
    /// What is known about it.
    pub identity: Identity<'a>,
    /// Where the answer goes.
    pub redirect_uri: &'a Url,
    /// The organization, or the project in one, that it is limited to: `acme` or `acme/web`.
    pub part: Option<&'a str>,
    /// What the client will be able to do: each the end of "It will be able to".
    pub abilities: &'a [&'a str],
    /// Where the user logs in next.
    pub provider: &'a Url,
    /// The path that the decision is posted to.
    pub action: &'a str,
    /// The form's `request`, beside its `decision` (`allow` or `deny`).
    pub request: &'a str,
}

/// How far it reaches.
fn limit(part: &str) -> Markup {
    let (organization, project) = match part.split_once('/') {
        Some((organization, project)) => (organization, Some(project)),
        None => (part, None),
    };
    html! {
        p {
            "Only "
            @if let Some(project) = project {
                "in the project " strong { bdi { (plain(project, NAME)) } } " of "
            } @else {
                "in "
            }
            "the organization " strong { bdi { (plain(organization, NAME)) } } "."
        }
    }
}

/// Who says what a client is.
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// This server's configuration.
    Configured,
    /// The document at this address, which is the client's id: its host is verified.
    Document(&'a Url),
    /// The client alone, when it registered.
    Registered,
}

/// The page.
pub fn consent(page: &Consent<'_>) -> Response<Bytes> {
    let title = format!("Allow an app to use {}?", page.service);
    let mut response = response(StatusCode::OK, layout(page.service, &title, page.main()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    // With `no-referrer` the form would be posted with `Origin: null`. No other origin sees more.
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    response
}

impl Consent<'_> {
    fn main(&self) -> Markup {
        html! {
            h1 { "Allow this app to use " (self.service) "?" }
            (self.who())
            @if let Some(warning) = self.warning() {
                p.warning { strong { "Warning." } " " (warning) }
            }
            h2 { "It will be able to" }
            ul {
                @for ability in self.abilities { li { (ability) } }
                @if self.abilities.is_empty() { li { "use " (self.service) " in your name" } }
            }
            @if let Some(part) = self.part { (limit(part)) }
            h2 { "If you allow it" }
            p {
                "You log in at " strong { (host(self.provider)) } ". Then you go back to "
                (self.destination()) "."
            }
            p { strong { "If you did not start this yourself just now, cancel." } }
            form method="post" action=(self.action) {
                input type="hidden" name="request" value=(self.request);
                button.primary type="submit" name="decision" value="allow" { "Allow" }
                button type="submit" name="decision" value="deny" { "Cancel" }
            }
            (self.details())
        }
    }

    fn who(&self) -> Markup {
        let name = self.client_name.map(|name| plain(name, NAME));
        html! {
            div.app {
                @match name.as_deref() {
                    None | Some("") => p.name { "An app without a name" },
                    Some(name) => p.name { "“" bdi { (name) } "”" },
                }
                (self.vouched())
            }
        }
    }

    /// Who vouches for the client, and how far that goes.
    fn vouched(&self) -> Markup {
        let is_local = !matches!(self.destination(), Destination::Web(_));
        let badge = match self.identity {
            Identity::Configured => html! {
                span.badge.good { "Verified" } " Set up by those who run " (self.service) "."
            },
            Identity::Document(url) => html! {
                span.badge.good { "Verified address" } " " strong { (host(url)) }
            },
            Identity::Registered => {
                return html! {
                    p { span.badge.bad { "Not verified" } " The app chose its name itself." }
                };
            }
        };
        html! {
            p { (badge) }
            @if is_local {
                p { "But any app on this computer can pass itself off as this one." }
            }
        }
    }

    /// What should make the user hesitate.
    fn warning(&self) -> Option<Markup> {
        let Destination::Web(receiver) = self.destination() else {
            return None;
        };
        match self.identity {
            Identity::Configured => None,
            Identity::Document(url) if host(url) == receiver => None,
            Identity::Document(url) => Some(html! {
                "The app is described by " strong { (host(url)) } ", but access goes to "
                strong { (receiver) } ". Allow it only if you trust both."
            }),
            Identity::Registered => Some(html! {
                "Nobody has verified whose app this is. Access goes to " strong { (receiver) }
                ". Allow it only if you know and trust that address."
            }),
        }
    }

    fn details(&self) -> Markup {
        html! {
            details {
                summary { "Technical details" }
                dl {
                    @if let Identity::Document(url) = self.identity {
                        dt { "Client" }
                        dd { code { (plain(url.as_str(), URI)) } }
                    }
                    dt { "Redirect address" }
                    dd { code { (plain(self.redirect_uri.as_str(), URI)) } }
                }
            }
        }
    }

    fn destination(&self) -> Destination {
        Destination::of(self.redirect_uri)
    }
}
