//! What can go wrong with a BrainGrid call, by what the user or the model must do about it.

use std::time::Duration;

use crate::caller::CredentialError;

/// A BrainGrid call that did not give an answer to work with.
///
/// The texts are read by a model: each says what happened and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There is no credential to send.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// 401, also with a fresh credential: the user must log in again.
    #[error(
        "BrainGrid did not accept the credential. Log in again or provide a new token, then retry."
    )]
    Unauthorized,
    /// 402: out of credits, or a limit of the plan.
    #[error("BrainGrid refused for lack of credits or a plan limit{}. Top up or change the plan in BrainGrid; retrying will not help.", detail(.0.as_deref()))]
    PaymentRequired(Option<String>),
    /// 403: the user may not do this.
    #[error("{}", forbidden(.0.as_deref()))]
    Forbidden(Option<String>),
    /// 404: no such thing in this organization.
    #[error("BrainGrid found nothing under that id{}.", detail(.0.as_deref()))]
    NotFound(Option<String>),
    /// 404 for what every account has: it is the API that is not there.
    #[error(
        "BrainGrid's API was not found (HTTP 404): the configured API address (BRAINGRID_API_URL) is probably wrong. Nothing in this call changes that: tell whoever runs this server."
    )]
    NoSuchPath,
    /// Another 4xx: the input is wrong.
    #[error("BrainGrid refused the request (HTTP {status}){}.", detail(.message.as_deref()))]
    Invalid {
        /// The HTTP status.
        status: u16,
        /// What BrainGrid said about it.
        message: Option<String>,
    },
    /// Not BrainGrid's answer: a page, a redirection, or a status that only a proxy gives.
    #[error(
        "Not BrainGrid answered, but something in front of it (HTTP {0}): a proxy, a firewall or a login page, or the configured API address (BRAINGRID_API_URL) may be wrong. Neither the login nor permissions in BrainGrid change that: tell whoever runs this server or this network."
    )]
    Foreign(u16),
    /// 429: nothing was done.
    #[error("Calls to BrainGrid are limited in their rate; nothing was done. Try again {}.", after(*.0))]
    RateLimited(Option<Duration>),
    /// BrainGrid could not be asked: nothing was done.
    #[error("BrainGrid cannot be reached right now; nothing was done. Try again {}.", after(*.0))]
    Unavailable(Option<Duration>),
    /// Too many calls are under way here: nothing was done.
    #[error(
        "This server has too many calls to BrainGrid under way; nothing was done. Try again in a moment."
    )]
    Busy,
    /// Preparing it took so long that there was no time left for the answer: nothing was done.
    #[error(
        "Preparing this call took too long, so it was not sent; nothing was done. Repeat the call."
    )]
    TooLate,
    /// A read failed on BrainGrid's side.
    #[error("BrainGrid could not answer ({why}). Nothing was changed; {again}.", why = .0, again = again(*.0))]
    Failed(Unclear),
    /// A write was sent and no clear answer came back: it may or may not have been done.
    #[error("outcome unknown: the request was sent, but {0}")]
    OutcomeUnknown(Unclear),
    /// A write was answered with success and an error in one: it may or may not have been done.
    #[error("outcome unknown: BrainGrid answered with a status of success, but with an error{}", detail(.0.as_deref()))]
    Contradiction(Option<String>),
}

/// Why an answer is not clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unclear {
    /// No answer within the time for this operation.
    #[error("no answer came in time")]
    Timeout,
    /// The connection broke.
    #[error("the connection broke before the answer was complete")]
    Broken,
    /// A 5xx status.
    #[error("{who} answered HTTP {status}", who = who(*.0), status = .0)]
    Status(u16),
    /// The body is not JSON, or none of the shapes that are understood.
    #[error(
        "the answer could not be read; if this persists, the configured API address (BRAINGRID_API_URL) may be wrong"
    )]
    Unreadable,
    /// The body is a page for people, or no JSON at all.
    #[error(
        "a page came in place of an answer: something in front of BrainGrid, such as a proxy, a firewall or a login page, may have sent it, or the configured API address (BRAINGRID_API_URL) is wrong"
    )]
    Page,
    /// It was sent by the same call before, whose answer was lost.
    #[error("its answer was lost: the same call was made before")]
    Earlier,
    /// The body is larger than the limit.
    #[error("the answer was too large")]
    TooLarge,
}

impl Unclear {
    /// Whether the same question gets the same answer until somebody mends something: what a server
    /// cannot do, a network that wants a login, a CDN that does not find or trust its origin.
    pub(crate) fn lasts(self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 501 | 505 | 511 | 525 | 526 | 530),
            Self::Unreadable | Self::Page => true,
            Self::Timeout | Self::Broken | Self::TooLarge | Self::Earlier => false,
        }
    }
}

impl ApiError {
    /// Whether a write may have been done although this is an error.
    pub fn is_unclear(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_) | Self::Contradiction(_))
    }

    /// A name for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Credential(_) => "no_credential",
            Self::Unauthorized => "unauthorized",
            Self::PaymentRequired(_) => "payment_required",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::NoSuchPath => "no_such_path",
            Self::Invalid { .. } => "invalid",
            Self::Foreign(_) => "foreign_answer",
            Self::RateLimited(_) => "rate_limited",
            Self::Unavailable(_) => "unavailable",
            Self::Busy => "busy",
            Self::TooLate => "too_late",
            Self::Failed(_) => "failed",
            Self::OutcomeUnknown(_) | Self::Contradiction(_) => "outcome_unknown",
        }
    }
}

fn detail(message: Option<&str>) -> String {
    message.map(|text| format!(": {text}")).unwrap_or_default()
}

fn forbidden(message: Option<&str>) -> String {
    match message {
        Some(text) => format!(
            "BrainGrid does not allow this user to do that: {text}. Ask an admin of the organization for access."
        ),
        None => "This was refused without a reason (HTTP 403), by BrainGrid or by something in front of it, such as a firewall. Ask an admin of the organization whether this user may do that, and whoever runs this server if so.".to_owned(),
    }
}

/// Only a network's gate and a CDN give these.
fn who(status: u16) -> &'static str {
    match status {
        511 | 520..=530 => "something in front of BrainGrid",
        _ => "the server",
    }
}

/// What helps: waiting only where the same question may get another answer.
fn again(why: Unclear) -> &'static str {
    match why {
        Unclear::TooLarge => "ask for less, such as a smaller limit",
        why if why.lasts() => {
            "trying again may not help: tell whoever runs this server or this network"
        }
        _ => "try again in a moment",
    }
}

fn after(wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("in {} seconds", wait.as_secs().max(1)),
        None => "in a moment".to_owned(),
    }
}
