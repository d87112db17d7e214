//! From the `Authorization` header to a session.

use http::{HeaderMap, header::AUTHORIZATION};
use mcp_auth::{AccessToken, Asker, AuthError};
use mcp_session::{Resolved, SessionTiers};

/// Reads the one bearer token of a request (RFC 6750 section 2.1: the header only, never the query
/// string) and asks the tiers who it speaks for. Where the issuer has to be asked, askers take turns.
pub(crate) async fn authenticate(
    sessions: &SessionTiers,
    headers: &HeaderMap,
    asker: Asker,
) -> Result<(Resolved, AccessToken), Unauthenticated> {
    let token = bearer_token(headers).map_err(|error| Unauthenticated { error, token: None })?;
    match sessions.resolve_for(&token, asker).await {
        Ok(resolved) => Ok((resolved, token)),
        Err(error) => Err(Unauthenticated {
            error,
            token: Some(token),
        }),
    }
}

/// Why a request has no session, and the token it was refused with, if it had one.
#[derive(Debug)]
pub(crate) struct Unauthenticated {
    pub(crate) error: AuthError,
    pub(crate) token: Option<AccessToken>,
}

fn bearer_token(headers: &HeaderMap) -> Result<AccessToken, AuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(AuthError::NoToken),
        (Some(value), None) => value,
        (Some(_), Some(_)) => {
            return Err(AuthError::InvalidRequest(
                "more than one Authorization header was sent",
            ));
        }
    };
    let text = value
        .to_str()
        .map_err(|_| AuthError::InvalidRequest("the Authorization header is not plain text"))?;
    AccessToken::parse(text)
}
