//! The authorization servers: several from the file, or one from variables.

use super::introspection::{self, INTROSPECTION_KEYS, IntrospectionSettings};
use super::layers::Origin;
use super::parse;
use super::reader::{Reader, Table};
use super::settings::{ISSUERS, OAUTH_ISSUER, OAUTH_JWKS_URI, WORKOS_CLIENT_ID};

/// One authorization server whose tokens are accepted.
#[derive(Debug, Clone)]
pub(crate) struct IssuerSettings {
    /// Its identifier, exactly as written.
    pub(crate) issuer: String,
    /// Its key set, when it has no discovery metadata.
    pub(crate) jwks_uri: Option<String>,
    /// Audiences accepted beside the resource.
    pub(crate) audiences: Vec<String>,
    /// Signature algorithms accepted; empty: all that are safe.
    pub(crate) algorithms: Vec<String>,
    /// The claim that names the organization.
    pub(crate) organization_claim: String,
    /// Whether a token without an organization is refused.
    pub(crate) organization_required: bool,
    /// Whether tokens that speak for a service are let in.
    pub(crate) service_principals: bool,
    /// How to ask about its opaque tokens.
    pub(crate) introspection: Option<IntrospectionSettings>,
}

/// A key of `[[issuers]]`, for the documentation and for the check of unknown keys.
pub(crate) struct IssuerKey {
    pub(crate) key: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

const OWN_KEYS: [IssuerKey; 8] = [
    IssuerKey {
        key: "issuer",
        default: "required",
        meaning: "Its issuer identifier, exactly as its metadata spells it.",
    },
    IssuerKey {
        key: "preset",
        default: "none",
        meaning: "`workos`, `auth0`, `keycloak`, `entra` or `descope`: sets `organization_claim` and \
                  `algorithms` as that vendor's tokens have them; either can still be set.",
    },
    IssuerKey {
        key: "jwks_uri",
        default: "from its metadata",
        meaning: "Its key set, for a server without discovery metadata.",
    },
    IssuerKey {
        key: "audiences",
        default: "none",
        meaning: "Audiences accepted beside the resource.",
    },
    IssuerKey {
        key: "algorithms",
        default: "all supported",
        meaning: "Signature algorithms accepted: RS256–RS512, PS256–PS512, ES256, ES384, EdDSA.",
    },
    IssuerKey {
        key: "organization_claim",
        default: "`org_id`",
        meaning: "The claim that names the caller's organization.",
    },
    IssuerKey {
        key: "organization_required",
        default: "`true`",
        meaning: "Whether a token without an organization is refused (403).",
    },
    IssuerKey {
        key: "service_principals",
        default: "`false`",
        meaning: "Whether tokens that speak for a client instead of a user are let in.",
    },
];

/// All keys of an entry.
pub(crate) fn keys() -> impl Iterator<Item = &'static IssuerKey> {
    OWN_KEYS.iter().chain(&INTROSPECTION_KEYS)
}

impl IssuerSettings {
    fn new(issuer: String) -> Self {
        Self {
            issuer,
            jwks_uri: None,
            audiences: Vec::new(),
            algorithms: Vec::new(),
            organization_claim: "org_id".to_owned(),
            organization_required: true,
            service_principals: false,
            introspection: None,
        }
    }
}

/// Reads them. One that is set in the environment replaces all of the file.
pub(crate) fn read(reader: &mut Reader) -> Vec<IssuerSettings> {
    let from_file = read_tables(reader);
    let origin = reader.origin(&OAUTH_ISSUER);
    if from_file.is_none() || matches!(origin, Origin::Environment { .. }) {
        return read_one(reader).into_iter().collect();
    }
    if matches!(origin, Origin::File { .. }) {
        reader.report(
            &OAUTH_ISSUER,
            "the file also has [[issuers]]",
            "move this issuer into an [[issuers]] entry of its own",
        );
    }
    for (setting, key) in [
        (&OAUTH_JWKS_URI, "jwks_uri"),
        (&WORKOS_CLIENT_ID, "audiences"),
    ] {
        if reader.origin(setting) != Origin::Default {
            reader.report(
                setting,
                "it says nothing about the [[issuers]] of the file",
                format!("set {key} in the [[issuers]] entry it belongs to"),
            );
        }
    }
    from_file.unwrap_or_default()
}

/// The one issuer of `OAUTH_ISSUER` and the variables that go with it.
fn read_one(reader: &mut Reader) -> Option<IssuerSettings> {
    let issuer = reader.optional(&OAUTH_ISSUER, parse::issuer);
    let jwks_uri = reader.optional(&OAUTH_JWKS_URI, parse::key_set_url);
    let client_id = reader.optional(&WORKOS_CLIENT_ID, parse::word);
    let mut settings = IssuerSettings::new(issuer?);
    settings.jwks_uri = jwks_uri;
    if let Some(client_id) = client_id {
        reader.warnings.push(
            "WORKOS_CLIENT_ID is accepted as an audience: tokens that this client got for another \
             service are accepted too; let the issuer put the resource into aud instead"
                .to_owned(),
        );
        settings.audiences.push(client_id);
    }
    Some(settings)
}

/// The entries of `[[issuers]]`; `None` when there are none.
fn read_tables(reader: &mut Reader) -> Option<Vec<IssuerSettings>> {
    let tables = reader.tables(&ISSUERS);
    if tables.is_empty() {
        return None;
    }
    let mut issuers: Vec<IssuerSettings> = Vec::new();
    for table in tables {
        let Some(settings) = read_table(reader, table) else {
            continue;
        };
        if issuers.iter().any(|other| other.issuer == settings.issuer) {
            let what = format!("{} stands there twice", settings.issuer);
            reader.report(&ISSUERS, what, "keep one entry for each issuer");
            continue;
        }
        if settings.introspection.is_some()
            && issuers.iter().any(|other| other.introspection.is_some())
        {
            reader.report(
                &ISSUERS,
                "several entries have an introspection_endpoint",
                "keep one: an opaque token does not say which of them to ask",
            );
        }
        issuers.push(settings);
    }
    Some(issuers)
}

fn read_table(reader: &mut Reader, mut table: Table) -> Option<IssuerSettings> {
    let problems = &mut reader.problems;
    let before = problems.len();
    let issuer = table.optional("issuer", parse::issuer, problems);
    if issuer.is_none() && problems.len() == before {
        problems.push(table.problem("issuer", "it is missing", "set the issuer identifier"));
    }
    let mut settings = IssuerSettings::new(issuer.unwrap_or_default());
    settings.jwks_uri = table.optional("jwks_uri", parse::key_set_url, problems);
    settings.audiences = table.list("audiences", parse::word, problems);
    if let Some(preset) = table.optional("preset", parse::preset, problems) {
        preset
            .organization_claim()
            .clone_into(&mut settings.organization_claim);
        settings.algorithms = preset
            .algorithms()
            .iter()
            .map(|&name| name.to_owned())
            .collect();
    }
    let algorithms = table.list("algorithms", parse::algorithm, problems);
    if !algorithms.is_empty() {
        settings.algorithms = algorithms;
    }
    if let Some(claim) = table.optional("organization_claim", parse::word, problems) {
        settings.organization_claim = claim;
    }
    if let Some(required) = table.optional("organization_required", parse::switch, problems) {
        settings.organization_required = required;
    }
    if let Some(admitted) = table.optional("service_principals", parse::switch, problems) {
        settings.service_principals = admitted;
    }
    settings.introspection = introspection::read(&mut table, problems);
    let known: Vec<_> = keys().map(|known| known.key).collect();
    table.finish(&known, problems);
    (problems.len() == before).then_some(settings)
}
