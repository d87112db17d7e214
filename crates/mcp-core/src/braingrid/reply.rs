//! What came of one attempt: an answer, a refusal, or something that is not clear.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use mcp_outbound::{FetchError, Room};

use super::{
    error_body::{error_message, is_of_a_gateway, is_page},
    policy::Fault,
    routes::Class,
};
use crate::error::{ApiError, Unclear};

/// A 2xx answer, whole.
pub(crate) struct ApiResponse {
    pub(crate) body: Bytes,
    pub(crate) event_stream: bool,
    /// What is held for its size.
    pub(crate) room: Option<Room>,
}

impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiResponse").finish_non_exhaustive()
    }
}

/// A `Retry-After` header; the wait when it could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryAfter(Option<Duration>);

/// One reply to one attempt, of whatever status.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) answer: ApiResponse,
}

/// An attempt that did not end in an answer: how to treat it, and what to say in the end.
pub(super) struct Failure {
    pub(super) fault: Option<Fault>,
    pub(super) error: ApiError,
}

impl Reply {
    /// How long it asks to wait, where it says so.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.retry_after.and_then(|asked| asked.0)
    }
}

impl Failure {
    /// Not even tried, and not to be tried again by this call.
    pub(super) fn not_sent(wait: Option<Duration>) -> Self {
        Self {
            fault: None,
            error: ApiError::Unavailable(wait),
        }
    }
}

/// What an HTTP answer means.
pub(super) fn judge(class: Class, reply: Reply) -> Result<ApiResponse, Failure> {
    let status = reply.status;
    if status.is_success() {
        return Ok(reply.answer);
    }
    let turned_away = |wait, error| Failure {
        fault: Some(Fault::TurnedAway(wait)),
        error,
    };
    Err(match (status, reply.retry_after) {
        (StatusCode::TOO_MANY_REQUESTS, asked) => {
            let wait = asked.and_then(|asked| asked.0);
            turned_away(wait, ApiError::RateLimited(wait))
        }
        (StatusCode::SERVICE_UNAVAILABLE, Some(RetryAfter(wait))) => {
            turned_away(wait, ApiError::Unavailable(wait))
        }
        // Above 599 there is no meaning: as with 5xx, it may have been done.
        _ if status.as_u16() >= 500 || status == StatusCode::REQUEST_TIMEOUT => {
            let why = Unclear::Status(status.as_u16());
            Failure {
                fault: (!why.lasts()).then_some(Fault::Unclear),
                error: unclear(class, why),
            }
        }
        _ => Failure {
            fault: None,
            error: refusal(status, &reply.answer.body),
        },
    })
}

/// An answer by which BrainGrid says that it did nothing, and why.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> ApiError {
    if is_foreign(status, body) {
        return ApiError::Foreign(status.as_u16());
    }
    // What only repeats the status is nobody's word: any gateway adds that.
    let repeats = |said: &String| {
        let reason = status.canonical_reason();
        reason.is_some_and(|reason| said.eq_ignore_ascii_case(reason))
    };
    let message = error_message(body).filter(|said| !repeats(said));
    match status {
        StatusCode::PAYMENT_REQUIRED => ApiError::PaymentRequired(message),
        StatusCode::FORBIDDEN => ApiError::Forbidden(message),
        StatusCode::NOT_FOUND | StatusCode::GONE => ApiError::NotFound(message),
        _ => ApiError::Invalid {
            status: status.as_u16(),
            message,
        },
    }
}

/// Whether this is certainly not BrainGrid's word: its API answers in JSON or with nothing, and
/// neither redirects nor asks for a login at a proxy.
pub(super) fn is_foreign(status: StatusCode, body: &[u8]) -> bool {
    const OF_A_PROXY: StatusCode = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
    status.is_redirection() || status == OF_A_PROXY || is_page(body) || is_of_a_gateway(body)
}

/// BrainGrid, or what stands in front of it, is in trouble for everybody.
pub(super) fn is_outage(reply: &Reply) -> bool {
    // Those above 520 are a CDN's that could not reach or not trust what is behind it.
    matches!(
        reply.status.as_u16(),
        502 | 504 | 521..=523 | 525 | 526 | 530
    ) || (reply.status == 503 && reply.retry_after.is_none())
}

/// What it means that there is no answer.
pub(super) fn transport_failure(class: Class, error: FetchError) -> Failure {
    let (fault, why) = match error {
        FetchError::NotSent => {
            return Failure {
                fault: Some(Fault::NotSent),
                error: ApiError::Unavailable(None),
            };
        }
        FetchError::NoRoom => {
            return Failure {
                fault: None,
                error: ApiError::Busy,
            };
        }
        // The same answer would come again.
        FetchError::TooLarge => (None, Unclear::TooLarge),
        FetchError::Timeout => (Some(Fault::Unclear), Unclear::Timeout),
        FetchError::Broken => (Some(Fault::Unclear), Unclear::Broken),
    };
    Failure {
        fault,
        error: unclear(class, why),
    }
}

/// A read that failed changed nothing; a write may have been done.
pub(crate) fn unclear(class: Class, why: Unclear) -> ApiError {
    match class {
        Class::Read => ApiError::Failed(why),
        Class::Write | Class::Slow => ApiError::OutcomeUnknown(why),
    }
}

/// The wait that BrainGrid asks for, as seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<RetryAfter> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    let until = |date: SystemTime| date.duration_since(now).unwrap_or_default();
    Some(RetryAfter(seconds.or_else(|| {
        httpdate::parse_http_date(value).ok().map(until)
    })))
}

pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("text/event-stream")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body may be, and whether it can be BrainGrid's.
    const BODIES: &[(&[u8], bool)] = &[
        (b"", true),
        (b" \n", true),
        (b"{\"error\":{\"code\":\"x\",\"message\":\"no\"}}", true),
        (b"\xef\xbb\xbf{\"message\":\"no\"}", true),
        (b"{\"message\":\"cut o", true),
        (b"[]", true),
        (b"\"no\"", true),
        (b"null", true),
        (b"{\"message\":\"Forbidden\"}", true),
        (b"{\"projects\":[null,{}]}", true),
        (b"{\"success\":false,\"errors\":[{\"message\":\"no\"}]}", true),
        (b"{\"message\":\"Missing Authentication Token\"}", false),
        (b"{\"Message\":\"User is not authorized to access this resource with an explicit deny\"}", false),
        (b"{\"success\":false,\"errors\":[{\"code\":7003,\"message\":\"no route\"}],\"result\":null}", false),
        (b"{\"title\":\"Error 1020: Access denied\",\"status\":403,\"cloudflare_error\":true}", false),
        (b"<!DOCTYPE html><title>Blocked</title>", false),
        (b"\xef\xbb\xbf  <html>", false),
        (b"RBAC: access denied", false),
        (b"error code: 1020", false),
        (b"\x00\xff", false),
    ];

    fn reply(status: u16, body: &'static [u8]) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            answer: ApiResponse {
                body: Bytes::from_static(body),
                event_stream: false,
                room: None,
            },
        }
    }

    fn judged(class: Class, status: u16, body: &'static [u8]) -> Result<ApiResponse, ApiError> {
        judge(class, reply(status, body)).map_err(|failure| failure.error)
    }

    /// Whether a read is sent again at once.
    fn is_repeated(status: u16, body: &'static [u8]) -> bool {
        judge(Class::Read, reply(status, body)).is_err_and(|failure| failure.fault.is_some())
    }

    #[test]
    fn a_status_that_lasts_is_not_asked_for_again_whatever_its_body() {
        for &(body, _) in BODIES {
            for status in [501, 505, 511, 525, 526, 530] {
                assert!(!is_repeated(status, body), "{status} {body:?}");
                let text = judged(Class::Read, status, body).unwrap_err().to_string();
                assert!(text.contains("trying again may not help"), "{text}");
                let whose = if status > 505 {
                    "in front of"
                } else {
                    "the server"
                };
                assert!(text.contains(&format!("{whose} ")), "{text}");
            }
            for status in [408, 429, 500, 502, 503, 504, 520, 521, 522, 524, 599] {
                assert!(is_repeated(status, body), "{status} {body:?}");
            }
            for status in [400, 403, 404, 407, 409, 422, 451] {
                assert!(!is_repeated(status, body), "{status} {body:?}");
            }
        }
    }

    #[test]
    fn a_refusal_without_a_word_is_not_said_to_be_braingrids() {
        for body in [
            &b""[..],
            b"{}",
            b"{\"message\":\"Forbidden\"}",
            b"\"forbidden\"",
        ] {
            let text = judged(Class::Read, 403, body).unwrap_err().to_string();
            assert!(text.contains("or by something in front of it"), "{text}");
        }
    }

    #[test]
    fn a_page_is_never_taken_for_what_braingrid_says() {
        // Of permissions, plans, logins and ids only BrainGrid can speak.
        let of_braingrid = [
            "admin",
            "credits",
            "Log in again",
            "under that id",
            "BrainGrid refused",
        ];
        for class in [Class::Read, Class::Write, Class::Slow] {
            for status in 300..700 {
                for &(body, may_be) in BODIES {
                    let error = judged(class, status, body).unwrap_err();
                    let text = error.to_string();
                    if !may_be {
                        let talks = of_braingrid.iter().find(|word| text.contains(**word));
                        assert_eq!(talks, None, "{status} {body:?}: {text}");
                    }
                    let definite = status < 500 && status != 408;
                    assert_eq!(
                        error.is_unclear(),
                        !definite && class != Class::Read,
                        "{text}"
                    );
                    let passes = text.to_lowercase().contains("try again");
                    assert!(
                        !passes || status == 429 || status == 408 || status >= 500,
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_refusal_in_json_or_without_a_body_is_braingrids() {
        for (body, _) in BODIES.iter().copied().filter(|(_, may_be)| *may_be) {
            for (status, kind) in [
                (402, "payment_required"),
                (403, "forbidden"),
                (404, "not_found"),
                (422, "invalid"),
            ] {
                assert_eq!(
                    judged(Class::Write, status, body).unwrap_err().kind(),
                    kind,
                    "{body:?}"
                );
            }
        }
        assert_eq!(
            judged(Class::Read, 407, b"{}").unwrap_err(),
            ApiError::Foreign(407)
        );
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, SystemTime::UNIX_EPOCH)
        };
        assert_eq!(of("7"), Some(RetryAfter(Some(Duration::from_secs(7)))));
        assert_eq!(
            of("Thu, 01 Jan 1970 00:00:09 GMT"),
            Some(RetryAfter(Some(Duration::from_secs(9))))
        );
        assert_eq!(of("soon"), Some(RetryAfter(None)));
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }
}
