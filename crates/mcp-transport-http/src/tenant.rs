//! Endpoints below the endpoint: one for each tenant, `/mcp/{tenant}`, and for a part of one,
//! `/mcp/{tenant}/{part}`. Each is a resource of its own (RFC 8707) with metadata of its own.
//!
//! Such a path allows nothing that the token does not: whoever comes that way belongs to the tenant, by
//! the token's word, and is served less than on the endpoint itself. Every name that can be one is
//! answered alike, so that strangers learn of none whether it exists.

use std::{fmt, sync::Arc};

use http::Extensions;
use mcp_auth::{AccessToken, Principal};
use mcp_session::Session;

use crate::server::Inner;

/// Longest name of a tenant or a part, in characters.
const MAX_NAME: usize = 128;

/// The endpoint of a tenant, or of a part of it: what the path of a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPath {
    /// As it stands below the endpoint: `acme` or `acme/web`.
    text: Arc<str>,
    /// How much of it is the tenant.
    tenant: usize,
}

impl TenantPath {
    /// What stands below the endpoint, in the one spelling that paths have: `acme` or `acme/web`.
    pub fn parse(text: &str) -> Option<Self> {
        let (tenant, part) = match text.split_once('/') {
            Some((tenant, part)) => (tenant, Some(part)),
            None => (text, None),
        };
        let is_one = is_name(tenant) && part.is_none_or(is_name);
        is_one.then(|| Self {
            text: text.into(),
            tenant: tenant.len(),
        })
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        self.text.get(..self.tenant).unwrap_or_default()
    }

    /// The part of it.
    pub fn part(&self) -> Option<&str> {
        self.text.get(self.tenant + 1..)
    }

    /// What follows the endpoint's path and a slash.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Whether an audience names this endpoint; where `above`, the tenant's own is as good.
    fn is_named_by(&self, audience: &str, resource: &str, above: bool) -> bool {
        let below = audience.strip_prefix(resource);
        let named = below.and_then(|rest| rest.strip_prefix('/'));
        named.is_some_and(|named| *named == *self.text || (above && named == self.tenant()))
    }
}

/// Letters, digits, `-`, `.` and `_`, beginning with a letter or digit: no client and no proxy writes
/// these in two ways, and none of them leads out of its place in a path.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.len() <= MAX_NAME
        && text.bytes().all(fits)
        && text
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric)
}

/// Which tokens are good at a tenant's endpoint, beside that they are the tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TenantAudience {
    /// Those for that endpoint, and those for one above it: for the tenant, and for the whole server.
    /// Most issuers know one audience for a server.
    #[default]
    OwnOrAbove,
    /// Those for that very endpoint.
    Own,
}

/// Endpoints for tenants, for [`HttpServer::with_tenants`](crate::HttpServer::with_tenants).
///
/// A tenant is what tokens name as their organization; a part is whatever the host makes of it.
pub struct TenantEndpoints {
    pub(crate) audience: TenantAudience,
    pub(crate) attach: Box<AttachAtTenant>,
    issuers: Box<IssuersOf>,
    part: fn(&str) -> bool,
}

type IssuersOf = dyn Fn(&str) -> Option<Vec<String>> + Send + Sync;
type AttachAtTenant =
    dyn Fn(&Arc<Session>, &AccessToken, &TenantPath, &mut Extensions) + Send + Sync;

impl TenantEndpoints {
    /// Endpoints whose calls are for what `caller` makes of session and path, in place of what the
    /// server makes of the session alone. There are no parts.
    pub fn new<C: Clone + Send + Sync + 'static>(
        caller: impl Fn(&Arc<Session>, &AccessToken, &TenantPath) -> C + Send + Sync + 'static,
    ) -> Self {
        Self {
            audience: TenantAudience::default(),
            attach: Box::new(move |session, token, path, extensions| {
                extensions.insert(caller(session, token, path));
            }),
            issuers: Box::new(|_| None),
            part: |_| false,
        }
    }

    /// The same, and below each tenant one for every name that is a part. Of the spellings of a part
    /// only one should be: two would be two resources.
    #[must_use]
    pub fn with_parts(mut self, is_part: fn(&str) -> bool) -> Self {
        self.part = is_part;
        self
    }

    /// The same, for these tokens.
    #[must_use]
    pub fn for_tokens(mut self, audience: TenantAudience) -> Self {
        self.audience = audience;
        self
    }

    /// The same; the metadata of a tenant name these issuers where `issuers` says which, and else those of
    /// the server. Anybody may read them.
    #[must_use]
    pub fn with_issuers(
        mut self,
        issuers: impl Fn(&str) -> Option<Vec<String>> + Send + Sync + 'static,
    ) -> Self {
        self.issuers = Box::new(issuers);
        self
    }

    pub(crate) fn issuers(&self, path: &TenantPath) -> Option<Vec<String>> {
        (self.issuers)(path.tenant())
    }

    /// The tenant that a path names below that of the endpoint.
    pub(crate) fn path(&self, below: &str) -> Option<TenantPath> {
        let path = TenantPath::parse(below)?;
        path.part().is_none_or(self.part).then_some(path)
    }

    /// Whether a token that is one of this server's, for all of it or not, is for this endpoint.
    pub(crate) fn accepts(
        &self,
        principal: &Principal,
        is_for_all: bool,
        path: &TenantPath,
        resource: &str,
    ) -> bool {
        let above = self.audience == TenantAudience::OwnOrAbove;
        let mut audiences = principal.audiences().iter();
        (above && is_for_all) || audiences.any(|it| path.is_named_by(it, resource, above))
    }
}

impl fmt::Debug for TenantEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantEndpoints")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// What is said to who comes to another tenant's endpoint.
pub(crate) const FOREIGN: &str = "this address is for one organization, and the access token is for \
    another or for none: log out of this server in the MCP client, log in again and choose that \
    organization there, or use this server's address without an organization";

impl<H> Inner<H> {
    /// Puts the caller where the handler looks for it.
    pub(crate) fn attach(
        &self,
        session: &Arc<Session>,
        token: &AccessToken,
        extensions: &mut Extensions,
    ) {
        match (&self.tenants, TenantPath::of(extensions).cloned()) {
            (Some(tenants), Some(at)) => (tenants.attach)(session, token, &at, extensions),
            _ => (self.attach_caller)(session, token, extensions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, Option<String>)> {
        let path = TenantPath::parse(text)?;
        Some((path.tenant().to_owned(), path.part().map(str::to_owned)))
    }

    #[test]
    fn a_path_names_a_tenant_and_at_most_one_part() {
        let long = "a".repeat(MAX_NAME);
        for name in [
            "a",
            "org_01HXYZ",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "a.b",
            &long,
        ] {
            assert_eq!(parts(name), Some((name.to_owned(), None)));
            let part = format!("{name}/PROJ-3");
            let expected = (name.to_owned(), Some("PROJ-3".to_owned()));
            assert_eq!(parts(&part), Some(expected));
        }
        for none in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "a/b/c",
            ".",
            "..",
            "a/..",
            ".well-known",
            "-a",
            "_a",
            "a b",
            "a%20b",
            "a:b",
            "a~b",
            "a@b",
            "a;b",
            "é",
            "a\0",
            "a+b",
            "a*",
            &format!("{long}a"),
        ] {
            assert_eq!(parts(none), None, "{none:?}");
        }
    }

    #[test]
    fn an_audience_names_an_endpoint_exactly_or_the_one_above() {
        let resource = "https://h.test/mcp";
        let path = |text| TenantPath::parse(text).unwrap();
        for (at, audience, own, above) in [
            ("a", "https://h.test/mcp/a", true, true),
            ("a/p", "https://h.test/mcp/a/p", true, true),
            ("a/p", "https://h.test/mcp/a", false, true),
            ("a", "https://h.test/mcp/a/p", false, false),
            ("a", "https://h.test/mcp/A", false, false),
            ("a", "https://h.test/mcp/ab", false, false),
            ("ab", "https://h.test/mcp/a", false, false),
            ("a", "https://h.test/mcp/a/", false, false),
            ("a", "https://h.test/mcp//a", false, false),
            ("a", "https://h.test/mcpa", false, false),
            ("a", "https://h.test/mcp", false, false),
            ("a", "a", false, false),
            ("a/p", "https://h.test/mcp/b/p", false, false),
            ("a/p", "https://h.test/mcp/p", false, false),
        ] {
            let path = path(at);
            assert_eq!(
                path.is_named_by(audience, resource, false),
                own,
                "{audience} at {at}"
            );
            assert_eq!(
                path.is_named_by(audience, resource, true),
                above,
                "{audience} at {at}"
            );
        }
    }
}
