//! One message: its scopes, the way it takes to the handler, and how long it is waited for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::{Either, FutureExt as _};
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use mcp_outbound::run_to_end;
use rmcp::ServerHandler;

use crate::{
    accept::Accept,
    body::{self, BoxedBody},
    direct::Handled,
    late::{Work, within},
    preview::{RequestPreview, Strange},
    protocol, refusal,
    server::Inner,
    stop::unless_over,
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
        granted: &[String],
        accept: Accept,
        request_id: &str,
    ) -> Result<Response<BoxedBody>, Work> {
        // For an answer to anything else nobody waits.
        let quiet = if preview.is_request {
            self.config.quiet_before_stream
        } else {
            Duration::MAX
        };
        let mut answer = if let Some(refusal) = self.refused(preview, granted) {
            refusal
        } else {
            let work = within(self.begin(parts, bytes, preview), quiet);
            let done = match unless_over(work, self.drain.overdue()).await {
                Some(Err(work)) => return Err(self.rest(work, bytes.clone(), request_id)),
                Some(Ok(done)) => Some(done),
                None => None,
            };
            answered(done, preview, self.methods, request_id).await
        };
        // Before it takes another form.
        refusal::finish(&mut answer, request_id);
        if accept.takes(&answer) {
            return Ok(answer);
        }
        // Of a call that tells of its progress only the end may be wanted.
        let giving: Work = Box::pin(accept.give(answer));
        within(giving, quiet).await
    }

    /// The answer to one message, however long it takes.
    pub(crate) async fn message(
        self: &Arc<Self>,
        parts: Parts,
        bytes: &Bytes,
        preview: &RequestPreview<'_>,
        granted: &[String],
        request_id: &str,
    ) -> Response<BoxedBody> {
        if let Some(refusal) = self.refused(preview, granted) {
            return refusal;
        }
        let work = self.begin(parts, bytes, preview);
        let done = unless_over(work, self.drain.overdue()).await;
        answered(done, preview, self.methods, request_id).await
    }

    /// Whether a message may be worked on. Its scopes are judged by the body and not by headers that
    /// older revisions do not compare with it.
    fn refused(
        &self,
        preview: &RequestPreview<'_>,
        granted: &[String],
    ) -> Option<Response<BoxedBody>> {
        if let Err(required) = (self.scope_rule)(preview, granted) {
            return Some(self.challenger.insufficient_scope(&required));
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
        if let Some(direct) = &self.direct
            && let Some(call) = direct.take(&parts.headers, preview)
        {
            return Either::Left(direct.begin(call, parts).map(Done::ByHandler));
        }
        let legacy = preview.protocol_version.is_none();
        let request = Request::from_parts(parts, Full::new(bytes.clone()));
        let work = Arc::clone(self).run(request, legacy).map(Done::BySdk);
        Either::Right(work.boxed())
    }

    /// The rest of the work on a message, up to its answer.
    fn rest(
        self: &Arc<Self>,
        work: impl Future<Output = Done> + Send + 'static,
        bytes: Bytes,
        request_id: &str,
    ) -> Work {
        let (inner, request_id) = (Arc::clone(self), request_id.to_owned());
        let rest = async move {
            let done = unless_over(work, inner.drain.overdue()).await;
            // It could be read when it came.
            let preview = RequestPreview::parse(&bytes).unwrap_or_default();
            let mut answer = answered(done, &preview, inner.methods, &request_id).await;
            refusal::finish(&mut answer, &request_id);
            answer
        };
        Box::pin(rest)
    }

    /// Hands the request to the SDK. A client of the modern revision cancels by hanging up; with
    /// an older one a lost connection must not cancel anything, so its call is finished then, too.
    async fn run(
        self: Arc<Self>,
        request: Request<Full<Bytes>>,
        legacy: bool,
    ) -> Response<BoxedBody> {
        if !legacy {
            return self.sdk.handle(request).await;
        }
        let work = async move { self.sdk.handle(request).await };
        let answer = run_to_end(work, || {}).await;
        answer.unwrap_or_else(|| body::empty(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// The answer by what came of the work: nothing, where a stopping server could not wait for it.
async fn answered(
    done: Option<Done>,
    preview: &RequestPreview<'_>,
    methods: Option<&[&str]>,
    request_id: &str,
) -> Response<BoxedBody> {
    let answer = match done {
        Some(Done::ByHandler(handled)) => handled.answer(request_id).await,
        Some(Done::BySdk(answer)) => refusal::identify(answer, request_id).await,
        None => return protocol::unfinished(preview.id),
    };
    protocol::rewrite_sdk_error(answer, preview, methods)
}
