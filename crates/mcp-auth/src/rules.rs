//! What an issuer may say: whom its tokens are for, for which organizations, for how long.

use std::time::SystemTime;

use crate::{
    actor::Actor,
    audience::MeantFor,
    claims::{Claims, Hashes},
    error::{AuthError, ForbiddenReason, InvalidReason},
    issuer::{Issuer, IssuerConfig},
    jwt::{Header, Unverified},
    organization,
    principal::{Principal, PrincipalRecord},
    service,
    times::{Limits, Times},
};

impl Issuer {
    /// What can be said of a token before its signature: all of it is for another login to change.
    pub(crate) fn check_unproven(
        &self,
        token: &Unverified<'_>,
        now: SystemTime,
        limits: Limits,
    ) -> Result<(), InvalidReason> {
        self.check_claims(token.claims, Some(token.header), now, limits)
    }

    /// The same of claims that an issuer gave for an opaque token.
    pub(crate) fn check_claims(
        &self,
        claims: &Claims,
        header: Option<&Header>,
        now: SystemTime,
        limits: Limits,
    ) -> Result<(), InvalidReason> {
        // What is odd about them is for the administrator, once the token is proven.
        if matches!(self.meant_for(claims), Ok(None)) {
            return Err(InvalidReason::Audience);
        }
        let hashes = match header {
            Some(header) if header.says_access_token() => Hashes::SayNothing,
            _ if self.config.at_hash_in_access_tokens => Hashes::AsDexHasThem,
            _ => Hashes::TellIdTokens,
        };
        claims.check_kind(hashes)?;
        match Times::of(claims) {
            Ok(times) => times.check(now, limits),
            Err(_) => Ok(()),
        }
    }

    /// Makes a principal of claims that were proven, unless this issuer's rules keep it out.
    /// `verified_by` is the key that proved them, if it was one.
    pub(crate) fn admit(
        &self,
        claims: &Claims,
        verified_by: Option<u64>,
        now: SystemTime,
        limits: Limits,
    ) -> Result<Principal, AuthError> {
        let meant_for = self.meant_for(claims)?.ok_or(InvalidReason::Audience)?;
        if service::is_service(claims) && !self.config.service_principals {
            return Err(ForbiddenReason::ServicePrincipal.into());
        }
        let claim = &self.config.organization_claim;
        let mut record = claims.principal(meant_for, claim, now, limits)?;
        record.verified_by = verified_by;
        self.config
            .check_organization(record.organization.as_deref())?;
        Ok(Principal::from_record(record))
    }

    /// Why a token is meant for this server: its `aud`, or the client that stands in for it. `None`
    /// for any other token.
    pub(crate) fn meant_for(&self, claims: &Claims) -> Result<Option<MeantFor>, ForbiddenReason> {
        let audiences = claims.audiences()?;
        let meant_for = match &self.config.audience_from {
            Some(from) if audiences.is_empty() => claims.word(&from.claim).map(MeantFor::Client),
            _ => Some(MeantFor::Audiences(audiences)),
        };
        Ok(meant_for.filter(|it| match it {
            MeantFor::Audiences(audiences) => self.accepts_audience(audiences, None),
            MeantFor::Client(client) => self.accepts_audience(&[], Some(client)),
        }))
    }

    /// Whether a token with these audiences, or with this client in their place, was meant for this
    /// server or for a part of it.
    pub(crate) fn accepts_audience(&self, audiences: &[String], stand_in: Option<&str>) -> bool {
        self.is_for_all(audiences, stand_in) || audiences.iter().any(|it| self.is_below(it))
    }

    /// Whether it was meant for this server as a whole.
    pub(crate) fn is_for_all(&self, audiences: &[String], stand_in: Option<&str>) -> bool {
        let from = self.config.audience_from.as_ref();
        match stand_in {
            Some(client) => from.is_some_and(|from| from.clients.iter().any(|it| it == client)),
            None => audiences
                .iter()
                .any(|it| self.config.audiences.contains(it)),
        }
    }

    fn is_below(&self, audience: &str) -> bool {
        let resource = self.config.resources_below.as_deref();
        let rest = resource.and_then(|resource| audience.strip_prefix(resource));
        rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    }
}

impl IssuerConfig {
    /// Whether a token of this issuer may speak for this organization, or for none.
    pub(crate) fn check_organization(&self, named: Option<&str>) -> Result<(), ForbiddenReason> {
        let bound = !self.organizations.is_empty();
        match named {
            None if bound || self.organization_required => Err(ForbiddenReason::NoOrganization),
            Some(named) if bound && !self.organizations.iter().any(|known| known == named) => {
                Err(ForbiddenReason::ForeignOrganization)
            }
            _ => Ok(()),
        }
    }
}

impl Claims {
    /// The principal these claims describe, with the audiences that let it in. Call it only after
    /// the signature was verified.
    pub(crate) fn principal(
        &self,
        meant_for: MeantFor,
        organization_claim: &str,
        now: SystemTime,
        limits: Limits,
    ) -> Result<PrincipalRecord, AuthError> {
        let times = Times::of(self)?;
        // A service without a subject is its client.
        let subject = self.subject().or_else(|| match self.get("sub") {
            None => self.client(),
            Some(_) => None,
        });
        let (audiences, stand_in) = match meant_for {
            MeantFor::Audiences(audiences) => (audiences, None),
            MeantFor::Client(client) => (Vec::new(), Some(client)),
        };
        Ok(PrincipalRecord {
            issuer: self.issuer()?.to_owned(),
            subject: subject.ok_or(ForbiddenReason::NoSubject)?,
            client_id: self.client(),
            actor: self.get("act").and_then(Actor::of),
            organization: organization::organization_at(&self.0, organization_claim),
            scopes: self.scopes(),
            audiences,
            stand_in,
            expires_at: times.end(now, limits),
            issued_at: times.issued_at(now, limits),
            token_id: self.text("jti").map(str::to_owned),
            verified_by: None,
        })
    }
}
