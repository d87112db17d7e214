//! Those who call all the time, and what is counted of it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use mcp_test_support::{
    client::{Generation, RawHttp},
    lock,
};
use serde_json::json;

use crate::chaos::fleet::INSTANCES;

/// Complaints that are kept word for word.
const COMPLAINTS: usize = 25;
/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(5);

/// How an instance answered a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    Served,
    Refused,
    /// Neither: no answer, or one of another kind.
    Otherwise,
}

/// The instances as callers see them, and the counts.
pub(crate) struct Callers {
    instances: Mutex<Vec<RawHttp>>,
    pub(crate) bystanders: Vec<String>,
    /// Tokens that an instance refused once, as far as it was not replaced since.
    refused: Mutex<Vec<(usize, String)>>,
    /// The instance that is being replaced, if one is: whoever calls it finds nobody.
    away: AtomicUsize,
    pub(crate) counts: Counts,
    pub(crate) over: AtomicBool,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) calls: AtomicUsize,
    pub(crate) wrongly_refused: AtomicUsize,
    pub(crate) served_again: AtomicUsize,
    pub(crate) otherwise: AtomicUsize,
    pub(crate) complaints: Mutex<Vec<String>>,
}

impl Callers {
    pub(crate) fn new(instances: Vec<RawHttp>, bystanders: Vec<String>) -> Self {
        Self {
            instances: Mutex::new(instances),
            bystanders,
            refused: Mutex::default(),
            away: AtomicUsize::new(usize::MAX),
            counts: Counts::default(),
            over: AtomicBool::new(false),
        }
    }

    /// One call with a token.
    pub(crate) async fn call(&self, instance: usize, token: &str) -> Answered {
        let client = lock(&self.instances)[instance].clone();
        let was_away = self.away.load(Relaxed) == instance;
        self.counts.calls.fetch_add(1, Relaxed);
        let call = client.call(Generation::Modern, "list_projects", &json!({}));
        let odd = match call.bearer(token).send().await {
            Ok(answer) if answer.status == 200 => return Answered::Served,
            Ok(answer) if answer.status == 401 || answer.status == 403 => return Answered::Refused,
            Ok(answer) => {
                let body: String = answer.body.chars().take(200).collect();
                format!("instance {instance}: {} {body}", answer.status)
            }
            Err(error) => format!("instance {instance}: {error:#}"),
        };
        if !was_away && self.away.load(Relaxed) != instance {
            self.counts.otherwise.fetch_add(1, Relaxed);
            self.complain(&odd);
        }
        Answered::Otherwise
    }

    /// A call of somebody who is not denied.
    pub(crate) async fn call_of_neighbour(&self, instance: usize, token: &str, who: &str) {
        if self.call(instance, token).await == Answered::Refused {
            self.counts.wrongly_refused.fetch_add(1, Relaxed);
            self.complain(&format!("instance {instance} refused {who}"));
        }
    }

    /// From now on this instance must not serve it.
    pub(crate) fn was_refused(&self, instance: usize, token: &str) {
        lock(&self.refused).push((instance, token.to_owned()));
    }

    /// It is being replaced.
    pub(crate) fn is_away(&self, instance: usize) {
        self.away.store(instance, Relaxed);
    }

    /// It is a new one, which refused nobody yet.
    pub(crate) fn is_new(&self, instance: usize, client: RawHttp) {
        lock(&self.refused).retain(|(of, _)| *of != instance);
        lock(&self.instances)[instance] = client;
        self.away.store(usize::MAX, Relaxed);
    }

    fn complain(&self, what: &str) {
        let mut complaints = lock(&self.counts.complaints);
        if complaints.len() < COMPLAINTS {
            complaints.push(what.to_owned());
        }
    }

    async fn call_of_refused(&self) {
        let somebody = fastrand::choice(lock(&self.refused).iter()).cloned();
        let Some((instance, token)) = somebody else {
            return;
        };
        if self.call(instance, &token).await == Answered::Served {
            // It may have been replaced meanwhile, and then it was not this one.
            let still = lock(&self.refused)
                .iter()
                .any(|(of, it)| *of == instance && *it == token);
            if still {
                self.counts.served_again.fetch_add(1, Relaxed);
                self.complain(&format!("instance {instance} served whom it had refused"));
            }
        }
    }
}

/// Calls until it is over, by turns as somebody who is not denied and as somebody who is.
pub(crate) async fn work(number: usize, callers: Arc<Callers>) {
    let mut turn = number;
    while !callers.over.load(Relaxed) {
        let bystander = &callers.bystanders[turn % callers.bystanders.len()];
        let who = "a bystander";
        callers
            .call_of_neighbour(turn % INSTANCES, bystander, who)
            .await;
        callers.call_of_refused().await;
        turn += 1;
        tokio::time::sleep(PAUSE).await;
    }
}
