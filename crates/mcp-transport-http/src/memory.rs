//! How much memory requests may hold together. What does not fit is sent away: a server that is
//! killed for its memory takes everybody's calls with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::cgroup;

/// What is assumed where the system does not tell its memory, in bytes.
const UNKNOWN: usize = 512 * 1024 * 1024;

/// When whoever was sent away for want of memory may come again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Bytes that connections, requests and answers may hold at a time. A cheap handle.
///
/// One half is for connections and what they send before it is known who they are, the other for
/// bodies, for what is fetched to answer them, and for answers until they are written. Neither takes
/// the other's: strangers cannot take the room of those who are known.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Shares>);

#[derive(Debug)]
struct Shares {
    connections: Share,
    work: Share,
}

#[derive(Debug)]
struct Share {
    limit: usize,
    used: AtomicUsize,
    refused: AtomicU64,
}

/// One of the halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Connections,
    Work,
}

/// Bytes of a budget that are taken; dropping gives them back.
#[derive(Debug)]
pub struct MemoryCharge {
    shares: Arc<Shares>,
    half: Half,
    bytes: usize,
}

/// What a budget has and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// All of it, in bytes.
    pub limit: usize,
    /// What is taken, in bytes.
    pub used: usize,
    /// How often there was no room.
    pub refused: u64,
}

impl MemoryBudget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Self {
        let share = || Share {
            limit: bytes / 2,
            used: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        };
        Self(Arc::new(Shares {
            connections: share(),
            work: share(),
        }))
    }

    /// Half of what this process may use: the least of the limits of its control groups (version 1
    /// and 2) and the memory of the machine. The other half is for sessions, code, and what the
    /// allocator keeps.
    pub fn of_this_process() -> Self {
        let limit = cgroup::memory_limit().and_then(|limit| usize::try_from(limit).ok());
        Self::new(limit.unwrap_or(UNKNOWN) / 2)
    }

    /// Takes bytes for the work on a request; `None` when there is no room. What is more than half of
    /// the room that there is counts as half: it could never be done else.
    pub fn take(&self, bytes: usize) -> Option<MemoryCharge> {
        let most = self.0.work.limit / 2;
        self.take_of(Half::Work, bytes.min(most))
    }

    /// All of it together.
    pub fn usage(&self) -> MemoryUsage {
        let (one, other) = (&self.0.connections, &self.0.work);
        MemoryUsage {
            limit: one.limit + other.limit,
            used: one.used.load(Ordering::Relaxed) + other.used.load(Ordering::Relaxed),
            refused: one.refused.load(Ordering::Relaxed) + other.refused.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn take_of(&self, half: Half, bytes: usize) -> Option<MemoryCharge> {
        let mut charge = self.nothing(half);
        charge.grow_to(bytes).then_some(charge)
    }

    /// Counts what is there already, whether there is room for it or not.
    pub(crate) fn count(&self, half: Half, bytes: usize) -> MemoryCharge {
        let mut charge = self.nothing(half);
        charge.count_to(bytes);
        charge
    }

    /// Whether new work has room.
    pub(crate) fn has_room(&self) -> bool {
        let share = &self.0.work;
        let has_room = share.used.load(Ordering::Relaxed) < share.limit;
        if !has_room {
            share.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    pub(crate) fn limit_of(&self, half: Half) -> usize {
        self.0.share(half).limit
    }

    fn nothing(&self, half: Half) -> MemoryCharge {
        MemoryCharge {
            shares: Arc::clone(&self.0),
            half,
            bytes: 0,
        }
    }
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::of_this_process()
    }
}

impl Shares {
    fn share(&self, half: Half) -> &Share {
        match half {
            Half::Connections => &self.connections,
            Half::Work => &self.work,
        }
    }
}

impl MemoryCharge {
    /// Takes more, up to this many bytes in all; `false`, and nothing changes, when there is no room.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let share = self.shares.share(self.half);
        let before = share.used.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > share.limit {
            share.used.fetch_sub(more, Ordering::Relaxed);
            share.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// Takes more, up to this many bytes in all, whether there is room or not.
    pub(crate) fn count_to(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.shares
            .share(self.half)
            .used
            .fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for MemoryCharge {
    fn drop(&mut self) {
        self.shares
            .share(self.half)
            .used
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_and_no_more_is_given_than_there_is() {
        let budget = MemoryBudget::new(200);
        let mut first = budget.take_of(Half::Work, 60).unwrap();
        assert!(budget.take(41).is_none());
        assert!(!first.grow_to(101) && first.grow_to(100) && !budget.has_room());
        assert_eq!(budget.usage().used, 100);
        assert_eq!(budget.usage().refused, 3);
        drop(first);
        let [one, other] = [budget.take(1_000), budget.take(1_000)];
        assert!(one.is_some() && other.is_some() && budget.take(1).is_none());
        drop((one, other));
        assert_eq!(budget.usage().used, 0);
    }

    #[test]
    fn neither_half_takes_the_others_and_what_is_there_is_counted() {
        let budget = MemoryBudget::new(200);
        let strangers = budget.take_of(Half::Connections, 100).unwrap();
        assert!(budget.take_of(Half::Connections, 1).is_none());
        assert!(budget.has_room());
        let answer = budget.count(Half::Work, 150);
        assert!(!budget.has_room());
        drop((strangers, answer));
        assert_eq!(budget.usage().used, 0);
    }
}
