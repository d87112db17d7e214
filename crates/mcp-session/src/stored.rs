//! Sessions that the shared store has: found and opened.

use std::time::SystemTime;

use mcp_auth::AccessToken;

use crate::{
    key::SessionKey,
    record,
    session::Session,
    store::StoreError,
    tiers::{Found, Inner},
};

impl Inner {
    /// The usable record of a token, looked for under the current key's name, then under those of
    /// earlier keys. Whatever goes wrong is a miss.
    pub(crate) async fn ask(&self, token: &AccessToken, now: SystemTime) -> Option<Found> {
        let current = self.keyring.session_key(token);
        let keys = std::iter::once(current).chain(self.keyring.previous_keys(token));
        for key in keys {
            let name = key.to_string();
            match self.store.get(&name).await {
                Ok(Some(sealed)) => {
                    if let Some((session, stale)) = self.open(key, &name, &sealed, token, now) {
                        self.stats.store_hits.increment();
                        return Some(Found::Stored {
                            session,
                            stale: stale || key != current,
                        });
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.store_failed(&error);
                    return None;
                }
            }
        }
        self.stats.store_misses.increment();
        None
    }

    fn open(
        &self,
        key: SessionKey,
        name: &str,
        sealed: &[u8],
        token: &AccessToken,
        now: SystemTime,
    ) -> Option<(Session, bool)> {
        let opened = match self.keyring.open(name, sealed) {
            Ok(opened) => opened,
            Err(error) => {
                self.stats.records_unopened.increment();
                if self.warned.pass().is_some() {
                    tracing::warn!(%error, "a session record did not open and is deleted");
                }
                self.writer.remove(key);
                return None;
            }
        };
        // A record of another program version stays for the instances that wrote it.
        let session = record::decode(&opened.plaintext, self.max_lifetime)
            .ok()
            .filter(|session| !session.is_expired(now))
            .filter(|session| self.verifier.accepts(session.principal(), now))
            .filter(|session| !self.is_outdated(token, session));
        if session.is_none() {
            self.stats.records_unusable.increment();
        }
        Some((session?, opened.stale))
    }

    fn store_failed(&self, error: &StoreError) {
        self.stats.store_errors.increment();
        if self.warned.pass().is_some() {
            tracing::warn!(%error, "the session store cannot be asked; tokens are verified instead");
        }
    }
}
