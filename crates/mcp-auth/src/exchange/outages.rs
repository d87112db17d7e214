//! When an issuer is left alone: where it fails for several users in a row. What it says to one of
//! them again and again, for whatever is in that one's token, keeps it from nobody else.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::asker::Asker;

/// Failures in a row after which it is left alone, of how many users, and for how long.
const FAILURES: u32 = 5;
const USERS: usize = 3;
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// The failures since the last answer.
#[derive(Debug, Default)]
pub(super) struct Outages(Mutex<Row>);

#[derive(Debug, Default)]
struct Row {
    failures: u32,
    /// Those who saw them, as many as it takes.
    users: Vec<Asker>,
    open_until: Option<Instant>,
}

impl Outages {
    /// Whether it may be asked now.
    ///
    /// After a pause whoever comes may ask, not one probe that could leave or be of the wrong user:
    /// as many users as before have to fail until it is left alone again.
    ///
    /// # Errors
    /// How long it is left alone yet.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut row = self.row();
        match row.open_until {
            Some(until) if now < until => return Err(until - now),
            Some(_) => {
                row.open_until = None;
                row.users.clear();
            }
            None => {}
        }
        Ok(())
    }

    /// It failed for this user.
    pub(super) fn failed(&self, user: Asker, now: Instant) {
        let mut row = self.row();
        row.failures = row.failures.saturating_add(1);
        if row.users.len() < USERS && !row.users.contains(&user) {
            row.users.push(user);
        }
        if row.failures >= FAILURES && row.users.len() >= USERS {
            row.open_until = Some(now + PAUSE);
        }
    }

    /// It answered.
    pub(super) fn succeeded(&self) {
        *self.row() = Row::default();
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_users_have_an_issuer_left_alone_and_each_time_anew() {
        let (outages, start) = (Outages::default(), Instant::now());
        for _ in 0..100 {
            outages.failed(Asker::new(1), start);
        }
        outages.failed(Asker::new(2), start);
        assert_eq!(
            outages.admit(start),
            Ok(()),
            "two of them may have bad tokens"
        );
        outages.failed(Asker::new(3), start);
        assert_eq!(outages.admit(start), Err(PAUSE));
        let later = start + PAUSE;
        assert_eq!(outages.admit(later), Ok(()));
        for _ in 0..100 {
            outages.failed(Asker::new(1), later);
        }
        assert_eq!(
            outages.admit(later),
            Ok(()),
            "one alone does not prolong it"
        );
        outages.failed(Asker::new(2), later);
        outages.failed(Asker::new(3), later);
        assert_eq!(outages.admit(later), Err(PAUSE));
        outages.succeeded();
        assert_eq!(outages.admit(later), Ok(()));
    }
}
