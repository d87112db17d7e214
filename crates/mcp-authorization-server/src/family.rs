//! The refresh tokens of one login, of which one is good: each use gives the next.
//!
//! Whoever used one and lost the answer gets the same answer again for a while, on any instance; so
//! two processes of one client that refresh at once both go on. After that, a used one that comes
//! again is in the wrong hands, and the whole family ends (RFC 9700 section 4.14.2). What is kept is
//! small and may be lost: a family that nobody knows goes on if the provider itself still lets the user
//! in. A family's name is random, and the same under every key: instances agree while keys are turned.

use std::time::{Duration, SystemTime};

use mcp_session::{Put, StoreError, Swap};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::{keys::Kind, request::seconds, server::Inner};

/// For how long one instance alone refreshes, by the store's clock: longer than the provider is asked. Where
/// an instance dies meanwhile, the next one begins while providers still take the same token again.
const LEASE: Duration = Duration::from_secs(15);

/// How long a request waits for the one that refreshes: until that is done, or its lease is over.
const WAIT: Duration = Duration::from_secs(20);

/// Between two attempts to write down what the store did not take.
const AGAIN: Duration = Duration::from_millis(250);

/// How much the clocks of instances may differ.
const SKEW: Duration = Duration::from_mins(5);

/// How often ending a family is tried against others that change it.
const ATTEMPTS: usize = 20;

/// How it stands with a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The newest generation that was given out.
    #[serde(rename = "g")]
    newest: u64,
    /// When, in seconds since the epoch.
    #[serde(rename = "t")]
    given_at: u64,
    /// It is over: none of it is good any more.
    #[serde(rename = "e", default, skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
}

/// What a refresh token is worth.
pub(crate) enum Turn {
    /// It is the newest: get the next one, and say how it went.
    Mine(Lease),
    /// It was used a moment ago; this was the answer.
    Again(Zeroizing<Vec<u8>>),
    /// It was used before that, or its family is over.
    Over,
    /// Somebody else is at it and does not come to an end.
    Busy,
}

/// The right to get the next refresh token of a family. Not given back, it is over by itself.
pub(crate) struct Lease {
    family: String,
    generation: u64,
    version: u64,
}

/// What is found under a family's name.
struct Found {
    /// Nothing: the name is free. A state that does not open is one that nobody knows.
    known: Option<(u64, Option<State>)>,
}

impl Found {
    fn state(&self) -> Option<&State> {
        self.known.as_ref().and_then(|(_, state)| state.as_ref())
    }
}

impl Inner {
    /// Whose turn it is with a refresh token of this family and generation.
    pub(crate) async fn turn(
        &self,
        family: &str,
        generation: u64,
        now: SystemTime,
    ) -> Result<Turn, StoreError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let waited = now + begun.elapsed();
            if let Some(turn) = self.judge(family, generation, waited).await? {
                return Ok(turn);
            }
            let lease = self.lease_name(family);
            let free = Vec::from(*b"lease");
            if let Put::Created(version) = self.facts.put_if_absent(&lease, free, LEASE).await? {
                let lease = Lease {
                    family: family.to_owned(),
                    generation,
                    version,
                };
                // Whoever had it before may have come to its end in between.
                let Some(turn) = self.judge(family, generation, waited).await? else {
                    return Ok(Turn::Mine(lease));
                };
                self.give_back(&lease).await;
                return Ok(turn);
            }
            if begun.elapsed() > WAIT {
                return Ok(Turn::Busy);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(250));
        }
    }

    /// What a refresh token is worth where nobody has to be asked.
    async fn judge(
        &self,
        family: &str,
        generation: u64,
        now: SystemTime,
    ) -> Result<Option<Turn>, StoreError> {
        let found = self.look(family).await?;
        let state = found.state();
        if state.is_some_and(|state| state.ended) {
            return Ok(Some(Turn::Over));
        }
        let Some(state) = state.filter(|state| generation < state.newest) else {
            // It may have been made by an instance that came no further: it is the answer all the same.
            let answer = self.answer_of(family, generation + 1).await?;
            return Ok(answer.map(Turn::Again));
        };
        let since = Duration::from_secs(seconds(now).saturating_sub(state.given_at));
        let grace = self.config.refresh_grace;
        // The store's clock says when an answer is over; ours may differ from who wrote this.
        if since <= grace + SKEW
            && let Some(answer) = self.answer_of(family, generation + 1).await?
        {
            return Ok(Some(Turn::Again(answer)));
        }
        if since <= grace && generation + 1 == state.newest {
            // The answer was lost with the store that had it, which is no reason to suspect anybody: the
            // provider says whether the login goes on, as where nothing is known.
            return Ok(None);
        }
        tracing::warn!("a refresh token was used again: its login is over");
        self.end(family, now).await?;
        Ok(Some(Turn::Over))
    }

    /// The next generation is there, and this is the answer that brings it; or the one of somebody who
    /// was faster. Nothing where the family was ended meanwhile.
    pub(crate) async fn settle(
        &self,
        lease: &Lease,
        answer: Zeroizing<Vec<u8>>,
        now: SystemTime,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let newest = lease.generation + 1;
        let name = self.answer_name(&lease.family, newest);
        let sealed = self.keys.seal_bytes(Kind::Family, &name, &answer);
        let sealed = sealed.map_err(|_| StoreError::Full)?;
        let lasting = self.config.refresh_grace;
        // First: whoever sees the next generation finds the answer, too.
        let answer = match self.facts.put_if_absent(&name, sealed, lasting).await? {
            Put::Created(_) => answer,
            Put::Exists(fact) => {
                let opened = self.keys.open_bytes(Kind::Family, &name, &fact.value);
                opened.unwrap_or(answer)
            }
        };
        let state = State {
            newest,
            given_at: seconds(now),
            ended: false,
        };
        for _ in 0..ATTEMPTS {
            let found = self.look(&lease.family).await?;
            if found.state().is_some_and(|state| state.ended) {
                return Ok(None);
            }
            let passed = found.state().is_some_and(|known| known.newest >= newest);
            if passed
                || self
                    .write(&lease.family, &found, &state, self.remembered())
                    .await?
            {
                break;
            }
        }
        self.give_back(lease).await;
        Ok(Some(answer))
    }

    /// The same once more and again, for a store that was away: for as long as anybody may want to know.
    pub(crate) async fn settle_later(
        &self,
        lease: Lease,
        answer: Zeroizing<Vec<u8>>,
        now: SystemTime,
    ) {
        let begun = Instant::now();
        while begun.elapsed() < self.config.refresh_grace {
            sleep(AGAIN).await;
            if self.settle(&lease, answer.clone(), now).await.is_ok() {
                return;
            }
        }
        tracing::warn!("a refresh was never written down: its answer cannot be given again");
    }

    /// Somebody else may try: the same refresh token is good as it was.
    pub(crate) async fn give_back(&self, lease: &Lease) {
        let name = self.lease_name(&lease.family);
        drop(self.facts.compare_and_delete(&name, lease.version).await);
    }

    /// None of a family's refresh tokens is good any more.
    pub(crate) async fn end(&self, family: &str, now: SystemTime) -> Result<(), StoreError> {
        let ended = State {
            newest: 0,
            given_at: seconds(now),
            ended: true,
        };
        for _ in 0..ATTEMPTS {
            let found = self.look(family).await?;
            let is_over = found.state().is_some_and(|state| state.ended);
            let lasting = self.config.grant_lifetime;
            if is_over || self.write(family, &found, &ended, lasting).await? {
                return Ok(());
            }
        }
        Err(StoreError::Timeout)
    }

    async fn look(&self, family: &str) -> Result<Found, StoreError> {
        let name = self.family_name(family);
        let fact = self.facts.read(&name).await?;
        let known = fact.map(|fact| {
            let opened = self.keys.open_bytes(Kind::Family, &name, &fact.value);
            let state = opened
                .ok()
                .and_then(|plain| serde_json::from_slice(&plain).ok());
            (fact.version, state)
        });
        Ok(Found { known })
    }

    /// Puts a state in the place of what was found; whether that was still there.
    async fn write(
        &self,
        family: &str,
        found: &Found,
        state: &State,
        lasting: Duration,
    ) -> Result<bool, StoreError> {
        let name = self.family_name(family);
        let plain = serde_json::to_vec(state).map_err(|_| StoreError::Full)?;
        let sealed = self.keys.seal_bytes(Kind::Family, &name, &plain);
        let sealed = sealed.map_err(|_| StoreError::Full)?;
        Ok(match &found.known {
            None => {
                let put = self.facts.put_if_absent(&name, sealed, lasting);
                matches!(put.await?, Put::Created(_))
            }
            Some((version, _)) => {
                let swap = self.facts.compare_and_set(&name, *version, sealed, lasting);
                swap.await? == Swap::Done
            }
        })
    }

    /// The answer that brought a generation, for as long as it is kept.
    pub(crate) async fn answer_of(
        &self,
        family: &str,
        generation: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let name = self.answer_name(family, generation);
        let fact = self.facts.read(&name).await?;
        Ok(fact.and_then(|fact| self.keys.open_bytes(Kind::Family, &name, &fact.value).ok()))
    }

    fn family_name(&self, family: &str) -> String {
        self.keys.place(Kind::Family, &["state", family])
    }

    fn lease_name(&self, family: &str) -> String {
        self.keys.place(Kind::Family, &["lease", family])
    }

    fn answer_name(&self, family: &str, generation: u64) -> String {
        let generation = generation.to_string();
        self.keys
            .place(Kind::Family, &["answer", family, &generation])
    }

    /// No refresh token lives longer, so that none comes again that nobody remembers.
    fn remembered(&self) -> Duration {
        self.config.refresh_token_idle + LEASE
    }
}
