//! Settings: our own authorization server, for hosts without files. Each stands for a key of the table
//! `[authorization_server]`, and is read and documented there.

use super::{Group, Kind, Setting, Spec, UsedBy};
use crate::config::parse::no_text;

/// A key of the table, as a variable.
const fn of_table(key: &'static str, env: &'static [&'static str]) -> Setting<()> {
    Setting::new(Group::Identity, UsedBy::Http, key, env, no_text).in_table("authorization_server")
}

settings! {
    AUTHORIZATION_SERVER_PROVIDER: Setting<()> = of_table(
        "authorization_server_provider", &["AUTHORIZATION_SERVER_PROVIDER"],
    );

    AUTHORIZATION_SERVER_ISSUER: Setting<()> = of_table(
        "authorization_server_issuer", &["AUTHORIZATION_SERVER_ISSUER"],
    );

    AUTHORIZATION_SERVER_CLIENT_ID: Setting<()> = of_table(
        "authorization_server_client_id", &["AUTHORIZATION_SERVER_CLIENT_ID"],
    );

    AUTHORIZATION_SERVER_CLIENT_SECRET: Setting<()> = of_table(
        "authorization_server_client_secret", &["AUTHORIZATION_SERVER_CLIENT_SECRET"],
    )
        .secret();

    AUTHORIZATION_SERVER_CLIENT_KEY: Setting<()> = of_table(
        "authorization_server_client_key", &["AUTHORIZATION_SERVER_CLIENT_KEY"],
    )
        .kind(Kind::Lines)
        .secret();

    AUTHORIZATION_SERVER_CLIENT_KEY_ID: Setting<()> = of_table(
        "authorization_server_client_key_id", &["AUTHORIZATION_SERVER_CLIENT_KEY_ID"],
    );

    AUTHORIZATION_SERVER_CLIENT_AUTHENTICATION: Setting<()> = of_table(
        "authorization_server_client_authentication", &["AUTHORIZATION_SERVER_CLIENT_AUTHENTICATION"],
    );

    AUTHORIZATION_SERVER_SCOPES: Setting<()> = of_table(
        "authorization_server_scopes", &["AUTHORIZATION_SERVER_SCOPES"],
    )
        .kind(Kind::List);

    AUTHORIZATION_SERVER_PARAMETERS: Setting<()> = of_table(
        "authorization_server_parameters", &["AUTHORIZATION_SERVER_PARAMETERS"],
    )
        .kind(Kind::List);

    AUTHORIZATION_SERVER_HOSTS: Setting<()> = of_table(
        "authorization_server_hosts", &["AUTHORIZATION_SERVER_HOSTS"],
    )
        .kind(Kind::List);

    AUTHORIZATION_SERVER_ORGANIZATION: Setting<()> = of_table(
        "authorization_server_organization", &["AUTHORIZATION_SERVER_ORGANIZATION"],
    );

    AUTHORIZATION_SERVER_ORGANIZATION_CLAIM: Setting<()> = of_table(
        "authorization_server_organization_claim", &["AUTHORIZATION_SERVER_ORGANIZATION_CLAIM"],
    );

    AUTHORIZATION_SERVER_ORGANIZATIONS: Setting<()> = of_table(
        "authorization_server_organizations", &["AUTHORIZATION_SERVER_ORGANIZATIONS"],
    )
        .kind(Kind::List);

    AUTHORIZATION_SERVER_EMAIL_DOMAINS: Setting<()> = of_table(
        "authorization_server_email_domains", &["AUTHORIZATION_SERVER_EMAIL_DOMAINS"],
    )
        .kind(Kind::List);

    AUTHORIZATION_SERVER_ORGANIZATION_REQUIRED: Setting<()> = of_table(
        "authorization_server_organization_required", &["AUTHORIZATION_SERVER_ORGANIZATION_REQUIRED"],
    )
        .kind(Kind::Switch);

    AUTHORIZATION_SERVER_DYNAMIC_REGISTRATION: Setting<()> = of_table(
        "authorization_server_dynamic_registration", &["AUTHORIZATION_SERVER_DYNAMIC_REGISTRATION"],
    )
        .kind(Kind::Switch);

    AUTHORIZATION_SERVER_CLIENT_ID_METADATA_DOCUMENTS: Setting<()> = of_table(
        "authorization_server_client_id_metadata_documents", &["AUTHORIZATION_SERVER_CLIENT_ID_METADATA_DOCUMENTS"],
    )
        .kind(Kind::Switch);
}
