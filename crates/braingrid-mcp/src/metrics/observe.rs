//! What is read when somebody asks: counters and states that the parts keep anyway.

use std::collections::BTreeMap;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use std::time::Instant;

use mcp_auth::{IssuerStatus, TokenVerifier};
use mcp_core::{ApiStatus, BrainGridClient, ToolSet};
use mcp_fleet::{Cause, Denials, Journal, JournalStats, Limits};
use mcp_session::{RedisStore, SessionTiers, Tier, TierStats};
use mcp_transport_http::ServerStatus;
use opentelemetry::{KeyValue, metrics::Meter};

use super::names::{self, Metric};

/// Reads one counter of the session tiers.
type Read = fn(&TierStats) -> u64;

/// Reads a number of the HTTP server.
type Seen<T> = fn(&ServerStatus) -> T;

/// Reads a number of the way to BrainGrid.
type OfApi = fn(&ApiStatus) -> usize;

/// Reads one counter of the write journal.
type Kept = fn(&JournalStats) -> u64;

/// The counters of the session tiers.
static TIERS: &[(&Metric, Read)] = &[
    (&names::MEMORY_HITS, |stats| stats.memory_hits.get()),
    (&names::COALESCED, |stats| stats.coalesced.get()),
    (&names::STORE_HITS, |stats| stats.store_hits.get()),
    (&names::STORE_MISSES, |stats| stats.store_misses.get()),
    (&names::STORE_ERRORS, |stats| stats.store_errors.get()),
    (&names::VERIFICATIONS, |stats| stats.verifications.get()),
    (&names::KNOWN_BAD, |stats| stats.known_bad_hits.get()),
    (&names::UNOPENED, |stats| stats.records_unopened.get()),
    (&names::UNUSABLE, |stats| stats.records_unusable.get()),
    (&names::RESEALED, |stats| stats.records_resealed.get()),
    (&names::WRITES, |stats| stats.writes.get()),
    (&names::WRITES_FAILED, |stats| stats.writes_failed.get()),
    (&names::WRITES_DROPPED, |stats| stats.writes_dropped.get()),
];

/// What became of writes that were made before.
static JOURNAL: &[(&str, Kept)] = &[
    ("replayed", |stats| {
        let (all, joined) = (&stats.replayed, &stats.joined);
        all.load(Relaxed).saturating_sub(joined.load(Relaxed))
    }),
    ("joined", |stats| stats.joined.load(Relaxed)),
    ("resolved", |stats| stats.resolved.load(Relaxed)),
    ("unknown", |stats| stats.unknown.load(Relaxed)),
];

/// Lets readers see parts of the running server.
#[derive(Clone)]
pub(crate) struct Observer(pub(super) Meter);

impl Observer {
    /// The session tiers.
    pub(crate) fn sessions(&self, tiers: &SessionTiers) {
        for (metric, read) in TIERS {
            let stats = Arc::clone(tiers.stats());
            self.counter(metric, move || vec![(read(&stats), Vec::new())]);
        }
        let stats = Arc::clone(tiers.stats());
        self.counter(&names::RESOLVED, move || {
            let all = [Tier::Memory, Tier::Store, Tier::Verification];
            let label = |tier: Tier| vec![KeyValue::new(names::TIER, tier.as_str())];
            let count = |tier| (stats.resolved(tier).get(), label(tier));
            all.map(count).into()
        });
        let stats = Arc::clone(tiers.stats());
        self.counter(&names::SIGNOUTS, move || {
            let counts = stats.signouts.get().into_iter();
            let labelled = |(reason, count)| (count, vec![KeyValue::new(names::REASON, reason)]);
            counts.map(labelled).collect()
        });
        let stats = Arc::clone(tiers.stats());
        self.counter(&names::REFUSED_TOKENS, move || {
            let counts = stats.refused_tokens.get().into_iter();
            let labelled = |(issuer, reason, count)| {
                let labels = vec![
                    KeyValue::new(names::ISSUER, issuer),
                    KeyValue::new(names::REASON, reason),
                ];
                (count, labels)
            };
            counts.map(labelled).collect()
        });
        let stats = Arc::clone(tiers.stats());
        self.counter(&names::DENIED, move || {
            let counts: BTreeMap<_, _> = stats.denied.get().into_iter().collect();
            let labelled = |cause: &Cause| {
                let count = counts.get(cause.as_str()).copied().unwrap_or_default();
                (count, vec![KeyValue::new(names::CAUSE, cause.as_str())])
            };
            Cause::ALL.iter().map(labelled).collect()
        });
        let sessions = tiers.clone();
        self.counter(&names::EXCHANGES, move || {
            let counts = sessions.exchanges().into_iter().flat_map(|it| {
                let counts = [
                    ("ok", it.exchanged),
                    ("refused", it.refused),
                    ("failed", it.failed),
                ];
                counts.map(|(outcome, count)| {
                    let issuer = KeyValue::new(names::ISSUER, it.issuer.clone());
                    (count, vec![issuer, KeyValue::new(names::OUTCOME, outcome)])
                })
            });
            counts.collect()
        });
        let sessions = tiers.clone();
        self.gauge(&names::SESSIONS, move || {
            vec![(sessions.memory_usage().0, Vec::new())]
        });
        let sessions = tiers.clone();
        self.gauge(&names::SESSION_BYTES, move || {
            vec![(sessions.memory_usage().1, Vec::new())]
        });
    }

    /// Who is let in no more.
    pub(crate) fn denials(&self, denials: &Denials) {
        let seen = denials.clone();
        self.number(&names::DENIALS, move || count(seen.status().known));
        let (seen, since) = (denials.clone(), Instant::now());
        self.number(&names::DENIALS_AGE, move || {
            let age = seen.status().age;
            age.unwrap_or_else(|| since.elapsed()).as_secs()
        });
    }

    /// The issuers.
    pub(crate) fn issuers(&self, verifier: &TokenVerifier) {
        let outcomes = |metric, read: fn(&IssuerStatus) -> (u64, u64)| {
            let verifier = verifier.clone();
            self.counter(metric, move || {
                let status = verifier.status().into_iter();
                let counts = status.flat_map(|issuer| {
                    let (succeeded, failed) = read(&issuer);
                    [("ok", succeeded), ("failed", failed)].map(|(outcome, count)| {
                        let issuer = KeyValue::new(names::ISSUER, issuer.issuer.clone());
                        (count, vec![issuer, KeyValue::new(names::OUTCOME, outcome)])
                    })
                });
                counts.collect()
            });
        };
        outcomes(&names::KEY_FETCHES, |it| (it.fetched, it.fetches_failed));
        outcomes(&names::INTROSPECTIONS, |it| {
            (it.introspected, it.introspections_failed)
        });
        let state = |metric, read: fn(&IssuerStatus) -> Option<u64>| {
            let verifier = verifier.clone();
            self.gauge(metric, move || {
                let status = verifier.status().into_iter();
                let values = status.filter_map(|issuer| {
                    let value = read(&issuer)?;
                    Some((value, vec![KeyValue::new(names::ISSUER, issuer.issuer)]))
                });
                values.collect()
            });
        };
        state(&names::INTROSPECTIONS_WAITING, |it| {
            u64::try_from(it.introspections_waiting).ok()
        });
        state(&names::KEYS, |it| u64::try_from(it.keys).ok());
        state(&names::CLOCK, |it| it.clock_ahead.map(i64::unsigned_abs));
        state(&names::KEYS_AGE, |it| it.keys_age.map(|age| age.as_secs()));
    }

    /// Redis, where there is one.
    pub(crate) fn redis(&self, store: Option<&RedisStore>) {
        let Some(store) = store.cloned() else { return };
        self.number(&names::STORE_OPEN, move || {
            u64::from(store.is_circuit_open())
        });
    }

    /// The BrainGrid API and the tools.
    pub(crate) fn tools(&self, client: &BrainGridClient, tools: &ToolSet) {
        let (way, tools) = (client.clone(), tools.clone());
        let client = way.clone();
        self.number(&names::API_OPEN, move || {
            u64::from(client.is_circuit_open())
        });
        self.number(&names::WRITES_IN_FLIGHT, move || count(tools.in_flight()));
        let numbers: [(_, OfApi); 3] = [
            (&names::API_TENANTS_OPEN, |api| api.tenants_held_back),
            (&names::API_IN_FLIGHT, |api| api.in_flight),
            (&names::API_WAITING, |api| api.waiting),
        ];
        for (metric, read) in numbers {
            let client = way.clone();
            self.number(metric, move || count(read(&client.status())));
        }
    }

    /// The limits.
    pub(crate) fn limits(&self, limits: &Limits) {
        let stats = limits.stats();
        self.counter(&names::LIMITED, move || {
            let counts = stats.by_scope().map(|(scope, count)| {
                let scope: &'static str = scope.into();
                (count, vec![KeyValue::new(names::SCOPE, scope)])
            });
            counts.collect()
        });
        let stats = limits.stats();
        self.count(&names::LIMITS_TOLD, move || stats.told.load(Relaxed));
        let stats = limits.stats();
        self.count(&names::LIMITS_ALONE, move || stats.alone.load(Relaxed));
        let limits = limits.clone();
        self.gauge(&names::LIMITS_INSTANCES, move || {
            let known = limits.instances().into_iter();
            known.map(|count| (count, Vec::new())).collect()
        });
    }

    /// The write journal.
    pub(crate) fn journal(&self, journal: &Journal) {
        let seen = journal.clone();
        self.counter(&names::JOURNAL, move || {
            let count = |(outcome, read): &(&'static str, Kept)| {
                let labels = vec![KeyValue::new(names::OUTCOME, *outcome)];
                (read(seen.stats()), labels)
            };
            JOURNAL.iter().map(count).collect()
        });
        let seen = journal.clone();
        self.count(&names::JOURNAL_AWAY, move || {
            seen.stats().without_store.load(Relaxed)
        });
    }

    /// The HTTP server.
    pub(crate) fn server(&self, status: &ServerStatus) {
        let server = status.clone();
        self.number(&names::IN_FLIGHT, move || count(server.in_flight()));
        let server = status.clone();
        self.number(&names::DRAINING, move || u64::from(server.is_draining()));
        let numbers: [(_, Seen<usize>); 4] = [
            (&names::CONNECTIONS, |server| server.connections().open),
            (&names::CONNECTION_LIMIT, |server| {
                server.connections().limit
            }),
            (&names::REQUEST_BYTES, |server| server.memory().used),
            (&names::REQUEST_BYTES_LIMIT, |server| server.memory().limit),
        ];
        for (metric, read) in numbers {
            let server = status.clone();
            self.number(metric, move || count(read(&server)));
        }
        let counters: [(_, Seen<u64>); 3] = [
            (&names::CONNECTIONS_REFUSED, |server| {
                server.connections().refused
            }),
            (&names::CONNECTIONS_DISPLACED, |server| {
                server.connections().displaced
            }),
            (&names::NO_ROOM, |server| server.memory().refused),
        ];
        for (metric, read) in counters {
            let server = status.clone();
            self.count(metric, move || read(&server));
        }
    }

    /// A counter without labels that is kept elsewhere.
    pub(crate) fn count(
        &self,
        metric: &'static Metric,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.counter(metric, move || vec![(read(), Vec::new())]);
    }

    fn number(&self, metric: &'static Metric, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.gauge(metric, move || vec![(read(), Vec::new())]);
    }

    fn counter(
        &self,
        metric: &'static Metric,
        read: impl Fn() -> Vec<(u64, Vec<KeyValue>)> + Send + Sync + 'static,
    ) {
        let builder = self.0.u64_observable_counter(metric.name);
        let builder = builder.with_unit(metric.unit).with_description(metric.says);
        let observed = builder.with_callback(move |observer| {
            for (value, labels) in read() {
                observer.observe(value, &labels);
            }
        });
        observed.build();
    }

    fn gauge(
        &self,
        metric: &'static Metric,
        read: impl Fn() -> Vec<(u64, Vec<KeyValue>)> + Send + Sync + 'static,
    ) {
        let builder = self.0.u64_observable_gauge(metric.name);
        let builder = builder.with_unit(metric.unit).with_description(metric.says);
        let observed = builder.with_callback(move |observer| {
            for (value, labels) in read() {
                observer.observe(value, &labels);
            }
        });
        observed.build();
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
