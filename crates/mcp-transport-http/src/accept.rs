//! What kinds of answers a client takes (RFC 9110 section 12.5.1), and giving it one of them.
//!
//! An answer is one JSON document, or a stream of events where a call tells of its progress. Clients
//! should accept both; whoever accepts one of them gets that one.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::BodyExt as _;

use crate::{
    batch::last_event,
    body::{self, BoxedBody, is_event_stream},
};

const JSON: (&str, &str) = ("application", "json");
const STREAM: (&str, &str) = ("text", "event-stream");
const BOTH: &str = "application/json, text/event-stream";

/// What a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    json: bool,
    stream: bool,
}

impl Accept {
    /// By its headers; everything, where they say nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut said = headers.get_all(ACCEPT).iter();
        // What the protocol asks of clients, in the words of its SDKs.
        if said
            .next()
            .is_some_and(|line| line.as_bytes() == BOTH.as_bytes())
            && said.next().is_none()
        {
            return Self {
                json: true,
                stream: true,
            };
        }
        let lines = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let ranges: Vec<_> = lines
            .flat_map(|line| line.split(','))
            .filter_map(range)
            .collect();
        let takes = |(kind, subtype): (&str, &str)| {
            // The most specific range decides.
            let rank = |(a, b, _): &&(&str, &str, bool)| {
                let (a, b) = (
                    a.eq_ignore_ascii_case(kind),
                    b.eq_ignore_ascii_case(subtype),
                );
                u8::from(a) + u8::from(b)
            };
            let fits = ranges.iter().filter(|(a, b, _)| {
                (a.eq_ignore_ascii_case(kind) && (b.eq_ignore_ascii_case(subtype) || *b == "*"))
                    || (*a == "*" && *b == "*")
            });
            fits.max_by_key(rank).is_some_and(|(_, _, wanted)| *wanted)
        };
        Self {
            json: ranges.is_empty() || takes(JSON),
            stream: ranges.is_empty() || takes(STREAM),
        }
    }

    /// Whether no answer to a request would do.
    pub(crate) fn is_nothing(self) -> bool {
        !self.json && !self.stream
    }

    /// What is behind this asks for both, and is told both.
    pub(crate) fn settle(headers: &mut HeaderMap) {
        headers.insert(ACCEPT, HeaderValue::from_static(BOTH));
    }

    /// Whether the client takes the answer as it is. Errors of the protocol stay what they are.
    pub(crate) fn takes(self, response: &Response<BoxedBody>) -> bool {
        self.json == self.stream
            || response.status() != StatusCode::OK
            || is_event_stream(response) == self.stream
    }

    /// The answer in a form that the client takes.
    pub(crate) async fn give(self, response: Response<BoxedBody>) -> Response<BoxedBody> {
        if self.takes(&response) {
            return response;
        }
        self.form().put(response).await
    }

    /// The form of an answer that is begun before it is known: events, if the client takes them.
    pub(crate) fn form(self) -> Form {
        if self.stream {
            Form::Events
        } else {
            Form::Document
        }
    }
}

/// What an answer may be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Document,
    Events,
}

impl Form {
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Document => "application/json",
            Self::Events => "text/event-stream",
        })
    }

    /// The answer in this form.
    pub(crate) async fn put(self, response: Response<BoxedBody>) -> Response<BoxedBody> {
        let is_stream = is_event_stream(&response);
        if is_stream == (self == Self::Events) {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        // Our own bodies cannot fail.
        let Ok(collected) = body.collect().await;
        let bytes = collected.to_bytes();
        let bytes = match self {
            // What was told of the progress has no place in a document.
            Self::Document => last_event(&bytes).to_vec(),
            // Where nobody is owed an answer.
            Self::Events if bytes.is_empty() => Vec::new(),
            Self::Events => [b"event: message\ndata: ".as_slice(), &*bytes, b"\n\n"].concat(),
        };
        parts.headers.insert(CONTENT_TYPE, self.content_type());
        Response::from_parts(parts, body::full(bytes))
    }
}

/// A media range and whether it is wanted at all; `None` for what is none.
fn range(text: &str) -> Option<(&str, &str, bool)> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = match parts.next()? {
        // As Java's clients have it.
        "*" => ("*", "*"),
        essence => essence.split_once('/')?,
    };
    let quality = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let wanted =
        quality.is_none_or(|(_, value)| value.trim().parse::<f32>().map_or(true, |q| q > 0.0));
    Some((kind, subtype, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_is_what_the_most_specific_range_says() {
        for (lines, json, stream) in [
            (&[][..], true, true),
            (&[""], true, true),
            (&["application/json, text/event-stream"], true, true),
            (&["application/json", "text/event-stream"], true, true),
            (&["application/json"], true, false),
            (&["Application/JSON; charset=utf-8"], true, false),
            (&["text/event-stream"], false, true),
            (&["*/*"], true, true),
            (&["text/html, *; q=.2"], true, true),
            (&["application/*"], true, false),
            (&["text/*;q=0.1"], false, true),
            (&["application/json;q=0, */*"], false, true),
            (&["text/event-stream; Q=0.000, */*;q=0.1"], true, false),
            (&["*/*;q=0, application/json"], true, false),
            (&["text/html"], false, false),
            (&["text/html, application/xhtml+xml"], false, false),
        ] {
            let lines = lines
                .iter()
                .map(|line| (ACCEPT, HeaderValue::from_static(line)));
            let accept = Accept::of(&lines.clone().collect());
            assert_eq!(
                accept,
                Accept { json, stream },
                "{:?}",
                lines.collect::<Vec<_>>()
            );
        }
    }
}
