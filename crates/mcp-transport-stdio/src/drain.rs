//! A transport that reports its end only when every request has its answer.
//!
//! rmcp gives calls that are under way five seconds after the end of the input, and writing a
//! requirement takes longer. So the end is held back here, where requests and answers are seen.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use mcp_core::{ExplicitCancel, filled_in, only_waits};
use rmcp::RoleServer;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientNotification, ClientRequest,
    ErrorData, GetExtensions as _, JsonRpcMessage, RequestId, ServerJsonRpcMessage, ServerResult,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::misfit::Misfit;

/// How long a process that serves over stdio goes on after the end of its input, for what is under way:
/// longer than the longest call, which has a limit of its own.
pub const AFTER_END: Duration = Duration::from_mins(6);

/// After a stop signal: clients kill what has not ended after two seconds.
const AFTER_STOP: Duration = Duration::from_millis(1_300);

/// To tell the client of what is not answered, should it not read.
const LAST_WORDS: Duration = Duration::from_millis(100);

const UNFINISHED: &str = "outcome unknown: this server stopped before the call was finished; check \
    what it did before you repeat it";

const NO_REQUEST: &str = "this is no JSON-RPC 2.0 request: it needs \"jsonrpc\": \"2.0\" and a method, \
    which is a text";

/// Wraps a transport.
pub(crate) struct Draining<T> {
    inner: T,
    /// What was taken out of the input of `inner`, to be received in its place.
    misfits: UnboundedReceiver<Misfit>,
    stopping: watch::Receiver<bool>,
    /// Requests without an answer yet.
    open: watch::Sender<Open>,
    /// Those whose client only waits for something.
    listening: HashSet<RequestId>,
    phase: Phase,
}

/// Requests that are under way, each with what ends its work when the client says so.
type Open = HashMap<RequestId, ExplicitCancel>;

#[derive(Clone, Copy)]
enum Phase {
    /// Nothing but probes and refused requests so far.
    Opening,
    Serving,
    /// No more is read; what is under way has until then.
    Ending(Instant),
}

impl<T: Transport<RoleServer>> Draining<T> {
    /// Ends with `inner`, or when `stopping` becomes true.
    pub(crate) fn new(
        inner: T,
        misfits: UnboundedReceiver<Misfit>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let (open, _) = watch::channel(Open::new());
        Self {
            inner,
            misfits,
            stopping,
            open,
            listening: HashSet::new(),
            phase: Phase::Opening,
        }
    }

    /// The next message, or `None` at the end of the input or at a stop signal. Cancel safe.
    async fn next(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            tokio::select! {
                biased;
                () = stop(&mut self.stopping) => return None,
                Some(misfit) = self.misfits.recv() => match misfit {
                    Misfit::Request(request) => return Some(*request),
                    Misfit::Invalid(id) => self.refuse(id),
                },
                message = self.inner.receive() => return message,
            }
        }
    }

    /// Refuses what is no request. Not waited for: whoever receives may be dropped while it waits.
    fn refuse(&mut self, id: RequestId) {
        let cancel = ExplicitCancel::default();
        self.open
            .send_modify(|open| _ = open.insert(id.clone(), cancel));
        let error = ErrorData::invalid_request(NO_REQUEST, None);
        let sent = self.send(ServerJsonRpcMessage::error(error, Some(id)));
        // A client that cannot be written to is noticed by those who read.
        tokio::spawn(async move { _ = sent.await });
    }

    /// Keeps the books on requests. Returns whether the message is to be passed on.
    fn note(&mut self, message: &mut RxJsonRpcMessage<RoleServer>) -> bool {
        match message {
            JsonRpcMessage::Request(request) => {
                use ClientRequest::{CustomRequest, DiscoverRequest, PingRequest};
                // What the SDK cannot read opens nothing either.
                if !matches!(
                    request.request,
                    PingRequest(_) | DiscoverRequest(_) | CustomRequest(_)
                ) {
                    self.phase = Phase::Serving;
                }
                let id = request.id.clone();
                if only_waits(request.request.method()) {
                    self.listening.insert(id);
                } else {
                    let cancel = ExplicitCancel::default();
                    request.request.extensions_mut().insert(cancel.clone());
                    self.open.send_modify(|open| _ = open.insert(id, cancel));
                }
            }
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    if let Some(cancel) = close(&self.open, id) {
                        cancel.cancel();
                    }
                    self.listening.remove(id);
                }
            }
            _ => {}
        }
        // Before the connection is opened rmcp would end it over any other message.
        let opened = matches!(self.phase, Phase::Serving);
        opened || matches!(message, JsonRpcMessage::Request(_))
    }

    /// Waits until every request has its answer, or until it is too late for that.
    async fn drained(&mut self, deadline: Instant) {
        let mut open = self.open.subscribe();
        let deadline = async {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {}
                () = stop(&mut self.stopping) => {
                    tokio::time::sleep_until(deadline.min(Instant::now() + AFTER_STOP)).await;
                }
            }
        };
        let over = tokio::select! {
            _ = open.wait_for(HashMap::is_empty) => false,
            () = deadline => true,
        };
        if over {
            self.give_up().await;
        }
    }

    /// Answers what is still open: that nothing is known of it.
    async fn give_up(&mut self) {
        let open: Vec<_> = self.open.borrow().keys().cloned().collect();
        tracing::warn!(calls = open.len(), "calls are not finished");
        // From here on, whatever the handler still answers comes too late.
        self.open.send_replace(Open::new());
        let error = ErrorData::internal_error(UNFINISHED, None);
        let last_words = async {
            for id in open {
                let answer = ServerJsonRpcMessage::error(error.clone(), Some(id));
                if self.inner.send(answer).await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }
}

/// Completes when the process is to stop. A sender that is gone will never say so.
async fn stop(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What a client says that does not listen any more.
fn no_more(id: RequestId) -> RxJsonRpcMessage<RoleServer> {
    let params = CancelledNotificationParam::new(Some(id), None);
    JsonRpcMessage::notification(CancelledNotification::new(params).into())
}

/// It is not under way any more.
fn close(open: &watch::Sender<Open>, id: &RequestId) -> Option<ExplicitCancel> {
    let mut closed = None;
    open.send_if_modified(|open| {
        closed = open.remove(id);
        closed.is_some()
    });
    closed
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Draining<T> {
    type Error = T::Error;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn send(
        &mut self,
        mut item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Response(response) = &mut item
            && let ServerResult::InitializeResult(_) = &response.result
        {
            let result = std::mem::replace(&mut response.result, ServerResult::empty(()));
            response.result = filled_in(result);
        }
        let answered = match &item {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        if let Some(id) = &answered {
            self.listening.remove(id);
        }
        let open = self.open.clone();
        let late = matches!(self.phase, Phase::Ending(_))
            && answered
                .as_ref()
                .is_some_and(|id| !open.borrow().contains_key(id));
        let sent = (!late).then(|| self.inner.send(item));
        async move {
            let Some(sent) = sent else { return Ok(()) };
            let outcome = sent.await;
            if let Some(id) = answered {
                close(&open, &id);
            }
            outcome
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Phase::Ending(deadline) = self.phase {
                // It would go on, and rmcp would wait for it.
                if let Some(id) = self.listening.iter().next().cloned() {
                    self.listening.remove(&id);
                    return Some(no_more(id));
                }
                self.drained(deadline).await;
                return None;
            }
            let Some(mut message) = self.next().await else {
                let patience = if *self.stopping.borrow() {
                    AFTER_STOP
                } else {
                    AFTER_END
                };
                self.phase = Phase::Ending(Instant::now() + patience);
                continue;
            };
            if self.note(&mut message) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}
