//! The places for connections: how many there are, who has them, and who gives one up when all are
//! taken.
//!
//! A connection is a stranger's until a request on it was authenticated. Strangers that wait for
//! nothing go first, the oldest before the others, so that whoever comes to log in or to work finds
//! a place. What finds none all the same is let in for one answer, which a probe gets as always.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

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

/// Between two log lines about the same trouble.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The connections of a server.
pub(crate) struct Connections {
    limit: usize,
    strangers_per_address: Option<usize>,
    memory: MemoryBudget,
    state: Mutex<State>,
    open: AtomicUsize,
    refused: AtomicU64,
    displaced: AtomicU64,
    /// Connections that were told to end and have not yet.
    ending: AtomicUsize,
    ended: Notify,
    full: Occasionally,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By age.
    strangers: BTreeMap<u64, Arc<Place>>,
    by_group: HashMap<AddressBucket, BTreeSet<u64>>,
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
    is_known: AtomicBool,
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
            state: Mutex::default(),
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            displaced: AtomicU64::new(0),
            ending: AtomicUsize::new(0),
            ended: Notify::new(),
            full: Occasionally::default(),
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
        let kind = if !self.has_room_for(group, &mut state) {
            Kind::TooMany
        } else if !self.has_place(&mut state) {
            Kind::Full
        } else {
            Kind::Usual
        };
        let charge = match kind {
            Kind::Usual => self.charge_for_one(&mut state),
            _ => None,
        };
        // What is too little for a connection is too little for its place.
        let kind = match (kind, &charge) {
            (Kind::Usual, None) => Kind::Full,
            (kind, _) => kind,
        };
        state.next += 1;
        let place = Arc::new(Place {
            connections: Arc::clone(self),
            number: state.next,
            group,
            kind,
            is_known: AtomicBool::new(false),
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
        let needed = bytes - charge.bytes();
        let mut freed = 0;
        let mut state = self.state();
        while freed < needed {
            let Some(other) = state.oldest_idle(|other| other != place.number) else {
                return false;
            };
            // Its bytes come back in a moment, when its task has ended.
            freed += self.displace(&mut state, &other);
        }
        charge.count_to(bytes);
        true
    }

    fn has_room_for(&self, group: Option<AddressBucket>, state: &mut State) -> bool {
        let (Some(group), Some(limit)) = (group, self.strangers_per_address) else {
            return true;
        };
        let Some(members) = state.by_group.get(&group) else {
            return true;
        };
        if members.len() < limit {
            return true;
        }
        let idle = members.iter().filter_map(|it| state.strangers.get(it));
        let oldest = idle
            .filter(|it| it.activity.is_idle())
            .map(Arc::clone)
            .next();
        let Some(oldest) = oldest else { return false };
        self.displace(state, &oldest);
        true
    }

    fn has_place(&self, state: &mut State) -> bool {
        if self.open.load(Ordering::Relaxed) < self.limit {
            return true;
        }
        let Some(oldest) = state.oldest_idle(|_| true) else {
            return false;
        };
        self.displace(state, &oldest);
        self.say_full();
        true
    }

    fn charge_for_one(&self, state: &mut State) -> Option<MemoryCharge> {
        if let Some(charge) = self.memory.take_of(Half::Connections, BASE) {
            return Some(charge);
        }
        let oldest = state.oldest_idle(|_| true)?;
        self.displace(state, &oldest);
        Some(self.memory.count(Half::Connections, BASE))
    }

    /// Ends a connection; the bytes that this will free.
    fn displace(&self, state: &mut State, place: &Place) -> usize {
        state.forget(place);
        self.displaced.fetch_add(1, Ordering::Relaxed);
        // Its place is another's from now on, its file is open a moment longer.
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.end(place);
        // Its owner may be asking for more this moment: then what it has had is what counts.
        let charge = place.charge.try_lock();
        charge.map_or(BASE, |charge| {
            charge.as_ref().map_or(0, MemoryCharge::bytes)
        })
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
        if let Some(unsaid) = self.full.say() {
            let counts = self.counts();
            tracing::warn!(
                open = counts.open,
                limit = counts.limit,
                refused = counts.refused,
                displaced = counts.displaced,
                unsaid,
                "every place for a connection is taken: new ones take those of clients that never \
                 authenticated, or are sent away; MAX_CONNECTIONS, MEMORY_BUDGET and the limit of \
                 open files say how many there are"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The oldest stranger that waits for nothing.
    fn oldest_idle(&self, fits: impl Fn(u64) -> bool) -> Option<Arc<Place>> {
        let idle = |place: &&Arc<Place>| fits(place.number) && place.activity.is_idle();
        self.strangers.values().find(idle).map(Arc::clone)
    }

    /// No stranger any more.
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

    /// A request of this connection was authenticated.
    pub(crate) fn authenticated(&self) {
        if !self.is_known.load(Ordering::Relaxed) && !self.is_known.swap(true, Ordering::Relaxed) {
            self.connections.state().forget(self);
        }
    }

    /// Makes sure that the head that the connection has begun may be held in `bytes` bytes, at the
    /// cost of strangers that wait for nothing, if need be.
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

/// For trouble that comes in crowds: says it once in a while.
#[derive(Debug, Default)]
pub(crate) struct Occasionally(Mutex<(Option<Instant>, u64)>);

impl Occasionally {
    /// Whether it is to be said now, and how often it was not since the last time.
    pub(crate) fn say(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unsaid) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            *unsaid += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn connections(limit: usize, per_address: Option<usize>, memory: usize) -> Arc<Connections> {
        let mut config = HttpConfig::new("https://mcp.test", ["https://a.test"]).unwrap();
        config.max_connections = limit;
        config.max_strangers_per_address = per_address;
        config.memory = MemoryBudget::new(2 * memory);
        Arc::new(Connections::new(&config))
    }

    fn admit(connections: &Arc<Connections>, peer: &str) -> Taken {
        let activity = Activity::new(LONG, LONG, LONG);
        let peer: std::net::IpAddr = peer.parse().unwrap();
        connections.admit(Some(peer.into()), activity)
    }

    async fn is_gone(taken: &Taken) -> bool {
        let gone = taken.place.gone();
        tokio::time::timeout(Duration::ZERO, gone).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_stranger_that_waits_for_nothing_gives_up_its_place() {
        let connections = connections(4, None, 1 << 20);
        let [known, busy, oldest, last] = [1, 2, 3, 4].map(|_| admit(&connections, "192.0.2.1"));
        known.place.authenticated();
        let request = busy.place.activity.begin();
        let new = admit(&connections, "192.0.2.1");
        assert_eq!(new.place.kind(), Kind::Usual);
        assert!(is_gone(&oldest).await);
        assert!(!is_gone(&known).await && !is_gone(&busy).await && !is_gone(&last).await);
        assert_eq!(connections.counts().open, 4);
        drop(oldest);
        assert_eq!(connections.counts().open, 4);
        for place in [&last, &new] {
            place.place.authenticated();
        }
        assert_eq!(admit(&connections, "192.0.2.9").place.kind(), Kind::Full);
        drop(request);
        assert_eq!(admit(&connections, "192.0.2.9").place.kind(), Kind::Usual);
        drop((known, busy, last, new));
        assert_eq!(connections.counts().open, 0);
        assert_eq!(connections.memory.usage().used, 0);
    }

    #[tokio::test]
    async fn in_the_reserve_the_oldest_goes() {
        let connections = connections(1, None, 1 << 20);
        let only = admit(&connections, "192.0.2.1");
        only.place.authenticated();
        let reserve: Vec<_> = (0..=RESERVE)
            .map(|_| admit(&connections, "192.0.2.2"))
            .collect();
        assert!(is_gone(&reserve[0]).await && !is_gone(&reserve[1]).await);
        assert_eq!(connections.counts().open, 1);
    }

    #[tokio::test]
    async fn strangers_of_one_network_displace_each_other_and_nobody_else() {
        let connections = connections(100, Some(2), 1 << 20);
        let other = admit(&connections, "2001:db8::1");
        let first = admit(&connections, "2001:db8:0:1::1");
        let second = admit(&connections, "2001:db8:0:1:ffff::2");
        let third = admit(&connections, "2001:db8:0:1::3");
        assert!(is_gone(&first).await && !is_gone(&second).await && !is_gone(&other).await);
        let requests = [&second, &third].map(|it| it.place.activity.begin());
        let fourth = admit(&connections, "2001:db8:0:1::4");
        assert_eq!(fourth.place.kind(), Kind::TooMany);
        // Who is known does not count.
        second.place.authenticated();
        assert_eq!(
            admit(&connections, "2001:db8:0:1::5").place.kind(),
            Kind::Usual
        );
        drop(requests);
        drop((other, first, second, third, fourth));
        assert!(connections.state().by_group.is_empty());
    }

    #[tokio::test]
    async fn heads_displace_strangers_and_then_find_no_room() {
        let connections = connections(100, None, 4 * BASE);
        let [first, second, third, fourth] = [1, 2, 3, 4].map(|_| admit(&connections, "::1"));
        assert!(fourth.place.grow(3 * BASE));
        assert!(is_gone(&first).await && is_gone(&second).await && !is_gone(&third).await);
        let request = third.place.activity.begin();
        assert!(!fourth.place.grow(4 * BASE));
        drop((first, second, request));
        assert_eq!(connections.memory.usage().used, 4 * BASE);
        drop((third, fourth));
        assert_eq!(connections.memory.usage().used, 0);
    }
}
