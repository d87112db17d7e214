//! [`FactStore`]: what holds until its time is over and can be worked out by nobody else, as opaque
//! bytes: that a write was begun, what came of it, that somebody is no longer let in.
//!
//! A session is a cache entry, and losing one costs a verification. A fact that was taken is never
//! evicted: a store that has no room left refuses new ones. Every change of a fact is a
//! compare-and-set on its version, so that of any number of instances one wins and the others see what
//! is there. [`MemoryFacts`] serves a single instance, [`RedisStore`](crate::RedisStore) all of them.

mod file;

pub use self::file::{FileFacts, replace as replace_file};

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::store::StoreError;

/// A value, and the version it has: random when it is new, one more with every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// It is also a fencing token: who was overtaken is refused, even if the fact was removed and is
    /// there anew.
    pub version: u64,
    /// Opaque bytes.
    pub value: Vec<u8>,
}

/// What came of [`FactStore::put_if_absent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is there now, with this version.
    Created(u64),
    /// Somebody was faster; this is there.
    Exists(Fact),
}

/// What came of [`FactStore::compare_and_set`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// It is there now, with the next version.
    Done,
    /// Another version is there, or nothing.
    Lost(Option<Fact>),
}

/// A budget that fills up by itself, evenly: so many at once at most, and so many in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    limit: u64,
    window: Duration,
}

impl Rate {
    /// The longest window there is.
    pub const LONGEST: Duration = Duration::from_hours(24);

    /// `limit` in `window`. At least one, in a microsecond at least and [`Rate::LONGEST`] at most.
    pub fn new(limit: u64, window: Duration) -> Self {
        let least = Duration::from_micros(1);
        let window = window.clamp(least, Self::LONGEST);
        let limit = limit.clamp(1, micros(window));
        Self { limit, window }
    }

    /// How many in a window.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The window.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Until one more is there, in whole microseconds.
    pub fn every(&self) -> Duration {
        Duration::from_micros(micros(self.window) / self.limit)
    }

    /// Until an empty budget is full.
    pub fn whole(&self) -> Duration {
        Duration::from_micros(micros(self.every()).saturating_mul(self.limit))
    }
}

/// What came of [`FactStore::spend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// So much of what was wanted.
    pub granted: u64,
    /// Until the budget is full again, by the store's clock: longer than it takes to fill it where more
    /// was owed than there was.
    pub full_in: Duration,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Facts under keys, budgets, and sets whose members expire. All on the store's own clock.
///
/// Each operation is one step for all instances (linearizable), as far as the store is: Redis loses
/// the last writes when a master dies before its replica has them.
#[async_trait]
pub trait FactStore: Send + Sync + 'static {
    /// The fact under `key`, if there is one.
    async fn read(&self, key: &str) -> Result<Option<Fact>, StoreError>;

    /// Keeps `value` under `key` for `ttl`, unless something is there.
    async fn put_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Put, StoreError>;

    /// Puts `value` in the place of that `version`, for `ttl` from now.
    async fn compare_and_set(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Swap, StoreError>;

    /// Removes the fact of that `version`, unless it was changed. Whether it was there; a removal whose
    /// answer was lost says `false` when it is sent again.
    async fn compare_and_delete(&self, key: &str, version: u64) -> Result<bool, StoreError>;

    /// The fact under `key`, which nobody else gets any more. After an error it may be gone.
    async fn take(&self, key: &str) -> Result<Option<Fact>, StoreError>;

    /// Takes from the budget under `key` (GCRA): what is `owed` in any case, for it was given out before,
    /// and of what is `wanted` as much as there is. After an error it may have been taken.
    async fn spend(
        &self,
        key: &str,
        rate: Rate,
        owed: u64,
        wanted: u64,
    ) -> Result<Spent, StoreError>;

    /// Keeps a member in the set under `key` for `ttl`, or for as long as it had if that is longer.
    async fn insert(&self, key: &str, member: Vec<u8>, ttl: Duration) -> Result<(), StoreError>;

    /// Takes a member out of the set under `key`.
    async fn remove(&self, key: &str, member: &[u8]) -> Result<(), StoreError>;

    /// All members of the set under `key`, in any order, each with the time it has left.
    async fn members(&self, key: &str) -> Result<Vec<(Vec<u8>, Duration)>, StoreError>;
}

/// Longest member of a set, in bytes.
pub const MAX_MEMBER: usize = 4 * 1024;

/// Longest value of a fact, in bytes.
pub const MAX_FACT: usize = 64 * 1024;

/// Facts of a single instance: bounded by bytes, and refused beyond. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryFacts {
    inner: Arc<Mutex<Facts>>,
}

#[derive(Debug)]
struct Facts {
    values: HashMap<String, Held>,
    sets: HashMap<String, HashMap<Vec<u8>, Instant>>,
    bytes: usize,
    max_bytes: usize,
    swept: Instant,
}

#[derive(Debug)]
struct Held {
    fact: Fact,
    until: Instant,
}

impl MemoryFacts {
    /// Facts of at most `max_bytes`, keys and an allowance for the map included.
    pub fn new(max_bytes: usize) -> Self {
        let facts = Facts {
            values: HashMap::new(),
            sets: HashMap::new(),
            bytes: 0,
            max_bytes,
            swept: Instant::now(),
        };
        Self {
            inner: Arc::new(Mutex::new(facts)),
        }
    }

    /// How many bytes they take, roughly.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryFacts {
    /// 32 MiB: some 25,000 answers of 1 KiB.
    fn default() -> Self {
        Self::new(32 * 1024 * 1024)
    }
}

/// What the map itself takes for an entry, roughly.
const ENTRY_OVERHEAD: usize = 128;

/// Sweeping looks at everything: not with every refusal.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

fn size(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_OVERHEAD
}

impl Facts {
    /// The live fact under `key`; one that is over is removed.
    fn live(&mut self, key: &str, now: Instant) -> Option<&Held> {
        if self.values.get(key)?.until <= now {
            self.forget(key);
        }
        self.values.get(key)
    }

    fn forget(&mut self, key: &str) -> Option<Fact> {
        let held = self.values.remove(key)?;
        self.bytes -= size(key, &held.fact.value);
        Some(held.fact)
    }

    fn keep(&mut self, key: &str, fact: Fact, until: Instant) -> Result<(), StoreError> {
        let old = self.values.get(key);
        let old = old.map_or(0, |held| size(key, &held.fact.value));
        let new = size(key, &fact.value);
        if fact.value.len() > MAX_FACT {
            return Err(StoreError::Full);
        }
        self.make_room(new.saturating_sub(old))?;
        self.bytes = self.bytes + new - old;
        self.values.insert(key.to_owned(), Held { fact, until });
        Ok(())
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.bytes + bytes > self.max_bytes && now >= self.swept + BETWEEN_SWEEPS {
            self.sweep(now);
        }
        if self.bytes + bytes > self.max_bytes {
            return Err(StoreError::Full);
        }
        Ok(())
    }

    fn sweep(&mut self, now: Instant) {
        let mut freed = 0;
        self.values.retain(|key, held| {
            let live = held.until > now;
            freed += if live { 0 } else { size(key, &held.fact.value) };
            live
        });
        self.sets.retain(|key, members| {
            freed += without_expired(key, members, now);
            !members.is_empty()
        });
        self.bytes -= freed;
        self.swept = now;
    }

    /// The members of a set that are still in it; a set without any is removed.
    fn set(&mut self, key: &str, now: Instant) -> Option<&mut HashMap<Vec<u8>, Instant>> {
        let members = self.sets.get_mut(key)?;
        self.bytes -= without_expired(key, members, now);
        if members.is_empty() {
            self.sets.remove(key);
        }
        self.sets.get_mut(key)
    }
}

/// Removes the members whose time is over; how many bytes they took.
fn without_expired(key: &str, members: &mut HashMap<Vec<u8>, Instant>, now: Instant) -> usize {
    let mut freed = 0;
    members.retain(|member, until| {
        let live = *until > now;
        freed += if live { 0 } else { size(key, member) };
        live
    });
    freed
}

#[async_trait]
impl FactStore for MemoryFacts {
    async fn read(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        let mut facts = self.lock();
        let held = facts.live(key, Instant::now());
        Ok(held.map(|held| held.fact.clone()))
    }

    async fn put_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Put, StoreError> {
        let (mut facts, now) = (self.lock(), Instant::now());
        if let Some(held) = facts.live(key, now) {
            return Ok(Put::Exists(held.fact.clone()));
        }
        let version = first_version()?;
        facts.keep(key, Fact { version, value }, now + ttl)?;
        Ok(Put::Created(version))
    }

    async fn compare_and_set(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Swap, StoreError> {
        let (mut facts, now) = (self.lock(), Instant::now());
        match facts.live(key, now) {
            Some(held) if held.fact.version == version => {
                let version = version.wrapping_add(1);
                facts.keep(key, Fact { version, value }, now + ttl)?;
                Ok(Swap::Done)
            }
            other => Ok(Swap::Lost(other.map(|held| held.fact.clone()))),
        }
    }

    async fn compare_and_delete(&self, key: &str, version: u64) -> Result<bool, StoreError> {
        let mut facts = self.lock();
        let held = facts.live(key, Instant::now());
        let same = held.is_some_and(|held| held.fact.version == version);
        Ok(same && facts.forget(key).is_some())
    }

    async fn take(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        let mut facts = self.lock();
        facts.live(key, Instant::now());
        Ok(facts.forget(key))
    }

    async fn spend(
        &self,
        key: &str,
        rate: Rate,
        owed: u64,
        wanted: u64,
    ) -> Result<Spent, StoreError> {
        let (mut facts, now) = (self.lock(), Instant::now());
        let used = facts
            .live(key, now)
            .map_or(Duration::ZERO, |held| held.until - now);
        let (every, whole) = (micros(rate.every()), micros(rate.whole()));
        // The most that is remembered: one window of debts.
        let most = whole.saturating_mul(2);
        let used = micros(used)
            .saturating_add(owed.saturating_mul(every))
            .min(most);
        let granted = wanted.min(whole.saturating_sub(used) / every);
        let full_in = Duration::from_micros(used + granted * every);
        let fact = Fact {
            version: 1,
            value: Vec::new(),
        };
        facts.keep(key, fact, now + full_in)?;
        Ok(Spent { granted, full_in })
    }

    async fn insert(&self, key: &str, member: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        if member.len() > MAX_MEMBER {
            return Err(StoreError::Full);
        }
        let (mut facts, now) = (self.lock(), Instant::now());
        let until = now + ttl;
        if let Some(held) = facts.set(key, now).and_then(|set| set.get_mut(&member)) {
            *held = until.max(*held);
            return Ok(());
        }
        let size = size(key, &member);
        facts.make_room(size)?;
        facts.bytes += size;
        facts
            .sets
            .entry(key.to_owned())
            .or_default()
            .insert(member, until);
        Ok(())
    }

    async fn remove(&self, key: &str, member: &[u8]) -> Result<(), StoreError> {
        let mut facts = self.lock();
        let Entry::Occupied(mut set) = facts.sets.entry(key.to_owned()) else {
            return Ok(());
        };
        let removed = set.get_mut().remove(member);
        if set.get().is_empty() {
            set.remove();
        }
        facts.bytes -= removed.map_or(0, |_| size(key, member));
        Ok(())
    }

    async fn members(&self, key: &str) -> Result<Vec<(Vec<u8>, Duration)>, StoreError> {
        let (mut facts, now) = (self.lock(), Instant::now());
        let set = facts.set(key, now).into_iter().flatten();
        let left = set.map(|(member, until)| (member.clone(), *until - now));
        Ok(left.collect())
    }
}

/// No two facts of one name begin alike. Half of the numbers are left to grow into.
pub(crate) fn first_version() -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Unreachable("no randomness"))?;
    Ok(u64::from_be_bytes(bytes) >> 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn a_fact_is_never_evicted_and_new_ones_are_refused_until_there_is_room() {
        let facts = MemoryFacts::new(4 * (ENTRY_OVERHEAD + 2 + 100));
        for n in 0..4 {
            let (key, ttl) = (format!("k{n}"), HOUR * (1 + u32::from(n)));
            let put = facts.put_if_absent(&key, vec![n; 100], ttl);
            assert!(matches!(put.await, Ok(Put::Created(_))));
        }
        let more = || facts.put_if_absent("k4", vec![4; 100], HOUR);
        assert_eq!(more().await, Err(StoreError::Full));
        assert_eq!(
            facts.insert("k4", vec![4], HOUR).await,
            Err(StoreError::Full)
        );
        let version = facts.read("k3").await.unwrap().unwrap().version;
        let same_length = facts.compare_and_set("k3", version, vec![9; 100], HOUR);
        let same_length = same_length.await;
        assert_eq!(same_length, Ok(Swap::Done), "a change needs no new room");
        for n in 0..3 {
            let fact = facts.read(&format!("k{n}")).await.unwrap().unwrap();
            assert_eq!(fact.value, vec![n; 100]);
        }
        tokio::time::advance(HOUR).await;
        let put = more().await;
        assert!(matches!(put, Ok(Put::Created(_))), "the first is over");
        facts.take("k4").await.unwrap();
        for n in 0..4 {
            facts.take(&format!("k{n}")).await.unwrap();
        }
        assert_eq!(facts.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_gone_and_a_window_begins_anew() {
        let facts = MemoryFacts::default();
        let put = facts.put_if_absent("k", vec![1], HOUR).await.unwrap();
        let Put::Created(version) = put else {
            panic!("nothing was there")
        };
        facts.insert("s", vec![1], HOUR).await.unwrap();
        facts.insert("s", vec![2], HOUR * 2).await.unwrap();
        facts.insert("s", vec![2], HOUR).await.unwrap();
        let rate = Rate::new(4, HOUR);
        let first = facts.spend("b", rate, 1, 4).await.unwrap();
        assert_eq!((first.granted, first.full_in), (3, HOUR));
        tokio::time::advance(HOUR / 2).await;
        let second = facts.spend("b", rate, 0, 1).await.unwrap();
        assert_eq!((second.granted, second.full_in), (1, HOUR * 3 / 4));
        tokio::time::advance(HOUR / 2).await;
        assert_eq!(facts.read("k").await, Ok(None));
        assert_eq!(
            facts.compare_and_set("k", version, vec![2], HOUR).await,
            Ok(Swap::Lost(None))
        );
        assert_eq!(facts.members("s").await, Ok(vec![(vec![2], HOUR)]));
        let third = facts.spend("b", rate, 100, 1).await.unwrap();
        assert_eq!((third.granted, third.full_in), (0, HOUR * 2), "debts");
        tokio::time::advance(HOUR).await;
        assert_eq!(facts.members("s").await, Ok(Vec::new()));
        assert!(facts.lock().sets.is_empty(), "a set ends with its members");
    }

    #[tokio::test]
    async fn what_is_removed_and_there_anew_has_another_version() {
        let facts = MemoryFacts::default();
        let mut seen = HashSet::new();
        for _ in 0..100 {
            let put = facts.put_if_absent("k", vec![1], HOUR).await.unwrap();
            let Put::Created(version) = put else {
                panic!("nothing was there")
            };
            assert!(seen.insert(version));
            assert_eq!(facts.compare_and_delete("k", version).await, Ok(true));
        }
    }

    #[tokio::test]
    async fn a_fact_that_is_too_long_is_refused() {
        let facts = MemoryFacts::default();
        let long = vec![0; MAX_FACT + 1];
        assert_eq!(
            facts.put_if_absent("k", long, HOUR).await,
            Err(StoreError::Full)
        );
        assert_eq!(facts.read("k").await, Ok(None));
    }
}
