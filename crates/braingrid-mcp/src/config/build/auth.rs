//! Who may call, and with which scopes.

use std::collections::HashMap;
use std::time::Duration;

use mcp_auth::VerifierConfig;
use mcp_authorization_server::AuthorizationServerConfig;
use mcp_transport_http::TenantAudience;

use super::{once, read_scopes};
use crate::config::authorization_server::{self, AuthorizationServerSettings};
use crate::config::issuers::{self, IssuerSettings};
use crate::config::layers::Origin;
use crate::config::reader::Reader;
use crate::config::settings;
use crate::config::tenants;
use crate::config::upstream::{self, UpstreamSettings};
use crate::tenants::ConfiguredTenant;

/// Who may call.
#[derive(Debug)]
pub(crate) struct AuthSettings {
    /// Authorization servers; at least one. Our own is the first.
    pub(crate) issuers: Vec<IssuerSettings>,
    /// Our own, where there is one.
    pub(crate) authorization_server: Option<AuthorizationServerSettings>,
    /// What holds for the tokens of all of them.
    pub(crate) verifier: VerifierConfig,
    /// Whether the metadata of the only issuer are served here, too.
    pub(crate) metadata_mirror: bool,
    /// What is set for single organizations.
    pub(crate) tenants: HashMap<String, ConfiguredTenant>,
    /// Which tokens are good at the address of an organization.
    pub(crate) organization_tokens: TenantAudience,
    /// Scopes that clients are told to ask for.
    pub(crate) scopes: Vec<String>,
    /// Which scopes tools need: `read`, `write` or a canonical tool name, and the scopes.
    pub(crate) tool_scopes: Vec<(String, Vec<String>)>,
    /// Scopes, and those they include.
    pub(crate) scope_hierarchy: Vec<(String, Vec<String>)>,
}

impl AuthSettings {
    /// The clients whose tokens are taken without audience.
    pub(crate) fn clients(&self) -> impl Iterator<Item = String> {
        let stand_ins = self
            .issuers
            .iter()
            .filter_map(|it| it.accepted.audience_from.as_ref());
        stand_ins.flat_map(|from| from.clients.iter().cloned())
    }

    /// How long what was given out for one login is good at most.
    pub(crate) fn longest_login(&self) -> Duration {
        let token = self.verifier.max_lifetime + self.verifier.leeway;
        let own = self.authorization_server.as_ref().map(|own| {
            own.grant_lifetime
                .unwrap_or(AuthorizationServerConfig::GRANT_LIFETIME)
        });
        token.max(own.unwrap_or_default())
    }
}

pub(super) fn read_auth(reader: &mut Reader, public_url: Option<&str>, port: u16) -> AuthSettings {
    // Also where it cannot work: what is wrong with it is no reason to ask for other issuers.
    let is_own = reader.has_table(&settings::AUTHORIZATION_SERVER);
    let authorization_server = authorization_server::read(reader);
    let mut issuers = if is_own {
        let local = || format!("http://127.0.0.1:{port}");
        let own = public_url.map_or_else(local, ToOwned::to_owned);
        issuers::read_beside_own(reader, own)
    } else {
        issuers::read(reader)
    };
    read_upstream(reader, &mut issuers, public_url, port);
    AuthSettings {
        tenants: tenants::read(reader, &issuers),
        scopes: read_asked_scopes(reader, &issuers),
        organization_tokens: reader.value(&settings::ORGANIZATION_TOKENS),
        metadata_mirror: reader.value(&settings::METADATA_MIRROR),
        issuers,
        authorization_server,
        verifier: read_verifier(reader),
        tool_scopes: read_tool_scopes(reader),
        scope_hierarchy: read_hierarchy(reader),
    }
}

/// `UPSTREAM_AUDIENCE` is for the issuers of which nothing else is said.
fn read_upstream(
    reader: &mut Reader,
    issuers: &mut [IssuerSettings],
    public_url: Option<&str>,
    port: u16,
) {
    if upstream::is_chosen(reader) {
        return;
    }
    let audience = reader.optional(&settings::UPSTREAM_AUDIENCE);
    let is_set = reader.origin(&settings::UPSTREAM_AUDIENCE) != Origin::Default;
    if !issuers.is_empty() && issuers.iter().all(|it| it.upstream.is_some()) {
        if is_set {
            reader.warnings.push(
                "UPSTREAM_AUDIENCE is without effect: each issuer has an [issuers.upstream] table"
                    .to_owned(),
            );
        }
        return;
    }
    if !is_set {
        report_unset(reader, public_url, port);
    }
    for issuer in issuers.iter_mut().filter(|it| it.upstream.is_none()) {
        issuer.upstream = audience.clone().map(UpstreamSettings::SameAudience);
    }
}

/// The exception is named with its audience, which nobody finds by guessing.
fn report_unset(reader: &mut Reader, public_url: Option<&str>, port: u16) {
    let local = format!("http://127.0.0.1:{port}");
    // Not guessed where MCP_HOST is set, and cannot be read.
    let is_unset = reader.origin(&settings::PUBLIC_URL) == Origin::Default;
    let ours = public_url.or(is_unset.then_some(&*local));
    let shared = ours
        .map(|ours| format!("; where the API shares this server's audience, that is {ours}/mcp"));
    reader.report(
        &settings::UPSTREAM_MODE,
        "it is not set, and without it no call may be sent on to the BrainGrid API",
        format!(
            "let the issuer exchange tokens: UPSTREAM_MODE=exchange with UPSTREAM_RESOURCE, \
             UPSTREAM_CLIENT_ID and UPSTREAM_CLIENT_SECRET, or [issuers.upstream] in each entry of the \
             file; where it exchanges none, set UPSTREAM_AUDIENCE to the audience that the BrainGrid \
             API accepts{}",
            shared.unwrap_or_default()
        ),
    );
}

fn read_verifier(reader: &mut Reader) -> VerifierConfig {
    let mut config = VerifierConfig::default();
    config.leeway = reader.value(&settings::OAUTH_LEEWAY);
    config.max_lifetime = reader.value(&settings::TOKEN_MAX_LIFETIME);
    config
}

/// Without a setting, those of OpenID Connect where every issuer has them.
fn read_asked_scopes(reader: &mut Reader, issuers: &[IssuerSettings]) -> Vec<String> {
    let scopes = read_scopes(reader, &settings::OAUTH_SCOPES);
    if scopes.iter().any(|scope| scope == "offline_access") {
        reader.warnings.push(
            "OAUTH_SCOPES names offline_access: clients add it themselves where the issuer's \
             metadata offer it (MCP 2026-07-28, authorization); leave it out unless yours do not"
                .to_owned(),
        );
    }
    let given = reader.origin(&settings::OAUTH_SCOPES) != Origin::Default;
    if given || issuers.iter().any(|issuer| issuer.scopes.is_empty()) {
        return scopes;
    }
    let all = issuers.iter().map(|issuer| issuer.scopes);
    once(
        all.map(|scopes| scopes.iter().map(|&scope| scope.to_owned()).collect())
            .collect(),
    )
}

/// One entry for each name: of two, one would be without effect.
fn read_tool_scopes(reader: &mut Reader) -> Vec<(String, Vec<String>)> {
    let rules = reader.list(&settings::TOOL_SCOPES);
    for (at, (name, _)) in rules.iter().enumerate() {
        if rules.iter().take(at).any(|(other, _)| other == name) {
            let fix = format!("write its scopes in one entry: {name}=FIRST SECOND");
            reader.report(
                &settings::TOOL_SCOPES,
                format!("{name} stands there twice"),
                fix,
            );
        }
    }
    rules
}

fn read_hierarchy(reader: &mut Reader) -> Vec<(String, Vec<String>)> {
    let hierarchy = reader.list(&settings::SCOPE_HIERARCHY);
    if !hierarchy.is_empty() && reader.origin(&settings::TOOL_SCOPES) == Origin::Default {
        reader.warnings.push(
            "SCOPE_HIERARCHY is without effect: TOOL_SCOPES is not set, so no tool needs a scope"
                .to_owned(),
        );
    }
    hierarchy
}
