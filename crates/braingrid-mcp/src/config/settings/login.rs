//! Settings: the local user's login.

use std::path::PathBuf;

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{
    identity, tools,
    words::{self, LoginStore},
};

settings! {
    CLIENT_ID: Setting<String> = Setting::new(
        Group::Login, UsedBy::Stdio, "client_id", &["BRAINGRID_CLIENT_ID"],
        identity::client_id,
    )
        .flag("client-id", "ID")
        .says(
            "Client id of the login",
            "As registered at the authorization server for a public client with a loopback redirect, or \
             the https URL of a client metadata document. Without one, `login` registers itself where the \
             server lets it.",
        );

    LOGIN_SCOPES: WithDefault<Vec<String>> = Setting::new(
        Group::Login, UsedBy::Stdio, "login_scopes", &["BRAINGRID_LOGIN_SCOPES"],
        tools::scopes,
    )
        .flag("login-scopes", "SCOPES")
        .kind(Kind::List)
        .default("openid,profile,email,offline_access")
        .says(
            "Scopes of the login",
            "What `braingrid-mcp login` asks for. Without `offline_access`, many servers give no refresh \
             token, and the login ends within the hour.",
        );

    LOGIN_STORE: WithDefault<LoginStore> = Setting::new(
        Group::Login, UsedBy::Stdio, "login_store", &["BRAINGRID_LOGIN_STORE"],
        words::login_store,
    )
        .flag("login-store", "PLACE")
        .default("auto")
        .says(
            "auto, keychain or file",
            "Where the login is kept: the system's keychain, or a file that only you can read. `auto` \
             takes the file where there is no keychain, and says so.",
        );

    LOGIN_DIR: Setting<PathBuf> = Setting::new(
        Group::Login, UsedBy::Stdio, "login_dir", &["BRAINGRID_LOGIN_DIR"],
        words::path,
    )
        .flag("login-dir", "FOLDER")
        .kind(Kind::Path)
        .says(
            "Folder of the login",
            "Default: `braingrid-mcp` in `$XDG_CONFIG_HOME` or `~/.config`; on macOS in \
             `~/Library/Application Support`, on Windows in `%APPDATA%`.",
        );
}
