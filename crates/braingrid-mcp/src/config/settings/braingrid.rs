//! Settings: the BrainGrid API.

use secrecy::SecretString;
use url::Url;

use super::{Group, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{endpoints, identity, secrets};

settings! {
    API_URL: WithDefault<Url> = Setting::new(
        Group::BrainGrid, UsedBy::Both, "api_url", &["BRAINGRID_API_URL"],
        endpoints::api_url,
    )
        .flag("api-url", "URL")
        .default("https://app.braingrid.ai")
        .says(
            "Base URL of the API",
            "`https`, or `http` on a loopback address. A path that ends with a version \
             (`/api/v2`) is used as it is; else `/api/v1` follows.",
        );

    API_TOKEN: Setting<SecretString> = Setting::new(
        Group::BrainGrid, UsedBy::Stdio, "api_token", &["BRAINGRID_API_TOKEN"],
        secrets::token,
    )
        .secret()
        .says(
            "Your BrainGrid token",
            "The credential of the local server. Without one it starts and lists its tools, and a call \
             says how to provide one. Wins over a login.",
        );

    ORGANIZATION_ID: Setting<String> = Setting::new(
        Group::BrainGrid, UsedBy::Stdio, "organization_id", &["BRAINGRID_ORGANIZATION_ID"],
        identity::organization,
    )
        .flag("organization-id", "ID")
        .says(
            "Your organization",
            "Without it: the organization of your profile, else the one your token names.",
        );
}
