//! One begin per write and process at a time, in the order they came.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::OwnedMutexGuard;

/// How many may ask for one write at once in a process: each holds what its request holds.
const MOST_ASKING: usize = 32;

/// Who is at work on what in this process.
#[derive(Default)]
pub(crate) struct Claims {
    turns: Mutex<HashMap<String, Arc<Turn>>>,
    asking: Mutex<HashMap<String, usize>>,
}

/// A place among those who ask for a write.
pub(crate) struct Asking {
    claims: Arc<Claims>,
    name: String,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let asking = self.claims.asking.lock();
        let mut asking = asking.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = asking.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                asking.remove(&self.name);
            }
        }
    }
}

#[derive(Default)]
struct Turn {
    held: Arc<tokio::sync::Mutex<()>>,
    /// How many intents have ended.
    ended: AtomicU64,
}

/// The right to look after a write in this process, until dropped.
pub(crate) struct Claim {
    claims: Arc<Claims>,
    name: String,
    turn: Arc<Turn>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Claims {
    /// A place among those who ask for a write, until it is dropped; nothing where so many ask already.
    pub(crate) fn ask(self: &Arc<Self>, name: &str) -> Option<Asking> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asking.entry(name.to_owned()).or_default();
        if *count >= MOST_ASKING {
            return None;
        }
        *count += 1;
        Some(Asking {
            claims: Arc::clone(self),
            name: name.to_owned(),
        })
    }

    /// The right to look after a write; and whether one that was at work on it ended meanwhile.
    pub(crate) async fn claim(self: &Arc<Self>, name: &str) -> (Claim, bool) {
        let mut claim = Claim {
            claims: Arc::clone(self),
            name: name.to_owned(),
            turn: Arc::clone(self.turns().entry(name.to_owned()).or_default()),
            held: None,
        };
        let before = claim.turn.ended.load(Ordering::SeqCst);
        claim.held = Some(Arc::clone(&claim.turn.held).lock_owned().await);
        let joined = claim.turn.ended.load(Ordering::SeqCst) != before;
        (claim, joined)
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<String, Arc<Turn>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Whoever waits now waited for the end of this write, not for somebody else who waited.
    pub(crate) fn ended(&self) {
        self.turn.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.held = None;
        let mut turns = self.claims.turns();
        drop(std::mem::take(&mut self.turn));
        if turns
            .get(&self.name)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            turns.remove(&self.name);
        }
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}
