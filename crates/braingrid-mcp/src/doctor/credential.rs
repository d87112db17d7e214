//! The local user's credential: a token from the environment, else the login.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::check;
use super::finding::Finding;
use crate::config::StdioSettings;
use crate::program;

/// What to do about a credential that does not work.
pub(super) fn new_credential() -> String {
    if cfg!(feature = "login") {
        let login = program::run("login");
        return format!(
            "run `{login}`; where BRAINGRID_API_TOKEN is set, put a new token there, for it wins"
        );
    }
    "put a new token into BRAINGRID_API_TOKEN".to_owned()
}

/// What to do when there is none.
fn first_credential() -> String {
    if cfg!(feature = "login") {
        let login = program::run("login");
        return format!("run `{login}`; in CI, set BRAINGRID_API_TOKEN instead");
    }
    "set BRAINGRID_API_TOKEN, or BRAINGRID_API_TOKEN_FILE to a file that holds it".to_owned()
}

/// What a token says about its own life.
#[derive(Deserialize)]
struct Claims {
    exp: Option<u64>,
}

/// Whether there is a credential, and whether it is over.
pub(super) fn check(stdio: &StdioSettings) -> Credential {
    let now = SystemTime::now();
    match &stdio.token {
        Some(token) => Credential {
            given: true,
            finding: lifetime("BRAINGRID_API_TOKEN", end_of(token), now),
        },
        None => login(stdio, now),
    }
}

/// What was found.
pub(super) struct Credential {
    /// Whether there is one, good or not.
    pub(super) given: bool,
    pub(super) finding: Finding,
}

impl Credential {
    fn missing() -> Self {
        let says = "there is none: the tools are listed, and calls fail";
        Self {
            given: false,
            finding: Finding::problem(check::CREDENTIAL, says, first_credential()),
        }
    }
}

/// Where the user logs in, where a login is what counts.
#[cfg(feature = "login")]
pub(super) fn issuer(stdio: &StdioSettings) -> Option<String> {
    let login = &stdio.login;
    stdio.token.is_none().then(|| login.issuer.clone())
}

/// Nowhere: this build cannot log in.
#[cfg(not(feature = "login"))]
pub(super) fn issuer(_: &StdioSettings) -> Option<String> {
    None
}

#[cfg(not(feature = "login"))]
fn login(_: &StdioSettings, _: SystemTime) -> Credential {
    Credential::missing()
}

#[cfg(feature = "login")]
fn login(stdio: &StdioSettings, now: SystemTime) -> Credential {
    let Some(store) = crate::login::store(&stdio.login) else {
        return Credential::missing();
    };
    match store.load() {
        Ok(None) => Credential::missing(),
        Ok(Some(loaded)) => Credential {
            given: true,
            finding: about_login(&loaded, mcp_login::refusal(&store, &loaded), now),
        },
        Err(error) => Credential {
            given: true,
            finding: Finding::problem(check::CREDENTIAL, error.to_string(), new_credential()),
        },
    }
}

#[cfg(feature = "login")]
fn about_login(
    loaded: &mcp_login::Loaded,
    refused: Option<mcp_login::Over>,
    now: SystemTime,
) -> Finding {
    let login = &loaded.credential;
    let what = format!("a login in {}", loaded.kept);
    if let Some(why) = refused {
        let says = format!("{what} ends with its token: {why}");
        return Finding::problem(check::CREDENTIAL, says, new_credential());
    }
    if login.refresh_token().is_some() {
        return Finding::good(
            check::CREDENTIAL,
            format!("{what}, which is renewed by itself"),
        );
    }
    lifetime(&what, login.expires_at, now)
}

/// A credential that ends at some time, or does not say.
fn lifetime(what: &str, end: Option<SystemTime>, now: SystemTime) -> Finding {
    let Some(end) = end else {
        return Finding::good(
            check::CREDENTIAL,
            format!("{what}; it does not say when it ends"),
        );
    };
    match end.duration_since(now) {
        Ok(left) => Finding::good(
            check::CREDENTIAL,
            format!("{what}, for {} more", rough(left)),
        ),
        Err(over) => Finding::problem(
            check::CREDENTIAL,
            format!("{what} ended {} ago", rough(over.duration())),
            new_credential(),
        ),
    }
}

/// The end that a JWT names. It is the user's own: nothing rests on what it says.
fn end_of(token: &SecretString) -> Option<SystemTime> {
    let payload = token.expose_secret().split('.').nth(1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp?))
}

/// A duration as people say it.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    fn token(claims: &str) -> SecretString {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(claims);
        SecretString::from(format!("e30.{payload}.c2lnbmF0dXJl"))
    }

    #[test]
    fn a_token_says_how_long_it_lives() {
        let now = UNIX_EPOCH + Duration::from_hours(100);
        let says = |claims: &str| {
            let finding = lifetime("BRAINGRID_API_TOKEN", end_of(&token(claims)), now);
            (finding.verdict, finding.says)
        };
        let good = |text: &str| (Verdict::Good, format!("BRAINGRID_API_TOKEN{text}"));
        assert_eq!(says(r#"{"exp":361800}"#), good(", for 30 min more"));
        assert_eq!(says(r#"{"exp":460000}"#), good(", for 27 h more"));
        assert_eq!(says("{}"), good("; it does not say when it ends"));
        assert_eq!(says("no json"), good("; it does not say when it ends"));
        let over = (
            Verdict::Problem,
            "BRAINGRID_API_TOKEN ended 60 s ago".to_owned(),
        );
        assert_eq!(says(r#"{"exp":359940}"#), over);
    }

    #[cfg(feature = "login")]
    #[test]
    fn a_login_is_over_only_when_it_cannot_be_renewed() {
        use mcp_login::{Kept, Loaded, Over, StoredCredential};
        let now = UNIX_EPOCH + Duration::from_hours(100);
        let mut loaded = Loaded {
            credential: StoredCredential::new(SecretString::from("sesame"), now),
            kept: Kept::Keychain,
            stamp: String::new(),
            slot: "login".to_owned(),
            assumed: false,
        };
        loaded.credential.expires_at = Some(now + Duration::from_mins(30));
        let good = about_login(&loaded, None, now);
        assert_eq!(
            good.says,
            "a login in the system's keychain, for 30 min more"
        );
        let refused = about_login(&loaded, Some(Over::Ended), now);
        assert_eq!(refused.verdict, Verdict::Problem);
        loaded.credential.expires_at = Some(now - Duration::from_mins(30));
        let over = about_login(&loaded, None, now);
        assert_eq!(over.verdict, Verdict::Problem);
        assert!(over.says.ends_with("ended 30 min ago"), "{}", over.says);
        assert!(over.fix.unwrap().contains("braingrid-mcp login"));
    }
}
