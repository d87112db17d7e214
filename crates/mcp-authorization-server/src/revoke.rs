//! The revocation endpoint (RFC 7009): the end of a login, when its client says so.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use crate::{
    answer::json_answer, error::OAuthError, form::Form, grant::Grant, request::digest_text,
    server::Inner, token::store_away,
};

impl Inner {
    /// `POST /revoke` (RFC 7009): the family of a refresh token ends, here and at the provider.
    pub(crate) async fn revoke(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Response<Bytes> {
        match self.revoked(headers, body, now).await {
            Ok(()) => json_answer(StatusCode::OK, Bytes::new()),
            Err(error) => error.into_response(),
        }
    }

    async fn revoked(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), OAuthError> {
        let form =
            Form::parse(body).map_err(|error| OAuthError::invalid_request(error.to_string()))?;
        let proven = self.clients.authenticate(headers, &form, now).await?;
        let Some(token) = form.get("token") else {
            return Err(OAuthError::invalid_request("token is missing"));
        };
        let Ok(grant) = Grant::open(&self.keys, token) else {
            // What is no token is as good as revoked; an access token ends soon, and says nothing of
            // its family.
            let is_access = token.bytes().filter(|byte| *byte == b'.').count() == 2;
            let refused = OAuthError::unsupported_token_type();
            return if is_access { Err(refused) } else { Ok(()) };
        };
        if grant.client != digest_text(&proven.client.id) {
            let text = "the token belongs to another client";
            return Err(OAuthError::invalid_grant(text));
        }
        self.clients.use_up(&proven).await?;
        self.end(&grant.family, now).await.map_err(store_away)?;
        self.provider.revoke(&grant.tokens).await;
        Ok(())
    }
}
