//! How a stop goes, phase by phase, for the server and for each of its connections.

use std::{fmt::Display, future::Future, pin::pin, time::Duration};

use hyper_util::server::graceful::GracefulConnection;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{drain::Drain, idle::Activity};

/// How far the stop of a server has come. Each phase includes those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No stop.
    #[default]
    Serving,
    /// `/ready` says 503, new calls are sent away, connections are told to go elsewhere, and what is
    /// in flight is finished.
    Draining,
    /// What is still in flight is answered: that it is not finished.
    Answering,
    /// Connections that are still open are cut.
    Closing,
}

/// The most that is kept for the phases behind the calls: see [`Phase::times`].
const RESERVE: Duration = Duration::from_secs(2);

impl Phase {
    /// When each phase of a stop begins that takes `within` as a whole, counted from its begin.
    ///
    /// A quarter, and at most two seconds, is kept for what comes after the calls: half of it to
    /// answer what is not finished, and half, behind the last phase here, for whatever the process
    /// has to save or send.
    pub fn times(within: Duration) -> [(Self, Duration); 3] {
        let reserve = RESERVE.min(within / 4);
        let before_end = |left| within.saturating_sub(left);
        [
            (Self::Draining, Duration::ZERO),
            (Self::Answering, before_end(reserve)),
            (Self::Closing, before_end(reserve / 2)),
        ]
    }

    /// Goes through the phases of a stop that begins now and takes `within` as a whole.
    pub(crate) async fn run(within: Duration, phase: &watch::Sender<Self>) {
        let begun = Instant::now();
        for (next, after) in Self::times(within) {
            sleep_until(begun + after).await;
            phase.send_replace(next);
        }
    }

    /// Completes in this phase or a later one. A sender that is gone says nothing any more.
    pub(crate) async fn reached(self, mut phases: watch::Receiver<Self>) {
        if phases.wait_for(|phase| *phase >= self).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Serves a connection to its end, until it is idle for too long, or until the server closes.
pub(crate) async fn serve<C>(connection: C, activity: &Activity, drain: &Drain)
where
    C: GracefulConnection<Error: Display>,
{
    let mut connection = pin!(connection);
    let mut idle = pin!(activity.stopped());
    // Not before its first request: until then it cannot be told, only cut, and its client would not
    // know whether that request was seen. It is sent away when it comes.
    let leaving = pin!(async {
        drain.reached(Phase::Draining).await;
        tokio::select! {
            () = activity.used() => {}
            () = drain.reached(Phase::Closing) => {}
        }
    });
    tokio::select! {
        ended = connection.as_mut() => return ended_with(ended),
        () = &mut idle => return tracing::debug!("an idle connection is closed"),
        () = leaving => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        ended = connection.as_mut() => ended_with(ended),
        () = idle => tracing::debug!("an idle connection is closed"),
        () = drain.reached(Phase::Closing) => tracing::debug!("an open connection is cut"),
    }
}

fn ended_with<E: Display>(ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Does the work, unless it takes longer than the server has: then, nothing.
pub(crate) async fn unless_over<F: Future>(
    work: F,
    over: impl Future<Output = ()>,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = over => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_keeps_time_for_what_comes_after_the_calls() {
        for (within, answering, closing) in [
            (0, 0, 0),
            (400, 300, 350),
            (8_000, 6_000, 7_000),
            (60_000, 58_000, 59_000),
        ] {
            let times = Phase::times(Duration::from_millis(within));
            let expected = [
                (Phase::Draining, Duration::ZERO),
                (Phase::Answering, Duration::from_millis(answering)),
                (Phase::Closing, Duration::from_millis(closing)),
            ];
            assert_eq!(times, expected);
        }
    }
}
