//! One message: its scopes, the way it takes to the handler, and how long it is waited for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::{Either, FutureExt as _};
use http::{HeaderMap, Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use mcp_outbound::run_to_end;
use mcp_session::Session;
use rmcp::{ServerHandler, model::ProtocolVersion};

use crate::{
    accept::{Accept, Form},
    body::{self, BoxedBody},
    direct::Handled,
    headers::PROTOCOL_VERSION,
    late::{Work, within},
    preview::{RequestPreview, Strange},
    protocol, read_on, refusal,
    server::Inner,
    stop::unless_over,
    tenant::TenantPath,
};

/// What came of the work on a message.
#[expect(
    clippy::large_enum_variant,
    reason = "most are of the larger kind, and none is kept"
)]
enum Done {
    ByHandler(Handled),
    BySdk(Response<BoxedBody>),
}

impl<H: ServerHandler + Send + 'static> Inner<H> {
    /// The answer to a message, in a form that the client takes. `Err` is the rest of the work on a
    /// request that takes longer than anybody should wait without a sign of life.
    pub(crate) async fn in_time(
        self: &Arc<Self>,
        parts: Parts,
        bytes: &Bytes,
        preview: &RequestPreview<'_>,
        session: &Session,
        accept: Accept,
        request_id: &str,
    ) -> Result<Response<BoxedBody>, Work> {
        // For an answer to anything else nobody waits.
        let quiet = if preview.is_request {
            self.config.quiet_before_stream
        } else {
            Duration::MAX
        };
        let at = TenantPath::of(&parts.extensions);
        let answer = if let Some(refusal) = self.refused(preview, session, at).await {
            finished(refusal, request_id)
        } else {
            let work = within(self.begin(parts, bytes, preview), quiet);
            match unless_over(work, self.drain.overdue()).await {
                Some(Ok(done)) => answered(done, preview, self.methods, request_id).await,
                Some(Err(work)) => return Err(self.rest(work, bytes.clone(), accept, request_id)),
                None => unfinished(preview, request_id),
            }
        };
        if accept.takes(&answer) {
            return Ok(answer);
        }
        // Of a call that tells of its progress only the end may be wanted.
        let giving = self.unless_stopped(accept.give(answer), bytes.clone(), request_id.to_owned());
        within(giving, quiet).await
    }

    /// The answer to one message as a document, however long it takes.
    pub(crate) async fn message(
        self: &Arc<Self>,
        parts: Parts,
        bytes: &Bytes,
        preview: &RequestPreview<'_>,
        session: &Session,
        request_id: &str,
    ) -> Response<BoxedBody> {
        let at = TenantPath::of(&parts.extensions);
        if let Some(refusal) = self.refused(preview, session, at).await {
            return refusal;
        }
        let work = self.begin(parts, bytes, preview);
        let work = async move {
            let answer = answered(work.await, preview, self.methods, request_id).await;
            Form::Document.put(answer).await
        };
        let answer = unless_over(work, self.drain.overdue()).await;
        answer.unwrap_or_else(|| unfinished(preview, request_id))
    }

    /// Whether a message may be worked on. Its scopes are judged by the body and not by headers that
    /// older revisions do not compare with it.
    async fn refused(
        &self,
        preview: &RequestPreview<'_>,
        session: &Session,
        at: Option<&TenantPath>,
    ) -> Option<Response<BoxedBody>> {
        if let Err(required) = (self.scope_rule)(preview, session.principal().scopes()) {
            return Some(self.challenger.insufficient_scope(&required, at));
        }
        if let Some(refusal) = self.over_limit(session, preview).await {
            return Some(refusal);
        }
        let is_strange = preview.is_request && preview.strange == Some(Strange::Cursor);
        is_strange.then(|| protocol::strange_cursor(preview.id))
    }

    /// The work on a message. It can be moved: whoever begins to wait for it need not wait to the end.
    fn begin(
        self: &Arc<Self>,
        parts: Parts,
        bytes: &Bytes,
        preview: &RequestPreview<'_>,
    ) -> impl Future<Output = Done> + Send + Unpin + use<H> {
        let wrapped = self.wrapped(&parts.headers, preview, bytes);
        if let Some(direct) = &self.direct
            && let Some(call) = direct.take(&parts.headers, preview, wrapped.as_deref())
        {
            return Either::Left(direct.begin(call, parts).map(Done::ByHandler));
        }
        // Whoever waits for what comes of a task cancels nothing by hanging up, and need not be waited for.
        let legacy = preview.protocol_version.is_none() && preview.method != "tasks/result";
        let body = wrapped.map_or_else(|| bytes.clone(), Bytes::from);
        let request = Request::from_parts(parts, Full::new(body));
        let work = Arc::clone(self).run(request, legacy).map(Done::BySdk);
        Either::Right(work.boxed())
    }

    /// The message in the form in which it is read, if that is another one.
    fn wrapped(
        &self,
        headers: &HeaderMap,
        preview: &RequestPreview<'_>,
        bytes: &Bytes,
    ) -> Option<Vec<u8>> {
        let named = headers
            .get(PROTOCOL_VERSION)
            .and_then(|it| it.to_str().ok());
        let is_newer = named.is_some_and(|it| it >= ProtocolVersion::STANDARD_HEADERS.as_str());
        // A header of a newer revision than the message's is refused by the SDK, which compares the two.
        if is_newer && preview.protocol_version.is_none() {
            return None;
        }
        self.wrapping.as_ref()?(preview, bytes)
    }

    /// The rest of the work on a message, up to its answer in a form that the client takes.
    fn rest(
        self: &Arc<Self>,
        work: impl Future<Output = Done> + Send + 'static,
        bytes: Bytes,
        accept: Accept,
        request_id: &str,
    ) -> Work {
        let (methods, id, message) = (self.methods, request_id.to_owned(), bytes.clone());
        let rest = async move {
            let done = work.await;
            // It could be read when it came.
            let preview = RequestPreview::parse(&message).unwrap_or_default();
            let answer = answered(done, &preview, methods, &id).await;
            accept.give(answer).await
        };
        self.unless_stopped(rest, bytes, request_id.to_owned())
    }

    /// The work on a message, or an answer without it where a stopping server could not wait for it.
    fn unless_stopped(
        self: &Arc<Self>,
        work: impl Future<Output = Response<BoxedBody>> + Send + 'static,
        bytes: Bytes,
        request_id: String,
    ) -> Work {
        let drain = Arc::clone(&self.drain);
        Box::pin(async move {
            let answer = unless_over(work, drain.overdue()).await;
            answer.unwrap_or_else(|| {
                let preview = RequestPreview::parse(&bytes).unwrap_or_default();
                unfinished(&preview, &request_id)
            })
        })
    }

    /// Hands the request to the SDK. A client of the modern revision cancels by hanging up; with
    /// an older one a lost connection must not cancel anything, so its call is finished then, too,
    /// whether its answer has begun or not.
    async fn run(
        self: Arc<Self>,
        request: Request<Full<Bytes>>,
        legacy: bool,
    ) -> Response<BoxedBody> {
        if !legacy {
            return self.sdk.handle(request).await;
        }
        let work = async move { self.sdk.handle(request).await };
        let answer = run_to_end(work, || {}).await.map(read_on::whoever_leaves);
        answer.unwrap_or_else(|| body::empty(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// The answer by what came of the work, before it takes another form.
async fn answered(
    done: Done,
    preview: &RequestPreview<'_>,
    methods: Option<&[&str]>,
    request_id: &str,
) -> Response<BoxedBody> {
    let answer = match done {
        Done::ByHandler(handled) => handled.answer(request_id).await,
        Done::BySdk(answer) => refusal::identify(answer, request_id).await,
    };
    let answer = protocol::rewrite_sdk_error(answer, preview, methods);
    finished(answer, request_id)
}

/// The answer where a stopping server could not wait for it.
fn unfinished(preview: &RequestPreview<'_>, request_id: &str) -> Response<BoxedBody> {
    finished(protocol::unfinished(preview.id), request_id)
}

fn finished(mut answer: Response<BoxedBody>, request_id: &str) -> Response<BoxedBody> {
    refusal::finish(&mut answer, request_id);
    answer
}
