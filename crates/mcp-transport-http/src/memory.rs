//! How much memory requests may hold together. What does not fit is sent away: a server that is
//! killed for its memory takes everybody's calls with it.

use std::{
    hash::{BuildHasher as _, RandomState},
    iter,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Extensions;
use mcp_auth::Principal;

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
///
/// Nor does one user take that of the others: of the half for work, each may hold as much as is still
/// free after it, so the next one always finds room. Whoever holds little besides may have one thing
/// as large as what is free, or half of all if that is less: there is no smaller part of it to be had.
/// The users of one organization together may hold three times what is still free.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Shares>);

#[derive(Debug)]
struct Shares {
    connections: Share,
    work: Share,
    /// What users hold of the work half. They are told apart by chance: as good as always, and
    /// without a lock or a list that grows. Nobody can choose whom to share with.
    held: Box<[AtomicUsize]>,
    /// The same of their organizations.
    held_by_tenants: Box<[AtomicUsize]>,
    names: RandomState,
}

/// How many users are told apart.
const USERS: usize = 4096;
/// What a user may hold besides one large thing: this part of the half.
const LITTLE: usize = 16;
/// What a tenant may hold for each byte that is free.
const OF_TENANT: usize = 3;

/// A user of a tenant, as far as a budget tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUser {
    user: usize,
    tenant: usize,
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
    user: Option<MemoryUser>,
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
            held: counts(),
            held_by_tenants: counts(),
            names: RandomState::new(),
        }))
    }

    /// Half of what this process may use: the least of the limits of its control groups (version 1
    /// and 2) and the memory of the machine. The other half is for sessions, code, and what the
    /// allocator keeps.
    pub fn of_this_process() -> Self {
        let limit = cgroup::memory_limit().and_then(|limit| usize::try_from(limit).ok());
        Self::new(limit.unwrap_or(UNKNOWN) / 2)
    }

    /// The subject of an issuer, in an organization or in none.
    pub fn user(&self, issuer: &str, subject: &str, organization: Option<&str>) -> MemoryUser {
        let users = u64::try_from(USERS).unwrap_or(u64::MAX);
        let place = |hash: u64| usize::try_from(hash % users).unwrap_or_default();
        let user = self.0.names.hash_one((issuer, subject));
        let tenant = organization.map_or(user, |tenant| self.0.names.hash_one(tenant));
        MemoryUser {
            user: place(user),
            tenant: place(tenant),
        }
    }

    /// The same of somebody who is known.
    pub(crate) fn user_of(&self, principal: &Principal) -> MemoryUser {
        let (issuer, subject) = (principal.issuer(), principal.subject());
        self.user(issuer, subject, principal.organization())
    }

    /// Takes bytes for the work on a user's request; `None` when there is no room. What is more than
    /// half of the room that there is counts as half: it could never be done else.
    pub fn take(&self, user: MemoryUser, bytes: usize) -> Option<MemoryCharge> {
        let mut charge = self.nothing(Half::Work, Some(user));
        charge.grow_to(bytes).then_some(charge)
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

    /// Takes bytes for a connection and what is not anybody's yet.
    pub(crate) fn take_for_connection(&self, bytes: usize) -> Option<MemoryCharge> {
        let mut charge = self.nothing(Half::Connections, None);
        charge.grow_to(bytes).then_some(charge)
    }

    /// Counts what is there already, whether there is room for it or not.
    pub(crate) fn count(&self, half: Half, user: Option<MemoryUser>, bytes: usize) -> MemoryCharge {
        let mut charge = self.nothing(half, user);
        charge.count_to(bytes);
        charge
    }

    /// Whether new work of this user has room.
    pub(crate) fn has_room(&self, user: MemoryUser) -> bool {
        let share = &self.0.work;
        let taken = share.used.load(Ordering::Relaxed);
        let held = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let [own, tenants] = self.0.held_by(user).map(|count| count.map_or(0, held));
        let free = share.limit.saturating_sub(taken);
        let has_room = free > 0 && own <= free && tenants <= free.saturating_mul(OF_TENANT);
        if !has_room {
            share.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    pub(crate) fn limit_of(&self, half: Half) -> usize {
        self.0.share(half).limit
    }

    fn nothing(&self, half: Half, user: Option<MemoryUser>) -> MemoryCharge {
        MemoryCharge {
            shares: Arc::clone(&self.0),
            half,
            user,
            bytes: 0,
        }
    }
}

fn counts() -> Box<[AtomicUsize]> {
    iter::repeat_with(AtomicUsize::default)
        .take(USERS)
        .collect()
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

    /// What a user holds, and what its tenant. There is one for each number that
    /// [`MemoryBudget::user`] gives.
    fn held_by(&self, user: MemoryUser) -> [Option<&AtomicUsize>; 2] {
        [
            self.held.get(user.user),
            self.held_by_tenants.get(user.tenant),
        ]
    }
}

impl MemoryCharge {
    /// The charge, which lasts as long as the work on the request that has these extensions: when its
    /// client leaves, that may go on.
    pub(crate) fn kept_in(self, extensions: &mut Extensions) -> Arc<Self> {
        let charge = Arc::new(self);
        extensions.insert(Arc::clone(&charge));
        charge
    }

    /// Takes more, up to this many bytes in all; `false`, and nothing changes, when there is no room.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let share = self.shares.share(self.half);
        let limit = share.limit;
        let bytes = match self.half {
            Half::Connections => bytes,
            Half::Work => bytes.min(limit / 2),
        };
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let (used, [own, tenants]) = self.add(more);
        let fits = limit.checked_sub(used).is_some_and(|free| {
            let fits = |held: usize, most: usize| {
                held <= most || held.saturating_sub(bytes) <= limit / LITTLE
            };
            fits(own, free) && fits(tenants, free.saturating_mul(OF_TENANT))
        });
        if !fits {
            self.subtract(more);
            let refused = &self.shares.share(self.half).refused;
            refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// Takes more, up to this many bytes in all, whether there is room or not.
    pub(crate) fn count_to(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.add(more);
        self.bytes += more;
    }

    /// What all hold with so much more, and of it the user and its tenant.
    fn add(&self, more: usize) -> (usize, [usize; 2]) {
        let added = |to: &AtomicUsize| to.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        let used = added(&self.shares.share(self.half).used);
        let held = self.user.map(|user| self.shares.held_by(user));
        (
            used,
            held.unwrap_or_default().map(|held| held.map_or(0, added)),
        )
    }

    fn subtract(&self, bytes: usize) {
        let used = &self.shares.share(self.half).used;
        used.fetch_sub(bytes, Ordering::Relaxed);
        let held = self.user.map(|user| self.shares.held_by(user));
        for held in held.into_iter().flatten().flatten() {
            held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for MemoryCharge {
    fn drop(&mut self) {
        self.subtract(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_users(budget: &MemoryBudget) -> (MemoryUser, MemoryUser) {
        let [ada, bob] = distinct(budget, &|_| None);
        (ada, bob)
    }

    /// Users of these organizations whom chance tells apart.
    fn distinct<const N: usize>(
        budget: &MemoryBudget,
        organization: &dyn Fn(usize) -> Option<&'static str>,
    ) -> [MemoryUser; N] {
        let mut found: Vec<MemoryUser> = Vec::new();
        for it in 0.. {
            let tenant = organization(found.len());
            let user = budget.user("https://issuer", &format!("{it}"), tenant);
            if found.iter().all(|other| other.user != user.user) {
                found.push(user);
            }
            if found.len() == N {
                break;
            }
        }
        found.try_into().unwrap()
    }

    #[test]
    fn what_is_taken_comes_back_and_no_more_is_given_than_there_is() {
        let budget = MemoryBudget::new(200);
        let (ada, bob) = two_users(&budget);
        let mut first = budget.take(ada, 30).unwrap();
        let other = budget.count(Half::Work, None, 60);
        assert!(!first.grow_to(41) && first.grow_to(40) && !budget.has_room(bob));
        assert!(budget.take(bob, 1).is_none());
        assert_eq!(budget.usage().used, 100);
        assert_eq!(budget.usage().refused, 3);
        drop((first, other));
        let [one, other] = [budget.take(ada, 1_000), budget.take(bob, 1_000)];
        assert!(one.is_some() && other.is_some() && budget.take(ada, 1).is_none());
        drop((one, other));
        assert_eq!(budget.usage().used, 0);
        assert!(budget.has_room(ada));
    }

    #[test]
    fn a_user_leaves_as_much_free_as_it_holds() {
        let budget = MemoryBudget::new(2 * 1600);
        let (ada, bob) = two_users(&budget);
        let all_of = |user| {
            let some = iter::from_fn(|| budget.take(user, 10));
            let held: Vec<_> = some.collect();
            (held.len() * 10, held)
        };
        let (size, mut held) = all_of(ada);
        assert_eq!(size, 800);
        assert!(budget.has_room(bob), "there is room for others");
        let (others, held_too) = all_of(bob);
        assert_eq!(others, 400);
        assert!(!budget.has_room(ada) && budget.has_room(bob));
        // Answers count, too: they were there without asking.
        drop(held_too);
        let _answer = budget.count(Half::Work, Some(ada), 100);
        held.truncate(70);
        assert!(budget.take(ada, 10).is_none());
        held.truncate(69);
        assert!(budget.take(ada, 10).is_some());
    }

    #[test]
    fn the_users_of_one_organization_leave_room_for_the_next() {
        let budget = MemoryBudget::new(2 * 1600);
        let all = distinct::<9>(&budget, &|at| Some(if at < 8 { "loud" } else { "quiet" }));
        let [loud @ .., quiet] = all;
        let of_each = loud.map(|user| iter::from_fn(|| budget.take(user, 10)).collect::<Vec<_>>());
        let held: usize = of_each.iter().map(|held| held.len() * 10).sum();
        assert_eq!(held, 1200);
        assert!(budget.take(loud[7], 10).is_none() && budget.has_room(quiet));
        let quiets: Vec<_> = iter::from_fn(|| budget.take(quiet, 10)).collect();
        assert_eq!(quiets.len() * 10, 200);
        drop((of_each, quiets));
        assert_eq!(budget.usage().used, 0);
        assert!(budget.has_room(loud[7]));
    }

    #[test]
    fn one_large_thing_needs_no_more_than_to_fit() {
        let budget = MemoryBudget::new(2 * 1600);
        let (ada, bob) = two_users(&budget);
        let _others = budget.take(bob, 600).unwrap();
        let _body = budget.take(ada, 100).unwrap();
        let large = budget.take(ada, 5_000).unwrap();
        assert_eq!(large.bytes(), 800);
        drop(large);
        let _more = budget.take(ada, 1).unwrap();
        assert!(budget.take(ada, 700).is_none(), "it holds more than little");
    }

    #[test]
    fn neither_half_takes_the_others_and_what_is_there_is_counted() {
        let budget = MemoryBudget::new(200);
        let (ada, _) = two_users(&budget);
        let strangers = budget.take_for_connection(100).unwrap();
        assert!(budget.take_for_connection(1).is_none());
        assert!(budget.has_room(ada));
        let answer = budget.count(Half::Work, Some(ada), 150);
        assert!(!budget.has_room(ada));
        drop((strangers, answer));
        assert_eq!(budget.usage().used, 0);
    }
}
