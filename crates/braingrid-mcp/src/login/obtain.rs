//! `braingrid-mcp login`: in the browser, on another device, or with a token.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mcp_core::{ApiError, Profile};
use mcp_login::{
    BrowserLogin, CredentialStore, DeviceLogin, Kept, LoginError, LoginRequest, StoredCredential,
    give_back, log_in,
};
use secrecy::SecretString;

use super::show::{describe, is_good, profile};
use super::{Local, LoginArgs, code, fail, tell};
use crate::cli::exit;
use crate::config::{LoginStore, StdioSettings};
use crate::token_text;

/// Long enough to find a password and a second factor.
const PATIENCE: Duration = Duration::from_mins(10);

pub(super) async fn login(args: &LoginArgs, local: Local) -> Result<(), u8> {
    let store = local.store()?;
    let by_hand = args.token.is_some();
    let mut obtained = match &args.token {
        Some(source) => StoredCredential::from_token(read_token(source)?, SystemTime::now()),
        None => {
            let request = local.request();
            let obtained = if args.device {
                on_a_device(request).await
            } else {
                in_a_browser(request, args.no_browser).await
            };
            obtained.map_err(|error| fail(code(&error))(error))?
        }
    };
    let told = match ask(&local, &obtained).await {
        Ok(profile) => {
            let chosen = local.stdio.organization.clone();
            let named = || profile.organization().map(|id| id.as_str().to_owned());
            obtained.confirmed = chosen.or_else(named);
            format!("Logged in as {}.\n", describe(&profile))
        }
        Err(error) if is_refusal(&error) => {
            if !by_hand {
                // Nobody will use it: it should not live on at the issuer.
                let _ = give_back(&obtained).await;
            }
            return Err(fail(exit::NOT_LOGGED_IN)(refused(
                &store, &obtained, by_hand, &error,
            )));
        }
        Err(error) if has_login(&store) => {
            return Err(fail(exit::UNAVAILABLE)(format!(
                "BrainGrid could not be asked about the new login ({error}), so nothing was \
                 changed: the login you had is still in use"
            )));
        }
        Err(error) => {
            tell(&format!(
                "BrainGrid could not be asked who you are: {error}"
            ));
            "Logged in.\n".to_owned()
        }
    };
    let refreshes = obtained.refresh_token().is_some();
    let kept = keep(&store, &local, obtained).await?;
    if !refreshes {
        tell("Note: there is no refresh token, so this login ends when its token does.");
    }
    local.mention_token();
    crate::print(&format!("{told}The login is in {kept}.\n"))
}

/// Whether BrainGrid said no, and would say it again.
fn is_refusal(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::Unauthorized
            | ApiError::Credential(_)
            | ApiError::Forbidden(_)
            | ApiError::PaymentRequired(_)
            | ApiError::Invalid { .. }
    )
}

/// Whether there is a login that can still be used.
fn has_login(store: &CredentialStore) -> bool {
    let before = store.load().ok().flatten();
    before.is_some_and(|before| is_good(store, &before, SystemTime::now()))
}

/// Says what happened, and what has not.
fn refused(
    store: &CredentialStore,
    login: &StoredCredential,
    by_hand: bool,
    error: &ApiError,
) -> String {
    let api = &store.purpose().api;
    let what = match error {
        ApiError::Unauthorized | ApiError::Credential(_) if by_hand => {
            let over = login.is_expired(SystemTime::now());
            let why = if over {
                "it has expired"
            } else {
                "it may be incomplete, revoked, or made for another service"
            };
            format!("{api} does not accept this token: {why}. Provide another one")
        }
        ApiError::Unauthorized | ApiError::Credential(_) => format!(
            "the issuer logged you in, but {api} does not accept its token: is it for another \
             issuer or audience (OAUTH_ISSUER, UPSTREAM_AUDIENCE)?"
        ),
        error => format!("{api} does not let this login in: {error}"),
    };
    let rest = if has_login(store) {
        "Nothing was changed: the login you had is still in use"
    } else {
        "Nothing was kept"
    };
    format!("{what}\n{rest}")
}

/// Asks BrainGrid whose login this is, before it counts.
async fn ask(local: &Local, login: &StoredCredential) -> Result<Profile, ApiError> {
    let settings = StdioSettings {
        token: Some(login.access_token().clone()),
        organization: local.stdio.organization.clone(),
        login: local.stdio.login.clone(),
    };
    profile(settings, local.api.clone()).await
}

pub(crate) async fn in_a_browser(
    request: LoginRequest,
    no_browser: bool,
) -> Result<StoredCredential, LoginError> {
    let issuer = request.issuer.clone();
    let login = BrowserLogin::start(request).await?;
    // Away from a folder that others may have written: a relative entry of PATH leads nowhere then.
    let away = std::env::set_current_dir(std::path::MAIN_SEPARATOR_STR).is_ok();
    let opened = !no_browser && away && webbrowser::open(login.url().as_str()).is_ok();
    let what = if opened {
        format!("Your browser opens {issuer}. If it does not, open this address:")
    } else {
        "Open this address in a browser on this computer:".to_owned()
    };
    tell(&format!("{what}\n\n  {}\n", login.url()));
    if !opened {
        tell(&format!(
            "(On another computer: {})",
            crate::program::run("login --device")
        ));
    }
    tell("Waiting for you to log in there …");
    login.finish(PATIENCE).await
}

async fn on_a_device(request: LoginRequest) -> Result<StoredCredential, LoginError> {
    let login = DeviceLogin::start(request).await?;
    tell(&format!(
        "Open this address on any device:\n\n  {}\n\nand enter the code:  {}\n",
        login.verification_uri(),
        login.user_code()
    ));
    if let Some(complete) = login.verification_uri_complete() {
        tell(&format!("(Or open {complete}, and compare the code.)"));
    }
    tell("Waiting for you to log in there …");
    login.finish().await
}

async fn keep(store: &CredentialStore, local: &Local, login: StoredCredential) -> Result<Kept, u8> {
    let kept = log_in(store, login).await;
    let kept = kept.map_err(fail(exit::INTERNAL))?;
    if let (Kept::File(path), LoginStore::Auto) = (&kept, local.stdio.login.store) {
        tell(&format!(
            "Warning: no keychain can be used here, so the login is in a file that only you can \
             read: {}\nWhoever gets that file can act as you.",
            path.display()
        ));
    }
    Ok(kept)
}

/// Reads a token from a file or from standard input (`-`).
fn read_token(source: &Path) -> Result<SecretString, u8> {
    if source == Path::new("-") && io::stdin().is_terminal() {
        tell("Paste the token, then press Enter and Ctrl-D:");
    }
    let token = token_text::read(source);
    token.map_err(|why| fail(exit::USAGE)(format!("the token of --token: {why}")))
}
