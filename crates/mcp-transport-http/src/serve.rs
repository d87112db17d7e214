//! The accept loop, and how it ends: what was begun is finished, within a time.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use rmcp::ServerHandler;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{body::BoxedBody, drain::hold_until_sent, idle::Activity, router::HttpServer};

/// The body of an answer.
pub type HttpBody = BoxedBody;

/// Room for the head of an HTTP/1 request: the longest token and as much again, three times over.
const MAX_HEAD: usize = 96 * 1024;

/// Time for connections to close once nothing is in flight.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl<H: ServerHandler + Clone + Sync + Send + 'static> HttpServer<H> {
    /// Serves until `shutdown` resolves; then `/ready` says 503, new calls are sent away, and what
    /// is in flight has [`crate::HttpConfig::drain_timeout`] to finish.
    ///
    /// In flight is what a client waits for. A handler whose client has left goes on in a task of its
    /// own and is not waited for: one that must not be cut keeps count of its work, and whoever calls
    /// this waits for that, too.
    ///
    /// # Errors
    /// Only when the listener itself fails for good.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let connections = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(self.inner.config.max_connections));
        let drained = async {
            shutdown.await;
            self.drained().await;
        };
        let accepting = async {
            loop {
                // Closing the semaphore never happens, so this always succeeds.
                let permit = Arc::clone(&permits).acquire_owned().await.ok();
                match listener.accept().await {
                    Ok((stream, _)) => self.connect(stream, permit, &connections),
                    // Out of file descriptors, or a peer that is gone already: neither ends us.
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = drained => {}
            () = accepting => {}
        }
        drop(listener);
        if timeout(CLOSE_TIMEOUT, connections.shutdown())
            .await
            .is_err()
        {
            tracing::debug!("connections were still open and are cut");
        }
        // Last: it would end calls that the SDK is still running.
        self.inner.sdk.config.cancellation_token.cancel();
        Ok(())
    }

    async fn drained(&self) {
        let limit = self.inner.config.drain_timeout;
        tracing::info!(in_flight = self.inner.drain.in_flight(), ?limit, "draining");
        if timeout(limit, self.inner.drain.drain()).await.is_err() {
            tracing::warn!(
                in_flight = self.inner.drain.in_flight(),
                "the drain time is over, calls in flight are cut"
            );
        }
    }

    fn connect<P: Send + 'static>(
        &self,
        stream: TcpStream,
        permit: P,
        connections: &GracefulShutdown,
    ) {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let config = &self.inner.config;
        let activity = Activity::new(config.header_timeout, config.idle_timeout);
        let (server, requests) = (self.clone(), Arc::clone(&activity));
        let service = service_fn(move |request| {
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
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                }
                // The library waits for the first bytes, and between HTTP/2 requests, for ever.
                () = activity.stopped() => tracing::debug!("an idle connection is closed"),
            }
            drop(permit);
        });
    }
}
