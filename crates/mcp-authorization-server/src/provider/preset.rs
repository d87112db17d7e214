//! What is particular about well-known providers.

use std::str::FromStr;

use mcp_auth::ClientAuthentication;
use zeroize::Zeroizing;

use super::config::{
    OrganizationFrom, ProviderConfig, ProviderConfigError, ProviderEndpoints, Revocation,
};

/// A provider whose hosts, scopes and claims are known. Everything a preset sets can be set by hand
/// afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderPreset {
    /// Google: refresh tokens by `access_type=offline`, the organization is the Workspace domain
    /// (`hd`), which personal accounts have not.
    Google,
    /// Microsoft Entra ID, one tenant: the organization is `tid`.
    Entra,
    /// Amazon Cognito: the issuer is the user pool's, the endpoints are at its domain on
    /// `amazoncognito.com`, or at one of your own, which `hosts` has to name. The organization is the
    /// attribute `custom:org_id`.
    Cognito,
    /// GitHub: no OpenID Connect. The subject is the user's number; it names no organization. A token
    /// of an OAuth app does not end, one of a GitHub app does and comes with a refresh token.
    GitHub,
    /// Okta, an org or custom authorization server: the organization has to be put into the claim
    /// `org_id`.
    Okta,
    /// Keycloak: `organization`, for which the client needs the scope of that name.
    Keycloak,
    /// Auth0: `org_id` (Organizations). The issuer ends with a slash; for tokens of an API it needs
    /// the parameter `audience`.
    Auth0,
    /// WorkOS `AuthKit`, as an OAuth application of Connect: `org_id`.
    WorkOs,
}

const SCOPES: &[&str] = &["openid", "profile", "email", "offline_access"];

/// Of those that give refresh tokens unasked, and refuse scopes they do not know.
const SCOPES_ONLINE: &[&str] = &["openid", "profile", "email"];

impl ProviderPreset {
    /// All presets.
    pub const ALL: &[Self] = &[
        Self::Google,
        Self::Entra,
        Self::Cognito,
        Self::GitHub,
        Self::Okta,
        Self::Keycloak,
        Self::Auth0,
        Self::WorkOs,
    ];

    /// The name as it stands in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Entra => "entra",
            Self::Cognito => "cognito",
            Self::GitHub => "github",
            Self::Okta => "okta",
            Self::Keycloak => "keycloak",
            Self::Auth0 => "auth0",
            Self::WorkOs => "workos",
        }
    }

    /// The issuer that all its customers share, or what their own looks like.
    fn issuer(self) -> Result<&'static str, &'static str> {
        match self {
            Self::Google => Ok("https://accounts.google.com"),
            Self::GitHub => Ok("https://github.com"),
            Self::Entra => Err("https://login.microsoftonline.com/TENANT-ID/v2.0"),
            Self::Cognito => Err("https://cognito-idp.REGION.amazonaws.com/POOL-ID"),
            Self::Okta => Err("https://DOMAIN.okta.com or https://DOMAIN.okta.com/oauth2/default"),
            Self::Keycloak => Err("https://HOST/realms/REALM"),
            Self::Auth0 => Err("https://TENANT.auth0.com/"),
            Self::WorkOs => Err("https://NAME.authkit.app"),
        }
    }

    /// Hosts beside the issuer's own.
    pub fn hosts(self) -> &'static [&'static str] {
        match self {
            Self::Google => &[
                "accounts.google.com",
                "oauth2.googleapis.com",
                "www.googleapis.com",
                "openidconnect.googleapis.com",
            ],
            Self::Entra => &["login.microsoftonline.com", "graph.microsoft.com"],
            Self::Cognito => &[".amazoncognito.com"],
            Self::GitHub => &["github.com", "api.github.com"],
            Self::Okta | Self::Keycloak | Self::Auth0 | Self::WorkOs => &[],
        }
    }

    fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Google | Self::Cognito => SCOPES_ONLINE,
            Self::GitHub => &[],
            _ => SCOPES,
        }
    }

    /// Google gives a refresh token with the first consent alone, unless it is asked to ask again.
    fn parameters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Google => &[("access_type", "offline"), ("prompt", "consent")],
            _ => &[],
        }
    }

    fn organization(self) -> OrganizationFrom {
        let claim = match self {
            Self::Google => "hd",
            Self::Entra => "tid",
            Self::Cognito => "custom:org_id",
            Self::GitHub => return OrganizationFrom::Nothing,
            Self::Keycloak => "organization",
            Self::Okta | Self::Auth0 | Self::WorkOs => "org_id",
        };
        OrganizationFrom::Claim(claim.to_owned())
    }

    pub(super) fn config(
        self,
        issuer: Option<&str>,
        client_id: String,
        secret: Zeroizing<String>,
    ) -> Result<ProviderConfig, ProviderConfigError> {
        let of_preset = || {
            let own = self.issuer();
            own.map_err(|like| ProviderConfigError::NoIssuer(self.name(), like))
        };
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let parameters = self.parameters().iter();
        let parameters = parameters.map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let base = match self {
            Self::GitHub => github(issuer, client_id, secret),
            _ => {
                let issuer = issuer.map_or_else(of_preset, Ok)?;
                ProviderConfig::open_id(issuer, client_id, secret)
            }
        };
        Ok(ProviderConfig {
            scopes: owned(self.scopes()),
            parameters: parameters.collect(),
            hosts: owned(self.hosts()),
            organization: self.organization(),
            ..base
        })
    }
}

/// GitHub reads the client's secret in the form. It documents no name for its redirects: what they
/// hold is compared with one that is configured alone.
fn github(issuer: Option<&str>, client_id: String, secret: Zeroizing<String>) -> ProviderConfig {
    const API: &str = "https://api.github.com";
    let endpoints = ProviderEndpoints {
        revocation: Some(format!("{API}/applications")),
        issuer: issuer.map(str::to_owned),
        ..ProviderEndpoints::new(
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
            format!("{API}/user"),
        )
    };
    ProviderConfig {
        authentication: ClientAuthentication::SecretPost(secret.clone()),
        subject_claim: "id".to_owned(),
        revocation: Revocation::GitHub,
        ..ProviderConfig::plain(endpoints, client_id, secret)
    }
}

impl FromStr for ProviderPreset {
    type Err = ProviderConfigError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.iter().copied();
        all.find(|preset| preset.name() == name)
            .ok_or(ProviderConfigError::Preset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(preset: ProviderPreset, issuer: Option<&str>) -> ProviderConfig {
        let secret = Zeroizing::new("hush".to_owned());
        ProviderConfig::preset(preset, issuer, "client", secret).unwrap()
    }

    #[test]
    fn every_preset_has_its_name_and_a_configuration_that_can_work() {
        for &preset in ProviderPreset::ALL {
            assert_eq!(preset.name().parse(), Ok(preset));
            let issuer = preset.issuer().map_err(|_| "https://issuer.test/tenant");
            let config = configured(preset, Some(issuer.unwrap_or_else(|own| own)));
            assert_eq!(config.check(), Ok(()), "{}", preset.name());
            let offline = config.scopes.iter().any(|scope| scope == "offline_access")
                || !config.parameters.is_empty();
            let unasked = [ProviderPreset::Cognito, ProviderPreset::GitHub];
            assert_eq!(offline, !unasked.contains(&preset), "{}", preset.name());
        }
        assert_eq!(
            "gogle".parse::<ProviderPreset>(),
            Err(ProviderConfigError::Preset)
        );
    }

    #[test]
    fn only_those_with_one_issuer_for_all_need_none() {
        for &preset in ProviderPreset::ALL {
            let secret = Zeroizing::new("hush".to_owned());
            let made = ProviderConfig::preset(preset, None, "client", secret);
            let shared = [ProviderPreset::Google, ProviderPreset::GitHub];
            assert_eq!(made.is_ok(), shared.contains(&preset), "{}", preset.name());
        }
    }
}
