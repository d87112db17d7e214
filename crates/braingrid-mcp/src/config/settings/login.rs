//! Settings: the local user's login.

use super::{Group, Kind, Setting, UsedBy};

pub(crate) static CLIENT_ID: Setting = Setting::new(
    Group::Login,
    UsedBy::Stdio,
    "client_id",
    &["BRAINGRID_CLIENT_ID"],
)
.flag("client-id", "ID")
.says(
    "Client id of the login",
    "As registered at the authorization server for a public client with a loopback redirect, or \
     the https URL of a client metadata document. Without one, `login` registers itself where the \
     server lets it.",
);

pub(crate) static LOGIN_SCOPES: Setting = Setting::new(
    Group::Login,
    UsedBy::Stdio,
    "login_scopes",
    &["BRAINGRID_LOGIN_SCOPES"],
)
.flag("login-scopes", "SCOPES")
.kind(Kind::List)
.default("openid,profile,email,offline_access")
.says(
    "Scopes of the login",
    "What `braingrid-mcp login` asks for. Without `offline_access`, many servers give no refresh \
     token, and the login ends within the hour.",
);

pub(crate) static LOGIN_STORE: Setting = Setting::new(
    Group::Login,
    UsedBy::Stdio,
    "login_store",
    &["BRAINGRID_LOGIN_STORE"],
)
.flag("login-store", "PLACE")
.default("auto")
.says(
    "auto, keychain or file",
    "Where the login is kept: the system's keychain, or a file that only you can read. `auto` \
     takes the file where there is no keychain, and says so.",
);

pub(crate) static LOGIN_DIR: Setting = Setting::new(
    Group::Login,
    UsedBy::Stdio,
    "login_dir",
    &["BRAINGRID_LOGIN_DIR"],
)
.flag("login-dir", "FOLDER")
.says(
    "Folder of the login",
    "Default: `braingrid-mcp` in `$XDG_CONFIG_HOME` or `~/.config`; on macOS in \
     `~/Library/Application Support`, on Windows in `%APPDATA%`.",
);
