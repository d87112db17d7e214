//! Work for a token that is under way while its session is forgotten: what comes of it serves those who
//! wait, and is kept nowhere.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{key::SessionKey, renewals::Renewals};

/// Whose work is under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    works: HashMap<SessionKey, Works>,
    /// How often anything was forgotten.
    forgotten: u64,
}

/// What is under way for one token.
#[derive(Debug, Default)]
struct Works {
    count: usize,
    /// Stands for the last time that it was forgotten meanwhile.
    forgotten: u64,
}

impl UnderWay {
    /// What has begun for this token is not to be kept. Gives [since](Begun::since) when that has been under
    /// way; what is not, is of no other time.
    pub(crate) fn forget(&self, key: SessionKey) -> u64 {
        let mut state = self.state();
        let State { works, forgotten } = &mut *state;
        let Some(works) = works.get_mut(&key) else {
            return 0;
        };
        *forgotten += 1;
        std::mem::replace(&mut works.forgotten, *forgotten)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One piece of work for a token, until it is dropped.
pub(crate) struct Begun {
    renewals: Arc<Renewals>,
    key: SessionKey,
    since: u64,
}

impl Begun {
    pub(crate) fn begin(renewals: &Arc<Renewals>, key: SessionKey) -> Arc<Self> {
        let mut state = renewals.under_way.state();
        let works = state.works.entry(key).or_default();
        works.count += 1;
        let since = works.forgotten;
        drop(state);
        let renewals = Arc::clone(renewals);
        Arc::new(Self {
            renewals,
            key,
            since,
        })
    }

    pub(crate) fn key(&self) -> SessionKey {
        self.key
    }

    /// Another one than that of any work that began on the other side of a forgetting.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// Whether its token was forgotten since it began.
    pub(crate) fn is_forgotten(&self) -> bool {
        let state = self.renewals.under_way.state();
        let works = state.works.get(&self.key);
        works.is_some_and(|works| works.forgotten != self.since)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut state = self.renewals.under_way.state();
        if let Some(works) = state.works.get_mut(&self.key) {
            works.count -= 1;
            if works.count == 0 {
                state.works.remove(&self.key);
            }
        }
    }
}
