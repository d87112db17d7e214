//! What is configured of a provider.

use std::{collections::BTreeMap, time::Duration};

use mcp_auth::ClientAuthentication;
use url::Url;
use zeroize::Zeroizing;

use super::preset::ProviderPreset;

/// The identity provider that users log in at, and the client that this server is there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// Where it is.
    pub place: ProviderPlace,
    /// The client that this server is.
    pub client_id: String,
    /// How that client proves who it is.
    pub authentication: ClientAuthentication,
    /// Scopes to ask for. Most providers give refresh tokens for `offline_access` alone.
    pub scopes: Vec<String>,
    /// Further parameters of authorization requests, such as `audience` or `prompt`.
    pub parameters: Vec<(String, String)>,
    /// Hosts beside the issuer's own where its metadata may place endpoints and keys: a name
    /// (`keys.example.com`), one with a port, or all below one (`.example.com`).
    pub hosts: Vec<String>,
    /// Claim that names the user, with dots between names for what lies inside. It must never be
    /// given to another user. `sub` by default; of an ID token it is always `sub`.
    pub subject_claim: String,
    /// Which organization a user is of.
    pub organization: OrganizationFrom,
    /// Whether a user of no organization is turned away. `true` by default; nobody is where
    /// [`OrganizationFrom::Nothing`] names none.
    pub organization_required: bool,
    /// How access tokens are given back.
    pub revocation: Revocation,
    /// Limit for one question, a repetition and its answer included. 10 s by default.
    pub timeout: Duration,
}

/// Where a provider is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ProviderPlace {
    /// It speaks OpenID Connect: this is its issuer identifier, as ID tokens have it.
    Issuer(String),
    /// It speaks plain OAuth.
    Endpoints(ProviderEndpoints),
}

/// The addresses of a provider without metadata.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProviderEndpoints {
    /// Where a login begins.
    pub authorization: String,
    /// Where codes and refresh tokens become access tokens.
    pub token: String,
    /// What says who an access token belongs to.
    pub userinfo: String,
    /// Where tokens are given back, if anywhere.
    pub revocation: Option<String>,
    /// What it calls itself in its redirects (RFC 9207), if it does.
    pub issuer: Option<String>,
}

impl ProviderEndpoints {
    /// A provider that takes no tokens back and does not name itself.
    pub fn new(
        authorization: impl Into<String>,
        token: impl Into<String>,
        userinfo: impl Into<String>,
    ) -> Self {
        Self {
            authorization: authorization.into(),
            token: token.into(),
            userinfo: userinfo.into(),
            revocation: None,
            issuer: None,
        }
    }
}

/// How tokens are given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// RFC 7009.
    Standard,
    /// As GitHub has it: a `DELETE` that names the access token.
    GitHub,
}

/// Which organization a user is of. Claims are those of the ID token, then those of userinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrganizationFrom {
    /// None: this server does not know organizations by its provider.
    Nothing,
    /// All users are of this one.
    Fixed(String),
    /// The claim names it, with dots between names for what lies inside (`o.id`).
    Claim(String),
    /// What the claim says stands for one. A list may say several things that stand for the same.
    Mapped {
        /// The claim, such as `hd`, `tid`, `groups` or a subject.
        claim: String,
        /// Organizations by what the claim says.
        organizations: BTreeMap<String, String>,
    },
    /// The domain of the user's address stands for one, where the provider says that it verified
    /// the address (`email_verified`).
    EmailDomain(BTreeMap<String, String>),
}

/// A setting of a provider that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderConfigError {
    /// An address that is not absolute `https` (plain `http` only on this machine).
    #[error(
        "the provider's {name} is not an absolute https URL (http is accepted on loopback only)"
    )]
    Url {
        /// Which one.
        name: &'static str,
    },
    /// This preset needs an issuer.
    #[error("the provider {0} needs its issuer: {1}")]
    NoIssuer(&'static str, &'static str),
    /// An issuer of Entra that stands for all tenants.
    #[error(
        "the issuer of Entra has to name one tenant, as \
         https://login.microsoftonline.com/TENANT-ID/v2.0: tokens of common, organizations and \
         consumers have another issuer each"
    )]
    ManyTenants,
    /// No client id, or no secret.
    #[error("the provider's client lacks {0}")]
    NoClient(&'static str),
    /// A parameter that this server sets itself.
    #[error("{0} is no further parameter of the provider: this server sets it")]
    Parameter(String),
    /// OpenID Connect without its scope.
    #[error("the scopes of a provider with an issuer have to hold openid")]
    NoOpenId,
    /// No organization, or an empty name for one.
    #[error("the organization of the provider's users is empty")]
    NoOrganization,
    /// The preset is not known.
    #[error(
        "no such provider: google, entra, cognito, github, okta, keycloak, auth0 or workos; leave \
         it out for any other"
    )]
    Preset,
}

/// What authorization requests hold already (RFC 6749 section 4.1.1, RFC 7636, OpenID Connect Core
/// section 3.1.2.1), and what would have the answer come in another way.
const RESERVED: &[&str] = &[
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];

impl ProviderConfig {
    /// A provider that speaks OpenID Connect. The secret goes into HTTP Basic; the organization is
    /// the claim `org_id`.
    pub fn open_id(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        secret: Zeroizing<String>,
    ) -> Self {
        let scopes = ["openid", "profile", "email", "offline_access"];
        Self {
            place: ProviderPlace::Issuer(issuer.into()),
            client_id: client_id.into(),
            authentication: ClientAuthentication::SecretBasic(secret),
            scopes: scopes.map(str::to_owned).to_vec(),
            parameters: Vec::new(),
            hosts: Vec::new(),
            subject_claim: "sub".to_owned(),
            organization: OrganizationFrom::Claim("org_id".to_owned()),
            organization_required: true,
            revocation: Revocation::Standard,
            timeout: Duration::from_secs(10),
        }
    }

    /// A provider that speaks plain OAuth; no scopes are asked for.
    pub fn plain(
        endpoints: ProviderEndpoints,
        client_id: impl Into<String>,
        secret: Zeroizing<String>,
    ) -> Self {
        Self {
            place: ProviderPlace::Endpoints(endpoints),
            scopes: Vec::new(),
            ..Self::open_id(String::new(), client_id, secret)
        }
    }

    /// A well-known provider, at its own issuer or at the given one.
    ///
    /// # Errors
    /// [`ProviderConfigError::NoIssuer`] where each customer has one and none is given.
    pub fn preset(
        preset: ProviderPreset,
        issuer: Option<&str>,
        client_id: impl Into<String>,
        secret: Zeroizing<String>,
    ) -> Result<Self, ProviderConfigError> {
        preset.config(issuer, client_id.into(), secret)
    }

    /// What the provider is called: its issuer identifier, or where logins begin if it has none.
    pub fn issuer(&self) -> &str {
        match &self.place {
            ProviderPlace::Issuer(issuer) => issuer,
            ProviderPlace::Endpoints(places) => {
                places.issuer.as_deref().unwrap_or(&places.authorization)
            }
        }
    }

    /// Whether a login has an ID token.
    pub(super) fn is_open_id(&self) -> bool {
        matches!(self.place, ProviderPlace::Issuer(_))
    }

    /// Finds what cannot work, before anybody is asked.
    pub(super) fn check(&self) -> Result<(), ProviderConfigError> {
        if self.client_id.is_empty() {
            return Err(ProviderConfigError::NoClient("its id"));
        }
        if let ClientAuthentication::SecretBasic(secret) | ClientAuthentication::SecretPost(secret) =
            &self.authentication
            && secret.is_empty()
        {
            return Err(ProviderConfigError::NoClient("its secret"));
        }
        let mut names = self.parameters.iter().map(|(name, _)| name);
        if let Some(name) = names.find(|name| RESERVED.contains(&name.as_str())) {
            return Err(ProviderConfigError::Parameter(name.clone()));
        }
        if let OrganizationFrom::Fixed(name) | OrganizationFrom::Claim(name) = &self.organization
            && name.trim().is_empty()
        {
            return Err(ProviderConfigError::NoOrganization);
        }
        let issuer = match &self.place {
            ProviderPlace::Endpoints(_) => return Ok(()),
            ProviderPlace::Issuer(issuer) => secure("issuer", issuer)?,
        };
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return Err(ProviderConfigError::NoOpenId);
        }
        let tenant = issuer.path_segments().and_then(|mut path| path.next());
        let of_entra = issuer.host_str() == Some("login.microsoftonline.com");
        let many = ["common", "organizations", "consumers", "{tenantid}"];
        let many = tenant.is_some_and(|tenant| {
            many.contains(&tenant) || tenant.starts_with("%7B") || tenant.is_empty()
        });
        if of_entra && many {
            return Err(ProviderConfigError::ManyTenants);
        }
        Ok(())
    }
}

/// A configured address.
pub(super) fn secure(name: &'static str, text: &str) -> Result<Url, ProviderConfigError> {
    let url = Url::parse(text).ok().filter(mcp_outbound::is_secure);
    url.ok_or(ProviderConfigError::Url { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ProviderConfig {
        ProviderConfig::open_id(
            "https://a.test",
            "client",
            Zeroizing::new("hush".to_owned()),
        )
    }

    fn checked(change: impl FnOnce(&mut ProviderConfig)) -> Result<(), ProviderConfigError> {
        let mut config = config();
        change(&mut config);
        config.check()
    }

    #[test]
    fn what_cannot_work_is_found_before_anybody_is_asked() {
        assert_eq!(checked(|_| {}), Ok(()));
        let at = |issuer: &str| {
            let place = ProviderPlace::Issuer(issuer.to_owned());
            checked(|config| config.place = place)
        };
        for issuer in ["http://a.test", "a.test", ""] {
            let name = "issuer";
            assert_eq!(
                at(issuer),
                Err(ProviderConfigError::Url { name }),
                "{issuer}"
            );
        }
        let many = Err(ProviderConfigError::ManyTenants);
        for tenant in ["common", "organizations", "consumers", "{tenantid}"] {
            let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
            assert_eq!(at(&issuer), many, "{tenant}");
        }
        assert_eq!(
            at("https://login.microsoftonline.com/8eaef023/v2.0"),
            Ok(())
        );
        assert_eq!(
            checked(|config| config.client_id.clear()),
            Err(ProviderConfigError::NoClient("its id"))
        );
        let empty = || Zeroizing::new(String::new());
        for none in [
            ClientAuthentication::SecretBasic(empty()),
            ClientAuthentication::SecretPost(empty()),
        ] {
            assert_eq!(
                checked(|config| config.authentication = none),
                Err(ProviderConfigError::NoClient("its secret"))
            );
        }
        for name in ["state", "response_mode", "redirect_uri"] {
            let parameter = (name.to_owned(), String::new());
            assert_eq!(
                checked(|config| config.parameters.push(parameter)),
                Err(ProviderConfigError::Parameter(name.to_owned()))
            );
        }
        assert_eq!(
            checked(|config| config.scopes.clear()),
            Err(ProviderConfigError::NoOpenId)
        );
        let organization = OrganizationFrom::Fixed(" ".to_owned());
        assert_eq!(
            checked(|config| config.organization = organization),
            Err(ProviderConfigError::NoOrganization)
        );
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", config()).contains("hush"));
    }
}
