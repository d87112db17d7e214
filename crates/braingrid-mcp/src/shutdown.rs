//! The stop: one deadline for all its phases, set by the first signal and hurried by the second.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use mcp_transport_http::Phase;
use tokio::sync::watch;
use tokio::time::sleep_until;

/// How long a stop takes after a second signal, and at least. Some clients kill half a second after
/// it, as does Vercel after the first.
const HURRY: Duration = Duration::from_millis(400);

/// How long the last audit records, sessions, spans and numbers may take to get where they go.
const FLUSH: Duration = Duration::from_secs(3);

/// What is kept of the time for the last lines of the log.
const LOG: Duration = Duration::from_millis(100);

/// A cheap handle that tells how far the stop has come.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    phases: watch::Receiver<Phase>,
    deadline: watch::Receiver<Option<Instant>>,
    hurried: Arc<AtomicU8>,
}

impl Shutdown {
    /// Starts to listen for SIGINT and SIGTERM. From the first one to the end of the process it takes
    /// `within` at most, whatever hangs.
    pub(crate) fn listen(within: Duration) -> io::Result<Self> {
        let signals = Signals::listen()?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let (end, deadline) = watch::channel(None);
        let hurried = Arc::<AtomicU8>::default();
        let stop = Stop {
            signals,
            within: within.max(HURRY),
            phase,
            end,
            hurried: Arc::clone(&hurried),
        };
        tokio::spawn(stop.run());
        Ok(Self {
            phases,
            deadline,
            hurried,
        })
    }

    /// How far the stop has come.
    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phases.clone()
    }

    /// Completes when the stop has come so far.
    pub(crate) async fn reached(mut self, phase: Phase) {
        // The task that holds the other end ends with the process; should it ever be gone, no
        // signal can be heard any more, and stopping is the safe answer.
        let _ = self.phases.wait_for(|reached| *reached >= phase).await;
    }

    /// How long what is still to be saved or sent may take.
    pub(crate) fn left(&self) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now() + LOG);
        self.deadline.borrow().map_or(FLUSH, left).min(FLUSH)
    }

    /// The exit code, if the process was told to hurry.
    pub(crate) fn hurried(&self) -> Option<u8> {
        let code = self.hurried.load(Ordering::Relaxed);
        (code != 0).then_some(code)
    }
}

/// The task that hears the signals.
struct Stop {
    signals: Signals,
    within: Duration,
    phase: watch::Sender<Phase>,
    end: watch::Sender<Option<Instant>>,
    hurried: Arc<AtomicU8>,
}

impl Stop {
    async fn run(mut self) {
        let signal = self.signals.next().await;
        tracing::info!(
            signal = signal.name,
            within = ?self.within,
            "stopping; a second signal does not wait for calls"
        );
        let begun = self.end_within(self.within, signal);
        for (phase, after) in Phase::times(self.within) {
            tokio::select! {
                () = sleep_until((begun + after).into()) => { self.phase.send_replace(phase); }
                signal = self.signals.next() => return self.hurry(signal).await,
            }
        }
        let signal = self.signals.next().await;
        self.hurry(signal).await;
    }

    /// What is under way is answered now. A third signal does not wait for that.
    async fn hurry(mut self, signal: Signal) {
        tracing::warn!(signal = signal.name, "stopping at once");
        self.hurried.store(signal.exit_code, Ordering::Relaxed);
        let begun = self.end_within(HURRY, signal);
        let phase = self.phase;
        phase.send_if_modified(|phase| {
            let before = *phase < Phase::Answering;
            *phase = Phase::Answering.max(*phase);
            before
        });
        tokio::select! {
            () = sleep_until((begun + HURRY / 2).into()) => { phase.send_replace(Phase::Closing); }
            _ = self.signals.next() => std::process::exit(signal.exit_code.into()),
        }
        self.signals.next().await;
        std::process::exit(signal.exit_code.into());
    }

    /// Ends the process after that time, from a thread of its own: nothing that hangs holds it up.
    /// Gives back when that time began.
    fn end_within(&self, within: Duration, signal: Signal) -> Instant {
        let now = Instant::now();
        self.end.send_replace(Some(now + within));
        std::thread::spawn(move || {
            std::thread::sleep(within);
            std::process::exit(signal.exit_code.into());
        });
        now
    }
}

/// A signal that was received.
#[derive(Clone, Copy)]
struct Signal {
    name: &'static str,
    exit_code: u8,
}

const INTERRUPT: Signal = Signal {
    name: "SIGINT",
    exit_code: 130,
};

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => Signal { name: "SIGTERM", exit_code: 143 },
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        INTERRUPT
    }
}
