//! Settings: what the API is called with for users. The keys without `upstream_` are those of the
//! table `[issuers.upstream]`, which is read by the same parsers and rules.

use mcp_auth::ClientKey;
use secrecy::SecretString;

use super::{Group, Kind, Setting, Spec, UsedBy};
use crate::config::parse::{
    endpoints, identity, secrets, tools,
    words::{self, ClientMethod, UpstreamMode},
};

settings! {
    UPSTREAM_MODE: Setting<UpstreamMode> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_mode", &["UPSTREAM_MODE"],
        words::upstream_mode,
    )
        .says(
            "exchange or same-audience",
            "`exchange`: the issuer gives a token of the API for the caller's, which stays here (RFC 8693). \
             `same-audience`, where the issuer exchanges nothing: the caller's token is sent on; it has to \
             name the API in `aud`. Required, but where `UPSTREAM_AUDIENCE` stands alone, which means \
             `same-audience`.",
        );

    UPSTREAM_AUDIENCE: Setting<String> = Setting::new(
        Group::Upstream, UsedBy::Both, "upstream_audience", &["UPSTREAM_AUDIENCE"],
        identity::audience,
    )
        .flag("upstream-audience", "NAME")
        .says(
            "Audience of the API",
            "The API, as the issuer names it. Tokens are exchanged for it; with `same-audience` every \
             caller's token must carry it in `aud` beside the resource, and where the API is the same \
             resource by agreement, it is the resource itself. Alone it is for each issuer without an \
             `[issuers.upstream]`. Over stdio it is optional: `braingrid-mcp login` then asks for tokens for \
             this resource (RFC 8707).",
        );

    UPSTREAM_RESOURCE: Setting<String> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_resource", &["UPSTREAM_RESOURCE"],
        identity::audience,
    )
        .says(
            "Address of the API",
            "By which an issuer knows it (RFC 8707), instead of an audience. With a preset (`workos`, \
             `auth0`, `keycloak`, `okta`, `entra`) either is sent as that issuer reads it.",
        );

    UPSTREAM_SCOPES: Setting<Vec<String>> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_scopes", &["UPSTREAM_SCOPES"],
        tools::scopes,
    )
        .kind(Kind::List)
        .says(
            "Scopes to exchange for",
            "Default: the issuer's choice; with the preset `entra`, `AUDIENCE/.default`.",
        );

    UPSTREAM_CLIENT_ID: Setting<String> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_client_id", &["UPSTREAM_CLIENT_ID"],
        words::client_id,
    )
        .says(
            "Client that exchanges",
            "The one that this server is at the issuer, which lets it exchange tokens. Required for \
             `exchange`.",
        );

    UPSTREAM_CLIENT_SECRET: Setting<SecretString> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_client_secret", &["UPSTREAM_CLIENT_SECRET"],
        secrets::secret,
    )
        .secret()
        .says("Its secret", "");

    UPSTREAM_CLIENT_KEY: Setting<ClientKey> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_client_key", &["UPSTREAM_CLIENT_KEY"],
        secrets::client_key,
    )
        .kind(Kind::Lines)
        .secret()
        .says(
            "Its private key, in place of a secret",
            "PKCS #8 in PEM. Where its certificate is in it too, assertions name it, as Entra wants it.",
        );

    UPSTREAM_CLIENT_KEY_ID: Setting<String> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_client_key_id", &["UPSTREAM_CLIENT_KEY_ID"],
        words::word,
    )
        .says("Id of that key", "Under which the issuer knows it (`kid`).");

    UPSTREAM_CLIENT_AUTHENTICATION: Setting<ClientMethod> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_client_authentication",
        &["UPSTREAM_CLIENT_AUTHENTICATION"],
        words::client_method,
    )
        .says(
            "How it authenticates",
            "`client_secret_basic`, `client_secret_post` or `private_key_jwt`. Default: by what is given, a \
             secret in HTTP Basic but for the preset `workos`.",
        );

    UPSTREAM_TOKEN_ENDPOINT: Setting<String> = Setting::new(
        Group::Upstream, UsedBy::Http, "upstream_token_endpoint", &["UPSTREAM_TOKEN_ENDPOINT"],
        endpoints::key_set_url,
    )
        .says(
            "Token endpoint of the issuer",
            "Where it is on another host than the issuer. Default: from its metadata.",
        );
}
