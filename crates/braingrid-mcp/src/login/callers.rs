//! On whose behalf the local server works: a token from the environment, else the login.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use mcp_core::{Caller, Credential, Organization, OrganizationId};
use mcp_login::{CredentialStore, Glance, Helper, LocalLogin};

use crate::assemble::{Callers, token_caller};
use crate::config::{LoginSettings, StdioSettings};

/// Names the caller of each call. Another login is another caller: its organization is asked for
/// again.
pub(crate) fn callers(stdio: StdioSettings) -> anyhow::Result<Callers> {
    let store = super::store(&stdio.login).filter(|_| stdio.token.is_none());
    let Some(store) = store else {
        let caller = token_caller(stdio)?;
        return Ok(Arc::new(move || caller.clone()));
    };
    let chosen = stdio.organization.map(|id| id.parse()).transpose();
    let chosen = chosen.context("BRAINGRID_ORGANIZATION_ID")?;
    let credential = LocalLogin::new(store.clone());
    let credential = Arc::new(match helper(&stdio.login) {
        Some(helper) => credential.with_helper(helper),
        None => credential,
    });
    let early = Arc::clone(&credential);
    tokio::spawn(async move { early.warm_up().await });
    let current = Mutex::new(None);
    Ok(Arc::new(move || {
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        Current::of(&mut current, &store, &credential, chosen.as_ref())
    }))
}

/// This program, as the one that refreshes.
fn helper(login: &LoginSettings) -> Option<Helper> {
    // What was said by a file or a flag is said to the helper too.
    let mut environment: Vec<(&str, OsString)> = vec![
        ("BRAINGRID_LOGIN_STORE", login.store.name().into()),
        ("OAUTH_ISSUER", login.issuer.as_str().into()),
    ];
    let api = login.api.as_ref().map(|api| api.as_str().into());
    environment.extend(api.map(|api| ("BRAINGRID_API_URL", api)));
    if let Some(directory) = login.directory.as_ref().filter(|_| login.own_directory) {
        environment.push(("BRAINGRID_LOGIN_DIR", directory.into()));
    }
    Some(Helper {
        program: std::env::current_exe().ok()?,
        arguments: vec!["refresh-login".to_owned()],
        environment,
    })
}

/// The caller of a login.
struct Current {
    login: Option<String>,
    caller: Caller,
}

impl Current {
    fn of(
        current: &mut Option<Self>,
        store: &CredentialStore,
        credential: &Arc<LocalLogin>,
        chosen: Option<&OrganizationId>,
    ) -> Caller {
        // What is wrong with it is said where the token is asked for.
        let glance = store.glance().unwrap_or_default();
        let login = glance.as_ref().map(|glance| glance.id.clone());
        if let Some(current) = current.as_ref().filter(|current| current.login == login) {
            return current.caller.clone();
        }
        let organization = match chosen {
            Some(id) => Organization::known(id.clone()),
            None => organization_of(glance),
        };
        let credential: Arc<dyn Credential> = Arc::<LocalLogin>::clone(credential);
        let caller = Caller::new(None, organization, Vec::new(), credential);
        let caller = caller.of_issuer(format!("login {}", login.as_deref().unwrap_or_default()));
        *current = Some(Self {
            login,
            caller: caller.clone(),
        });
        caller
    }
}

/// The organization that the login was made for, where BrainGrid said so then.
fn organization_of(glance: Option<Glance>) -> Organization {
    let confirmed = glance.as_ref().is_some_and(|glance| glance.confirmed);
    let named = glance.and_then(|glance| glance.organization?.parse().ok());
    match named {
        Some(id) if confirmed => Organization::known(id),
        named => Organization::from_profile(named),
    }
}
