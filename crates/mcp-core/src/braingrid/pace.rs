//! How fast requests leave for BrainGrid: its budget, by turns of the tenants, with a short queue.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use mcp_outbound::{Places, Whose};
use tokio::time::{Instant, sleep, timeout};

/// Takes one request's part of the budget, or says when there is one.
pub type TakeOne = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Duration>> + Send + Sync>;

/// How fast requests may leave.
#[derive(Clone)]
pub struct OutgoingLimit {
    /// Time in which there is one more.
    pub every: Duration,
    /// Takes one.
    pub take: TakeOne,
}

impl fmt::Debug for OutgoingLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingLimit")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// Longest time in the queue: later, whoever called has better things to do.
const QUEUE: Duration = Duration::from_secs(5);

pub(super) struct Pace {
    limit: OutgoingLimit,
    /// Whose turn it is to ask for the next one.
    turns: Places,
}

impl Pace {
    pub(super) fn new(limit: OutgoingLimit) -> Self {
        Self {
            limit,
            turns: Places::new(1),
        }
    }

    /// Waits until a request may leave; `Err` is when to come again, where that is too long.
    pub(super) async fn turn(&self, whose: Option<Whose>, by: Instant) -> Result<(), Duration> {
        // By turns of tenants, however many users one has.
        let whose = whose.map(|whose| Whose {
            user: whose.tenant,
            ..whose
        });
        let patience = QUEUE.min(by.saturating_duration_since(Instant::now()));
        let deadline = Instant::now() + patience;
        let turn = async {
            let _turn = self
                .turns
                .take(whose, patience)
                .await
                .map_err(|_| self.later())?;
            while let Err(wait) = (self.limit.take)().await {
                if Instant::now() + wait > deadline {
                    return Err(wait.max(self.later()));
                }
                sleep(wait).await;
            }
            Ok(())
        };
        timeout(patience, turn)
            .await
            .unwrap_or_else(|_| Err(self.later()))
    }

    pub(super) fn waiting(&self) -> usize {
        self.turns.waiting()
    }

    /// When those who wait now will have had their turn.
    fn later(&self) -> Duration {
        let ahead = u32::try_from(self.turns.waiting()).unwrap_or(u32::MAX);
        self.limit.every.saturating_mul(ahead.saturating_add(1))
    }
}
