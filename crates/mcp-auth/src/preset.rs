//! What is particular about the tokens of well-known issuers.

use std::str::FromStr;

use crate::{
    exchange::{AssertionAudience, ExchangeConfig, ExchangeGrant},
    issuer::IssuerConfig,
};

/// An issuer whose access tokens are known: where they keep the organization and which algorithms
/// they use. Everything a preset sets can be set by hand afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
#[non_exhaustive]
pub enum Preset {
    /// WorkOS AuthKit: `org_id`, RS256.
    WorkOs,
    /// Auth0: `org_id` (Organizations), RS256 or PS256. The issuer ends with a slash.
    Auth0,
    /// Keycloak: `organization` (a list of aliases, or an object with ids), the realm's algorithm.
    Keycloak,
    /// Microsoft Entra ID, v2.0 tokens: `tid`, RS256. The audience is the application's client id.
    Entra,
    /// Descope: `dct` (the current tenant), RS256.
    Descope,
    /// Okta: RS256; the organization has to be put into a claim.
    Okta,
    /// Amazon Cognito: RS256; tokens without `aud` need `audience_from`.
    Cognito,
    /// Clerk: `o.id` (second version of its tokens), RS256.
    Clerk,
    /// Dex: access tokens with the `at_hash` of ID tokens.
    Dex,
    /// Zitadel: `urn:zitadel:iam:user:resourceowner:id`.
    Zitadel,
    /// `FusionAuth`: `tid` (the tenant).
    FusionAuth,
    /// Logto: `organization_id`.
    Logto,
}

/// No preset has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such preset: workos, auth0, keycloak, entra, descope, okta, cognito, clerk, dex, zitadel, \
     fusionauth or logto"
)]
#[non_exhaustive]
pub struct UnknownPreset;

impl Preset {
    /// All presets.
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The name as it stands in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkOs => "workos",
            Self::Auth0 => "auth0",
            Self::Keycloak => "keycloak",
            Self::Entra => "entra",
            Self::Descope => "descope",
            Self::Okta => "okta",
            Self::Cognito => "cognito",
            Self::Clerk => "clerk",
            Self::Dex => "dex",
            Self::Zitadel => "zitadel",
            Self::FusionAuth => "fusionauth",
            Self::Logto => "logto",
        }
    }

    /// The claim that names the organization.
    pub fn organization_claim(self) -> &'static str {
        match self {
            Self::WorkOs | Self::Auth0 | Self::Okta | Self::Cognito | Self::Dex => "org_id",
            Self::Keycloak => "organization",
            Self::Entra | Self::FusionAuth => "tid",
            Self::Descope => "dct",
            Self::Clerk => "o.id",
            Self::Zitadel => "urn:zitadel:iam:user:resourceowner:id",
            Self::Logto => "organization_id",
        }
    }

    /// The algorithms its tokens may be signed with; empty means all supported ones.
    pub fn algorithms(self) -> &'static [&'static str] {
        match self {
            Self::WorkOs
            | Self::Entra
            | Self::Descope
            | Self::Okta
            | Self::Cognito
            | Self::Clerk => &["RS256"],
            Self::Auth0 => &["RS256", "PS256"],
            Self::Keycloak | Self::Dex | Self::Zitadel | Self::FusionAuth | Self::Logto => &[],
        }
    }

    /// Whether its access tokens hold the `at_hash` of ID tokens.
    pub fn at_hash_in_access_tokens(self) -> bool {
        self == Self::Dex
    }

    /// Sets what is particular about this issuer.
    pub fn apply(self, issuer: &mut IssuerConfig) {
        self.organization_claim()
            .clone_into(&mut issuer.organization_claim);
        issuer.algorithms = self
            .algorithms()
            .iter()
            .map(|&name| name.to_owned())
            .collect();
        issuer.at_hash_in_access_tokens = self.at_hash_in_access_tokens();
    }

    /// Whether a client's secret is sent in the form where nothing else is said, as its
    /// documentation has it; otherwise in HTTP Basic, which every server has to read (RFC 6749
    /// section 2.3.1).
    pub fn takes_secret_in_form(self) -> bool {
        self == Self::WorkOs
    }

    /// Spells an exchange as this issuer has it: the API, whichever way it was named, becomes the
    /// parameter that the issuer reads.
    pub fn apply_to_exchange(self, exchange: &mut ExchangeConfig) {
        let api = exchange.audience.clone().or(exchange.resource.clone());
        match self {
            Self::WorkOs => (exchange.audience, exchange.resource) = (None, api),
            Self::Auth0 | Self::Keycloak | Self::Okta => {
                (exchange.audience, exchange.resource) = (api, None);
            }
            Self::Entra => {
                exchange.grant = ExchangeGrant::OnBehalfOf;
                (exchange.audience, exchange.resource) = (None, None);
                if exchange.scopes.is_empty() {
                    exchange
                        .scopes
                        .extend(api.map(|api| format!("{api}/.default")));
                }
            }
            _ => {}
        }
        if matches!(self, Self::Entra | Self::Okta) {
            exchange.assertion_audience = AssertionAudience::TokenEndpoint;
        }
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|preset| preset.name() == name)
            .ok_or(UnknownPreset)
    }
}
