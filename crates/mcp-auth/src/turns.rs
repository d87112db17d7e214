//! A bounded queue that is fair between those who stand in it: each in turn, however many one sends.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::asker::Asker;

/// How much is done at once, and how much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// At work at once.
    pub(crate) at_work: usize,
    /// Waiting in all.
    pub(crate) waiting: usize,
    /// Waiting of one.
    pub(crate) waiting_of_one: usize,
    /// How long anything waits.
    pub(crate) patience: Duration,
}

/// The queue. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    at_work: usize,
    /// Whose turn is next; each stands here once while something of it waits.
    order: VecDeque<Asker>,
    waiting: HashMap<Asker, VecDeque<oneshot::Sender<Turn>>>,
}

/// No place is left, or none became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// The right to work, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Option<Turns>,
}

impl Turns {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let queue = Mutex::new(Queue {
            at_work: 0,
            order: VecDeque::new(),
            waiting: HashMap::new(),
        });
        Self {
            shared: Arc::new(Shared { bounds, queue }),
        }
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self, of: Asker) -> Result<Turn, Full> {
        let called = {
            let mut queue = self.lock();
            if queue.at_work < self.shared.bounds.at_work {
                queue.at_work += 1;
                return Ok(self.granted());
            }
            queue.stand_in_line(of, &self.shared.bounds)?
        };
        match tokio::time::timeout(self.shared.bounds.patience, called).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Full),
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        let queue = self.lock();
        let calls = queue.waiting.values().flatten();
        calls.filter(|call| !call.is_closed()).count()
    }

    fn granted(&self) -> Turn {
        Turn {
            turns: Some(self.clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        let queue = self.shared.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn stand_in_line(
        &mut self,
        of: Asker,
        bounds: &Bounds,
    ) -> Result<oneshot::Receiver<Turn>, Full> {
        let line = |queue: &Self| queue.waiting.get(&of).map_or(0, VecDeque::len);
        let all = |queue: &Self| queue.waiting.values().map(VecDeque::len).sum::<usize>();
        if line(self) >= bounds.waiting_of_one || all(self) >= bounds.waiting {
            self.forget_those_who_left();
        }
        if line(self) >= bounds.waiting_of_one {
            return Err(Full);
        }
        if all(self) >= bounds.waiting {
            self.make_room(line(self))?;
        }
        if line(self) == 0 {
            self.order.push_back(of);
        }
        let (call, called) = oneshot::channel();
        self.waiting.entry(of).or_default().push_back(call);
        Ok(called)
    }

    /// Sends the last of the longest line away, for one whose line stays shorter than that even with
    /// it: a few who fill the queue together leave no newcomer without a place.
    fn make_room(&mut self, line_of_the_newcomer: usize) -> Result<(), Full> {
        let longest = self.waiting.values_mut().max_by_key(|line| line.len());
        let longest = longest.filter(|line| line.len() > line_of_the_newcomer + 1);
        // Its call is dropped, which tells it.
        longest.and_then(VecDeque::pop_back).map(drop).ok_or(Full)
    }

    fn forget_those_who_left(&mut self) {
        self.waiting.retain(|_, line| {
            line.retain(|call| !call.is_closed());
            !line.is_empty()
        });
        let waiting = &self.waiting;
        self.order.retain(|of| waiting.contains_key(of));
    }

    /// Whoever is next; its next one stands behind all others.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let of = self.order.pop_front()?;
        let line = self.waiting.get_mut(&of)?;
        let call = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&of);
        } else {
            self.order.push_back(of);
        }
        call
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Taken: this turn was handed on by the loop below, or is over.
        let Some(turns) = self.turns.take() else {
            return;
        };
        loop {
            let next = {
                let mut queue = turns.lock();
                let next = queue.next();
                if next.is_none() {
                    queue.at_work -= 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(turns.granted()) {
                Ok(()) => return,
                // It left: the turn that comes back must not be given up a second time.
                Err(mut turn) => turn.turns = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        at_work: 1,
        waiting: 12,
        waiting_of_one: 10,
        patience: Duration::from_mins(1),
    };

    const STRANGER: Asker = Asker::new(1);
    const ADA: Asker = Asker::new(2);
    const BOB: Asker = Asker::UNKNOWN;

    /// Takes a turn and gives it back.
    async fn served(turns: &Turns, of: Asker) -> Result<(), Full> {
        turns.turn(of).await.map(drop)
    }

    #[tokio::test]
    async fn turns_go_round_and_the_queue_is_bounded() {
        let turns = Turns::new(BOUNDS);
        let first = turns.turn(STRANGER).await.unwrap();
        let served = Arc::new(Mutex::new(Vec::new()));
        let stand = |of: Asker| {
            let (turns, served) = (turns.clone(), Arc::clone(&served));
            async move {
                let turn = turns.turn(of).await?;
                served.lock().unwrap().push(of);
                drop(turn);
                Ok::<_, Full>(())
            }
        };
        let mut all: Vec<_> = (0..20).map(|_| stand(STRANGER)).collect();
        all.extend([stand(ADA), stand(ADA), stand(BOB)]);
        let waiting = join_all(all);
        let (results, ()) = tokio::join!(waiting, async {
            tokio::task::yield_now().await;
            drop(first);
        });
        let refused = results.iter().filter(|it| it.is_err()).count();
        assert_eq!(refused, 11, "one stranger left his place to Bob");
        let served = served.lock().unwrap();
        assert_eq!(served[..5], [STRANGER, ADA, BOB, STRANGER, ADA]);
        assert_eq!(served.len(), 12);
        assert_eq!(turns.lock().at_work, 0);
    }

    #[tokio::test]
    async fn many_networks_that_fill_the_queue_leave_a_place_to_a_new_one() {
        let turns = Turns::new(Bounds {
            waiting: 20,
            ..BOUNDS
        });
        let first = turns.turn(STRANGER).await.unwrap();
        let flood = (0..200).map(|number| served(&turns, Asker::new(10 + number % 5)));
        let flood = join_all(flood);
        // Whose line is as long as any already finds no place; who is new does, and twice.
        let late = async {
            let (first, second, flooding) = tokio::join!(
                served(&turns, ADA),
                served(&turns, ADA),
                served(&turns, Asker::new(10))
            );
            (first.is_ok(), second.is_ok(), flooding.is_ok())
        };
        let (flood, late, ()) = tokio::join!(flood, late, async { drop(first) });
        assert_eq!(late, (true, true, false));
        assert_eq!(flood.iter().filter(|it| it.is_ok()).count(), 18);
        assert_eq!(turns.lock().at_work, 0);
        assert!(turns.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn nobody_is_sent_away_for_one_who_stands_as_often() {
        let turns = Turns::new(Bounds {
            waiting: 2,
            ..BOUNDS
        });
        let first = turns.turn(STRANGER).await.unwrap();
        let (ada, bob, late, ()) = tokio::join!(
            served(&turns, ADA),
            served(&turns, BOB),
            served(&turns, STRANGER),
            async { drop(first) }
        );
        assert!(ada.is_ok() && bob.is_ok());
        assert_eq!(late.unwrap_err(), Full);
    }

    #[tokio::test]
    async fn who_leaves_takes_no_turn_and_no_place() {
        let turns = Turns::new(BOUNDS);
        let first = turns.turn(STRANGER).await.unwrap();
        for _ in 0..30 {
            let left = turns.turn(STRANGER);
            let left = tokio::time::timeout(Duration::ZERO, left).await;
            assert!(left.is_err(), "it had a place, and left");
        }
        let (second, ()) = tokio::join!(turns.turn(ADA), async { drop(first) });
        drop(second.unwrap());
        assert_eq!(turns.lock().at_work, 0);
        assert!(turns.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn nothing_waits_for_ever() {
        let turns = Turns::new(Bounds {
            patience: Duration::ZERO,
            ..BOUNDS
        });
        let _first = turns.turn(STRANGER).await.unwrap();
        assert_eq!(turns.turn(ADA).await.unwrap_err(), Full);
    }
}
