//! The stop signal: the first asks every part to finish, the second ends the process.

use std::io;

use tokio::sync::watch;

/// A cheap handle that tells when the server was asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Starts to listen for SIGINT and SIGTERM.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut signals = Signals::listen()?;
        let (requested, receiver) = watch::channel(false);
        tokio::spawn(async move {
            let signal = signals.next().await;
            tracing::info!(
                signal = signal.name,
                "stopping; a second signal ends at once"
            );
            requested.send_replace(true);
            let signal = signals.next().await;
            tracing::warn!(signal = signal.name, "stopped at once");
            std::process::exit(signal.exit_code);
        });
        Ok(Self(receiver))
    }

    /// Completes when the server is to stop.
    pub(crate) async fn requested(mut self) {
        // The task that holds the other end ends with the process; should it ever be gone, no
        // signal can be heard any more, and stopping is the safe answer.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}

/// A signal that was received.
struct Signal {
    name: &'static str,
    exit_code: i32,
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
