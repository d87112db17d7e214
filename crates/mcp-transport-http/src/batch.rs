//! JSON-RPC batches, which clients of 2025-03-26 and before may send and later ones may not.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::BodyExt;
use mcp_session::Session;
use rmcp::ServerHandler;
use serde_json::value::RawValue;

use crate::{
    accept::Accept,
    body::{self, BoxedBody},
    headers::PROTOCOL_VERSION,
    late::{Work, within},
    memory::{Half, MemoryBudget, MemoryCharge, MemoryUser},
    preview::{PreviewError, RequestPreview},
    protocol, refusal,
    server::Inner,
    tenant::TenantPath,
};

/// Messages in one batch. More would let one request occupy the server like many.
const MAX_MESSAGES: usize = 50;

/// Whether the revision this request speaks has batches: 2025-03-26, which an absent header means
/// too, and 2024-11-05. Revision names are dates, so they sort by age.
pub(crate) fn is_offered(headers: &HeaderMap) -> bool {
    headers
        .get(PROTOCOL_VERSION)
        .is_none_or(|version| version.as_bytes() <= b"2025-03-26".as_slice())
}

/// The messages of a batch; `None` when it is empty or too long.
pub(crate) fn split(body: &Bytes) -> Option<Vec<Bytes>> {
    let messages: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    let fits = !messages.is_empty() && messages.len() <= MAX_MESSAGES;
    fits.then(|| {
        messages
            .iter()
            .map(|message| body.slice_ref(message.get().as_bytes()))
            .collect()
    })
}

/// One answer of all answers: an array, or nothing when there were only notifications.
#[derive(Debug)]
pub(crate) struct Joined {
    text: BytesMut,
    charge: MemoryCharge,
}

impl Joined {
    pub(crate) fn new(memory: &MemoryBudget, user: MemoryUser) -> Self {
        Self {
            text: BytesMut::from("[".as_bytes()),
            charge: memory.count(Half::Work, Some(user), 0),
        }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Adds the answer to one message, a document.
    pub(crate) async fn add(&mut self, answer: Response<BoxedBody>) {
        // Our own bodies cannot fail.
        let Ok(collected) = answer.into_body().collect().await;
        let message = collected.to_bytes();
        if message.is_empty() {
            return;
        }
        if self.text.len() > 1 {
            self.text.put_u8(b',');
        }
        self.text.extend_from_slice(&message);
        self.charge.count_to(self.text.capacity());
    }

    pub(crate) fn finish(mut self) -> Response<BoxedBody> {
        if self.text.len() == 1 {
            return body::empty(StatusCode::ACCEPTED);
        }
        self.text.put_u8(b']');
        let mut response = Response::new(body::full(self.text.freeze()));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// The final message of a call that reported progress on the way: within a batch, only the result
/// has a place.
pub(crate) fn last_event(stream: &[u8]) -> &[u8] {
    let data = stream
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"data:"));
    data.map(<[u8]>::trim_ascii)
        .rfind(|data| !data.is_empty())
        .unwrap_or_default()
}

impl<H: ServerHandler + Send + 'static> Inner<H> {
    /// The answers to a batch, in a form that the client takes; `Err` is the rest of the work, where it
    /// takes longer than anybody should wait without a sign of life.
    ///
    /// Batches are few, so here the work may be moved to the heap at once.
    pub(crate) async fn batch_in_time(
        self: &Arc<Self>,
        parts: Parts,
        bytes: Bytes,
        session: Arc<Session>,
        user: MemoryUser,
        accept: Accept,
        request_id: String,
    ) -> Result<Response<BoxedBody>, Work> {
        let inner = Arc::clone(self);
        let answering = async move {
            let answers = inner.batch(parts, &bytes, &session, user, &request_id);
            accept.give(answers.await).await
        };
        let work: Work = Box::pin(answering);
        within(work, self.config.quiet_before_stream).await
    }

    /// The messages of a batch, one after the other. A missing scope refuses the whole batch.
    async fn batch(
        self: &Arc<Self>,
        parts: Parts,
        bytes: &Bytes,
        session: &Session,
        user: MemoryUser,
        request_id: &str,
    ) -> Response<BoxedBody> {
        let Some(messages) = split(bytes) else {
            return protocol::no_message(PreviewError::Batch, &[]);
        };
        let previews: Vec<_> = messages
            .iter()
            .map(|message| RequestPreview::parse(message))
            .collect();
        // Before anything is done: a refusal must not follow half of the work.
        let granted = session.principal().scopes();
        let mut refused = previews
            .iter()
            .flatten()
            .filter_map(|preview| (self.scope_rule)(preview, granted).err());
        if let Some(required) = refused.next() {
            let at = TenantPath::of(&parts.extensions);
            return self.challenger.insufficient_scope(&required, at);
        }
        let mut answers = Joined::new(&self.config.memory, user);
        for (message, preview) in messages.iter().zip(&previews) {
            let is_full = answers.len() > self.config.max_batch_bytes;
            let mut answer = match preview {
                Ok(preview) if is_full || !self.config.memory.has_room(user) => {
                    protocol::left_out(preview.id)
                }
                // 2025-03-26, lifecycle: the handshake stands alone.
                Ok(preview) if preview.method != "initialize" => {
                    self.message(parts.clone(), message, preview, session, request_id)
                        .await
                }
                Ok(_) => protocol::no_message(PreviewError::Invalid, message),
                Err(reason) => protocol::no_message(*reason, message),
            };
            refusal::finish(&mut answer, request_id);
            answers.add(answer).await;
        }
        answers.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_revisions_have_batches() {
        let headers = |version: Option<&'static str>| {
            let value = version.map(HeaderValue::from_static);
            value.map(|value| (http::HeaderName::from_static("mcp-protocol-version"), value))
        };
        let offered = |version| is_offered(&headers(version).into_iter().collect());
        assert!(offered(None) && offered(Some("2025-03-26")) && offered(Some("2024-11-05")));
        assert!(
            !offered(Some("2025-06-18")) && !offered(Some("2026-07-28")) && !offered(Some("x"))
        );
    }

    #[test]
    fn a_batch_is_split_into_its_messages() {
        let split = |text: &'static str| split(&Bytes::from_static(text.as_bytes()));
        let messages = split(r#" [ {"a":[1,2]} , 7, "x" ] "#).unwrap();
        assert_eq!(messages, [r#"{"a":[1,2]}"#, "7", r#""x""#]);
        assert_eq!(split("[]"), None);
        let long = format!("[{}1]", "1,".repeat(MAX_MESSAGES));
        assert_eq!(super::split(&Bytes::from(long)), None);
    }

    #[test]
    fn the_last_event_of_a_stream_is_the_answer() {
        let stream = b"data: {\"progress\":1}\n\ndata: {\"id\":2}\n\n";
        assert_eq!(last_event(stream), br#"{"id":2}"#);
        assert_eq!(last_event(b": nothing\n\n"), b"");
    }

    #[tokio::test]
    async fn answers_are_joined_and_notifications_leave_none() {
        let answer = |text: &'static str| Response::new(body::full(text));
        let memory = MemoryBudget::new(1 << 20);
        let user = memory.user("https://issuer", "ada", None);
        let mut joined = Joined::new(&memory, user);
        for answer in [answer(r#"{"id":1}"#), answer(""), answer(r#"{"id":2}"#)] {
            joined.add(answer).await;
        }
        assert!(memory.usage().used >= joined.len());
        let Ok(collected) = joined.finish().into_body().collect().await;
        assert_eq!(collected.to_bytes(), r#"[{"id":1},{"id":2}]"#);
        let mut nothing = Joined::new(&memory, user);
        nothing.add(answer("")).await;
        assert_eq!(nothing.finish().status(), 202);
        assert_eq!(memory.usage().used, 0);
    }
}
