//! The places for connections of operators. They are few; whoever connects while they are taken gets that
//! of the oldest connection that waits for its client. So nobody keeps operators out by saying nothing,
//! or by saying it slowly.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::client_address::AddressBucket;

/// Open connections at a time.
const MOST: usize = 64;
/// And of one address.
const MOST_OF_ONE: usize = 16;

/// Who is connected.
#[derive(Default)]
pub(super) struct Places(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    /// By age.
    open: BTreeMap<u64, Arc<Seat>>,
}

/// A connection's place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    seat: Arc<Seat>,
}

/// What is known of a connection.
pub(super) struct Seat {
    bucket: AddressBucket,
    is_at_work: AtomicBool,
    taken: Notify,
}

impl Places {
    /// A place for a connection from there; `None` where all others are being answered.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let bucket = AddressBucket::from(address);
        let mut state = self.state();
        let are_many = state.count_of(bucket) >= MOST_OF_ONE;
        if are_many || state.open.len() >= MOST {
            let oldest = state.oldest_waiting(are_many.then_some(bucket))?;
            if let Some(seat) = state.open.remove(&oldest) {
                seat.taken.notify_one();
            }
        }
        let seat = Arc::new(Seat {
            bucket,
            is_at_work: AtomicBool::new(false),
            taken: Notify::new(),
        });
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Arc::clone(&seat));
        drop(state);
        Some(Place {
            places: Arc::clone(self),
            number,
            seat,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count_of(&self, bucket: AddressBucket) -> usize {
        let all = self.open.values();
        all.filter(|seat| seat.bucket == bucket).count()
    }

    fn oldest_waiting(&self, of: Option<AddressBucket>) -> Option<u64> {
        let mut waiting = self.open.iter().filter(|(_, seat)| {
            let is_at_work = seat.is_at_work.load(Ordering::Relaxed);
            !is_at_work && of.is_none_or(|bucket| seat.bucket == bucket)
        });
        waiting.next().map(|(number, _)| *number)
    }
}

impl Place {
    pub(super) fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }

    /// Resolves when another connection gets it.
    pub(super) async fn is_taken(&self) {
        self.seat.taken.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.state().open.remove(&self.number);
    }
}

impl Seat {
    /// Answers a request; the place is not taken meanwhile.
    pub(super) async fn at_work<F: Future>(&self, answer: F) -> F::Output {
        self.is_at_work.store(true, Ordering::Relaxed);
        let answered = answer.await;
        self.is_at_work.store(false, Ordering::Relaxed);
        answered
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt as _;

    use super::*;

    fn address(number: usize) -> IpAddr {
        std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into()
    }

    fn is_taken(place: &Place) -> bool {
        place.is_taken().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_of_an_address_that_waits_gives_its_place_up() {
        let places = Arc::new(Places::default());
        let other = places.take(address(2)).unwrap();
        let of_one: Vec<_> = (0..MOST_OF_ONE)
            .map(|_| places.take(address(1)).unwrap())
            .collect();
        let (seat, second) = (of_one[0].seat(), of_one[1].seat());
        let mut work = Box::pin(seat.at_work(pending::<()>()));
        assert!(work.as_mut().now_or_never().is_none());
        let next = places.take(address(1)).unwrap();
        assert!(is_taken(&of_one[1]) && !is_taken(&of_one[0]) && !is_taken(&other));
        drop(second);
        drop(of_one);
        drop(next);
        assert_eq!(places.state().open.len(), 1);
    }

    #[test]
    fn nobody_who_is_answered_gives_a_place_up() {
        let places = Arc::new(Places::default());
        let all: Vec<_> = (0..MOST)
            .map(|number| places.take(address(number)).unwrap())
            .collect();
        for place in &all {
            assert!(place.seat.at_work(pending::<()>()).now_or_never().is_none());
        }
        assert!(places.take(address(MOST)).is_none());
        all[3].seat.at_work(async {}).now_or_never().unwrap();
        assert!(places.take(address(MOST)).is_some());
        assert!(is_taken(&all[3]));
    }
}
