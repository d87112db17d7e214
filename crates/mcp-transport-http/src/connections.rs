//! The places for connections: how many there are, who has them, and who gives one up when all are
//! taken.
//!
//! A connection is a stranger's until a request on it was authenticated. Strangers that wait for
//! nothing go first, the oldest before the others, so that whoever comes to log in or to work finds
//! a place. Where there are none, whoever has most of the places gives one of them up, unless it is
//! the only one or all are at work. A connection that waits for the rest of a body, or for its client
//! to read, is not at work: no user keeps the others out. What finds no place all the same is
//! let in for one answer, which a probe gets as always.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    hash::{BuildHasher as _, RandomState},
    iter,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use mcp_outbound::LogThrottle;
use tokio::sync::Notify;

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

#[derive(Default)]
struct State {
    next: u64,
    /// By age.
    strangers: BTreeMap<u64, Arc<Place>>,
    by_group: HashMap<AddressBucket, BTreeSet<u64>>,
    /// Those of each user, by age.
    by_user: HashMap<u64, BTreeMap<u64, Arc<Place>>>,
    /// Those that were let in for one answer.
    reserve: VecDeque<Arc<Place>>,
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

/// A connection's place.
pub(crate) struct Place {
    /// While it is taken, they know of each other.
    connections: Arc<Connections>,
    number: u64,
    /// What the limit per address counts by, where there is one.
    group: Option<AddressBucket>,
    kind: Kind,
    /// Who was authenticated on it, the first of them.
    user: OnceLock<u64>,
    is_displaced: AtomicBool,
    pub(crate) activity: Arc<Activity>,
    charge: Mutex<Option<MemoryCharge>>,
    gone: Notify,
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

impl State {
    /// Strangers that wait for nothing but their client, the oldest first.
    fn idle_strangers(&self, except: u64) -> impl Iterator<Item = &Arc<Place>> {
        let strangers = self.strangers.values();
        strangers.filter(move |it| it.number != except && it.activity.waits_for_client())
    }

    fn oldest_idle_of(&self, members: &BTreeSet<u64>) -> Option<Arc<Place>> {
        let mut members = members.iter().filter_map(|it| self.strangers.get(it));
        members
            .find(|it| it.activity.waits_for_client())
            .map(Arc::clone)
    }

    /// The connections of one user that can give way: of whoever has most among those who have one.
    /// Those that wait for nothing come first, then those that wait for their client; the only one is
    /// never among them.
    fn idle_of_the_largest(&self, except: u64) -> Vec<Arc<Place>> {
        let gives_way = |place: &Place| place.number != except && place.activity.waits_for_client();
        let mut most: Option<&BTreeMap<u64, Arc<Place>>> = None;
        for places in self.by_user.values() {
            let is_more = places.len() > most.map_or(1, BTreeMap::len);
            if is_more && places.values().any(|place| gives_way(place)) {
                most = Some(places);
            }
        }
        let Some(most) = most else {
            return Vec::new();
        };
        let mut givers: Vec<_> = most.values().filter(|it| gives_way(it)).cloned().collect();
        givers.sort_by_key(|place| !place.activity.is_idle());
        givers.truncate(most.len() - 1);
        givers
    }

    /// No stranger any more, but this user's; unless it was displaced in this moment.
    fn recognize(&mut self, number: u64, user: u64) {
        if let Some(place) = self.strangers.get(&number).map(Arc::clone) {
            self.forget(&place);
            if place.user.set(user).is_ok() {
                self.by_user.entry(user).or_default().insert(number, place);
            }
        }
    }

    /// Neither a stranger nor anybody's.
    fn forget(&mut self, place: &Place) {
        if let Some(group) = place.group
            && let Some(members) = self.by_group.get_mut(&group)
        {
            members.remove(&place.number);
            if members.is_empty() {
                self.by_group.remove(&group);
            }
        }
        self.strangers.remove(&place.number);
        if let Some(user) = place.user.get()
            && let Some(places) = self.by_user.get_mut(user)
        {
            places.remove(&place.number);
            if places.is_empty() {
                self.by_user.remove(user);
            }
        }
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

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
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
    fn bytes(&self) -> usize {
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

    fn charge(&self) -> MutexGuard<'_, Option<MemoryCharge>> {
        self.charge.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests;
