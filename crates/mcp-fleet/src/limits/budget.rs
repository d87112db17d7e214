//! One budget as an instance knows it: what the store said last, and what was given out since.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mcp_session::{Rate, Spent};
use tokio::{sync::oneshot, time::Instant};

/// All instances together give out a twentieth of what is left before the store hears of it.
const UNTOLD: i64 = 20;

/// Until it is known how many instances there are.
const UNKNOWN: u64 = 5;

/// Whether a call goes on, or when it may come again.
pub(super) type Answer = oneshot::Receiver<Result<(), Duration>>;

/// What is known of the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) instances: Option<u64>,
    pub(super) is_away: bool,
}

impl View {
    /// Of an instance without others: it has all, and asks nobody.
    pub(super) const ALONE: Self = Self {
        instances: Some(1),
        is_away: true,
    };

    fn share(self) -> u64 {
        self.instances.unwrap_or(1).max(1)
    }
}

/// What comes of a call; `tell` where somebody must begin to talk to the store.
pub(super) enum Spend {
    Done { tell: bool },
    Over { wait: Duration, tell: bool },
    Ask { answer: Answer, tell: bool },
}

/// What the store is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) owed: u64,
    pub(super) wanted: u64,
}

pub(super) struct Budget {
    name: String,
    state: Mutex<State>,
}

struct State {
    /// When the budget will be full, by what the store said and was told since.
    full: Instant,
    /// Spent and not told; below zero what was given back.
    owed: i64,
    /// When this instance's own share will be full.
    own_full: Instant,
    /// How many share it, as far as was known last.
    share: u64,
    /// Something was spent without the store, and it was not heard of since.
    was_alone: bool,
    /// Somebody talks to the store.
    is_telling: bool,
    waiting: VecDeque<oneshot::Sender<Result<(), Duration>>>,
}

impl Budget {
    pub(super) fn new(name: String, now: Instant) -> Self {
        Self {
            name,
            state: Mutex::new(State {
                full: now,
                owed: 0,
                own_full: now,
                share: 1,
                was_alone: false,
                is_telling: false,
                waiting: VecDeque::new(),
            }),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Counts one call.
    pub(super) fn spend(&self, rate: Rate, view: View, now: Instant) -> Spend {
        let mut state = self.state();
        state.share = view.share();
        if view.is_away {
            return match state.take_of_share(rate, now) {
                Ok(()) => Spend::Done { tell: false },
                Err(wait) => Spend::Over { wait, tell: false },
            };
        }
        if state.was_alone {
            state.forgive(rate, now);
        }
        let left = state.left(rate, now);
        if left - waiting(&state) < 1 {
            let wait = state.wait(rate, now);
            let tell = state.owed > 0 && state.begin_to_tell();
            return Spend::Over { wait, tell };
        }
        let instances = i64::try_from(view.instances.unwrap_or(UNKNOWN).max(1)).unwrap_or(i64::MAX);
        // Of what is left by the store's word, this instance's part.
        let untold = (left + state.owed.max(0)) / UNTOLD.saturating_mul(instances);
        // A store that was away is asked first: it may still be.
        let knows = state.waiting.is_empty() && !state.was_alone;
        if knows && state.owed < untold.max(0) {
            state.took(rate, now);
            // Ahead of need.
            let tell = state.owed * 8 > untold * 7 && state.begin_to_tell();
            return Spend::Done { tell };
        }
        if state.owed < 0 {
            state.took(rate, now);
            return Spend::Done { tell: false };
        }
        let (call, answer) = oneshot::channel();
        state.waiting.push_back(call);
        let tell = state.begin_to_tell();
        Spend::Ask { answer, tell }
    }

    /// Counts one call without the store.
    pub(super) fn spend_alone(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.state().take_of_share(rate, now)
    }

    /// One call did not go on after all.
    pub(super) fn give_back(&self, rate: Rate) {
        let mut state = self.state();
        state.owed -= 1;
        let share = times(rate.every(), state.share);
        state.own_full = state.own_full.checked_sub(share).unwrap_or(state.own_full);
    }

    /// What is to be told now; `None` when there is nothing, and nobody talks to the store any more.
    pub(super) fn to_tell(&self, rate: Rate, now: Instant) -> Option<Told> {
        let mut state = self.state();
        state.waiting.retain(|call| !call.is_closed());
        let owed = u64::try_from(state.owed).unwrap_or_default();
        let wanted = u64::try_from(state.waiting.len()).unwrap_or_default();
        if owed == 0 && wanted == 0 {
            state.is_telling = false;
            return None;
        }
        // Counted from here on, whether an answer comes or not.
        state.owed = state.owed.min(0);
        state.full = state.full.max(now) + times(rate.every(), owed);
        Some(Told { owed, wanted })
    }

    /// The store has answered.
    pub(super) fn heard(&self, rate: Rate, told: Told, spent: Spent, now: Instant) {
        let mut state = self.state();
        state.full = now + spent.full_in;
        state.was_alone = false;
        let mut granted = spent.granted;
        let wait = state.wait(rate, now);
        for _ in 0..told.wanted {
            let Some(call) = state.waiting.pop_front() else {
                break;
            };
            let answer = if granted > 0 { Ok(()) } else { Err(wait) };
            let is_granted = answer.is_ok();
            // Who left needs nothing: the next one has it.
            if call.send(answer).is_ok() && is_granted {
                granted -= 1;
                state.took_of_own(rate, now);
            }
        }
        state.owed -= i64::try_from(granted).unwrap_or(i64::MAX);
    }

    /// The store has not answered: whoever waits is told by that nobody does. What it was told is told
    /// again, though it may have heard it.
    pub(super) fn unheard(&self, rate: Rate, told: Told) {
        let mut state = self.state();
        state.waiting.clear();
        state.owed += i64::try_from(told.owed).unwrap_or_default();
        let counted = times(rate.every(), told.owed);
        state.full = state.full.checked_sub(counted).unwrap_or(state.full);
        state.was_alone = true;
        state.is_telling = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How much is left, as far as is known here: of what others spent the store told lately.
    fn left(&self, rate: Rate, now: Instant) -> i64 {
        let used = micros(self.full.saturating_duration_since(now));
        (micros(rate.whole()) - used).div_euclid(micros(rate.every())) - self.owed
    }

    /// Until there is one.
    fn wait(&self, rate: Rate, now: Instant) -> Duration {
        let (used, every) = (self.full.saturating_duration_since(now), rate.every());
        let wanted = u64::try_from(self.owed.saturating_add(1)).unwrap_or_default();
        (used + times(every, wanted)).saturating_sub(rate.whole())
    }

    fn took(&mut self, rate: Rate, now: Instant) {
        // More debts than a whole budget are not remembered.
        let most = i64::try_from(rate.limit()).unwrap_or(i64::MAX);
        self.owed = (self.owed + 1).min(most);
        self.took_of_own(rate, now);
    }

    fn took_of_own(&mut self, rate: Rate, now: Instant) {
        let share = times(rate.every(), self.share);
        self.own_full = self.own_full.max(now) + share;
        self.own_full = self.own_full.min(now + rate.whole().max(share));
    }

    fn take_of_share(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let used = self.own_full.saturating_duration_since(now);
        let after = used + times(rate.every(), self.share);
        // However small the share: one at a time.
        if after > rate.whole() && !used.is_zero() {
            return Err(after.saturating_sub(rate.whole()).min(used));
        }
        self.took(rate, now);
        self.was_alone = true;
        Ok(())
    }

    /// Of what was spent without the store, what has come back since is not owed any more.
    fn forgive(&mut self, rate: Rate, now: Instant) {
        let used = micros(self.own_full.saturating_duration_since(now));
        let share = micros(times(rate.every(), self.share)).max(1);
        self.owed = self.owed.min(used.saturating_add(share - 1) / share);
    }

    /// Whether nobody talks to the store yet: whoever asked begins.
    fn begin_to_tell(&mut self) -> bool {
        !std::mem::replace(&mut self.is_telling, true)
    }
}

fn waiting(state: &State) -> i64 {
    i64::try_from(state.waiting.len()).unwrap_or(i64::MAX)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn times(time: Duration, count: u64) -> Duration {
    time.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}
