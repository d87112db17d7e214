//! A client: sends each of its writes until somebody answers for it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    call::{How, Said, send},
    world::Without,
    write::Write,
};
use crate::chaos::fleet::INSTANCES;
use mcp_test_support::{Api, Issuer, api::Times, client::RawHttp, lock};

/// After so many answers in a row that the outcome is unknown, it is.
const NAMED: usize = 3;
/// More than any outage of a storm takes.
const ATTEMPTS: usize = 400;
/// A write that has no end by then has none: the storm fails, and does not hang.
const LONGEST: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(150);
/// Writes of one user: what one page of a list shows, so that reading back sees all.
const PER_USER: usize = 40;

/// What all clients share.
pub(super) struct Shared {
    pub(super) seed: u64,
    pub(super) without: Without,
    pub(super) writes: usize,
    pub(super) next: AtomicUsize,
    pub(super) over: watch::Sender<usize>,
    pub(super) instances: Vec<RawHttp>,
    pub(super) issuer: Issuer,
    pub(super) api: Api,
    pub(super) fates: Mutex<Vec<Fate>>,
}

/// What a client knows of one of its writes in the end.
pub(super) struct Fate {
    pub(super) write: Write,
    pub(super) end: End,
    /// After it was done, where it was sent once more.
    pub(super) again: Option<End>,
    /// Calls that it took.
    pub(super) calls: usize,
    /// What was said last, and before.
    pub(super) history: Vec<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done(How),
    NamedUnknown,
    Unanswered,
}

/// Writes until there are no more writes.
pub(super) async fn work(client: usize, shared: Arc<Shared>) {
    for done in 0.. {
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        if number >= shared.writes {
            return;
        }
        let user = format!("{client:02}-{:04}", done / PER_USER);
        let token = shared.issuer.token().subject(&format!("user-{user}"));
        let token = token.organization(&format!("org-{user}")).mint();
        let fate = shared.see_through(Write::of(shared.seed, number), &token);
        let fate = fate.await;
        lock(&shared.fates).push(fate);
        shared.over.send_modify(|over| *over += 1);
    }
}

impl Shared {
    /// Sends a write until its client knows what came of it, or that nobody does.
    async fn see_through(&self, write: Write, token: &str) -> Fate {
        if let Some(fault) = &write.fault {
            self.api
                .inject(write.operation(), fault.clone(), Times::Next(1));
        }
        let (mut calls, mut history) = (0, Vec::new());
        let end = self.settle(&write, token, &mut calls, &mut history).await;
        let comes_again = write.comes_again && write.is_done_once() && matches!(end, End::Done(_));
        let mut again = None;
        if comes_again {
            again = Some(self.settle(&write, token, &mut calls, &mut history).await);
        }
        Fate {
            write,
            end,
            again,
            calls,
            history,
        }
    }

    /// Sends it until it is answered as done, or told to be unknown time and again.
    async fn settle(
        &self,
        write: &Write,
        token: &str,
        calls: &mut usize,
        history: &mut Vec<Said>,
    ) -> End {
        let (begun, before, mut unknown) = (Instant::now(), *calls, 0);
        loop {
            if *calls - before >= ATTEMPTS || begun.elapsed() > LONGEST {
                return End::Unanswered;
            }
            let said = self.attempt(write, token, *calls).await;
            *calls += 1;
            unknown = if said == Said::Unknown {
                unknown + 1
            } else {
                0
            };
            if history.last() != Some(&said) {
                history.push(said.clone());
            }
            match said {
                Said::Done(how) => return End::Done(how),
                Said::Unknown if unknown == NAMED => return End::NamedUnknown,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn attempt(&self, write: &Write, token: &str, earlier: usize) -> Said {
        let hangs_up = write.hangs_up_after.filter(|_| earlier == 0);
        let send_to = |instance: usize| {
            let instance = &self.instances[instance % INSTANCES];
            send(instance, token, write, hangs_up)
        };
        let (one, other) = match self.without {
            Without::Refuse => (write.number + earlier, write.number + earlier + 1),
            Without::PerInstance => (write.number, write.number),
        };
        if write.twice && earlier == 0 {
            let (one, other) = tokio::join!(send_to(one), send_to(other));
            return one.or(other);
        }
        send_to(one).await
    }
}
