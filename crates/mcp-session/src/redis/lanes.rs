//! Long-lived connections ("lanes"), opened once and replaced only after an error. Each carries any
//! number of commands at once, so nobody waits for one to be free.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use mcp_outbound::Backoff;
use redis::{RedisError, aio::PubSub};

use super::{
    config::{RedisConfig, RedisConfigError},
    deployment::{Connection, Deployment, opening_timeout},
};
use crate::store::StoreError;

/// A fixed number of slots, each with a connection that is opened when first needed.
pub(super) struct Lanes {
    slots: Vec<Arc<Slot>>,
    turn: AtomicUsize,
    deployment: Arc<Deployment>,
    timeout: Duration,
}

impl Lanes {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, RedisConfigError> {
        let deployment = Arc::new(Deployment::new(config)?);
        let timeout = opening_timeout(config, deployment.steps());
        let slot = |_| Arc::new(Slot::new(Arc::clone(&deployment), timeout));
        Ok(Self {
            slots: (0..config.lanes).map(slot).collect(),
            turn: AtomicUsize::new(0),
            deployment,
            timeout,
        })
    }

    /// A connection beside the lanes, for listening.
    pub(super) async fn pubsub(&self) -> Result<PubSub, StoreError> {
        let opening = self.deployment.pubsub();
        match tokio::time::timeout(self.timeout, opening).await {
            Ok(opened) => opened.map_err(|error| connect_error(&error)),
            Err(_) => Err(StoreError::Timeout),
        }
    }

    /// The slot whose turn it is; one that waits before it may connect again is passed over.
    pub(super) fn slot(&self) -> Option<&Arc<Slot>> {
        let turn = self
            .turn
            .fetch_add(1, Ordering::Relaxed)
            .checked_rem(self.slots.len())?;
        let (later, first) = self.slots.split_at_checked(turn)?;
        let mut in_turn = first.iter().chain(later);
        let now = Instant::now();
        in_turn
            .find(|slot| slot.is_open() || slot.may_retry(now).is_ok())
            .or(first.first())
    }
}

/// One lane: open, or waiting to be opened.
pub(super) struct Slot {
    deployment: Arc<Deployment>,
    timeout: Duration,
    current: ArcSwapOption<Connection>,
    opening: tokio::sync::Mutex<()>,
    retry: Mutex<Retry>,
}

/// When the next attempt may start after failed ones.
struct Retry {
    not_before: Option<(Instant, StoreError)>,
    backoff: Backoff,
}

impl Slot {
    fn new(deployment: Arc<Deployment>, timeout: Duration) -> Self {
        Self {
            deployment,
            timeout,
            current: ArcSwapOption::empty(),
            opening: tokio::sync::Mutex::new(()),
            retry: Mutex::new(Retry {
                not_before: None,
                backoff: first_backoff(),
            }),
        }
    }

    /// The open connection; opens one if there is none.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, StoreError> {
        if let Some(open) = self.current.load_full() {
            return Ok(open);
        }
        let slot = Arc::clone(self);
        // In a task of its own: a request that goes away must not undo half a connection.
        let opening = tokio::spawn(async move { slot.open().await });
        opening.await.unwrap_or(Err(StoreError::Unreachable(
            "the connection attempt was aborted",
        )))
    }

    /// Gives up this connection, if it has not been replaced already.
    pub(super) fn discard(&self, connection: Arc<Connection>) {
        self.current.compare_and_swap(&Some(connection), None);
    }

    fn is_open(&self) -> bool {
        self.current.load().is_some()
    }

    async fn open(&self) -> Result<Arc<Connection>, StoreError> {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(open) = self.current.load_full() {
            return Ok(open);
        }
        self.may_retry(Instant::now())?;
        let opened = match tokio::time::timeout(self.timeout, self.deployment.connect()).await {
            Ok(opened) => opened.map_err(|error| connect_error(&error)),
            Err(_) => Err(StoreError::Timeout),
        };
        match opened.map(Arc::new) {
            Ok(open) => {
                self.current.store(Some(Arc::clone(&open)));
                self.opened();
                Ok(open)
            }
            Err(error) => {
                self.failed(Instant::now(), error.clone());
                Err(error)
            }
        }
    }

    fn may_retry(&self, now: Instant) -> Result<(), StoreError> {
        let retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        match &retry.not_before {
            Some((not_before, error)) if now < *not_before => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn opened(&self) {
        let mut retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        *retry = Retry {
            not_before: None,
            backoff: first_backoff(),
        };
    }

    fn failed(&self, now: Instant, error: StoreError) {
        let mut retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = retry.backoff.next().unwrap_or_default();
        retry.not_before = Some((now + pause, error));
    }
}

fn first_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_millis(500))
}

fn connect_error(error: &RedisError) -> StoreError {
    if error.is_timeout() {
        StoreError::Timeout
    } else if let Some(code) = error.code() {
        StoreError::refused(code)
    } else {
        StoreError::Unreachable("no connection")
    }
}
