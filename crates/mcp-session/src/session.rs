//! [`Session`]: a principal that was verified, what belongs to it, and until when that holds.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use mcp_auth::{Actor, Principal, Upstream, UpstreamToken};

/// A verified principal, what the upstream API is called with for it, and how long it may be used.
///
/// It holds no inbound token, and it is not the protocol's `Mcp-Session-Id`.
#[derive(Clone)]
pub struct Session {
    principal: Principal,
    upstream: Option<Upstream>,
    established_at: SystemTime,
    expires_at: SystemTime,
    /// Since when this process has it, by a clock that nobody sets.
    known_since: Instant,
}

impl Session {
    /// A session established now. It ends with its token or after `max_lifetime`, whichever comes
    /// first. An upstream token that ends before is replaced.
    pub(crate) fn new(
        principal: Principal,
        upstream: Option<Upstream>,
        established_at: SystemTime,
        max_lifetime: Duration,
    ) -> Self {
        let expires_at = principal.expires_at();
        Self {
            principal,
            upstream,
            established_at,
            expires_at,
            known_since: Instant::now(),
        }
        .limited_to(max_lifetime)
    }

    /// Brings a stored session back; `expires_at` can only shorten it.
    pub(crate) fn restore(
        principal: Principal,
        upstream: Option<Upstream>,
        established_at: SystemTime,
        expires_at: SystemTime,
        max_lifetime: Duration,
    ) -> Self {
        let expires_at = expires_at.min(principal.expires_at());
        Self {
            principal,
            upstream,
            established_at,
            expires_at,
            known_since: Instant::now(),
        }
        .limited_to(max_lifetime)
    }

    /// The same session with this for the upstream API.
    pub(crate) fn with_upstream(mut self, upstream: Option<Upstream>) -> Self {
        self.upstream = upstream;
        self
    }

    /// The same session of a token that was verified again, with all that is said of it today.
    pub(crate) fn verified_again(mut self, principal: Principal) -> Self {
        self.principal = principal;
        self.known_since = Instant::now();
        self
    }

    fn limited_to(mut self, max_lifetime: Duration) -> Self {
        if let Some(limit) = self.established_at.checked_add(max_lifetime) {
            self.expires_at = self.expires_at.min(limit);
        }
        self
    }

    /// Who the session belongs to.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What the upstream API is called with; `None` where nothing was configured.
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }

    /// The upstream token, where it is one of its own.
    pub(crate) fn exchanged(&self) -> Option<&UpstreamToken> {
        match self.upstream.as_ref()? {
            Upstream::Exchanged(token) => Some(token),
            Upstream::Presented => None,
        }
    }

    /// Who acts for the subject, by the token that the upstream API is called with. The issuer's word,
    /// unless that is the client's own token, which was verified.
    pub fn actor(&self) -> Option<&Actor> {
        match self.upstream.as_ref() {
            Some(Upstream::Exchanged(token)) => token.actor(),
            _ => self.principal.actor(),
        }
    }

    /// Who acts for the subject by the client's own token, where another one goes out in its place.
    pub fn client_actor(&self) -> Option<&Actor> {
        let exchanged = self.exchanged();
        exchanged.and_then(|_| self.principal.actor())
    }

    /// Since when this process has it.
    pub(crate) fn known_since(&self) -> Instant {
        self.known_since
    }

    /// When the token behind this session was verified.
    pub fn established_at(&self) -> SystemTime {
        self.established_at
    }

    /// Whether it began with the same verification: the same rights, whatever the API is called with.
    pub(crate) fn is_login_of(&self, other: &Self) -> bool {
        self.established_at == other.established_at && self.principal == other.principal
    }

    /// The earlier of token expiry and configured lifetime.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Whether the session is over at `now`.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at <= now
    }

    /// How long the session still holds; zero when it is over.
    pub(crate) fn remaining(&self, now: SystemTime) -> Duration {
        self.expires_at.duration_since(now).unwrap_or_default()
    }

    /// Bytes this session takes in memory, roughly: itself and what it points to.
    pub(crate) fn weight(&self) -> usize {
        let principal = &self.principal;
        let text = |text: &str| text.len() + 24;
        let names = |actor: &Actor| actor.names().map(text).sum::<usize>();
        let list = |list: &[String]| list.iter().map(|item| text(item)).sum::<usize>();
        size_of::<Self>()
            + text(principal.issuer())
            + text(principal.subject())
            + principal.client_id().map_or(0, text)
            + principal.organization().map_or(0, text)
            + list(principal.scopes())
            + list(principal.audiences())
            + principal.stand_in().map_or(0, text)
            + principal.token_id().map_or(0, text)
            + principal.actor().map_or(0, names)
            + self.exchanged().map_or(0, |token| {
                text(token.expose())
                    + token
                        .actor()
                        .map_or(0, |actor| size_of::<Actor>() + names(actor))
            })
    }
}

/// However long either process has known it.
impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.principal == other.principal
            && self.upstream == other.upstream
            && self.established_at == other.established_at
            && self.expires_at == other.expires_at
    }
}

impl Eq for Session {}

/// Shows neither who nor the upstream token.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("principal", &"[redacted]")
            .field("upstream", &self.upstream.as_ref().map(|_| "[redacted]"))
            .field("established_at", &self.established_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::testing::{principal, upstream};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_ends_with_whatever_ends_first() {
        let week = Duration::from_hours(7 * 24);
        let hour = Duration::from_hours(1);
        let token_first = Session::new(principal("ada", 5_000), None, at(1_000), week);
        assert_eq!(token_first.expires_at(), at(5_000));
        let upstream_first = Session::new(
            principal("ada", 5_000),
            Some(upstream("t", 4_000)),
            at(1_000),
            week,
        );
        assert_eq!(upstream_first.expires_at(), at(5_000), "it is replaced");
        let lifetime_first = Session::new(principal("ada", 9_000), None, at(1_000), hour);
        assert_eq!(lifetime_first.expires_at(), at(4_600));
    }

    #[test]
    fn a_session_is_over_at_its_expiry_not_before() {
        let session = Session::new(principal("ada", 5_000), None, at(1_000), Duration::MAX);
        assert!(!session.is_expired(at(4_999)));
        assert!(session.is_expired(at(5_000)));
        assert_eq!(session.remaining(at(4_000)), Duration::from_secs(1_000));
        assert_eq!(session.remaining(at(6_000)), Duration::ZERO);
    }

    #[test]
    fn debug_shows_neither_user_nor_upstream_token() {
        let session = Session::new(
            principal("ada", 5_000),
            Some(upstream("s3cret", 4_000)),
            at(1),
            Duration::MAX,
        );
        let shown = format!("{session:?}");
        assert!(
            !shown.contains("ada") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
