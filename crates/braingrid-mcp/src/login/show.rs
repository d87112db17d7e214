//! `braingrid-mcp status` and `whoami`: what is known here, and what BrainGrid says.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use mcp_core::{ApiError, Profile};
use mcp_login::{CredentialStore, Loaded, StoreError, refusal};
use serde_json::{Value, json};

use super::{Local, callers, fail};
use crate::assemble;
use crate::cli::exit;
use crate::config::{ApiSettings, StdioSettings};
use crate::terminal::plain;

/// Says whether there is a login, without asking anybody.
pub(super) fn status(local: &Local, as_json: bool) -> Result<(), u8> {
    let now = SystemTime::now();
    if local.stdio.token.is_some() {
        let text = "The token in BRAINGRID_API_TOKEN is used.\n".to_owned();
        let json = json!({ "logged_in": true, "source": "BRAINGRID_API_TOKEN" });
        return crate::print(&if as_json { format!("{json:#}\n") } else { text });
    }
    let store = local.store()?;
    let (loaded, elsewhere) = match store.load() {
        Err(error @ StoreError::Elsewhere { .. }) => (None, Some(error.to_string())),
        loaded => (loaded.map_err(fail(exit::NOT_LOGGED_IN))?, None),
    };
    let all = store.all().map_err(fail(exit::NOT_LOGGED_IN))?;
    let is_other = |other: &Loaded| loaded.as_ref().is_none_or(|it| it.slot != other.slot);
    let others: Vec<_> = all.into_iter().flatten().filter(is_other).collect();
    let (mut text, mut json) = match &loaded {
        Some(loaded) => (
            login_text(&store, loaded, now),
            login_json(&store, loaded, now),
        ),
        None => {
            let why = elsewhere.map_or_else(String::new, |why| why + ".\n");
            let text = format!("Not logged in. Run: {}\n{why}", store.command());
            (text, json!({ "logged_in": false }))
        }
    };
    if !others.is_empty() {
        text += "Other logins, each sent only where it is for:\n";
        for other in &others {
            let state = if is_good(&store, other, now) {
                ""
            } else {
                ", ended"
            };
            let _ = writeln!(text, "  {}{state}", plain(&is_for(other)));
        }
        let others: Vec<_> = others
            .iter()
            .map(|other| login_json(&store, other, now))
            .collect();
        if let Some(json) = json.as_object_mut() {
            json.insert("others".to_owned(), others.into());
        }
    }
    crate::print(&if as_json { format!("{json:#}\n") } else { text })?;
    match loaded {
        Some(loaded) if is_good(&store, &loaded, now) => Ok(()),
        _ => Err(exit::NOT_LOGGED_IN),
    }
}

/// Says who BrainGrid takes the user for.
pub(super) async fn whoami(local: Local, as_json: bool) -> Result<(), u8> {
    match profile(local.stdio, local.api).await {
        Ok(profile) if as_json => {
            let profile = json!({
                "name": profile.name(),
                "email": profile.email(),
                "organization_id": profile.organization().map(|id| id.as_str().to_owned()),
                "organization_name": profile.organization_name(),
            });
            crate::print(&format!("{profile:#}\n"))
        }
        Ok(profile) => crate::print(&format!("{}\n", describe(&profile))),
        Err(error @ (ApiError::Credential(_) | ApiError::Unauthorized)) => {
            Err(fail(exit::NOT_LOGGED_IN)(error))
        }
        Err(error) => Err(fail(exit::UNAVAILABLE)(error)),
    }
}

/// Who BrainGrid takes the user for.
pub(super) async fn profile(stdio: StdioSettings, api: ApiSettings) -> Result<Profile, ApiError> {
    let unusable = |error: anyhow::Error| {
        ApiError::Credential(mcp_core::CredentialError::new(format!("{error:#}")))
    };
    let caller = callers(stdio).map_err(unusable)?();
    let client = assemble::client(api).map_err(unusable)?;
    client.profile(&caller).await
}

/// A person on one line: `Ada (ada@example.com), organization Engines (org_ada)`.
pub(super) fn describe(profile: &Profile) -> String {
    let mut text = plain(profile.name().unwrap_or("somebody without a name"));
    if let Some(email) = profile.email() {
        let _ = write!(text, " ({})", plain(email));
    }
    let organization = profile.organization();
    let id = organization.as_ref().map(mcp_core::OrganizationId::as_str);
    let _ = match (profile.organization_name(), id) {
        (Some(name), Some(id)) => write!(text, ", organization {} ({id})", plain(name)),
        (Some(name), None) => write!(text, ", organization {}", plain(name)),
        (None, Some(id)) => write!(text, ", organization {id}"),
        (None, None) => Ok(()),
    };
    text
}

/// Whether the login can be used, now or after a refresh.
pub(super) fn is_good(store: &CredentialStore, loaded: &Loaded, now: SystemTime) -> bool {
    !loaded.credential.is_expired(now) || is_renewed(store, loaded)
}

/// Whether the next token comes by itself, as far as is known.
fn is_renewed(store: &CredentialStore, loaded: &Loaded) -> bool {
    loaded.credential.refresh_token().is_some() && refusal(store, loaded).is_none()
}

fn login_text(store: &CredentialStore, loaded: &Loaded, now: SystemTime) -> String {
    let login = &loaded.credential;
    let good = is_good(store, loaded, now);
    let mut text = match (&login.issuer, good) {
        (Some(issuer), true) => format!("Logged in at {issuer}\n"),
        (None, true) => "Logged in with a token\n".to_owned(),
        (_, false) => format!("The login has ended. Run: {}\n", store.command()),
    };
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:14}{}", plain(value));
    };
    line("for", &address(loaded));
    line("kept in", &loaded.kept.to_string());
    if let Some(organization) = login.organization() {
        line("organization", &organization);
    }
    if let Some(client) = &login.client_id {
        line("client", client);
    }
    if !login.scopes.is_empty() {
        line("scopes", &login.scopes.join(" "));
    }
    line("token", &token_line(store, loaded, now));
    if good && refusal(store, loaded).is_some() {
        let _ = writeln!(text, "  {:14}{}", "then run", store.command());
    }
    text
}

/// The address that it is sent to, and to no other.
fn address(loaded: &Loaded) -> String {
    let purpose = loaded.credential.purpose.as_ref();
    let api = purpose.map(|purpose| purpose.api.as_str());
    let assumed = if loaded.assumed {
        " (assumed: an older version kept it)"
    } else {
        ""
    };
    format!(
        "{}{assumed}",
        api.unwrap_or("an address that it does not say")
    )
}

/// What a login is for, on one line.
fn is_for(loaded: &Loaded) -> String {
    let login = &loaded.credential;
    let issuer = login
        .purpose
        .as_ref()
        .map(|purpose| purpose.issuer.as_str());
    let issuer = issuer.or(login.issuer.as_deref()).unwrap_or("unknown");
    let organization = login.organization();
    let organization = organization.map_or_else(String::new, |id| format!(", organization {id}"));
    format!("{} (issuer {issuer}{organization})", address(loaded))
}

fn token_line(store: &CredentialStore, loaded: &Loaded, now: SystemTime) -> String {
    let login = &loaded.credential;
    let end = match login.expires_at {
        None => "says no end".to_owned(),
        Some(end) => match end.duration_since(now) {
            Ok(left) => format!("ends in {}", span(left)),
            Err(passed) => format!("ended {} ago", span(passed.duration())),
        },
    };
    match refusal(store, loaded) {
        Some(why) => format!("{end}, and {why}"),
        None if login.refresh_token().is_some() => format!("{end}, refreshed by itself"),
        None => format!("{end}, cannot be refreshed"),
    }
}

fn login_json(store: &CredentialStore, loaded: &Loaded, now: SystemTime) -> Value {
    let login = &loaded.credential;
    let time = |time| {
        jiff::Timestamp::try_from(time)
            .ok()
            .map(|time| time.to_string())
    };
    json!({
        "logged_in": is_good(store, loaded, now),
        "source": "login",
        "issuer": login.issuer,
        "api": login.purpose.as_ref().map(|purpose| &purpose.api),
        "kept_in": loaded.kept.to_string(),
        "organization": login.organization(),
        "client_id": login.client_id,
        "scopes": login.scopes,
        "expires_at": login.expires_at.and_then(time),
        "refreshable": is_renewed(store, loaded),
    })
}

/// A length of time in one unit.
fn span(time: Duration) -> String {
    let (count, unit) = match time.as_secs() {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7_200 => (seconds / 60, "minute"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_one_unit() {
        let cases = [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (3_599, "59 minutes"),
            (7_200, "2 hours"),
            (172_800, "2 days"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
