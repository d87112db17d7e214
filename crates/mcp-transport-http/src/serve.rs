//! The accept loop, and how it ends: what was begun is finished, within a time.

use std::{convert::Infallible, future::Future, io, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rmcp::ServerHandler;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch},
    time::sleep,
};

use crate::{
    body::BoxedBody,
    client_address::PeerAddress,
    drain::hold_until_sent,
    idle::Activity,
    router::HttpServer,
    stop::{self, Phase},
};

/// The body of an answer.
pub type HttpBody = BoxedBody;

/// Room for the head of an HTTP/1 request: the longest token and as much again, three times over.
const MAX_HEAD: usize = 96 * 1024;

/// Time for connections to close once nothing is in flight.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl<H: ServerHandler + Clone + Sync + Send + 'static> HttpServer<H> {
    /// Serves until `shutdown` resolves, and then stops within
    /// [`crate::HttpConfig::drain_timeout`], in the phases of [`Phase::times`].
    ///
    /// # Errors
    /// Only when the listener itself fails for good.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let within = self.inner.config.drain_timeout;
        let (phase, phases) = watch::channel(Phase::Serving);
        let mut serving = pin!(self.serve_in_phases(listener, phases));
        let stopping = async {
            shutdown.await;
            Phase::run(within, &phase).await;
        };
        tokio::select! {
            served = &mut serving => served,
            () = stopping => serving.await,
        }
    }

    /// Serves until `phases` says otherwise, and stops as it says; sooner when nothing is left to do.
    ///
    /// In flight is what a client waits for. A handler whose client has left goes on in a task of its
    /// own and is not waited for: one that must not be cut keeps count of its work, and whoever calls
    /// this waits for that, too. A handler that knows of [`Phase::Answering`] has a moment to answer
    /// for itself; for one that does not, a JSON-RPC error says that the outcome is unknown.
    ///
    /// # Errors
    /// Only when the listener itself fails for good.
    pub async fn serve_in_phases(
        self,
        listener: TcpListener,
        phases: watch::Receiver<Phase>,
    ) -> io::Result<()> {
        let permits = Arc::new(Semaphore::new(self.inner.config.max_connections));
        // Closed when the last connection is gone.
        let (open, mut closed) = mpsc::channel::<Infallible>(1);
        let accepting = async {
            loop {
                // Closing the semaphore never happens, so this always succeeds.
                let permit = Arc::clone(&permits).acquire_owned().await.ok();
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        self.connect(stream, PeerAddress(peer), (permit, open.clone()));
                    }
                    // Out of file descriptors, or a peer that is gone already: neither ends us.
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = self.drained(&phases) => {}
            () = accepting => {}
        }
        drop((listener, open));
        tokio::select! {
            _ = closed.recv() => {}
            () = sleep(CLOSE_TIMEOUT) => {}
            () = Phase::Closing.reached(&phases) => {}
        }
        self.inner.drain.enter_phase(Phase::Closing);
        // Last: it would end calls that the SDK is still running.
        self.inner.sdk.config.cancellation_token.cancel();
        Ok(())
    }

    /// From the begin of the stop to the last answer.
    async fn drained(&self, phases: &watch::Receiver<Phase>) {
        let drain = &self.inner.drain;
        Phase::Draining.reached(phases).await;
        drain.enter_phase(Phase::Draining);
        tracing::info!(in_flight = drain.in_flight(), "draining");
        tokio::select! {
            () = drain.drained() => return,
            () = Phase::Answering.reached(phases) => {}
        }
        tracing::warn!(
            in_flight = drain.in_flight(),
            "the time is over, calls in flight are answered as unfinished"
        );
        drain.enter_phase(Phase::Answering);
        tokio::select! {
            () = drain.drained() => {}
            () = Phase::Closing.reached(phases) => tracing::warn!(
                in_flight = drain.in_flight(),
                "calls in flight are cut"
            ),
        }
    }

    fn connect<P: Send + 'static>(&self, stream: TcpStream, peer: PeerAddress, permit: P) {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let config = &self.inner.config;
        let activity = Activity::new(config.header_timeout, config.idle_timeout);
        let (server, requests) = (self.clone(), Arc::clone(&activity));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (server, busy) = (server.clone(), requests.begin());
            async move {
                let response = server.handle(request).await;
                Ok::<_, Infallible>(hold_until_sent(busy, response))
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .max_buf_size(MAX_HEAD)
            // It also ends connections between two requests; the first one has `header_timeout`.
            .header_read_timeout(config.header_timeout.max(config.idle_timeout));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(256);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let drain = Arc::clone(&self.inner.drain);
        tokio::spawn(async move {
            stop::serve(connection, &activity, &drain).await;
            drop(permit);
        });
    }
}
