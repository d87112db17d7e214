//! Who asks: read from the credential, whose signature is somebody else's business.

use std::{collections::HashMap, time::SystemTime};

use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::state::ErrorResponse;
use crate::token::seconds;

/// The owner of a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) organization: String,
}

/// The bearer token of a request.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// The organization a request names.
pub(super) fn named_organization(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-organization-id")?.to_str().ok()
}

impl Caller {
    /// Reads the credential's claims; `memberships` knows the organizations of subjects whose token has no
    /// `org_id`. Only the profile may be asked for without naming an organization.
    pub(super) fn of(
        headers: &HeaderMap,
        claims: Option<&Map<String, Value>>,
        memberships: &HashMap<String, String>,
        needs_organization: bool,
        now: SystemTime,
    ) -> Result<Self, ErrorResponse> {
        let claims =
            claims.ok_or_else(|| ErrorResponse::new(401, "missing or unreadable bearer token"))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        if claims
            .get("exp")
            .and_then(Value::as_i64)
            .is_some_and(|exp| exp <= seconds(now))
        {
            return Err(ErrorResponse::new(401, "token has expired"));
        }
        let subject = text("sub").ok_or_else(|| ErrorResponse::new(401, "token has no subject"))?;
        let organization = text("org_id")
            .or_else(|| memberships.get(&subject).cloned())
            .ok_or_else(|| ErrorResponse::new(403, "user belongs to no organization"))?;
        match named_organization(headers) {
            Some("" | "default") => {
                return Err(ErrorResponse::new(
                    400,
                    "X-Organization-Id is not an organization id",
                ));
            }
            Some(named) if named != organization => {
                return Err(ErrorResponse::new(
                    403,
                    "token is not for this organization",
                ));
            }
            None if needs_organization => {
                return Err(ErrorResponse::new(400, "X-Organization-Id is missing"));
            }
            _ => {}
        }
        Ok(Self {
            subject,
            email: text("email"),
            organization,
        })
    }
}
