//! How many instances there are: each names itself in a set now and then, while it has something to do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mcp_session::{FactStore, Keyring, StoreError};

/// How often an instance names itself and counts the others.
const EVERY: Duration = Duration::from_secs(30);

/// How long its name stands: for as long as an instance that is not asked anything may be away.
const STANDS: Duration = Duration::from_secs(95);

/// When it tries again.
const AGAIN: Duration = Duration::from_secs(5);

/// The instances of a deployment, as one of them knows them. Cheap to clone.
#[derive(Clone)]
pub(super) struct Instances(Arc<Inner>);

struct Inner {
    set: String,
    /// This one: random, and told to nobody else.
    own: Vec<u8>,
    /// Nothing where none was ever counted.
    known: AtomicU64,
    /// Milliseconds from the start of the limits.
    due: AtomicU64,
}

impl Instances {
    pub(super) fn new(keyring: &Keyring) -> Self {
        let names = keyring.names("limit-instances", &[]);
        let own = mcp_session::random_key();
        Self(Arc::new(Inner {
            set: names.into_iter().next().unwrap_or_default(),
            own: own.iter().copied().take(16).collect(),
            known: AtomicU64::new(0),
            due: AtomicU64::new(0),
        }))
    }

    /// So many, this one included; `None` before the first count.
    pub(super) fn known(&self) -> Option<u64> {
        let known = self.0.known.load(Ordering::Relaxed);
        (known > 0).then_some(known)
    }

    /// Counts anew, off the caller's path, where it is time to.
    pub(super) fn keep_known(&self, facts: &Arc<dyn FactStore>, now: Duration) {
        let due = self.0.due.load(Ordering::Relaxed);
        let at = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let relaxed = Ordering::Relaxed;
        // One of any number who see it.
        let is_mine = at(now) >= due
            && self
                .0
                .due
                .compare_exchange(due, at(now + EVERY), relaxed, relaxed)
                .is_ok();
        if !is_mine {
            return;
        }
        let (this, facts) = (self.clone(), Arc::clone(facts));
        tokio::spawn(async move {
            match this.count(&*facts).await {
                Ok(count) => this.0.known.store(count.max(1), Ordering::Relaxed),
                Err(_) => this.0.due.store(at(now + AGAIN), Ordering::Relaxed),
            }
        });
    }

    async fn count(&self, facts: &dyn FactStore) -> Result<u64, StoreError> {
        let (set, own) = (&self.0.set, &self.0.own);
        facts.insert(set, own.clone(), STANDS).await?;
        let members = facts.members(set).await?;
        Ok(u64::try_from(members.len()).unwrap_or(u64::MAX))
    }
}
