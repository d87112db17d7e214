//! The grant of a user for whom another identity provider speaks
//! (draft-ietf-oauth-identity-assertion-authz-grant, section 4.4): no login here, and no page.

use std::time::{Duration, SystemTime};

use mcp_auth::{AuthError, ForbiddenReason, IdentityAssertion, InvalidReason, assertion_issuer};
use serde_json::{Map, Value};

use crate::{
    access::Holder,
    assertion_issuers::{AssertionIssuer, AssertionIssuerConfig},
    clients::{Client, Proven},
    error::OAuthError,
    form::Form,
    keys::Kind,
    once::is_first_use,
    provider::subject_of,
    resource::Wanted,
    server::Inner,
    token::{Tokens, answer, body_of, invalid_target, not_for_this_client, store_away},
};

/// The user that an assertion is about.
struct User<'a> {
    subject: String,
    organization: String,
    /// What its issuer may say about users of that organization.
    entry: &'a AssertionIssuerConfig,
}

impl Inner {
    /// A token for the user of an assertion. There is no refresh token: the client asks its identity provider
    /// for the next assertion, which may refuse (section 4.4.3 of the draft).
    pub(crate) async fn for_assertion(
        &self,
        proven: &Proven,
        form: &Form,
        wanted: Wanted,
        now: SystemTime,
    ) -> Result<Tokens, OAuthError> {
        let client = &*proven.client;
        let Some(text) = form.get("assertion") else {
            return Err(OAuthError::invalid_request("assertion is missing"));
        };
        let issuer = assertion_issuer(text).unwrap_or_default();
        let Some(trusted) = self.assertion_issuers.get(&issuer) else {
            let text = "this server trusts no issuer of assertions of this name";
            return Err(OAuthError::invalid_grant(text));
        };
        let entries = trusted.to_client(&client.id);
        if entries.is_empty() || !client.is_confidential() {
            return Err(not_for_this_client());
        }
        let assertion = self.verified(trusted, client, text, now).await?;
        let user = self.user_of(&issuer, &entries, &assertion.claims)?;
        let resource = self.target_of(&assertion.claims)?;
        let below = self.below_of(&user.organization, wanted);
        let below = below.map_err(invalid_target)?;
        let granted = scopes_of(&user.entry.scopes, &assertion.claims)?;
        let scopes = self.granted_scopes(&granted, form.get("scope"))?;
        let organization = Some(user.organization.as_str());
        if self.is_denied(&user.subject, organization, &client.id, assertion.issued_at) {
            let text = "the login at the identity provider was ended here";
            return Err(OAuthError::invalid_grant(text));
        }
        self.clients.use_up(proven).await?;
        self.use_assertion_once(&issuer, &assertion, now).await?;
        let holder = Holder {
            subject: &user.subject,
            organization,
            client: &client.id,
            logged_in_at: assertion.claims.get("auth_time").and_then(Value::as_u64),
            upstream: &user.entry.api_token,
            upstream_until: None,
        };
        let minted = self.mint(&holder, &scopes, below.as_deref(), now).await;
        let mut answer = answer(&minted.map_err(store_away)?, &scopes);
        if resource {
            let audience = self.audience(below.as_deref());
            answer.insert("resource".to_owned(), audience.into());
        }
        Ok(body_of(answer))
    }

    async fn verified(
        &self,
        trusted: &AssertionIssuer,
        client: &Client,
        assertion: &str,
        now: SystemTime,
    ) -> Result<IdentityAssertion, OAuthError> {
        let (issuer, client) = (&self.config.issuer, &client.id);
        let verified = trusted.assertions.verify(assertion, issuer, client, now);
        verified.await.map_err(|error| {
            tracing::debug!(%error, "an identity assertion is not taken");
            match error {
                AuthError::Unavailable { retry_after, .. } => OAuthError::unavailable(
                    "the keys of the assertion's issuer cannot be had just now",
                    retry_after,
                ),
                AuthError::InvalidToken(reason) => OAuthError::invalid_grant(sentence(reason)),
                AuthError::Forbidden(ForbiddenReason::UnusableKey(_)) => OAuthError::invalid_grant(
                    "the assertion is signed with a key that this server cannot use",
                ),
                _ => OAuthError::invalid_grant("sub or exp of the assertion is missing or wrong"),
            }
        })
    }

    /// Users of the provider are the same here (section 3.1 of the draft); those of another issuer are others,
    /// whatever they are called.
    fn user_of<'a>(
        &self,
        issuer: &str,
        entries: &[&'a AssertionIssuerConfig],
        claims: &Map<String, Value>,
    ) -> Result<User<'a>, OAuthError> {
        let subject = subject_of(claims, "sub")
            .ok_or_else(|| OAuthError::invalid_grant("sub of the assertion names no user"))?;
        let subject = if issuer == self.provider.issuer() {
            subject
        } else {
            format!("{issuer}#{subject}")
        };
        let found = entries
            .iter()
            .filter_map(|entry| Some((entry.organization_of(claims)?, *entry)));
        match &*found.collect::<Vec<_>>() {
            [(organization, entry)] => Ok(User {
                subject,
                organization: organization.clone(),
                entry,
            }),
            _ => Err(OAuthError::invalid_grant(
                "the assertion does not say which of the organizations known here its user is of",
            )),
        }
    }

    /// Whether it names this resource. One for others alone is of no use here, and one that says in another way
    /// what it grants would grant more here than its issuer meant.
    fn target_of(&self, claims: &Map<String, Value>) -> Result<bool, OAuthError> {
        let is_there = |name: &str| claims.get(name).is_some_and(|value| !value.is_null());
        if is_there("authorization_details") {
            let text = "this server does not know what authorization_details mean (RFC 9396)";
            return Err(OAuthError::invalid_grant(text));
        }
        let is_ours = |value: &Value| value.as_str().is_some_and(|it| self.is_ours(it));
        let names_ours = match claims.get("resource") {
            None | Some(Value::Null) => return Ok(false),
            Some(Value::Array(many)) => many.iter().any(is_ours),
            Some(one) => is_ours(one),
        };
        if names_ours {
            return Ok(true);
        }
        let text = "the assertion is for another resource";
        Err(OAuthError::invalid_target(text))
    }

    async fn use_assertion_once(
        &self,
        issuer: &str,
        assertion: &IdentityAssertion,
        now: SystemTime,
    ) -> Result<(), OAuthError> {
        let parts: [&[u8]; 2] = [issuer.as_bytes(), assertion.id.as_bytes()];
        let named = (Kind::Assertion, &parts[..]);
        let lasting = assertion.over_at.duration_since(now);
        let lasting = lasting.unwrap_or(Duration::from_mins(1));
        let first = is_first_use(&self.keys, &*self.facts, named, lasting).await;
        if first.map_err(store_away)? {
            return Ok(());
        }
        Err(OAuthError::invalid_grant("the assertion was used before"))
    }
}

/// Of the scopes that its issuer may grant, those that an assertion names; all of them, where it names none.
fn scopes_of(allowed: &[String], claims: &Map<String, Value>) -> Result<Vec<String>, OAuthError> {
    let named = match claims.get("scope") {
        None | Some(Value::Null) => return Ok(allowed.to_vec()),
        Some(Value::String(named)) => named,
        Some(_) => {
            return Err(OAuthError::invalid_grant(
                "scope of the assertion is no text",
            ));
        }
    };
    let named: Vec<&str> = named.split_ascii_whitespace().collect();
    let granted = allowed
        .iter()
        .filter(|scope| named.contains(&scope.as_str()));
    Ok(granted.cloned().collect())
}

/// What a client's developer is told; nothing of the assertion.
fn sentence(reason: InvalidReason) -> &'static str {
    match reason {
        InvalidReason::Type | InvalidReason::Critical => {
            "the assertion is no identity assertion: its typ has to be oauth-id-jag+jwt"
        }
        InvalidReason::Audience => "aud of the assertion has to be the issuer of this server alone",
        InvalidReason::Claim("client_id") => "client_id of the assertion is not this client's",
        InvalidReason::Claim(_) => "iat or jti of the assertion is missing or wrong",
        InvalidReason::Expired | InvalidReason::TooOld => "the assertion is over",
        InvalidReason::NotYetValid => "the assertion is not valid yet",
        InvalidReason::KeyBound => {
            "the assertion is bound to a key (cnf), whose proof this server cannot check"
        }
        InvalidReason::UnknownKey | InvalidReason::Signature | InvalidReason::Algorithm => {
            "the assertion is not signed by its issuer"
        }
        _ => "the assertion cannot be read",
    }
}
