//! Settings: who may call.

use std::time::Duration;

use mcp_auth::Preset;
use mcp_transport_http::TenantAudience;

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{endpoints, identity, no_text, numbers, tools, words};

settings! {
    OAUTH_ISSUER: WithDefault<String> = Setting::new(
        Group::Identity, UsedBy::Both, "oauth_issuer", &["OAUTH_ISSUER", "WORKOS_ISSUER"],
        endpoints::issuer,
    )
        .flag("oauth-issuer", "URL")
        .default("https://auth.braingrid.ai")
        .says(
            "Authorization server",
            "Its issuer identifier, exactly as its metadata spells it. Set in the environment or by flag it \
             replaces every `[[issuers]]` of the file. `braingrid-mcp login` logs in there.",
        );

    OAUTH_JWKS_URI: Setting<String> = Setting::new(
        Group::Identity, UsedBy::Http, "oauth_jwks_uri", &["OAUTH_JWKS_URI"],
        endpoints::key_set_url,
    )
        .says(
            "Key set of that server",
            "Only for an authorization server without discovery metadata.",
        );

    OAUTH_PRESET: Setting<Preset> = Setting::new(
        Group::Identity, UsedBy::Http, "oauth_preset", &["OAUTH_PRESET"],
        identity::preset,
    )
        .says(
            "Vendor of that server",
            "As `preset` in `[[issuers]]`: how the vendor's tokens name the organization, which algorithms \
             sign them, and how an exchange is spelled. `WORKOS_ISSUER` spells exchanges as `workos` does.",
        );

    WORKOS_CLIENT_ID: Setting<String> = Setting::new(
        Group::Identity, UsedBy::Http, "workos_client_id", &["WORKOS_CLIENT_ID"],
        identity::audience,
    )
        .says(
            "Client id accepted as audience",
            "For WorkOS tokens that carry no resource. Tokens of that client for any other service are \
             then accepted too: prefer tokens issued for the resource.",
        );

    ISSUERS: Setting<()> = Setting::new(Group::Identity, UsedBy::Http, "issuers", &[], no_text)
        .kind(Kind::Tables)
        .says(
            "Several authorization servers",
            "An array of tables, in the file only; see below.",
        );

    METADATA_MIRROR: WithDefault<bool> = Setting::new(
        Group::Identity, UsedBy::Http, "metadata_mirror", &["METADATA_MIRROR"],
        words::switch,
    )
        .kind(Kind::Switch)
        .default("true")
        .says(
            "Metadata of the authorization server here",
            "For clients of MCP 2025-03-26, which look for it at the resource's own name only: it is served \
             there as the authorization server wrote it. Not with several `[[issuers]]`.",
        );

    ORGANIZATION_TOKENS: WithDefault<TenantAudience> = Setting::new(
        Group::Identity, UsedBy::Http, "organization_tokens", &["ORGANIZATION_TOKENS"],
        words::organization_tokens,
    )
        .default("shared")
        .says(
            "Tokens at an organization's address",
            "At `/mcp/{organization}`, and at `/mcp/{organization}/{project}` below it: `shared` takes those for that address, and those for one above it, as for `/mcp`, for most authorization servers issue for one audience. `own` takes those alone that were issued for that very address. They must be the organization's with either.",
        );

    AUTHORIZATION_SERVER: Setting<()> = Setting::new(
        Group::Identity, UsedBy::Http, "authorization_server", &[], no_text,
    )
        .kind(Kind::Table)
        .says(
            "Our own authorization server",
            "A table, most of whose keys are variables too; see below. This server then logs people in itself, \
             at any identity provider, and is the only issuer unless there are `[[issuers]]` too.",
        );

    TENANTS: Setting<()> = Setting::new(Group::Identity, UsedBy::Http, "tenants", &[], no_text)
        .kind(Kind::Table)
        .says(
            "Single organizations",
            "A table for each, `[tenants.\"org_…\"]`, in the file only; see below.",
        );

    OAUTH_LEEWAY: WithDefault<Duration> = Setting::new(
        Group::Identity, UsedBy::Http, "oauth_leeway", &["OAUTH_LEEWAY"],
        numbers::duration_within::<0, 600>,
    )
        .default("90s")
        .says(
            "Clock difference allowed",
            "Between this server and the authorization server; at most 10 minutes.",
        );

    TOKEN_MAX_LIFETIME: WithDefault<Duration> = Setting::new(
        Group::Identity, UsedBy::Http, "token_max_lifetime", &["TOKEN_MAX_LIFETIME"],
        numbers::duration_within::<300, { 366 * 86_400 }>,
    )
        .default("31d")
        .says(
            "Longest life of an access token",
            "Whatever its `exp` says: since its `iat`, or since it is first verified where it has none. \
             From 5 minutes to 366 days. Sessions, stored ones too, end with it.",
        );

    OAUTH_SCOPES: Setting<Vec<String>> = Setting::new(
        Group::Identity, UsedBy::Http, "oauth_scopes", &["OAUTH_SCOPES"],
        tools::scopes,
    )
        .kind(Kind::List)
        .says(
            "Scopes that clients are to ask for",
            "Named in the challenge and in the metadata (`scopes_supported`), and required of no token. \
             Without any, some clients ask for no scope, and get no refresh token. Scopes that \
             `TOOL_SCOPES` needs for reading are named with them. Default: `openid profile email` where \
             every issuer has a preset or is BrainGrid's own, else none. Leave `offline_access` out: \
             clients add it themselves where the issuer offers it.",
        );

    TOOL_SCOPES: Setting<(String, Vec<String>)> = Setting::new(
        Group::Identity, UsedBy::Http, "tool_scopes", &["TOOL_SCOPES"],
        tools::tool_scopes,
    )
        .kind(Kind::List)
        .says(
            "Scopes that tools need",
            "Entries `NAME=SCOPE SCOPE`, where `NAME` is `read` (all tools that change nothing), `write` \
             (all that do) or one tool. Unset: no scope is needed. With it, the tool list shows only what \
             the grant covers.",
        );

    SCOPE_HIERARCHY: Setting<(String, Vec<String>)> = Setting::new(
        Group::Identity, UsedBy::Http, "scope_hierarchy", &["SCOPE_HIERARCHY"],
        tools::scope_hierarchy,
    )
        .kind(Kind::List)
        .says(
            "Scopes that include others",
            "Entries `SCOPE=SCOPE SCOPE`: who was granted the first was granted the others too.",
        );
}
