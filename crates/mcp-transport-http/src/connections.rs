//! The places for connections: how many there are, who has them, and who gives one up when all are
//! taken.
//!
//! A connection is a stranger's until a request on it was authenticated. Strangers that wait for
//! nothing go first, the oldest before the others, so that whoever comes to log in or to work finds
//! a place. Where there are none, whoever has most of the places gives one of them up, unless it is
//! the only one or all are at work. A connection that waits for the rest of a body, or for its client
//! to read, is not at work: no user keeps the others out. What finds no place all the same is
//! let in for one answer, which a probe gets as always.

mod place;
mod state;

use std::{
    collections::BTreeSet,
    fmt,
    hash::RandomState,
    iter,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use mcp_outbound::LogThrottle;
use tokio::sync::Notify;

pub(crate) use self::place::{Kind, Place, Taken};
use self::state::State;
use crate::{
    client_address::AddressBucket,
    config::HttpConfig,
    idle::Activity,
    memory::{Half, MemoryBudget, MemoryCharge},
};

/// What a connection holds as long as its heads, bodies and answers are small, in bytes.
const BASE: usize = 16 * 1024;

/// Connections beyond the limit that are let in for one answer.
pub(crate) const RESERVE: usize = 32;

/// The connections of a server.
pub(crate) struct Connections {
    limit: usize,
    strangers_per_address: Option<usize>,
    memory: MemoryBudget,
    /// Makes a number of a name: what a user is called need not be kept.
    names: RandomState,
    state: Mutex<State>,
    open: AtomicUsize,
    refused: AtomicU64,
    displaced: AtomicU64,
    /// Connections that were told to end and have not yet.
    ending: AtomicUsize,
    ended: Notify,
    full: LogThrottle,
}

/// What can be seen of the connections of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Open connections.
    pub open: usize,
    /// Most at a time.
    pub limit: usize,
    /// Connections that found no place, since the start.
    pub refused: u64,
    /// Connections that gave up their place to another, since the start.
    pub displaced: u64,
}

impl Connections {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let affordable = config.memory.limit_of(Half::Connections) / BASE;
        Self {
            limit: config.max_connections.min(affordable).max(1),
            strangers_per_address: config.max_strangers_per_address,
            memory: config.memory.clone(),
            names: RandomState::new(),
            state: Mutex::default(),
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            displaced: AtomicU64::new(0),
            ending: AtomicUsize::new(0),
            ended: Notify::new(),
            full: LogThrottle::default(),
        }
    }

    pub(crate) fn counts(&self) -> ConnectionCounts {
        ConnectionCounts {
            open: self.open.load(Ordering::Relaxed),
            limit: self.limit,
            refused: self.refused.load(Ordering::Relaxed),
            displaced: self.displaced.load(Ordering::Relaxed),
        }
    }

    /// A place for a connection of `bucket`; `None` where many clients may have its address.
    pub(crate) fn admit(
        self: &Arc<Self>,
        bucket: Option<AddressBucket>,
        activity: Arc<Activity>,
    ) -> Taken {
        let group = bucket.filter(|_| self.strangers_per_address.is_some());
        let mut state = self.state();
        let (kind, charge) = match self.make_room(group, &mut state) {
            Ok(charge) => (Kind::Usual, Some(charge)),
            Err(kind) => (kind, None),
        };
        state.next += 1;
        let place = Arc::new(Place {
            connections: Arc::clone(self),
            number: state.next,
            group,
            kind,
            user: OnceLock::new(),
            is_displaced: AtomicBool::new(false),
            activity,
            charge: Mutex::new(charge),
            gone: Notify::new(),
        });
        if kind == Kind::Usual {
            self.open.fetch_add(1, Ordering::Relaxed);
            state.strangers.insert(place.number, Arc::clone(&place));
            if let Some(group) = group {
                state
                    .by_group
                    .entry(group)
                    .or_default()
                    .insert(place.number);
            }
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            state.reserve.push_back(Arc::clone(&place));
            if state.reserve.len() > RESERVE
                && let Some(oldest) = state.reserve.pop_front()
            {
                self.end(&oldest);
            }
        }
        drop(state);
        if kind == Kind::Full {
            self.say_full();
        }
        Taken { place }
    }

    /// See [`Place::grow`].
    fn grow(&self, place: &Place, bytes: usize) -> bool {
        let mut charge = place.charge();
        let Some(charge) = charge.as_mut() else {
            // In the reserve, heads are short.
            return bytes <= BASE;
        };
        let bytes = bytes.max(charge.bytes());
        if charge.grow_to(bytes) {
            return true;
        }
        let mut state = self.state();
        let Some(givers) = self.givers(&state, bytes - charge.bytes(), place.number) else {
            return false;
        };
        // Their bytes come back in a moment, when their tasks have ended.
        for giver in givers {
            self.displace(&mut state, &giver);
        }
        charge.count_to(bytes);
        true
    }

    /// What one more connection is charged for, at the cost of another where that is needed; nobody
    /// gives anything up for one that is sent away all the same.
    fn make_room(
        &self,
        group: Option<AddressBucket>,
        state: &mut State,
    ) -> Result<MemoryCharge, Kind> {
        let mut giver = match self.crowd(group, state) {
            Some(members) => Some(state.oldest_idle_of(members).ok_or(Kind::TooMany)?),
            None => None,
        };
        let is_full = self.open.load(Ordering::Relaxed) >= self.limit;
        if giver.is_none() && is_full {
            giver = Some(self.giver(state).ok_or(Kind::Full)?);
        }
        let charge = self.memory.take_for_connection(BASE);
        if giver.is_none() && charge.is_none() {
            giver = Some(self.giver(state).ok_or(Kind::Full)?);
        }
        if let Some(giver) = giver {
            self.displace(state, &giver);
        }
        if is_full {
            self.say_full();
        }
        // Whoever gave up its place has had as much at least.
        Ok(charge.unwrap_or_else(|| self.memory.count(Half::Connections, None, BASE)))
    }

    /// The strangers of a network that has as many as it may.
    fn crowd<'a>(
        &self,
        group: Option<AddressBucket>,
        state: &'a State,
    ) -> Option<&'a BTreeSet<u64>> {
        let members = state.by_group.get(&group?)?;
        (members.len() >= self.strangers_per_address?).then_some(members)
    }

    /// Who gives up its place for one more.
    fn giver(&self, state: &State) -> Option<Arc<Place>> {
        self.givers(state, 1, 0)?.pop()
    }

    /// Whose end frees so many bytes, as few as will do; `None` where all together do not.
    fn givers(&self, state: &State, needed: usize, asking: u64) -> Option<Vec<Arc<Place>>> {
        let mut freed = 0;
        let mut givers = Vec::new();
        let strangers = state.idle_strangers(asking).map(Arc::clone);
        // Strangers that are busy must not push out one connection of a user after the other.
        let few_strangers = state.strangers.len() < (self.limit / 4).max(1);
        let users = iter::once_with(|| state.idle_of_the_largest(asking));
        let users = users.filter(|_| few_strangers).flatten();
        for place in strangers.chain(users) {
            freed += place.bytes();
            givers.push(place);
            if freed >= needed {
                return Some(givers);
            }
        }
        None
    }

    /// Ends a connection, which gives its place up.
    fn displace(&self, state: &mut State, place: &Place) {
        state.forget(place);
        self.displaced.fetch_add(1, Ordering::Relaxed);
        // Its place is another's from now on, its file is open a moment longer.
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.end(place);
    }

    fn end(&self, place: &Place) {
        place.is_displaced.store(true, Ordering::Relaxed);
        self.ending.fetch_add(1, Ordering::Relaxed);
        place.gone.notify_one();
    }

    /// Resolves when few connections are left that were told to end: each has a file open.
    pub(crate) async fn settled(&self) {
        loop {
            let ended = self.ended.notified();
            if self.ending.load(Ordering::Relaxed) < RESERVE {
                return;
            }
            ended.await;
        }
    }

    fn say_full(&self) {
        if let Some(unsaid) = self.full.pass() {
            let counts = self.counts();
            tracing::warn!(
                open = counts.open,
                limit = counts.limit,
                refused = counts.refused,
                displaced = counts.displaced,
                unsaid,
                "every place for a connection is taken: new ones take those of clients that never \
                 authenticated, then those of whoever has most, or are sent away; MAX_CONNECTIONS, MEMORY_BUDGET and the limit of \
                 open files say how many there are"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

#[cfg(test)]
mod tests;
