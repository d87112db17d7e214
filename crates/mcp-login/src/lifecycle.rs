//! The begin and the end of a login in the store; the end also at the issuer (RFC 7009).

use secrecy::ExposeSecret as _;

use super::credential::StoredCredential;
use super::error::LoginError;
use super::issuer::{Issuer, IssuerResponse};
use super::lock::LockWait;
use super::store::{CredentialStore, Kept, StoreError};

/// Keeps a new login for the store's purpose in place of the one before.
///
/// # Errors
/// When it is kept nowhere; the one before is then still there.
pub async fn log_in(store: &CredentialStore, login: StoredCredential) -> Result<Kept, StoreError> {
    // Without the lock, a refresh under way could put the old login back.
    let _lock = store.lock(LockWait::Refresh).await?;
    store.saved(login).await
}

/// Forgets the login for the store's purpose, here in any case, at the issuer where it can be
/// reached and takes tokens back. `None` when there was no login.
///
/// # Errors
/// When it may still be here.
pub async fn log_out(
    store: &CredentialStore,
) -> Result<Option<Result<Revocation, LoginError>>, StoreError> {
    Ok(end(store, false).await?.pop())
}

/// The same for every login that is kept, for whatever it is: how each ended.
///
/// # Errors
/// When one may still be here.
pub async fn log_out_everywhere(
    store: &CredentialStore,
) -> Result<Vec<Result<Revocation, LoginError>>, StoreError> {
    end(store, true).await
}

async fn end(
    store: &CredentialStore,
    all: bool,
) -> Result<Vec<Result<Revocation, LoginError>>, StoreError> {
    let _lock = store.lock(LockWait::Refresh).await?;
    let mut ended = Vec::new();
    for slot in store.places(all).await? {
        // One that cannot be read cannot be revoked, but it can be forgotten.
        ended.push(match store.in_place(&slot).await {
            Ok(Some(loaded)) => give_back(&loaded.credential).await,
            Ok(None) => continue,
            Err(error) => Err(LoginError::Local(error.to_string())),
        });
        store.remove_note(&slot)?;
        store.deleted(&slot).await?;
    }
    Ok(ended)
}

/// How a login ended at the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// Its tokens are worth nothing any more.
    Revoked,
    /// The issuer takes nothing back, or was never asked for these tokens.
    NotOffered,
}

/// Has the issuer forget the login: the refresh token, and with it the grant; then the access
/// token, for issuers that keep them apart.
///
/// # Errors
/// When the issuer does not answer or refuses. Tokens then live on until they end.
pub async fn give_back(login: &StoredCredential) -> Result<Revocation, LoginError> {
    let (Some(issuer), Some(client_id)) = (&login.issuer, &login.client_id) else {
        return Ok(Revocation::NotOffered);
    };
    let issuer = Issuer::discover(issuer).await?;
    let Some(endpoint) = issuer.metadata.revocation_endpoint.clone() else {
        return Ok(Revocation::NotOffered);
    };
    let refresh = login.refresh_token().map(|token| (token, "refresh_token"));
    let access = Some((login.access_token(), "access_token"));
    let mut revoked = false;
    for (token, hint) in [refresh, access].into_iter().flatten() {
        let form = [
            ("client_id", client_id.as_str()),
            ("token", token.expose_secret()),
            ("token_type_hint", hint),
        ];
        match issuer.post(&endpoint, &form).await {
            IssuerResponse::Good(_) => revoked = true,
            // Section 2.2.1: access tokens that nobody looks up cannot be taken back.
            IssuerResponse::Error(_) if revoked => {}
            answer => return Err(issuer.refusal(answer)),
        }
    }
    Ok(Revocation::Revoked)
}
