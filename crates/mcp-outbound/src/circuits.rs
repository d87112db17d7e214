//! [`Circuits`]: a circuit for each tenant beside that of the far end as a whole, so that what only one
//! tenant's requests run into stops nobody else's.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::breaker::{CircuitBreaker, HalfOpen};

/// Most tenants in trouble that are told apart. With so many, it is the far end's.
const MOST: usize = 10_000;

/// A tenant in trouble that does not ask for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// So many tenants that are turned away, and none served in between: it is meant for all.
const ALL: usize = 3;

/// Longest time for which a far end's word to stay away is taken without asking again.
const LONGEST: Duration = Duration::from_mins(1);

/// What a request ran into by the far end's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is not reached, whoever asks.
    Unreachable,
    /// It fails at this request, or does not answer: the tenant's data may be why.
    Failed,
}

/// Why a request may not go out now, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBack {
    /// The circuit is open.
    Open(Duration),
    /// The far end asked for it.
    TurnedAway(Duration),
}

/// The circuits of one far end. The whole one opens after failures to reach it in a row, and after as
/// many tenants in a row whose requests fail with none in between that is served.
#[derive(Debug)]
pub struct Circuits {
    whole: CircuitBreaker,
    threshold: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those in trouble; nobody else.
    tenants: HashMap<u64, Tenant>,
    /// Grows with each request that is served.
    row: u64,
    /// Until when all stay away.
    all_away_until: Option<Instant>,
}

#[derive(Debug)]
struct Tenant {
    circuit: CircuitBreaker,
    away_until: Option<Instant>,
    /// The row in which it failed, and in which it was turned away.
    failed_in: Option<u64>,
    turned_away_in: Option<u64>,
    last: Instant,
}

impl Circuits {
    /// All closed. They open after `threshold` failures, for `pause`.
    pub fn new(threshold: u32, pause: Duration) -> Self {
        Self {
            whole: CircuitBreaker::new(threshold, HalfOpen::After(pause)),
            threshold,
            pause,
            state: Mutex::default(),
        }
    }

    /// Whether a tenant's request may go out now.
    ///
    /// # Errors
    /// Why not, and how long to wait.
    pub fn admit(&self, tenant: u64, now: Instant) -> Result<(), HeldBack> {
        let left =
            |until: Option<Instant>| until.and_then(|until| until.checked_duration_since(now));
        let state = self.state();
        let own = state.tenants.get(&tenant);
        let away = left(own.and_then(|own| own.away_until)).max(left(state.all_away_until));
        if let Some(wait) = away.filter(|wait| !wait.is_zero()) {
            return Err(HeldBack::TurnedAway(wait));
        }
        let own = own.map_or(Ok(()), |own| own.circuit.admit(now));
        own.and_then(|()| self.whole.admit(now))
            .map_err(HeldBack::Open)
    }

    /// A tenant's request was answered.
    pub fn succeeded(&self, tenant: u64, now: Instant) {
        self.whole.succeeded();
        let mut state = self.state();
        state.row += 1;
        let Some(own) = state.tenants.get_mut(&tenant) else {
            return;
        };
        own.circuit.succeeded();
        if own.away_until.is_none_or(|until| until <= now) {
            state.tenants.remove(&tenant);
        }
    }

    /// A tenant's request failed by the far end's fault.
    pub fn failed(&self, tenant: u64, trouble: Trouble, now: Instant) {
        if trouble == Trouble::Unreachable {
            self.whole.failed(now);
            return;
        }
        let mut state = self.state();
        let row = state.row;
        let Some(own) = self.in_trouble(&mut state, tenant, now) else {
            return;
        };
        own.circuit.failed(now);
        // Each tenant counts once until somebody is served.
        if own.failed_in.replace(row) != Some(row) {
            self.whole.failed(now);
        }
    }

    /// The far end asked a tenant to stay away for `wait`. That is meant for all where nobody is served.
    pub fn turned_away(&self, tenant: u64, wait: Duration, now: Instant) {
        let mut state = self.state();
        let (row, until) = (state.row, now + wait.min(LONGEST));
        let Some(own) = self.in_trouble(&mut state, tenant, now) else {
            return;
        };
        own.away_until = own.away_until.max(Some(until));
        own.turned_away_in = Some(row);
        let away = state.tenants.values();
        let away = away
            .filter(|it| it.turned_away_in == Some(row))
            .filter_map(|it| it.away_until);
        let away: Vec<_> = away.filter(|until| *until > now).collect();
        if away.len() >= ALL {
            state.all_away_until = away.into_iter().min();
        }
    }

    /// Whether requests of all tenants are held back.
    pub fn is_open(&self) -> bool {
        self.whole.is_open()
    }

    /// How many tenants' own circuits are open.
    pub fn open_for(&self) -> usize {
        let state = self.state();
        state
            .tenants
            .values()
            .filter(|it| it.circuit.is_open())
            .count()
    }

    fn in_trouble<'a>(
        &self,
        state: &'a mut State,
        tenant: u64,
        now: Instant,
    ) -> Option<&'a mut Tenant> {
        let tenants = &mut state.tenants;
        if tenants.len() >= MOST {
            tenants.retain(|_, it| now.saturating_duration_since(it.last) < FORGOTTEN);
        }
        if tenants.len() >= MOST && !tenants.contains_key(&tenant) {
            return None;
        }
        let own = tenants.entry(tenant).or_insert_with(|| Tenant {
            circuit: CircuitBreaker::new(self.threshold, HalfOpen::After(self.pause)),
            away_until: None,
            failed_in: None,
            turned_away_in: None,
            last: now,
        });
        own.last = now;
        Some(own)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);
    const LOUD: u64 = 0;

    fn circuits() -> (Circuits, Instant) {
        (Circuits::new(3, PAUSE), Instant::now())
    }

    #[test]
    fn a_tenant_whose_requests_fail_stops_nobody_else() {
        let (circuits, now) = circuits();
        for _ in 0..100 {
            circuits.failed(LOUD, Trouble::Failed, now);
        }
        assert_eq!(circuits.admit(LOUD, now), Err(HeldBack::Open(PAUSE)));
        assert_eq!(circuits.open_for(), 1);
        for quiet in 1..100 {
            assert_eq!(circuits.admit(quiet, now), Ok(()));
            circuits.succeeded(quiet, now);
        }
        assert!(!circuits.is_open());
        let later = now + PAUSE;
        assert_eq!(circuits.admit(LOUD, later), Ok(()), "one is let through");
        assert!(circuits.admit(LOUD, later).is_err());
        circuits.succeeded(LOUD, later);
        assert_eq!(circuits.admit(LOUD, later), Ok(()));
        assert_eq!(circuits.open_for(), 0);
        assert!(circuits.state().tenants.is_empty());
    }

    #[test]
    fn a_few_loud_tenants_with_others_in_between_open_nothing_for_all() {
        let (circuits, now) = circuits();
        for round in 0..100 {
            circuits.failed(LOUD, Trouble::Failed, now);
            circuits.failed(LOUD + 1, Trouble::Failed, now);
            circuits.succeeded(10 + round, now);
        }
        assert!(!circuits.is_open());
    }

    #[test]
    fn the_whole_opens_when_it_is_not_reached_or_fails_at_everybody() {
        let (circuits, now) = circuits();
        for _ in 0..3 {
            circuits.failed(LOUD, Trouble::Unreachable, now);
        }
        assert!(circuits.is_open());
        assert_eq!(circuits.admit(1, now), Err(HeldBack::Open(PAUSE)));
        assert_eq!(circuits.admit(1, now + PAUSE), Ok(()));
        circuits.succeeded(1, now + PAUSE);
        assert!(!circuits.is_open());
        for tenant in 0..3 {
            circuits.failed(tenant, Trouble::Failed, now);
        }
        assert!(circuits.is_open(), "three tenants, and none was served");
    }

    #[test]
    fn a_tenant_that_is_turned_away_waits_alone_unless_all_are() {
        let (circuits, now) = circuits();
        let wait = Duration::from_secs(20);
        circuits.turned_away(LOUD, wait, now);
        assert_eq!(circuits.admit(LOUD, now), Err(HeldBack::TurnedAway(wait)));
        assert_eq!(circuits.admit(1, now), Ok(()));
        circuits.turned_away(1, wait, now);
        circuits.succeeded(2, now);
        circuits.turned_away(3, wait, now);
        assert_eq!(circuits.admit(4, now), Ok(()), "somebody was served");
        circuits.turned_away(4, wait / 2, now);
        circuits.turned_away(5, wait * 100, now);
        let all = Err(HeldBack::TurnedAway(wait / 2));
        assert_eq!(circuits.admit(6, now), all, "three in a row");
        assert_eq!(circuits.admit(6, now + wait / 2), Ok(()));
        assert_eq!(
            circuits.admit(5, now),
            Err(HeldBack::TurnedAway(LONGEST)),
            "nobody stays away for an hour unasked"
        );
    }

    #[test]
    fn no_more_tenants_are_remembered_than_there_is_room_for() {
        let (circuits, now) = circuits();
        for tenant in 0..12_000 {
            circuits.failed(tenant, Trouble::Failed, now);
        }
        assert_eq!(circuits.state().tenants.len(), MOST);
        circuits.failed(LOUD, Trouble::Failed, now + FORGOTTEN);
        assert_eq!(circuits.state().tenants.len(), 1);
    }
}
