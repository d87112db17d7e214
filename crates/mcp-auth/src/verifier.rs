//! From token to principal: the checks, and the order they come in.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    asker::Asker,
    claims::Claims,
    error::{AuthError, ConfigError, InvalidReason},
    introspection::Introspection,
    issuer::{Issuer, IssuerConfig},
    jwk::algorithm_named,
    jwt::Unverified,
    key_source::KeyPolicy,
    principal::Principal,
    times::Limits,
    token::AccessToken,
};

/// Verifies access tokens of one or more issuers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TokenVerifier {
    issuers: Arc<[Issuer]>,
    limits: Limits,
}

/// What holds for all issuers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifierConfig {
    /// How far clocks may disagree. 90 s by default.
    pub leeway: Duration,
    /// How long a token lives at most, whatever its `exp` says: since its `iat`, or since it is
    /// verified where it has none. 31 days by default.
    pub max_lifetime: Duration,
    /// How keys are fetched and kept.
    pub keys: KeyPolicy,
}

impl Default for VerifierConfig {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(90),
            max_lifetime: Duration::from_hours(31 * 24),
            keys: KeyPolicy::default(),
        }
    }
}

impl TokenVerifier {
    /// Checks the configuration; no I/O. Keys are fetched by the first token, or by
    /// [`TokenVerifier::warm_up`].
    ///
    /// # Errors
    /// [`ConfigError`], for settings under which no token, or any token, would be accepted.
    pub fn new(
        issuers: Vec<IssuerConfig>,
        client: reqwest::Client,
        config: VerifierConfig,
    ) -> Result<Self, ConfigError> {
        if issuers.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        let mut built: Vec<Issuer> = Vec::with_capacity(issuers.len());
        for issuer in issuers {
            if built
                .iter()
                .any(|other| other.config.issuer == issuer.issuer)
            {
                return Err(ConfigError::DuplicateIssuer(issuer.issuer));
            }
            built.push(Issuer::new(issuer, client.clone(), config.keys.clone())?);
        }
        if built
            .iter()
            .filter(|issuer| issuer.introspection.is_some())
            .count()
            > 1
        {
            return Err(ConfigError::AmbiguousIntrospection);
        }
        Ok(Self {
            issuers: built.into(),
            limits: Limits {
                leeway: config.leeway,
                max_lifetime: config.max_lifetime,
            },
        })
    }

    /// Fetches the keys of every issuer, so that the first request does not wait for them.
    /// Failures are logged and cost nothing: the next token tries again.
    pub async fn warm_up(&self) {
        let now = Instant::now();
        for issuer in self.issuers.iter() {
            let (_, keys) = tokio::join!(issuer.clock.look(), issuer.keys.usable(now));
            drop(keys);
        }
    }

    /// Whether every issuer has usable keys in the process.
    pub fn is_warm(&self) -> bool {
        let now = Instant::now();
        self.issuers
            .iter()
            .all(|issuer| issuer.keys.at_hand(now).is_some())
    }

    /// Whether [`TokenVerifier::verify`] can tell a good token from a forged one without I/O: the
    /// keys of its issuer are in the process, or it names no issuer of ours. `false` for anything
    /// that is no JWT.
    pub fn keys_warm(&self, token: &AccessToken) -> bool {
        if !token.is_jwt() {
            return false;
        }
        let named = || self.issuer_of(token.jwt().ok()?.claims).ok();
        let issuer = match &*self.issuers {
            [only] => Some(only),
            _ => named(),
        };
        let now = Instant::now();
        issuer.is_none_or(|issuer| issuer.keys.at_hand(now).is_some())
    }

    /// Everything that can be said without a key and without I/O: syntax, header, issuer,
    /// audience, times by our clock. It refuses; it never proves.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`].
    pub fn check_shape(&self, token: &AccessToken, now: SystemTime) -> Result<(), AuthError> {
        if self.introspector_of(token).is_some() {
            return Ok(());
        }
        self.checked_issuer(&token.jwt()?, now)?;
        Ok(())
    }

    /// Verifies a token and says who it speaks for.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] for a token that is proven bad, [`AuthError::Forbidden`] for a
    /// good one without organization, [`AuthError::Unavailable`] when the issuer's keys are not to
    /// be had.
    pub async fn verify(
        &self,
        token: &AccessToken,
        now: SystemTime,
    ) -> Result<Principal, AuthError> {
        self.verify_for(token, Asker::UNKNOWN, now).await
    }

    /// [`TokenVerifier::verify`] for one of several clients, which take turns where the issuer has
    /// to be asked about their tokens or for newer keys.
    ///
    /// # Errors
    /// As for [`TokenVerifier::verify`]; [`AuthError::Unavailable`] also when too many wait.
    pub async fn verify_for(
        &self,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Principal, AuthError> {
        let arrived = Instant::now();
        if let Some((issuer, introspection)) = self.introspector_of(token) {
            // Boxed: it holds a whole request, and a JWT makes none.
            let asking = introspection.claims(token, asker, &issuer.config.issuer, now);
            let claims = Box::pin(asking).await?;
            if claims.issuer()? != issuer.config.issuer {
                return Err(InvalidReason::Issuer.into());
            }
            if let Err(refused) = issuer.check_claims(&claims, None, now, self.limits) {
                return Err(self.or_our_clock(&claims, refused, now).await);
            }
            return issuer.admit(&claims, None, now, self.limits);
        }
        let token = token.jwt()?;
        let issuer = match self.checked_issuer(&token, now) {
            Ok(issuer) => issuer,
            Err(refused) => return Err(self.or_our_clock(token.claims, refused, now).await),
        };
        let keys = &issuer.keys;
        let key = keys
            .verify(&token, &issuer.algorithms, asker, arrived)
            .await?;
        issuer.admit(token.claims, Some(key), now, self.limits)
    }

    /// Whether the issuer has withdrawn the key that verified this principal, which was known here by
    /// `since`: a key set that was asked for later lacks that key, under whatever name. Asks nobody, and
    /// has keys that have aged fetched behind the request's back; a fetch that fails says nothing.
    pub fn has_withdrawn_key(&self, principal: &Principal, since: Instant) -> bool {
        let Some(key) = principal.verified_by() else {
            return false;
        };
        let mut issuers = self.issuers.iter();
        let issuer = issuers.find(|issuer| issuer.config.issuer == principal.issuer());
        issuer.is_some_and(|issuer| issuer.keys.has_withdrawn(key, since))
    }

    /// Whether the issuer is asked about a token: it says nothing by itself.
    pub fn asks_about(&self, token: &AccessToken) -> bool {
        self.introspector_of(token).is_some()
    }

    /// Whether a principal that was verified earlier would still be accepted by this
    /// configuration: its issuer and audience are still configured, the issuer may speak for its
    /// organization, it has not expired, and it is not older than a token may be.
    pub fn accepts(&self, principal: &Principal, now: SystemTime) -> bool {
        let issuer = self.issuer_of_principal(principal);
        let organization = principal.organization();
        let oldest = self.limits.max_lifetime + self.limits.leeway;
        issuer.is_some_and(|issuer| {
            issuer.accepts_audience(principal.audiences(), principal.stand_in())
                && issuer.config.check_organization(organization).is_ok()
                && now < principal.expires_at() + self.limits.leeway
                && principal.issued_at().is_none_or(|at| now < at + oldest)
        })
    }

    /// Whether a principal's token is for this server as a whole: not only for resources
    /// [below](IssuerConfig::resources_below) its own. Each of those is for whoever serves it to compare.
    pub fn is_for_all(&self, principal: &Principal) -> bool {
        let issuer = self.issuer_of_principal(principal);
        issuer.is_some_and(|it| it.is_for_all(principal.audiences(), principal.stand_in()))
    }

    fn issuer_of_principal(&self, principal: &Principal) -> Option<&Issuer> {
        let mut issuers = self.issuers.iter();
        issuers.find(|issuer| issuer.config.issuer == principal.issuer())
    }

    /// How far clocks may disagree.
    pub fn leeway(&self) -> Duration {
        self.limits.leeway
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Who to ask about this token, if it is an opaque one and somebody can be asked.
    pub(crate) fn introspector_of(&self, token: &AccessToken) -> Option<(&Issuer, &Introspection)> {
        let mut asked = self
            .issuers
            .iter()
            .filter_map(|issuer| Some((issuer, issuer.introspection.as_ref()?)));
        asked.next().filter(|_| !token.is_jwt())
    }

    pub(crate) fn issuer_of(&self, claims: &Claims) -> Result<&Issuer, InvalidReason> {
        let named = claims.issuer()?;
        let configured = self
            .issuers
            .iter()
            .find(|issuer| issuer.config.issuer == named);
        configured.ok_or(InvalidReason::Issuer)
    }

    fn checked_issuer(
        &self,
        token: &Unverified<'_>,
        now: SystemTime,
    ) -> Result<&Issuer, InvalidReason> {
        let issuer = self.issuer_of(token.claims)?;
        issuer.check_unproven(token, now, self.limits)?;
        // An algorithm that is never accepted must not cost a key fetch.
        match algorithm_named(&token.header.alg) {
            Some(algorithm) if issuer.algorithms.contains(&algorithm) => Ok(issuer),
            _ => Err(InvalidReason::Algorithm),
        }
    }
}
