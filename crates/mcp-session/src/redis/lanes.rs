//! Long-lived connections ("lanes"), taken from the pool once and replaced only after an error: a
//! checkout per command would cost a second round trip.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use deadpool::managed::{Object, Pool, PoolError};
use deadpool_redis::redis::{RedisError, aio::PubSub};
use mcp_outbound::Backoff;

use super::{
    config::{RedisConfig, RedisConfigError},
    deployment::{Connection, LaneManager, opening_timeout},
};
use crate::store::StoreError;

type LanePool = Pool<LaneManager>;

/// A fixed number of slots, each with a connection that is opened when first needed.
pub(super) struct Lanes {
    slots: Vec<Arc<Slot>>,
    turn: AtomicUsize,
    pool: LanePool,
    timeout: Duration,
}

impl Lanes {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, RedisConfigError> {
        let manager = LaneManager::new(config)?;
        let timeout = opening_timeout(config, manager.steps());
        #[expect(
            clippy::expect_used,
            reason = "building fails only for timeouts without runtime"
        )]
        let pool = LanePool::builder(manager)
            .max_size(config.lanes)
            .build()
            .expect("a pool without timeouts of its own");
        let slot = |_| Arc::new(Slot::new(pool.clone(), timeout));
        Ok(Self {
            slots: (0..config.lanes).map(slot).collect(),
            turn: AtomicUsize::new(0),
            pool,
            timeout,
        })
    }

    /// A connection beside the lanes, for listening.
    pub(super) async fn pubsub(&self) -> Result<PubSub, StoreError> {
        let opening = self.pool.manager().pubsub();
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
    pool: LanePool,
    timeout: Duration,
    current: ArcSwapOption<Object<LaneManager>>,
    opening: tokio::sync::Mutex<()>,
    retry: Mutex<Retry>,
}

/// When the next attempt may start after failed ones.
struct Retry {
    not_before: Option<(Instant, StoreError)>,
    backoff: Backoff,
}

impl Slot {
    fn new(pool: LanePool, timeout: Duration) -> Self {
        Self {
            pool,
            timeout,
            current: ArcSwapOption::empty(),
            opening: tokio::sync::Mutex::new(()),
            retry: Mutex::new(Retry {
                not_before: None,
                backoff: first_backoff(),
            }),
        }
    }

    /// A handle on the open connection, with the number of its lane; opens one if there is none.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<(u64, Connection), StoreError> {
        if let Some(open) = self.handle() {
            return Ok(open);
        }
        let slot = Arc::clone(self);
        // In a task of its own: a request that goes away must not undo half a connection.
        let opening = tokio::spawn(async move { slot.open().await });
        opening.await.unwrap_or(Err(StoreError::Unreachable(
            "the connection attempt was aborted",
        )))
    }

    /// Gives up the lane with this number, if it has not been replaced already.
    pub(super) fn discard(&self, id: u64) {
        let current = self.current.load();
        let Some(lane) = current.as_ref().filter(|lane| lane.id == id) else {
            return;
        };
        lane.broken.store(true, Ordering::Release);
        self.current.compare_and_swap(&current, None);
    }

    fn is_open(&self) -> bool {
        self.current.load().is_some()
    }

    fn handle(&self) -> Option<(u64, Connection)> {
        let current = self.current.load();
        current
            .as_ref()
            .map(|lane| (lane.id, lane.connection.clone()))
    }

    async fn open(&self) -> Result<(u64, Connection), StoreError> {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(open) = self.handle() {
            return Ok(open);
        }
        self.may_retry(Instant::now())?;
        let result = match tokio::time::timeout(self.timeout, self.pool.get()).await {
            Ok(Ok(lane)) => Ok(lane),
            Ok(Err(PoolError::Backend(error))) => Err(connect_error(&error)),
            Ok(Err(_)) => Err(StoreError::Unreachable("the pool is closed")),
            Err(_) => Err(StoreError::Timeout),
        };
        match result {
            Ok(lane) => {
                let open = (lane.id, lane.connection.clone());
                self.current.store(Some(Arc::new(lane)));
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
