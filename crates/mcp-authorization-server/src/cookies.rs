//! The cookies of a browser that somebody logs in with: all sealed or random, none readable by scripts.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

/// How cookies are named and guarded at this server's address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookies {
    /// Over plain HTTP, which is this machine alone, a browser may not take the prefix.
    secure: bool,
}

impl Cookies {
    pub(crate) fn new(issuer: &str) -> Self {
        Self {
            secure: issuer.starts_with("https:"),
        }
    }

    fn name(self, name: &str) -> String {
        // The prefix keeps neighbours below the same domain from setting it (RFC 6265bis section 4.1.3).
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{prefix}as-{name}")
    }

    /// The value of a cookie. Where there are several of one name, none of them can be trusted.
    pub(crate) fn get<'h>(self, headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
        let name = self.name(name);
        let lines = headers.get_all(header::COOKIE).iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        let mut values = pairs.filter_map(|pair| {
            let (found, value) = pair.trim().split_once('=')?;
            (found == name).then_some(value)
        });
        values.next().filter(|_| values.next().is_none())
    }

    /// The names of ours that begin so, as the browser lists them.
    pub(crate) fn names(self, headers: &HeaderMap, begin: &str) -> Vec<String> {
        let begin = self.name(begin);
        let ours = self.name("");
        let lines = headers.get_all(header::COOKIE).iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        let names = pairs.filter_map(|pair| pair.trim().split_once('='));
        let names = names.filter(|(name, _)| name.starts_with(&begin));
        names
            .filter_map(|(name, _)| name.strip_prefix(&ours))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Has the browser keep a cookie.
    pub(crate) fn set(
        self,
        response: &mut Response<Bytes>,
        name: &str,
        value: &str,
        lives: Duration,
    ) {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = self.name(name);
        let seconds = lives.as_secs();
        // Lax: it comes along when the provider or the client sends the browser here.
        let line =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        if let Ok(line) = HeaderValue::from_str(&line) {
            response.headers_mut().append(header::SET_COOKIE, line);
        }
    }

    /// Has the browser forget a cookie.
    pub(crate) fn clear(self, response: &mut Response<Bytes>, name: &str) {
        self.set(response, name, "", Duration::ZERO);
    }
}
