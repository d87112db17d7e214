//! [`MetadataMirror`]: an issuer's metadata for clients that look for it at the resource, as those of
//! MCP 2025-03-26 do. Byte for byte, and no oftener asked for than now and then.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use mcp_outbound::LogThrottle;
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{
    discovery,
    error::ConfigError,
    fetch::{FetchError, parse_url},
};

/// Age at which the document is fetched anew, while the old one goes on being served.
const FRESH: Duration = Duration::from_mins(10);

/// Least time between two fetches, whoever asks.
const PAUSE: Duration = Duration::from_secs(5);

/// Limit for one fetch.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest document that is mirrored, in bytes: strangers get it. Real ones are below 20 KiB.
const MAX_DOCUMENT: usize = 64 * 1024;

/// One issuer's metadata, for anybody. Cheap to clone.
///
/// The last good document is served for as long as there is no newer one, also while the issuer is
/// away. There is one fetch at a time, and one in five seconds at most.
#[derive(Debug, Clone)]
pub struct MetadataMirror(Arc<Inner>);

/// An issuer's metadata as it wrote them.
#[derive(Debug)]
pub struct MirroredMetadata {
    /// The document.
    pub body: Vec<u8>,
    /// Whether it is that of OpenID Connect Discovery, and not that of RFC 8414.
    pub is_openid: bool,
    asked_at: Instant,
}

/// Why there is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The issuer has none that could be used.
    #[error("the issuer has no metadata")]
    NoDocument,
    /// The issuer does not answer.
    #[error("the issuer does not answer")]
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

#[derive(Debug)]
struct Inner {
    issuer: String,
    client: reqwest::Client,
    fresh_for: Duration,
    pause: Duration,
    current: ArcSwapOption<MirroredMetadata>,
    /// Holding this lock is the right to fetch.
    fetching: Arc<Mutex<Option<Attempt>>>,
    told: LogThrottle,
}

/// The last fetch, and what it failed by.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    at: Instant,
    failed: Option<MirrorError>,
}

impl MetadataMirror {
    /// A mirror of this issuer's; no I/O. `client` must follow no redirect, as that of
    /// [`http_client`](crate::http_client).
    ///
    /// # Errors
    /// [`ConfigError::Url`] for an issuer that cannot be asked.
    pub fn new(issuer: impl Into<String>, client: reqwest::Client) -> Result<Self, ConfigError> {
        let issuer = issuer.into();
        parse_url(&issuer)?;
        Ok(Self(Arc::new(Inner {
            issuer,
            client,
            fresh_for: FRESH,
            pause: PAUSE,
            current: ArcSwapOption::empty(),
            fetching: Arc::default(),
            told: LogThrottle::default(),
        })))
    }

    /// The same mirror, before it is used, with another age at which it fetches anew (10 min by
    /// default) and another least time between two fetches (5 s).
    #[must_use]
    pub fn every(mut self, fresh_for: Duration, pause: Duration) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.fresh_for = fresh_for;
            inner.pause = pause;
        }
        self
    }

    /// The document: at once where there is one, however old, which is then renewed behind the
    /// request's back.
    ///
    /// # Errors
    /// [`MirrorError`], where there was never one.
    pub async fn document(&self) -> Result<Arc<MirroredMetadata>, MirrorError> {
        let inner = &self.0;
        let Some(held) = inner.current.load_full() else {
            return inner.first().await;
        };
        if held.asked_at.elapsed() >= inner.fresh_for
            // Whoever holds the lock is fetching already.
            && let Ok(last) = Arc::clone(&inner.fetching).try_lock_owned()
            && inner.may_ask(*last)
        {
            tokio::spawn(Arc::clone(inner).fetch(last));
        }
        Ok(held)
    }
}

impl Inner {
    /// Waits for the right to fetch; whoever got it first has answered the others by then.
    async fn first(self: &Arc<Self>) -> Result<Arc<MirroredMetadata>, MirrorError> {
        let last = Arc::clone(&self.fetching).lock_owned().await;
        if let Some(held) = self.current.load_full() {
            return Ok(held);
        }
        if let Some(failed) = last.and_then(|last| last.failed)
            && !self.may_ask(*last)
        {
            return Err(failed);
        }
        // In its own task: a client that goes away takes nobody else's fetch with it.
        let fetched = tokio::spawn(Arc::clone(self).fetch(last)).await;
        fetched.unwrap_or(Err(self.unavailable()))
    }

    fn may_ask(&self, last: Option<Attempt>) -> bool {
        last.is_none_or(|last| last.at.elapsed() >= self.pause)
    }

    async fn fetch(
        self: Arc<Self>,
        mut last: OwnedMutexGuard<Option<Attempt>>,
    ) -> Result<Arc<MirroredMetadata>, MirrorError> {
        let at = Instant::now();
        let fetched = self.ask(at).await;
        let failed = fetched.as_ref().err().map(|error| self.meaning_of(error));
        *last = Some(Attempt { at, failed });
        match (fetched, failed) {
            (Ok(document), _) => {
                let document = Arc::new(document);
                self.current.store(Some(Arc::clone(&document)));
                Ok(document)
            }
            (Err(_), failed) => Err(failed.unwrap_or_else(|| self.unavailable())),
        }
    }

    async fn ask(&self, asked_at: Instant) -> Result<MirroredMetadata, FetchError> {
        let mut found = discovery::document::<Named>(&self.client, &self.issuer, PATIENCE).await?;
        if found.body.len() > MAX_DOCUMENT {
            return Err(FetchError::TooLarge);
        }
        Ok(MirroredMetadata {
            is_openid: found
                .source
                .path()
                .contains("/.well-known/openid-configuration"),
            body: std::mem::take(&mut *found.body),
            asked_at,
        })
    }

    fn meaning_of(&self, error: &FetchError) -> MirrorError {
        if self.told.pass().is_some() {
            tracing::warn!(issuer = %self.issuer, %error, "the issuer's metadata cannot be mirrored");
        }
        match error {
            FetchError::NoAnswer(_) | FetchError::Status(429 | 500..) => self.unavailable(),
            _ => MirrorError::NoDocument,
        }
    }

    fn unavailable(&self) -> MirrorError {
        MirrorError::Unavailable {
            retry_after: self.pause,
        }
    }
}

/// The one member that is looked at.
#[derive(Deserialize)]
struct Named {
    issuer: String,
}

impl discovery::Names for Named {
    fn issuer(&self) -> &str {
        &self.issuer
    }
}
