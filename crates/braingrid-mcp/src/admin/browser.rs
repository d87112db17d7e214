//! Who is logged in with a browser: a cookie that no script reads and no other site sends, and what this
//! process keeps for it. A restart logs everybody out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, HeaderValue, header};
use mcp_session::random_key;

use crate::operators::TokenDigest;

/// How long a login lasts. The token is looked at with every request all the same.
const LASTS: Duration = Duration::from_hours(8);
/// Logins at a time. Who has a token and wants more ends the oldest.
const MOST: usize = 256;

/// Over plain HTTP, which is this machine alone or behind a proxy, a browser may not take the prefix.
const NAME: &str = "admin";
const SECURE_NAME: &str = "__Host-admin";

/// The logins of this process, by the digest of what the cookie says.
#[derive(Default)]
pub(crate) struct Browsers(Mutex<HashMap<TokenDigest, Login>>);

/// That an operator logged in.
#[derive(Clone)]
pub(super) struct Login {
    /// With which token.
    pub(super) token: TokenDigest,
    /// What its forms hold, so that no other site can have them sent.
    pub(super) form: String,
    ends: Instant,
}

impl Browsers {
    /// Begins a login with this token; what its cookie says.
    pub(super) fn begin(&self, token: TokenDigest, now: Instant) -> String {
        let id = hex::encode(random_key().as_slice());
        let form = hex::encode(random_key().as_slice());
        let ends = now + LASTS;
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|_, login| login.ends > now);
        if logins.len() >= MOST
            && let Some((&oldest, _)) = logins.iter().min_by_key(|(_, login)| login.ends)
        {
            logins.remove(&oldest);
        }
        logins.insert(TokenDigest::of(&id), Login { token, form, ends });
        id
    }

    /// The login of a browser, unless it is over.
    pub(super) fn login(&self, headers: &HeaderMap, now: Instant) -> Option<Login> {
        let id = TokenDigest::of(id_in(headers)?);
        let logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logins.get(&id).filter(|login| login.ends > now).cloned()
    }

    /// Ends the login of a browser.
    pub(super) fn end(&self, headers: &HeaderMap) {
        let Some(id) = id_in(headers) else { return };
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logins.remove(&TokenDigest::of(id));
    }
}

impl Login {
    /// Whether a form is one of this login.
    pub(super) fn is_own_form(&self, form: &str) -> bool {
        verify_slices_are_equal(self.form.as_bytes(), form.as_bytes()).is_ok()
    }
}

/// The cookie of a login, as a header's value.
pub(super) fn cookie(id: &str, secure: bool) -> Option<HeaderValue> {
    set(id, secure, LASTS)
}

/// Has the browser forget it.
pub(super) fn forgotten(secure: bool) -> Option<HeaderValue> {
    set("", secure, Duration::ZERO)
}

fn set(id: &str, secure: bool, lives: Duration) -> Option<HeaderValue> {
    let (name, flag) = if secure {
        (SECURE_NAME, "; Secure")
    } else {
        (NAME, "")
    };
    let seconds = lives.as_secs();
    let line = format!("{name}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{flag}");
    HeaderValue::try_from(line).ok()
}

/// What the cookie says. Where there are several of a name, none of them can be trusted.
fn id_in(headers: &HeaderMap) -> Option<&str> {
    one_of(headers, SECURE_NAME).or_else(|| one_of(headers, NAME))
}

fn one_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: &str, secure: bool) -> HeaderMap {
        let cookie = cookie(id, secure).unwrap();
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, pair.parse().unwrap())])
    }

    #[test]
    fn a_cookie_is_for_this_listener_alone() {
        let line = |secure| cookie("x", secure).unwrap().to_str().unwrap().to_owned();
        let rest = "=x; Path=/; Max-Age=28800; HttpOnly; SameSite=Strict";
        assert_eq!(line(false), format!("admin{rest}"));
        assert_eq!(line(true), format!("__Host-admin{rest}; Secure"));
    }

    #[test]
    fn a_login_lasts_for_hours_or_until_it_is_ended() {
        let (browsers, now) = (Browsers::default(), Instant::now());
        let token = TokenDigest::of("sesame");
        let (one, two) = (browsers.begin(token, now), browsers.begin(token, now));
        let login = |id: &str, at| browsers.login(&sent(id, true), at);
        assert!(login(&one, now).unwrap().token == token);
        assert!(login(&one, now + LASTS).is_none() && login("", now).is_none());
        let mut twice = sent(&one, true);
        twice.append(header::COOKIE, "__Host-admin=x".parse().unwrap());
        assert!(browsers.login(&twice, now).is_none());

        let form = login(&one, now).unwrap().form;
        assert!(login(&one, now).unwrap().is_own_form(&form));
        assert!(!login(&two, now).unwrap().is_own_form(&form));
        assert!(!login(&two, now).unwrap().is_own_form(""));
        browsers.end(&sent(&one, false));
        assert!(login(&one, now).is_none() && login(&two, now).is_some());
    }

    #[test]
    fn so_many_logins_are_kept_and_no_more() {
        let (browsers, now) = (Browsers::default(), Instant::now());
        let token = TokenDigest::of("sesame");
        let first = browsers.begin(token, now);
        for _ in 0..MOST {
            browsers.begin(token, now + Duration::from_secs(1));
        }
        assert_eq!(browsers.0.lock().unwrap().len(), MOST);
        assert!(browsers.login(&sent(&first, false), now).is_none());
    }
}
