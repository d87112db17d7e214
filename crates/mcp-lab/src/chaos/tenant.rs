//! A tenant: a user of an organization, with tokens that are renewed as a client renews them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mcp_test_support::{Issuer, lock};

/// Lifetime of a token by the issuer's clock. Longer than its error and its longest outage.
const LIFETIME: i64 = 150;
/// A token is renewed when it is this old, or a little older.
const RENEWED_AFTER: Duration = Duration::from_secs(10);
/// Not used any more so shortly before its end.
const MARGIN: i64 = 5;

/// The issuer as tenants see it.
pub(super) struct Login {
    pub(super) issuer: Issuer,
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
    pub(super) fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            is_down: AtomicBool::new(false),
            clock_offset: AtomicI64::new(0),
            key_generation: AtomicU64::new(0),
        }
    }

    pub(super) fn set_clock(&self, seconds: i64) {
        self.issuer.set_clock_offset(seconds);
        self.clock_offset.store(seconds, Ordering::SeqCst);
    }

    /// Whether nothing but the server could be to blame for a refusal.
    pub(super) fn is_good(&self, token: &Token) -> bool {
        token.good_until > Instant::now()
            && token.key_generation >= self.key_generation.load(Ordering::SeqCst)
    }

    fn token(&self, subject: &str, organization: &str) -> Token {
        let key_generation = self.key_generation.load(Ordering::SeqCst);
        // Counted from before it is made; a clock that is behind ends it earlier.
        let behind = self.clock_offset.load(Ordering::SeqCst).min(0);
        let seconds = u64::try_from(LIFETIME + behind - MARGIN).unwrap_or_default();
        let good_until = Instant::now() + Duration::from_secs(seconds);
        let token = self
            .issuer
            .token()
            .subject(subject)
            .organization(organization);
        let text = token.expires_in(LIFETIME).not_before_in(0).mint();
        Token {
            text,
            good_until,
            key_generation,
        }
    }
}

impl Tenant {
    pub(super) fn new(number: usize, login: &Login) -> Self {
        let (subject, organization) = (format!("user-{number:03}"), format!("org-{number:03}"));
        let tokens = Tokens {
            current: login.token(&subject, &organization),
            earlier: None,
            renew_at: Instant::now(),
            random: fastrand::Rng::with_seed(u64::try_from(number).unwrap_or_default()),
        };
        let tenant = Self {
            subject,
            organization,
            tokens: Mutex::new(tokens),
        };
        lock(&tenant.tokens).plan_renewal();
        tenant
    }

    /// The token of the next call: renewed in time, and now and then the one before.
    pub(super) fn token(&self, login: &Login) -> Token {
        let mut tokens = lock(&self.tokens);
        let due = tokens.renew_at <= Instant::now() || !login.is_good(&tokens.current);
        if due && !login.is_down.load(Ordering::SeqCst) {
            let fresh = login.token(&self.subject, &self.organization);
            tokens.earlier = Some(std::mem::replace(&mut tokens.current, fresh));
            tokens.plan_renewal();
        }
        let other = tokens.random.usize(..4) == 0;
        let earlier = tokens
            .earlier
            .as_ref()
            .filter(|token| other && login.is_good(token));
        earlier.unwrap_or(&tokens.current).clone()
    }

    /// A new token now; no other is used any more.
    pub(super) fn log_in(&self, login: &Login) {
        let mut tokens = lock(&self.tokens);
        tokens.current = login.token(&self.subject, &self.organization);
        tokens.earlier = None;
        tokens.plan_renewal();
    }

    /// A number that decides what this tenant does next.
    pub(super) fn next(&self) -> u64 {
        lock(&self.tokens).random.u64(..)
    }
}

impl Tokens {
    fn plan_renewal(&mut self) {
        let spread = Duration::from_millis(self.random.u64(..10_000));
        self.renew_at = Instant::now() + RENEWED_AFTER + spread;
    }
}
