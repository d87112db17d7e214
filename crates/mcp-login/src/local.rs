//! The stored login as the caller's credential: read again whenever it changes, refreshed ahead of
//! its end.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mcp_core::{Credential, CredentialError};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::helper::Helper;
use super::program::program;
use super::refresh::{RefreshError, is_due, is_refreshable, refresh, refusal};
use super::store::{CredentialStore, Loaded, StoreError};

static LOGOUT: OnceLock<String> = OnceLock::new();

/// How long to use a token that is still good before its refresh is tried again.
const PAUSE: Duration = Duration::from_secs(30);

/// A token that BrainGrid refuses this soon after it was issued is not the one that ended.
const FRESH: Duration = Duration::from_secs(30);

/// The login in a store.
pub struct LocalLogin {
    store: CredentialStore,
    helper: Option<Helper>,
    state: Mutex<State>,
    /// One refresh at a time in this process; between processes there is a lock of its own.
    refreshing: Arc<AsyncMutex<()>>,
}

#[derive(Default)]
struct State {
    loaded: Option<Loaded>,
    /// The token that BrainGrid refused.
    refused: Option<SecretString>,
    /// No refresh before then, while the token is good.
    pause: Option<Instant>,
}

impl LocalLogin {
    /// The login of this store, whenever there is one.
    pub fn new(store: CredentialStore) -> Self {
        Self {
            store,
            helper: None,
            state: Mutex::default(),
            refreshing: Arc::default(),
        }
    }

    /// Has this program refresh, so that a refresh outlives this process.
    #[must_use]
    pub fn with_helper(mut self, helper: Helper) -> Self {
        self.helper = Some(helper);
        self
    }

    /// Does now what the first call would have to wait for: above all, takes up a refresh that
    /// another process could not finish.
    pub async fn warm_up(&self) {
        let _ = self.bearer().await;
    }

    /// The login as it is now. The keychain is asked only when there is another one.
    async fn current(&self) -> Result<Option<Loaded>, CredentialError> {
        let unreadable = |error| match error {
            error @ StoreError::Elsewhere { .. } => {
                CredentialError::new(format!("No login is used: {error}."))
            }
            error => CredentialError::new(format!("Your login cannot be used: {error}.")),
        };
        let glance = self.store.glance().map_err(unreadable)?;
        let cached = self.state(|state| state.loaded.clone());
        if cached.as_ref().map(|it| &it.stamp) == glance.as_ref().map(|it| &it.stamp) {
            return Ok(cached);
        }
        let loaded = self.store.loaded().await.map_err(unreadable)?;
        self.state(|state| state.loaded.clone_from(&loaded));
        Ok(loaded)
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What to do when there is no login.
    fn missing(&self) -> CredentialError {
        CredentialError::new(format!(
            "You are not logged in to BrainGrid. Run `{}` in a terminal, then try again; this \
             server notices it without a restart. (In CI, set BRAINGRID_API_TOKEN for this server \
             instead.)",
            self.store.command()
        ))
    }

    /// What to do when the login is over.
    fn over(&self, ended: &str, why: &str) -> CredentialError {
        CredentialError::new(format!(
            "{ended}, and {why}. Run `{}` in a terminal, then try again.",
            self.store.command()
        ))
    }

    /// The next access token, whoever gets it.
    async fn next(&self, loaded: &Loaded, patient: bool) -> Result<Loaded, RefreshError> {
        let store = self.store.clone();
        let (slot, stamp) = (loaded.slot.clone(), loaded.stamp.clone());
        let helper = self.helper.clone();
        let one = Arc::clone(&self.refreshing).lock_owned().await;
        // A task of its own: a call that is cancelled must not cut it short.
        let refreshing = tokio::spawn(async move {
            let next = match helper {
                Some(helper) => helper.refresh(&store, &slot, &stamp, patient).await,
                None => refresh(&store, &slot, &stamp, patient).await,
            };
            drop(one);
            next
        });
        let stopped = |_| Err(RefreshError::Busy);
        let next = refreshing.await.unwrap_or_else(stopped);
        let pause = next.is_err().then(|| Instant::now() + PAUSE);
        self.state(|state| {
            state.pause = pause;
            if let Ok(next) = &next {
                state.loaded = Some(next.clone());
            }
        });
        next
    }

    /// A refresh for a token that may be used for want of a better one.
    async fn early(&self, loaded: Loaded, now: SystemTime) -> SecretString {
        let waits = self.state(|state| state.pause.is_some_and(|until| Instant::now() < until));
        if is_refreshable(&loaded.credential) && !waits && is_due(&self.store, &loaded, now) {
            match self.next(&loaded, false).await {
                Ok(next) => return next.credential.access_token().clone(),
                Err(RefreshError::Busy) => {}
                Err(error) => tracing::warn!(%error, "the login could not be refreshed yet"),
            }
        }
        loaded.credential.access_token().clone()
    }

    /// A refresh without which there is no token.
    async fn late(&self, loaded: &Loaded, ended: &str) -> Result<SecretString, CredentialError> {
        if !is_refreshable(&loaded.credential) {
            let why = refusal(&self.store, loaded).map(|over| over.to_string());
            let why = why.as_deref().unwrap_or("it cannot be refreshed");
            return Err(self.over(ended, why));
        }
        match self.next(loaded, true).await {
            Ok(next) => Ok(next.credential.access_token().clone()),
            Err(RefreshError::None) => Err(self.missing()),
            Err(RefreshError::Over(why)) => Err(self.over(ended, &why.to_string())),
            Err(RefreshError::Failed(error)) if !error.is_passing() => {
                Err(CredentialError::new(format!(
                    "{ended}, and it cannot be refreshed: {error}. Where that cannot be mended, run \
                     `{}` in a terminal.",
                    self.store.command()
                )))
            }
            Err(error) => Err(CredentialError::new(format!(
                "{ended}, and it cannot be refreshed right now: {error}. Try again in a moment; \
                 you do not have to log in again."
            ))),
        }
    }
}

#[async_trait]
impl Credential for LocalLogin {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        let Some(loaded) = self.current().await? else {
            return Err(self.missing());
        };
        let now = SystemTime::now();
        let refused = self.state(|state| state.refused.take());
        let token = loaded.credential.access_token().expose_secret();
        if refused.is_some_and(|refused| refused.expose_secret() == token) {
            let age = now.duration_since(loaded.credential.obtained_at);
            let ended = "BrainGrid does not accept your login";
            // One more that is as new would not be accepted either.
            if is_refreshable(&loaded.credential) && age.unwrap_or_default() < FRESH {
                return Err(self.over(ended, "its token was issued just now"));
            }
            return self.late(&loaded, ended).await;
        }
        if loaded.credential.is_expired(now) {
            return self
                .late(&loaded, "Your login to BrainGrid has ended")
                .await;
        }
        Ok(self.early(loaded, now).await)
    }

    fn how_to_log_out(&self) -> &'static str {
        LOGOUT.get_or_init(|| format!("run `{} logout` in a terminal", program()))
    }

    fn reject(&self, refused: &SecretString) {
        self.state(|state| state.refused = Some(refused.clone()));
    }
}

impl fmt::Debug for LocalLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalLogin")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
