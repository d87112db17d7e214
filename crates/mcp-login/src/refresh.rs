//! Gets the next access token, once however many processes want it, and survives their ends.
//!
//! Issuers that rotate refresh tokens take each one once. Between the request and the saved answer
//! the only good token is on the wire, so a process that ends there leaves a note behind:
//! `refresh.json`, written before the request and removed after the answer is saved. Whoever finds
//! it asks again at once with the token that is still there, within the time for which issuers
//! accept a token again (RFC 9700 section 4.14.2 leaves that to them).

use std::time::SystemTime;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::credential::StoredCredential;
use super::error::{LoginError, is_of_the_client, is_passing};
use super::issuer::{Issuer, IssuerResponse};
use super::lock::LockWait;
use super::store::{CredentialStore, Loaded, StoreError};
use super::token::Client;

/// Why there is no next access token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// There is no login.
    #[error("there is no login")]
    None,
    /// Another process is at it.
    #[error("another process is refreshing the login")]
    Busy,
    /// The login is over: only logging in again helps.
    #[error("{0}")]
    Over(Over),
    /// It did not work this time.
    #[error(transparent)]
    Failed(#[from] LoginError),
}

/// Why only logging in again helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Over {
    /// The refresh token is taken no more.
    #[error("the issuer takes its refresh token no more: it ended or was revoked")]
    Ended,
    /// The same, after an answer that nobody got.
    #[error("an earlier refresh was interrupted, and the issuer takes each refresh token once")]
    Interrupted,
    /// The issuer has forgotten the client that the login belongs to, as when it prunes
    /// registrations; with its error code.
    #[error("the issuer does not know the client any more that you logged in with ({0})")]
    Forgotten(String),
    /// The issuer refuses for another reason, which is there again the next time.
    #[error("the issuer refuses to renew it ({0})")]
    Refused(String),
}

impl Over {
    /// What a refusal with this code means for the login.
    fn by(code: String) -> Self {
        if is_of_the_client(&code) {
            Self::Forgotten(code)
        } else {
            Self::Refused(code)
        }
    }
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self::Failed(LoginError::Store(error))
    }
}

/// The note that a refresh has begun, or why the last one was refused.
#[derive(Serialize, Deserialize)]
struct Note {
    /// Of the login whose token was sent; after a refusal, of the login that was left.
    stamp: String,
    /// A refresh that asks again leaves it here until it knows better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
    /// Whether a refresh has begun since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    begun: bool,
}

impl Note {
    fn read(store: &CredentialStore, slot: &str, stamp: &str) -> Option<Self> {
        let text = store.read_note(slot).unwrap_or_default()?;
        let note = serde_json::from_str::<Self>(&text).ok()?;
        (note.stamp == stamp).then_some(note)
    }

    fn write(&self, store: &CredentialStore, slot: &str) -> Result<(), StoreError> {
        let note = serde_json::to_string(self).unwrap_or_default();
        store.write_note(slot, &note)
    }

    /// Whether the refresh that left it was cut short. Older versions wrote no `begun`.
    fn is_interrupted(&self) -> bool {
        self.begun || self.over.is_none()
    }
}

/// Whether a refresh of this login was cut short.
pub(crate) fn was_interrupted(store: &CredentialStore, slot: &str, stamp: &str) -> bool {
    Note::read(store, slot, stamp).is_some_and(|note| note.is_interrupted())
}

/// Why the issuer refused to renew this login when it was last asked.
pub fn refusal(store: &CredentialStore, loaded: &Loaded) -> Option<Over> {
    Note::read(store, &loaded.slot, &loaded.stamp)?.over
}

/// Gets the next access token of the login in this place, unless another process did since the
/// login with the stamp `seen` was loaded.
///
/// # Errors
/// When there is none to be had. The login that was there is then still there, except when it is
/// [over](RefreshError::Over): then it has no refresh token any more.
pub async fn refresh(
    store: &CredentialStore,
    slot: &str,
    seen: &str,
    patient: bool,
) -> Result<Loaded, RefreshError> {
    let wait = if patient {
        LockWait::Refresh
    } else {
        LockWait::None
    };
    let _lock = store.lock(wait).await?.ok_or(RefreshError::Busy)?;
    let loaded = store.in_place(slot).await?.ok_or(RefreshError::None)?;
    if loaded.stamp != seen {
        return Ok(loaded);
    }
    let earlier = Note::read(store, slot, seen);
    let interrupted = earlier.as_ref().is_some_and(Note::is_interrupted);
    let before = loaded.credential;
    let Some((client, token)) = client_of(&before).await? else {
        return Err(RefreshError::Over(Over::Ended));
    };
    let note = Note {
        stamp: seen.to_owned(),
        over: earlier.and_then(|note| note.over),
        begun: true,
    };
    note.write(store, slot)?;
    let grant = [("grant_type", "refresh_token"), ("refresh_token", token)];
    match client.ask(&grant).await {
        IssuerResponse::Error(code) if code == "invalid_grant" => {
            let mut left = before.clone();
            left.refresh_token = None;
            store.placed(slot, left).await?;
            let left = store.in_place(slot).await?.ok_or(RefreshError::None)?;
            let over = if interrupted {
                Over::Interrupted
            } else {
                Over::Ended
            };
            Err(refused(store, slot, &left.stamp, over)?)
        }
        // It may have been acted upon: the note stays, and the next one asks at once.
        lost @ IssuerResponse::Lost(_) => Err(client.issuer.refusal(lost).into()),
        // The refresh token stays: the client may be known again one day.
        IssuerResponse::Error(code) if !is_passing(&code) => {
            Err(refused(store, slot, seen, Over::by(code))?)
        }
        IssuerResponse::ErrorStatus(status) => {
            let over = Over::Refused(status.to_string());
            Err(refused(store, slot, seen, over)?)
        }
        answer @ (IssuerResponse::Error(_) | IssuerResponse::Unsent(_)) => {
            store.remove_note(slot)?;
            Err(client.issuer.refusal(answer).into())
        }
        answer @ IssuerResponse::Good(_) => {
            let mut after = client.login(answer)?;
            // RFC 6749 section 6: without a new one, the old one stays good.
            if after.refresh_token.is_none() {
                after.refresh_token.clone_from(&before.refresh_token);
            }
            after.purpose = store.purpose_of(&before);
            after.id = before.id;
            after.confirmed = before.confirmed;
            store.placed(slot, after).await?;
            store.remove_note(slot)?;
            store.in_place(slot).await?.ok_or(RefreshError::None)
        }
    }
}

/// Notes a refusal for those who ask later.
fn refused(
    store: &CredentialStore,
    slot: &str,
    stamp: &str,
    over: Over,
) -> Result<RefreshError, StoreError> {
    let note = Note {
        stamp: stamp.to_owned(),
        over: Some(over.clone()),
        begun: false,
    };
    note.write(store, slot)?;
    Ok(RefreshError::Over(over))
}

/// The client that the login was issued to, and its refresh token; `None` where a login has none.
async fn client_of(login: &StoredCredential) -> Result<Option<(Client, &str)>, LoginError> {
    let (Some(issuer), Some(id), Some(token)) =
        (&login.issuer, &login.client_id, &login.refresh_token)
    else {
        return Ok(None);
    };
    let client = Client {
        issuer: Issuer::discover(issuer).await?,
        id: id.clone(),
        resource: login.resource.clone(),
        scopes: login.scopes.clone(),
    };
    Ok(Some((client, token.expose_secret())))
}

/// Whether there is anything to refresh with.
pub(crate) fn is_refreshable(login: &StoredCredential) -> bool {
    login.refresh_token.is_some() && login.client_id.is_some() && login.issuer.is_some()
}

/// Whether the next access token should be got now.
pub(crate) fn is_due(store: &CredentialStore, loaded: &Loaded, now: SystemTime) -> bool {
    loaded.credential.is_due(now) || was_interrupted(store, &loaded.slot, &loaded.stamp)
}
