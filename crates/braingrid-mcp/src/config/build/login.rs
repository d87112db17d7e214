//! The local caller, and the user's own login.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::read_scopes;
use crate::config::parse::words::LoginStore;
use crate::config::reader::Reader;
use crate::config::{Surroundings, settings};

/// The local caller.
#[derive(Debug)]
pub(crate) struct StdioSettings {
    /// `BRAINGRID_API_TOKEN`.
    pub(crate) token: Option<SecretString>,
    /// The organization to work in, when it is chosen.
    pub(crate) organization: Option<String>,
    /// The user's own login.
    pub(crate) login: Box<LoginSettings>,
}

/// The user's own login.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "login"),
    expect(
        dead_code,
        reason = "read, so that its mistakes are told, but not used"
    )
)]
pub(crate) struct LoginSettings {
    /// Where to log in.
    pub(crate) issuer: String,
    /// The API that the login is for; none where the setting is wrong.
    pub(crate) api: Option<Url>,
    /// The organization that it is for, when it is chosen.
    pub(crate) organization: Option<String>,
    /// As whom, when it is known there.
    pub(crate) client_id: Option<String>,
    /// What the tokens are for, when it is chosen.
    pub(crate) resource: Option<String>,
    /// What to ask for.
    pub(crate) scopes: Vec<String>,
    /// Where to keep the login.
    pub(crate) store: LoginStore,
    /// Its folder; none where the user has no home.
    pub(crate) directory: Option<PathBuf>,
    /// Whether the folder was chosen.
    pub(crate) own_directory: bool,
}

pub(super) fn read_stdio(reader: &mut Reader, around: &Surroundings) -> StdioSettings {
    StdioSettings {
        token: reader.secret(&settings::API_TOKEN),
        organization: reader.optional(&settings::ORGANIZATION_ID),
        login: Box::new(read_login(reader, around)),
    }
}

fn read_login(reader: &mut Reader, around: &Surroundings) -> LoginSettings {
    let chosen = reader.optional(&settings::LOGIN_DIR);
    LoginSettings {
        issuer: reader.optional(&settings::OAUTH_ISSUER).unwrap_or_default(),
        api: None,
        organization: None,
        client_id: reader.optional(&settings::CLIENT_ID),
        resource: reader.optional(&settings::UPSTREAM_AUDIENCE),
        scopes: read_scopes(reader, &settings::LOGIN_SCOPES),
        store: reader.value(&settings::LOGIN_STORE),
        own_directory: chosen.is_some(),
        directory: chosen.or_else(|| around.user_folder()),
    }
}
