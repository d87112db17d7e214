//! A tenant: a user of an organization, with tokens that are renewed as a client renews them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mcp_test_support::lock;

use super::identity::Identity;

/// Lifetime of a token by the issuer's clock. Longer than its error and its longest outage.
const LIFETIME: i64 = 150;
/// A token is renewed when it is this old, or a little older.
const RENEWED_AFTER: Duration = Duration::from_secs(10);
/// Not used any more so shortly before its end.
const MARGIN: u64 = 5;

/// Who logs tenants in, as they see it.
pub(super) struct Login {
    pub(super) identity: Identity,
    /// Nobody gets a token while it is down.
    pub(super) is_down: AtomicBool,
    pub(super) clock_offset: AtomicI64,
    /// Keys of earlier generations were withdrawn, and with them their tokens.
    pub(super) key_generation: AtomicU64,
}

/// One tenant.
pub(super) struct Tenant {
    pub(super) subject: String,
    pub(super) organization: String,
    tokens: Mutex<Tokens>,
}

struct Tokens {
    current: Token,
    /// What another client of the same user still has.
    earlier: Option<Token>,
    renew_at: Instant,
    random: fastrand::Rng,
}

/// A token, and how long it is good.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    good_until: Instant,
    key_generation: u64,
}

impl Login {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            is_down: AtomicBool::new(false),
            clock_offset: AtomicI64::new(0),
            key_generation: AtomicU64::new(0),
        }
    }

    pub(super) fn set_clock(&self, seconds: i64) {
        if let Identity::Issuer(issuer) = &self.identity {
            issuer.set_clock_offset(seconds);
            self.clock_offset.store(seconds, Ordering::SeqCst);
        }
    }

    /// Whether nothing but the server could be to blame for a refusal.
    pub(super) fn is_good(&self, token: &Token) -> bool {
        token.good_until > Instant::now()
            && token.key_generation >= self.key_generation.load(Ordering::SeqCst)
    }

    /// A new token of an issuer; other tenants are clients, which refresh.
    fn token(&self, subject: &str, organization: &str) -> Option<Token> {
        let Identity::Issuer(issuer) = &self.identity else {
            return None;
        };
        let key_generation = self.key_generation.load(Ordering::SeqCst);
        // A clock that is behind ends it earlier.
        let behind = self.clock_offset.load(Ordering::SeqCst).min(0);
        let asked_at = Instant::now();
        let token = issuer.token().subject(subject).organization(organization);
        let text = token.expires_in(LIFETIME).not_before_in(0).mint();
        let lives = u64::try_from(LIFETIME + behind).unwrap_or_default();
        Some(Token {
            key_generation,
            ..Token::lasting(text, asked_at, lives)
        })
    }
}

impl Token {
    /// One that lives for so many seconds from when it was asked for.
    pub(super) fn lasting(text: String, asked_at: Instant, lives: u64) -> Self {
        Self {
            text,
            good_until: asked_at + Duration::from_secs(lives.saturating_sub(MARGIN)),
            key_generation: 0,
        }
    }
}

impl Tenant {
    /// One that gets its tokens from an issuer.
    pub(super) fn new(number: usize, login: &Login) -> Option<Self> {
        let (subject, organization) = Self::names(number);
        let token = login.token(&subject, &organization)?;
        Some(Self::holding(number, token))
    }

    /// One that has this token.
    pub(super) fn holding(number: usize, token: Token) -> Self {
        let (subject, organization) = Self::names(number);
        let mut tokens = Tokens {
            current: token,
            earlier: None,
            renew_at: Instant::now(),
            random: fastrand::Rng::with_seed(u64::try_from(number).unwrap_or_default()),
        };
        tokens.plan_renewal();
        Self {
            subject,
            organization,
            tokens: Mutex::new(tokens),
        }
    }

    /// The user and its organization.
    pub(super) fn names(number: usize) -> (String, String) {
        (format!("user-{number:03}"), format!("org-{number:03}"))
    }

    /// The token of the next call: renewed in time, and now and then the one before.
    pub(super) fn token(&self, login: &Login) -> Token {
        let mut tokens = lock(&self.tokens);
        let due = tokens.renew_at <= Instant::now() || !login.is_good(&tokens.current);
        if due
            && !login.is_down.load(Ordering::SeqCst)
            && let Some(fresh) = login.token(&self.subject, &self.organization)
        {
            tokens.take(fresh);
        }
        let other = tokens.random.usize(..4) == 0;
        let earlier = tokens
            .earlier
            .as_ref()
            .filter(|token| other && login.is_good(token));
        earlier.unwrap_or(&tokens.current).clone()
    }

    /// Has another token from now on; the one before is still used now and then.
    pub(super) fn take(&self, token: Token) {
        lock(&self.tokens).take(token);
    }

    /// A new token now; no other is used any more.
    pub(super) fn log_in(&self, login: &Login) {
        if let Some(fresh) = login.token(&self.subject, &self.organization) {
            let mut tokens = lock(&self.tokens);
            tokens.take(fresh);
            tokens.earlier = None;
        }
    }

    /// A number that decides what this tenant does next.
    pub(super) fn next(&self) -> u64 {
        lock(&self.tokens).random.u64(..)
    }
}

impl Tokens {
    fn take(&mut self, token: Token) {
        self.earlier = Some(std::mem::replace(&mut self.current, token));
        self.plan_renewal();
    }

    fn plan_renewal(&mut self) {
        let spread = Duration::from_millis(self.random.u64(..10_000));
        self.renew_at = Instant::now() + RENEWED_AFTER + spread;
    }
}
