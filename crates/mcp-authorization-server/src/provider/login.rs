//! Who logged in: what an ID token and userinfo say, and what of it is believed.

use std::time::{SystemTime, UNIX_EPOCH};

use mcp_auth::{AuthError, InvalidReason, UnavailableReason};
use serde_json::{Map, Value};

use super::{
    Login, Provider,
    answer::Granted,
    ask::ask,
    config::OrganizationFrom,
    discovery::Endpoints,
    error::{ProviderError, Trouble},
    organization,
    tokens::ProviderTokens,
};

impl Provider {
    /// Who logged in.
    pub(super) async fn login(
        &self,
        endpoints: &Endpoints,
        granted: Granted,
        nonce: &str,
        now: SystemTime,
    ) -> Result<Login, ProviderError> {
        let Granted { tokens, id_token } = granted;
        let (subject, claims) = match &endpoints.id_tokens {
            None => {
                let claims = self.userinfo(endpoints, &tokens).await?;
                (subject_of(&claims, &self.config.subject_claim)?, claims)
            }
            Some(keys) => {
                let id_token = id_token.ok_or_else(|| {
                    ProviderError::Misconfigured(
                        "the provider gave no ID token: it has to know the scope openid, and this \
                         client as one of OpenID Connect"
                            .to_owned(),
                    )
                })?;
                let verified = keys.verifier.verify(&id_token, nonce, now).await;
                let claims = verified.map_err(|error| untrusted(&error))?;
                (subject_of(&claims, "sub")?, claims)
            }
        };
        let from = &self.config.organization;
        let mut organization = from.of(&claims);
        if organization.is_none() && !from.is_settled() && self.config.is_open_id() {
            let more = self.more_claims(endpoints, &tokens, &subject).await?;
            // Of one document or the other: an address of one may not be the verified one of the other.
            organization = from.of(&more);
        }
        let needed = self.config.organization_required && *from != OrganizationFrom::Nothing;
        if needed && organization.is_none() {
            return Err(ProviderError::NoOrganization);
        }
        Ok(Login {
            subject,
            organization,
            tokens,
        })
    }

    /// What userinfo says beside the ID token, if it is about the same user (OpenID Connect Core
    /// section 5.3.2).
    async fn more_claims(
        &self,
        endpoints: &Endpoints,
        tokens: &ProviderTokens,
        subject: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        if endpoints.userinfo.is_none() {
            return Ok(Map::new());
        }
        let claims = self.userinfo(endpoints, tokens).await?;
        let same = organization::subject(&claims, "sub").as_deref() == Some(subject);
        Ok(if same { claims } else { Map::new() })
    }

    async fn userinfo(
        &self,
        endpoints: &Endpoints,
        tokens: &ProviderTokens,
    ) -> Result<Map<String, Value>, ProviderError> {
        match self.ask_userinfo(endpoints, tokens).await? {
            Ok(claims) => Ok(claims),
            Err(status) => Err(ProviderError::Misconfigured(format!(
                "the provider's userinfo does not take the access token of a new login (status \
                 {status}): check the scopes"
            ))),
        }
    }

    /// The login still is, as far as its access token tells.
    pub(super) async fn check_live(
        &self,
        endpoints: &Endpoints,
        tokens: &ProviderTokens,
        now: SystemTime,
    ) -> Result<(), ProviderError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let is_over = tokens.expires_at.is_some_and(|end| end <= now);
        // One that does not end and that nobody can be asked about would be good for ever.
        if is_over || endpoints.userinfo.is_none() && tokens.expires_at.is_none() {
            return Err(ProviderError::InvalidGrant);
        }
        if endpoints.userinfo.is_none() {
            return Ok(());
        }
        match self.ask_userinfo(endpoints, tokens).await? {
            Ok(_) => Ok(()),
            Err(401) => Err(ProviderError::InvalidGrant),
            // Forbidden is what those say, too, who are asked too often.
            Err(status) => Err(Trouble::Unknown(status).now()),
        }
    }

    /// The claims that userinfo has, or the status with which it refuses the token.
    async fn ask_userinfo(
        &self,
        endpoints: &Endpoints,
        tokens: &ProviderTokens,
    ) -> Result<Result<Map<String, Value>, u16>, ProviderError> {
        let userinfo = endpoints.userinfo.clone();
        let userinfo = userinfo.ok_or_else(|| {
            ProviderError::Misconfigured("the provider has no userinfo endpoint".to_owned())
        })?;
        let request = self.client.get(userinfo);
        let request = request.bearer_auth(tokens.access_token.as_str());
        let reply = ask(request, self.config.timeout).await?;
        reply.verdict("userinfo endpoint")?;
        match (reply.status, reply.object()) {
            (200, Some(claims)) => Ok(Ok(claims)),
            (200, None) => Err(Trouble::Unreadable.now()),
            (status, _) => Ok(Err(status)),
        }
    }
}

fn subject_of(claims: &Map<String, Value>, path: &str) -> Result<String, ProviderError> {
    organization::subject(claims, path).ok_or_else(|| {
        ProviderError::Misconfigured(format!(
            "the provider does not say who logged in: its claim {path} is missing, or no name of at \
             most 255 bytes"
        ))
    })
}

/// Why an ID token does not hold. What it says of the issuer is for the operator.
fn untrusted(error: &AuthError) -> ProviderError {
    match error {
        AuthError::Unavailable {
            reason: UnavailableReason::Keys | UnavailableReason::UnknownKey,
            retry_after,
        } => Trouble::Keys.for_a(*retry_after),
        AuthError::Unavailable { retry_after, .. } => Trouble::Busy.for_a(*retry_after),
        AuthError::InvalidToken(InvalidReason::Claim("nonce")) => ProviderError::Refused(
            "The answer of the identity provider belongs to another sign-in. Go back to the app and \
             begin again.",
        ),
        error => ProviderError::Misconfigured(format!(
            "the provider's ID token cannot be believed ({error}): check the issuer, the client id, \
             the clocks, and that it is signed with a public key (RS256 or ES256) and not encrypted"
        )),
    }
}
