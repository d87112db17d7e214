//! Subscribes to a channel: connects when it is first polled, and again for as long as somebody
//! listens. What is published in between is lost.

use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use redis::aio::{PubSubSink, PubSubStream};

use mcp_outbound::Backoff;

use super::Shared;
use crate::store::{Heard, StoreError};

/// A connection on which nothing came for this long is asked whether it still lives.
const QUIET: Duration = Duration::from_secs(15);

struct Subscriber {
    store: Weak<Shared>,
    channel: &'static str,
    open: Option<(PubSubSink, PubSubStream)>,
    backoff: Backoff,
    opened_at: Instant,
}

/// Everything published on `channel` from the first poll on, until the store is dropped.
pub(super) fn subscribe(store: Weak<Shared>, channel: &'static str) -> BoxStream<'static, Heard> {
    let subscriber = Subscriber {
        store,
        channel,
        open: None,
        backoff: first_backoff(),
        opened_at: Instant::now(),
    };
    stream::unfold(subscriber, Subscriber::next).boxed()
}

impl Subscriber {
    async fn next(mut self) -> Option<(Heard, Self)> {
        loop {
            match self.message().await {
                Ok(Some(heard)) => return Some((heard, self)),
                Ok(None) => {}
                Err(_) => {
                    self.open = None;
                    if self.opened_at.elapsed() > QUIET {
                        self.backoff = first_backoff();
                    }
                    tokio::time::sleep(self.backoff.next().unwrap_or_default()).await;
                    // Nobody is left to listen for.
                    self.store.upgrade()?;
                }
            }
        }
    }

    /// The next message, or none for a while.
    async fn message(&mut self) -> Result<Option<Heard>, StoreError> {
        let Some((mut sink, mut messages)) = self.open.take() else {
            self.open = Some(self.connect().await?);
            return Ok(Some(Heard::Listening));
        };
        let message = match tokio::time::timeout(QUIET, messages.next()).await {
            Ok(Some(message)) => Some(Heard::Message(message.get_payload_bytes().to_vec())),
            Ok(None) => return Err(StoreError::Unreachable("the connection broke")),
            Err(_) => {
                let asked = tokio::time::timeout(Duration::from_secs(1), sink.ping::<()>());
                if !matches!(asked.await, Ok(Ok(()))) {
                    return Err(StoreError::Timeout);
                }
                None
            }
        };
        self.open = Some((sink, messages));
        Ok(message)
    }

    async fn connect(&mut self) -> Result<(PubSubSink, PubSubStream), StoreError> {
        let store = self
            .store
            .upgrade()
            .ok_or(StoreError::Unreachable("the store is gone"))?;
        let (mut sink, messages) = store.lanes.pubsub().await?.split();
        let limit = store.config.command_timeout;
        drop(store);
        match tokio::time::timeout(limit, sink.subscribe(self.channel)).await {
            Ok(Ok(())) => {
                self.opened_at = Instant::now();
                Ok((sink, messages))
            }
            Ok(Err(_)) => Err(StoreError::Unreachable("the channel was refused")),
            Err(_) => Err(StoreError::Timeout),
        }
    }
}

fn first_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5))
}
