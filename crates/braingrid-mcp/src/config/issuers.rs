//! The authorization servers: several from the file, or one from variables.

use mcp_auth::{AudienceFrom, IssuerConfig, Preset};

use super::introspection::{self, INTROSPECTION_KEYS};
use super::layers::Origin;
use super::parse::{endpoints, identity, words};
use super::reader::{Reader, Table};
use super::settings::{
    ISSUERS, OAUTH_ISSUER, OAUTH_JWKS_URI, OAUTH_PRESET, Spec, UPSTREAM_MODE, WORKOS_CLIENT_ID,
};
use super::upstream::{self, UpstreamSettings};

/// One authorization server whose tokens are accepted.
#[derive(Debug, Clone)]
pub(crate) struct IssuerSettings {
    /// As the verifier takes it, but for the resource, which is no matter of the issuer's: `audiences`
    /// are those accepted beside it.
    pub(crate) accepted: IssuerConfig,
    /// The scopes that every issuer of its kind has.
    pub(crate) scopes: &'static [&'static str],
    /// What the API is called with for its users; what it has no table for is filled in later.
    pub(crate) upstream: Option<UpstreamSettings>,
}

/// The scopes of OpenID Connect.
const OPENID: &[&str] = &["openid", "profile", "email"];

/// A key of `[[issuers]]`, for the documentation and for the check of unknown keys.
pub(crate) struct IssuerKey {
    pub(crate) key: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

const OWN_KEYS: &[IssuerKey] = &[
    IssuerKey {
        key: "issuer",
        default: "required",
        meaning: "Its issuer identifier, exactly as its metadata spells it.",
    },
    IssuerKey {
        key: "preset",
        default: "none",
        meaning: "`workos`, `auth0`, `keycloak`, `entra`, `descope`, `okta`, `cognito`, `clerk`, \
                  `dex`, `zitadel`, `fusionauth` or `logto`: sets `organization_claim` and \
                  `algorithms` as that vendor's tokens have them; either can still be set. `dex` \
                  also lets access tokens hold an `at_hash`.",
    },
    IssuerKey {
        key: "jwks_uri",
        default: "from its metadata",
        meaning: "Its key set, for a server without discovery metadata.",
    },
    IssuerKey {
        key: "audiences",
        default: "none",
        meaning: "Audiences accepted beside the resource. With `audience_from`: the clients whose \
                  tokens are taken.",
    },
    IssuerKey {
        key: "audience_from",
        default: "none",
        meaning: "For tokens without `aud` (Cognito, WorkOS): `client_id`, `azp` or `cid`, the claim \
                  that names the client they were issued to. It must be one of `audiences`; a \
                  token that has an `aud` is judged by that.",
    },
    IssuerKey {
        key: "algorithms",
        default: "all supported",
        meaning: "Signature algorithms accepted: RS256–RS512, PS256–PS512, ES256, ES384, EdDSA.",
    },
    IssuerKey {
        key: "organization_claim",
        default: "`org_id`",
        meaning: "The claim that names the caller's organization; dots lead into objects: `o.id`.",
    },
    IssuerKey {
        key: "organizations",
        default: "any",
        meaning: "The organizations this issuer may speak for; a token for another is refused \
                  (403). With several issuers set it for each: without it any of them can issue \
                  tokens for the organizations of all.",
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
    IssuerKey {
        key: "upstream",
        default: "`UPSTREAM_AUDIENCE`",
        meaning: "A table, `[issuers.upstream]` below its entry: what the BrainGrid API is called \
                  with for its users; see [above](#calling-the-api-for-its-users).",
    },
];

/// All keys of an entry.
pub(crate) fn keys() -> impl Iterator<Item = &'static IssuerKey> {
    OWN_KEYS.iter().chain(INTROSPECTION_KEYS)
}

impl IssuerSettings {
    /// Our own authorization server. What verifies its tokens, it says itself.
    pub(super) fn own(issuer: String) -> Self {
        Self {
            upstream: Some(UpstreamSettings::Granted),
            ..Self::new(issuer)
        }
    }

    fn new(issuer: String) -> Self {
        Self {
            accepted: IssuerConfig::new(issuer, [""; 0]),
            scopes: &[],
            upstream: None,
        }
    }
}

/// Reads them where this server is an issuer too: then those of the file alone are the others.
pub(super) fn read_beside_own(reader: &mut Reader, own: String) -> Vec<IssuerSettings> {
    for setting in [&OAUTH_ISSUER, &OAUTH_JWKS_URI, &WORKOS_CLIENT_ID] as [&Spec; 3] {
        if reader.origin(setting) != Origin::Default {
            reader.report(
                setting,
                "with [authorization_server] this server is the issuer of its tokens",
                "unset it; an issuer beside it stands in [[issuers]]",
            );
        }
    }
    let mut issuers = Vec::from([IssuerSettings::own(own)]);
    issuers.extend(read_tables(reader).unwrap_or_default());
    issuers
}

/// Reads them. One that is set in the environment replaces all of the file.
pub(crate) fn read(reader: &mut Reader) -> Vec<IssuerSettings> {
    let from_file = read_tables(reader);
    let origin = reader.origin(&OAUTH_ISSUER);
    let replaced = matches!(origin, Origin::Environment { .. } | Origin::Flag { .. });
    let exchanges = |all: &Vec<IssuerSettings>| all.iter().any(|it| it.upstream.is_some());
    let is_said = reader.origin(&UPSTREAM_MODE) != Origin::Default;
    if replaced && !is_said && from_file.as_ref().is_some_and(exchanges) {
        // Whoever meant to exchange tokens does not find them sent on.
        reader.report(
            &OAUTH_ISSUER,
            "it replaces the [[issuers]] of the file, and [issuers.upstream] with them",
            "unset it, or set UPSTREAM_MODE and what goes with it too",
        );
    }
    if from_file.is_none() || replaced {
        return read_one(reader).into_iter().collect();
    }
    if matches!(origin, Origin::File { .. }) {
        reader.report(
            &OAUTH_ISSUER,
            "the file also has [[issuers]]",
            "move this issuer into an [[issuers]] entry of its own",
        );
    }
    for (setting, key) in of_one_issuer() {
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

/// The settings of the issuer of `OAUTH_ISSUER`, and what they are in an entry of `[[issuers]]`.
fn of_one_issuer() -> impl Iterator<Item = (&'static Spec, String)> {
    let own: [(&Spec, &str); 3] = [
        (&OAUTH_JWKS_URI, "jwks_uri"),
        (&OAUTH_PRESET, "preset"),
        (&WORKOS_CLIENT_ID, "audiences"),
    ];
    let upstream = upstream::of_one_issuer();
    own.into_iter()
        .map(|(setting, key)| (setting, key.to_owned()))
        .chain(upstream.map(|(setting, key)| (setting, format!("{key} of [issuers.upstream]"))))
}

/// The one issuer of `OAUTH_ISSUER` and the variables that go with it.
fn read_one(reader: &mut Reader) -> Option<IssuerSettings> {
    let issuer = reader.optional(&OAUTH_ISSUER);
    let jwks_uri = reader.optional(&OAUTH_JWKS_URI);
    let client_id = reader.optional(&WORKOS_CLIENT_ID);
    let preset = reader.optional(&OAUTH_PRESET);
    let of_workos = match reader.origin(&OAUTH_ISSUER) {
        Origin::Default => true,
        Origin::Environment { name } => name == "WORKOS_ISSUER",
        Origin::File { .. } | Origin::Flag { .. } => false,
    };
    let spelled = preset.or(of_workos.then_some(Preset::WorkOs));
    let upstream = upstream::read_settings(reader, issuer.as_deref().unwrap_or_default(), spelled);
    let mut settings = IssuerSettings::new(issuer?);
    settings.upstream = upstream;
    settings.accepted.jwks_uri = jwks_uri;
    if let Some(preset) = preset {
        preset.apply(&mut settings.accepted);
    }
    settings.scopes = spelled.map_or(&[], scopes_of);
    if let Some(client_id) = client_id {
        reader.warnings.push(
            "WORKOS_CLIENT_ID is accepted as an audience: tokens that this client got for another \
             service are accepted too; let the issuer put the resource into aud instead"
                .to_owned(),
        );
        settings.accepted.audiences.push(client_id);
    }
    Some(settings)
}

/// What its clients ask for. Entra has no token for this server unless a scope of this server is.
fn scopes_of(preset: Preset) -> &'static [&'static str] {
    if preset == Preset::Entra { &[] } else { OPENID }
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
        if issuers
            .iter()
            .any(|other| same(&other.accepted.issuer, &settings.accepted.issuer))
        {
            let what = format!("{} stands there twice", settings.accepted.issuer);
            reader.report(&ISSUERS, what, "keep one entry for each issuer");
            continue;
        }
        if settings.accepted.introspection.is_some()
            && issuers
                .iter()
                .any(|other| other.accepted.introspection.is_some())
        {
            reader.report(
                &ISSUERS,
                "several entries have an introspection_endpoint",
                "keep one: an opaque token does not say which of them to ask",
            );
        }
        issuers.push(settings);
    }
    reader.warnings.extend(unbound(&issuers));
    Some(issuers)
}

/// Why several issuers can speak for each other's organizations, if they can.
fn unbound(issuers: &[IssuerSettings]) -> Option<String> {
    let unbound = issuers
        .iter()
        .filter(|it| it.accepted.organizations.is_empty());
    let unbound: Vec<_> = unbound.map(|it| it.accepted.issuer.as_str()).collect();
    if issuers.len() < 2 || unbound.is_empty() {
        return None;
    }
    Some(format!(
        "there are {} issuers, and {} may issue tokens for any organization, those of the others \
         included; set organizations = [...] in its [[issuers]] entry",
        issuers.len(),
        unbound.join(" and ")
    ))
}

/// Whether two identifiers are two spellings of one.
fn same(one: &str, other: &str) -> bool {
    let spelled = |issuer: &str| {
        let url = url::Url::parse(issuer).map_or_else(|_| issuer.to_owned(), String::from);
        url.trim_end_matches('/').to_owned()
    };
    spelled(one) == spelled(other)
}

fn read_table(reader: &mut Reader, mut table: Table) -> Option<IssuerSettings> {
    let problems = &mut reader.problems;
    let before = problems.len();
    let issuer = table.optional("issuer", endpoints::issuer, problems);
    if issuer.is_none() && problems.len() == before {
        problems.push(table.problem("issuer", "it is missing", "set the issuer identifier"));
    }
    let mut settings = IssuerConfig::new(issuer.unwrap_or_default(), [""; 0]);
    settings.jwks_uri = table.optional("jwks_uri", endpoints::key_set_url, problems);
    settings.audiences = table.list("audiences", identity::audience, problems);
    if let Some(claim) = table.optional("audience_from", identity::client_claim, problems) {
        let clients = std::mem::take(&mut settings.audiences);
        if clients.is_empty() {
            let what = "audiences names no client whose tokens are to be taken";
            let fix = r#"list them: audiences = ["client id of the app"]"#;
            problems.push(table.problem("audience_from", what, fix));
        }
        settings.audience_from = Some(AudienceFrom::new(claim, clients));
    }
    let is_bound = table.has("organizations");
    settings.organizations = table.list("organizations", identity::bound_organization, problems);
    if is_bound && settings.organizations.is_empty() && problems.len() == before {
        let what = "it lists none, so it would bind to nothing";
        let fix = "list the organizations that this issuer may speak for, or remove it";
        problems.push(table.problem("organizations", what, fix));
    }
    let preset = table.optional("preset", identity::preset, problems);
    if let Some(preset) = preset {
        preset.apply(&mut settings);
    }
    let algorithms = table.list("algorithms", identity::algorithm, problems);
    if !algorithms.is_empty() {
        settings.algorithms = algorithms;
    }
    if let Some(claim) = table.optional("organization_claim", identity::claim, problems) {
        settings.organization_claim = claim;
    }
    if let Some(required) = table.optional("organization_required", words::switch, problems) {
        settings.organization_required = required;
    }
    if let Some(admitted) = table.optional("service_principals", words::switch, problems) {
        settings.service_principals = admitted;
    }
    settings.introspection = introspection::read(&mut table, problems);
    let upstream = upstream::read_table(&mut table, &settings.issuer, preset, problems);
    let known: Vec<_> = keys().map(|known| known.key).collect();
    table.finish(&known, problems);
    (problems.len() == before).then_some(IssuerSettings {
        accepted: settings,
        scopes: preset.map_or(&[], scopes_of),
        upstream,
    })
}
