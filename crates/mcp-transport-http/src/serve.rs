//! The accept loop, and how it ends: what was begun is finished, within a time.

use std::{convert::Infallible, future::Future, io, pin::pin, sync::Arc, time::Duration};

use http::{Request, Version};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use mcp_outbound::LogThrottle;
use rmcp::ServerHandler;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use crate::{
    body::BoxedBody,
    challenge::unavailable,
    client_address::PeerAddress,
    connections::{Kind, Taken},
    idle::Activity,
    memory::RETRY_AFTER,
    sent,
    server::HttpServer,
    stop::{self, Phase},
    stream::{MAX_HEAD, Metered, WINDOW},
};

/// The body of an answer.
pub type HttpBody = BoxedBody;

/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;

/// What each of them holds before it is known who asks, in bytes.
const STREAM: usize = 16 * 1024;

/// What one of them may have waiting to be written, in bytes.
const SEND_BUFFER: usize = 64 * 1024;

/// Time that a connection has which found no place: enough for a probe.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(5);

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
        let troubles = LogThrottle::default();
        // Closed when the last connection is gone.
        let (open, mut closed) = mpsc::channel::<Infallible>(1);
        let accepting = async {
            loop {
                // The files of those who made room are needed.
                self.inner.connections.settled().await;
                match listener.accept().await {
                    Ok((stream, peer)) => self.connect(stream, PeerAddress(peer), open.clone()),
                    // Out of file descriptors, or a peer that is gone already: neither ends us.
                    Err(error) => {
                        if let Some(unsaid) = troubles.pass() {
                            tracing::warn!(%error, unsaid, "a connection could not be accepted");
                        }
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
            () = Phase::Closing.reached(phases.clone()) => {}
        }
        self.inner.drain.enter_phase(Phase::Closing);
        // Last: it would end calls that the SDK is still running.
        self.inner.sdk.config.cancellation_token.cancel();
        Ok(())
    }

    /// From the begin of the stop to the last answer.
    async fn drained(&self, phases: &watch::Receiver<Phase>) {
        let drain = &self.inner.drain;
        Phase::Draining.reached(phases.clone()).await;
        drain.enter_phase(Phase::Draining);
        tracing::info!(in_flight = drain.in_flight(), "draining");
        tokio::select! {
            () = drain.drained() => return,
            () = Phase::Answering.reached(phases.clone()) => {}
        }
        tracing::warn!(
            in_flight = drain.in_flight(),
            "the time is over, calls in flight are answered as unfinished"
        );
        drain.enter_phase(Phase::Answering);
        tokio::select! {
            () = drain.drained() => {}
            () = Phase::Closing.reached(phases.clone()) => tracing::warn!(
                in_flight = drain.in_flight(),
                "calls in flight are cut"
            ),
        }
    }

    fn connect<O: Send + 'static>(&self, stream: TcpStream, peer: PeerAddress, open: O) {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let config = &self.inner.config;
        let activity = Activity::new(
            config.header_timeout,
            config.idle_timeout,
            config.answer_timeout,
        );
        let bucket = self.inner.address_rule.connection(peer.0);
        let taken = self.inner.connections.admit(bucket, activity);
        let place = Arc::clone(&taken.place);
        let stream = Metered::new(stream, Arc::clone(&place));
        if place.kind() != Kind::Usual {
            self.send_away(stream, peer, taken);
            return;
        }
        let (server, requests) = (self.clone(), Arc::clone(&place));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (server, place) = (server.clone(), Arc::clone(&requests));
            // Here and not in the task: what was read so far is a head from now on.
            let busy = place.activity.begin();
            async move {
                let version = request.version();
                let memory = &server.inner.config.memory;
                // One over HTTP/1 is covered by its connection.
                let is_stream = version == Version::HTTP_2;
                let charge = is_stream.then(|| memory.take_for_connection(STREAM));
                let response = if matches!(charge, Some(None)) {
                    unavailable("too many requests are waiting: try again", RETRY_AFTER)
                } else {
                    // Boxed: it would be moved into the connection, which keeps room for it for good.
                    Box::pin(server.handle_on(request, Some(&place))).await
                };
                drop(charge);
                Ok::<_, Infallible>(sent::counted(memory, busy, version, response))
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .max_buf_size(MAX_HEAD as usize)
            // It also ends connections between two requests; the first one has `header_timeout`.
            .header_read_timeout(config.header_timeout.max(config.idle_timeout));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD)
            .initial_connection_window_size(WINDOW)
            .initial_stream_window_size(WINDOW)
            .max_send_buf_size(SEND_BUFFER);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let drain = Arc::clone(&self.inner.drain);
        tokio::spawn(async move {
            tokio::select! {
                () = stop::serve(connection, &place.activity, &drain) => {}
                () = place.gone() => tracing::debug!("an idle connection makes room for another"),
            }
            drop((taken, open));
        });
    }

    /// Gives one answer on a connection that found no place.
    fn send_away(&self, stream: Metered, peer: PeerAddress, taken: Taken) {
        let place = Arc::clone(&taken.place);
        let (server, kind) = (self.clone(), place.kind());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.turned_away(&request, kind)) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .max_buf_size(8 * 1024)
            .header_read_timeout(RESERVE_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            tokio::select! {
                // However it ends, there is nobody to tell.
                _ = timeout(RESERVE_TIMEOUT, connection) => {}
                () = place.gone() => {}
            }
            drop(taken);
        });
    }
}
