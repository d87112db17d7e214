//! [`Client`]: what is known of one client.

use std::sync::Arc;

use mcp_auth::AssertionKeys;
use url::Url;

use super::{
    configured::ServiceConfig,
    redirect::{self, Redirect},
};

/// Longest client id, in bytes: it is part of addresses that go through browsers and proxies.
pub(crate) const MAX_ID: usize = 1024;

/// Longest name of a client that is shown, in characters.
const MAX_NAME: usize = 128;

/// One client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    /// What it calls itself: a stranger's text, without control characters.
    pub(crate) name: Option<String>,
    pub(crate) kind: ClientKind,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) authentication: ClientAuthentication,
    /// Of those that this server has.
    pub(crate) grant_types: Vec<String>,
    /// The scopes it may ask for, where it said which; separated by spaces.
    pub(crate) scope: Option<String>,
    /// What it gets tokens for without a user.
    pub(crate) service: Option<Arc<ServiceConfig>>,
}

/// How a client is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// An operator named it.
    Configured,
    /// It describes itself in a document at its id: whoever has that host is the client.
    Document,
    /// It registered itself: nothing that it says was checked.
    Registered,
}

/// How a client proves who it is.
#[derive(Debug, Clone)]
pub(crate) enum ClientAuthentication {
    /// It cannot: anybody can say that it is this client.
    None,
    /// A secret, in the header or in the form.
    Secret(Secret),
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt(PublishedKeys),
}

/// What a secret is compared with.
#[derive(Clone)]
pub(crate) enum Secret {
    /// With what comes of the client's id and our keys.
    Derived,
    /// With the one that has this digest.
    Configured([u8; 32]),
}

/// Where a client's public keys are.
#[derive(Debug, Clone)]
pub(crate) enum PublishedKeys {
    Here(Arc<AssertionKeys>),
    At(Url),
}

impl Client {
    /// The redirect URI that an authorization request means: the one that it asks for, if it is this
    /// client's, or the only one. None: there is nowhere to redirect to, with an error neither.
    pub(crate) fn redirect(&self, asked: Option<&str>) -> Option<Redirect> {
        redirect::find(&self.redirect_uris, asked)
    }

    /// Whether it has a way to prove who it is (RFC 6749 section 2.1).
    pub(crate) fn is_confidential(&self) -> bool {
        !matches!(self.authentication, ClientAuthentication::None)
    }

    /// Whether it may use a grant type that begins with a login.
    pub(crate) fn may_use(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|known| known == grant_type)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// A name as it may be shown: one line, of bounded length, without what changes how the text around it
/// looks. None where nothing is left.
pub(crate) fn shown_name(name: &str) -> Option<String> {
    let spaced: String = name
        .chars()
        .filter(|it| !is_invisible(*it))
        .map(|it| {
            if it.is_whitespace() || it.is_control() {
                ' '
            } else {
                it
            }
        })
        .collect();
    let words: Vec<_> = spaced.split_ascii_whitespace().collect();
    let name: String = words.join(" ").chars().take(MAX_NAME).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Characters that take no room: they join, hide, or turn the direction of what stands beside them.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_line() {
        for (name, shown) in [
            ("Claude Code (plugin)", Some("Claude Code (plugin)")),
            ("  Zoë's \t app ", Some("Zoë's app")),
            ("a\r\nb\u{2028}c\u{0}d\u{85}e", Some("a b c d e")),
            ("\u{202e}evil\u{202c}", Some("evil")),
            ("pay\u{200b}pal", Some("paypal")),
            ("\u{1b}[2J", Some("[2J")),
            ("", None),
            (" \u{200b}\n", None),
        ] {
            assert_eq!(shown_name(name).as_deref(), shown, "{name:?}");
        }
        let long = shown_name(&"ö".repeat(500)).unwrap();
        assert_eq!(long.chars().count(), MAX_NAME);
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = ClientAuthentication::Secret(Secret::Configured([7; 32]));
        assert_eq!(format!("{secret:?}"), "Secret(Secret([redacted]))");
    }
}
