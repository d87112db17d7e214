//! The grant of a client without a user (RFC 6749 section 4.4): its own rights, in the organization that it
//! was configured for.

use std::time::SystemTime;

use crate::{
    access::Holder,
    clients::Proven,
    error::OAuthError,
    form::Form,
    resource::Wanted,
    server::Inner,
    token::{Tokens, answer, body_of, invalid_target, not_for_this_client, store_away},
};

impl Inner {
    /// A token for the client itself. There is no refresh token: it asks again (RFC 6749 section 4.4.3).
    pub(crate) async fn for_client(
        &self,
        proven: &Proven,
        form: &Form,
        wanted: Wanted,
        now: SystemTime,
    ) -> Result<Tokens, OAuthError> {
        let client = &*proven.client;
        let Some(service) = &client.service else {
            return Err(not_for_this_client());
        };
        let scopes = self.granted_scopes(&service.scopes, form.get("scope"))?;
        let below = self.below_of(&service.organization, wanted);
        let below = below.map_err(invalid_target)?;
        let organization = Some(service.organization.as_str());
        if self.is_denied(&client.id, organization, &client.id, now) {
            let text = "this client is not let in any more";
            return Err(OAuthError::unauthorized_client(text));
        }
        self.clients.use_up(proven).await?;
        // By the equal names everybody who reads the token knows a service (RFC 9068 section 2.2).
        let holder = Holder {
            subject: &client.id,
            organization,
            client: &client.id,
            logged_in_at: None,
            upstream: &service.api_token,
            upstream_until: None,
        };
        let minted = self.mint(&holder, &scopes, below.as_deref(), now).await;
        Ok(body_of(answer(&minted.map_err(store_away)?, &scopes)))
    }
}
