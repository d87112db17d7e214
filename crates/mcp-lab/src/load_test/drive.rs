//! The generators. Closed loop: each connection sends its next call when it has the answer to the
//! last, which finds what a server can do. Open loop: calls are due at fixed times whatever the
//! server does, and their latency counts from then, so that a server that stalls is charged for
//! every call it kept waiting (no coordinated omission).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    call::{Endpoint, Template, Tool},
    connection::Connection,
    tenants::{Complaints, Tenant},
};
use mcp_test_support::client::Generation;

/// What to send, and how.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) generation: Generation,
    pub(super) connections: usize,
    pub(super) pace: Pace,
    pub(super) length: Length,
    pub(super) tools: Vec<Tool>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    Closed,
    /// Calls per second.
    Open(f64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    For(Duration),
    /// So many on each connection.
    Calls(u64),
    /// Every tenant of every connection once, for tokens that are good for one call.
    EachTenantOnce,
}

/// What the generator saw.
pub(super) struct Driven {
    /// Nanoseconds.
    pub(super) latency: Histogram<u64>,
    pub(super) complaints: Complaints,
    pub(super) seconds: f64,
}

impl Driven {
    /// Every call that was made.
    pub(super) fn calls(&self) -> u64 {
        self.latency.len() + self.complaints.count()
    }
}

/// From a tenth of a microsecond to a minute, three digits.
pub(super) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Histogram::new_with_bounds(100, 60_000_000_000, 3).context("a histogram of these bounds")
}

/// The connections of a load, with what each of them sends.
pub(super) struct Driver {
    load: Load,
    workers: Vec<Worker>,
    /// No number is used twice: a write that was made before is not made again.
    numbers: Numbers,
}

/// The number of the next call.
pub(super) type Numbers = Arc<AtomicU64>;

/// Begins with one: zero is the id of a handshake.
pub(super) fn numbers() -> Numbers {
    Arc::new(AtomicU64::new(1))
}

struct Worker {
    connections: Vec<Connection>,
    /// By tenant, then by tool.
    templates: Vec<Vec<Template>>,
    next: usize,
}

impl Driver {
    /// Every tenant belongs to one connection, so that a protocol session is never shared. With
    /// several endpoints, consecutive calls of a tenant meet different ones.
    pub(super) fn new(
        load: Load,
        to: &[Endpoint],
        tenants: &[Tenant],
        numbers: &Numbers,
    ) -> anyhow::Result<Self> {
        let workers = (0..load.connections).map(|number| {
            let own = (0..tenants.len().max(load.connections))
                .skip(number)
                .step_by(load.connections)
                .map(|at| at % tenants.len());
            let templates = own.filter_map(|at| tenants.get(at)).map(|tenant| {
                let tools = load.tools.iter();
                tools
                    .map(|tool| Template::new(tenant, load.generation, tool))
                    .collect()
            });
            Ok(Worker {
                connections: to.iter().cloned().map(Connection::new).collect(),
                templates: templates.collect::<anyhow::Result<_>>()?,
                next: 0,
            })
        });
        Ok(Self {
            workers: workers.collect::<anyhow::Result<_>>()?,
            load,
            numbers: Arc::clone(numbers),
        })
    }

    /// One handshake for every tenant, and one call that is not measured: connections are open,
    /// protocol sessions begun, and tokens known afterwards.
    pub(super) async fn warm_up(&mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            if self.load.generation == Generation::Legacy {
                worker.begin_sessions().await?;
            }
            for (tenant, _) in worker.templates.iter().enumerate() {
                for connection in &mut worker.connections {
                    let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                    let template = &worker.templates[tenant][0];
                    let answer = connection
                        .call(template.request(&connection.to, number))
                        .await?;
                    if let Err((kind, words)) = template.check(number, &answer) {
                        anyhow::bail!("the first call already fails: {kind}: {words}");
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends the load.
    pub(super) async fn run(&mut self) -> anyhow::Result<Driven> {
        let due = Arc::new(Semaphore::new(0));
        let begun = Instant::now();
        let shared = Shared {
            length: self.load.length,
            pace: self.load.pace,
            begun,
            due: Arc::clone(&due),
            due_next: Arc::new(AtomicU64::new(0)),
            numbers: Arc::clone(&self.numbers),
        };
        let mut running = JoinSet::new();
        let takers = self.workers.len();
        for worker in self.workers.drain(..) {
            running.spawn(worker.run(shared.clone()));
        }
        if let (Pace::Open(rate), Length::For(length)) = (self.load.pace, self.load.length) {
            thread::spawn(move || set_the_pace(&due, takers, begun, rate, length));
        }
        let mut driven = Driven {
            latency: histogram()?,
            complaints: Complaints::default(),
            seconds: 0.0,
        };
        while let Some(ended) = running.join_next().await {
            let (worker, latency, complaints) = ended??;
            self.workers.push(worker);
            driven
                .latency
                .add(latency)
                .context("histograms of one size")?;
            driven.complaints.merge(complaints);
        }
        driven.seconds = begun.elapsed().as_secs_f64();
        Ok(driven)
    }
}

#[derive(Clone)]
struct Shared {
    length: Length,
    pace: Pace,
    begun: Instant,
    /// A permit for every call that is due.
    due: Arc<Semaphore>,
    due_next: Arc<AtomicU64>,
    numbers: Numbers,
}

impl Shared {
    /// From when on the next call counts; nothing when the run is over.
    async fn next(&self) -> Option<Instant> {
        let Length::For(length) = self.length else {
            return Some(Instant::now());
        };
        match self.pace {
            Pace::Closed => {
                let now = Instant::now();
                (now < self.begun + length).then_some(now)
            }
            Pace::Open(rate) => {
                self.due.acquire().await.ok()?.forget();
                let number = self.due_next.fetch_add(1, Ordering::Relaxed);
                let due_at = due_at(number, rate);
                (due_at < length).then(|| self.begun + due_at)
            }
        }
    }
}

/// When the call of this number is due, counted from the beginning.
#[expect(clippy::cast_precision_loss, reason = "far fewer calls than 2^52")]
fn due_at(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

/// How long calls that are late may take to be begun.
const BACKLOG: Duration = Duration::from_secs(30);

/// Lets calls go when they are due, then tells each taker that there are no more. A thread of its own:
/// timers of the runtime count milliseconds.
fn set_the_pace(due: &Semaphore, takers: usize, begun: Instant, rate: f64, length: Duration) {
    let mut number = 0;
    while due_at(number, rate) < length {
        let now = begun.elapsed();
        let first = number;
        while due_at(number, rate) <= now && due_at(number, rate) < length {
            number += 1;
        }
        due.add_permits(usize::try_from(number - first).unwrap_or_default());
        thread::sleep(due_at(number, rate).saturating_sub(begun.elapsed()));
    }
    // A permit more for each ends it. To close at once would take back the permit of a taker that has
    // been woken and does not run yet, and its call would never be made.
    due.add_permits(takers);
    // What is due is still begun, unless the server has come to a stand.
    while due.available_permits() > 0 && begun.elapsed() < length + BACKLOG {
        thread::sleep(Duration::from_millis(5));
    }
    due.close();
}

impl Worker {
    async fn begin_sessions(&mut self) -> anyhow::Result<()> {
        // Only of one server: with several, a call could meet one that does not know the session.
        let [connection] = self.connections.as_mut_slice() else {
            return Ok(());
        };
        for templates in &mut self.templates {
            let Some(first) = templates.first() else {
                continue;
            };
            let [initialize, initialized] = first.handshake(&connection.to);
            let answer = connection.call(initialize).await?;
            let session = answer.headers.get("mcp-session-id").cloned();
            if let Some(session) = &session {
                let mut initialized = initialized;
                initialized
                    .headers_mut()
                    .insert("mcp-session-id", session.clone());
                connection.call(initialized).await?;
                for template in templates.iter_mut() {
                    template.set_session(session.clone());
                }
            }
        }
        Ok(())
    }

    async fn run(mut self, shared: Shared) -> anyhow::Result<(Self, Histogram<u64>, Complaints)> {
        let mut latency = histogram()?;
        let mut complaints = Complaints::default();
        let tenants = self.templates.len();
        while let Some(due) = shared.next().await {
            let is_done = match shared.length {
                Length::For(_) => false,
                Length::Calls(calls) => latency.len() + complaints.count() >= calls,
                Length::EachTenantOnce => self.next >= tenants,
            };
            if is_done {
                break;
            }
            let turn = self.next;
            self.next += 1;
            // A tenant's next call goes to the next server, however many tenants there are.
            let at = (turn + turn / tenants) % self.connections.len();
            let templates = &self.templates[turn % tenants];
            let template = &templates[(turn / tenants) % templates.len()];
            let number = shared.numbers.fetch_add(1, Ordering::Relaxed);
            let connection = &mut self.connections[at];
            let request = template.request(&connection.to, number);
            match connection.call(request).await {
                Err(error) => complaints.add("no answer", format!("{error:#}")),
                Ok(answer) => match template.check(number, &answer) {
                    Err((kind, words)) => complaints.add(kind, words),
                    Ok(()) => {
                        let nanoseconds = due.elapsed().as_nanos();
                        latency.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
                    }
                },
            }
        }
        Ok((self, latency, complaints))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_an_open_loop_becomes_due() {
        let (rate, length) = (2_000.0, Duration::from_millis(100));
        let shared = Shared {
            length: Length::For(length),
            pace: Pace::Open(rate),
            begun: Instant::now(),
            due: Arc::new(Semaphore::new(0)),
            due_next: Arc::default(),
            numbers: Arc::default(),
        };
        let takers: Vec<_> = (0..2).map(|_| shared.clone()).collect();
        let takers = takers.into_iter().map(|taker| {
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let mut taken = 0;
                    while taker.next().await.is_some() {
                        taken += 1;
                    }
                    taken
                })
            })
        });
        let takers: Vec<_> = takers.collect();
        set_the_pace(&shared.due, takers.len(), shared.begun, rate, length);
        let taken = takers.into_iter().map(|taker| taker.join().unwrap());
        assert_eq!(taken.sum::<u64>(), 200);
    }
}
