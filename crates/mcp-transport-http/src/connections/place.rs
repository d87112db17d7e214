//! A connection's place: what it may do, whose it is, and what it holds.

use std::{
    fmt,
    hash::BuildHasher as _,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use super::{BASE, Connections};
use crate::{client_address::AddressBucket, idle::Activity, memory::MemoryCharge};

/// A connection's place.
pub(crate) struct Place {
    /// While it is taken, they know of each other.
    pub(super) connections: Arc<Connections>,
    pub(super) number: u64,
    /// What the limit per address counts by, where there is one.
    pub(super) group: Option<AddressBucket>,
    pub(super) kind: Kind,
    /// Who was authenticated on it, the first of them.
    pub(super) user: OnceLock<u64>,
    pub(super) is_displaced: AtomicBool,
    pub(crate) activity: Arc<Activity>,
    pub(super) charge: Mutex<Option<MemoryCharge>>,
    pub(super) gone: Notify,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Usual,
    /// Every place is taken: probes are answered, all else is sent away.
    Full,
    /// Its network has too many connections that were never authenticated.
    TooMany,
}

/// A place that is given back when it is dropped.
pub(crate) struct Taken {
    pub(crate) place: Arc<Place>,
}

impl Place {
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// A request of this connection was authenticated, as that of a subject of an issuer.
    pub(crate) fn authenticated(&self, issuer: &str, subject: &str) {
        if self.user.get().is_none() {
            let user = self.connections.names.hash_one((issuer, subject));
            self.connections.state().recognize(self.number, user);
        }
    }

    /// What its end frees. Its owner may be asking for more this moment: then it is not known, but
    /// this at least.
    pub(super) fn bytes(&self) -> usize {
        let charge = self.charge.try_lock();
        charge.map_or(BASE, |charge| {
            charge.as_ref().map_or(0, MemoryCharge::bytes)
        })
    }

    /// Makes sure that the head that the connection has begun may be held in `bytes` bytes, at the
    /// cost of others that wait for nothing, if need be.
    pub(crate) fn grow(&self, bytes: usize) -> bool {
        self.connections.grow(self, bytes)
    }

    /// Resolves when the place is another's.
    pub(crate) async fn gone(&self) {
        self.gone.notified().await;
    }

    pub(super) fn charge(&self) -> MutexGuard<'_, Option<MemoryCharge>> {
        self.charge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Place {
    /// Without what knows of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let connections = &self.place.connections;
        let mut state = connections.state();
        let is_usual = self.place.kind == Kind::Usual;
        if is_usual {
            state.forget(&self.place);
        } else {
            let number = self.place.number;
            state.reserve.retain(|other| other.number != number);
        }
        let was_displaced = self.place.is_displaced.load(Ordering::Relaxed);
        drop(state);
        *self.place.charge() = None;
        if was_displaced {
            // It has given its place back already.
            connections.ending.fetch_sub(1, Ordering::Relaxed);
            connections.ended.notify_waiters();
        } else if is_usual {
            connections.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
