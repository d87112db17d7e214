//! What a test sets: who logs in, how, and what the tokens say.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{Dialect, IdentityProvider};
use crate::lock::lock;

/// Who logs in: the claims of the user.
#[derive(Clone, Debug)]
pub struct ProviderUser(pub(super) Map<String, Value>);

impl ProviderUser {
    /// A user with this subject, and with any other claims.
    ///
    /// ```
    /// use mcp_test_support::ProviderUser;
    ///
    /// let ada = ProviderUser::new("ada").claim("email", "ada@acme.test").claim("hd", "acme.test");
    /// ```
    #[must_use]
    pub fn new(subject: &str) -> Self {
        Self(Map::new()).claim("sub", subject)
    }

    /// The same user with this claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// What the login page calls the user.
    pub(super) fn name(&self) -> String {
        let known = self.0.get("sub").or_else(|| self.0.get("login"));
        known.and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

pub(super) struct Settings {
    /// What its one client is called.
    pub(super) client_id: String,
    pub(super) redirect_uris: Vec<String>,
    pub(super) user: ProviderUser,
    /// Claims that ID tokens do not have, and userinfo has.
    pub(super) only_in_userinfo: Vec<String>,
    /// Claims of ID tokens in place of the true ones; null for none.
    pub(super) id_token: BTreeMap<String, Value>,
    /// Members of the metadata in place of the true ones.
    pub(super) metadata: BTreeMap<String, Value>,
    /// Seconds; `None` for access tokens that do not end.
    pub(super) lifetime: Option<i64>,
    pub(super) refresh_tokens: bool,
    /// For how long a refresh token that was used is still taken.
    pub(super) refresh_grace: Duration,
    /// The API that access tokens say they are for; opaque ones say nothing.
    pub(super) api: Option<String>,
    pub(super) login_page: bool,
    /// The error that logins end with.
    pub(super) refusal: Option<String>,
}

impl Settings {
    pub(super) fn new(dialect: Dialect) -> Self {
        let user = match dialect {
            Dialect::OpenId => ProviderUser::new("user_ada").claim("org_id", "org_ada"),
            Dialect::GitHub => ProviderUser(Map::new())
                .claim("id", 583_231)
                .claim("login", "ada")
                .claim("email", json!(null)),
        };
        let open_id = dialect == Dialect::OpenId;
        Self {
            client_id: IdentityProvider::CLIENT_ID.to_owned(),
            redirect_uris: Vec::new(),
            user,
            only_in_userinfo: Vec::new(),
            id_token: BTreeMap::new(),
            metadata: BTreeMap::new(),
            lifetime: open_id.then_some(3_600),
            refresh_tokens: open_id,
            refresh_grace: Duration::ZERO,
            api: None,
            login_page: false,
            refusal: None,
        }
    }
}

impl IdentityProvider {
    /// Its client may be sent back to exactly this URI.
    pub fn register_redirect(&self, uri: &str) {
        lock(&self.state.settings)
            .redirect_uris
            .push(uri.to_owned());
    }

    /// From now on its one client has this id, for whoever cannot say the other.
    pub fn rename_client(&self, id: &str) {
        id.clone_into(&mut lock(&self.state.settings).client_id);
    }

    /// Who is logged in from now on.
    pub fn set_user(&self, user: ProviderUser) {
        lock(&self.state.settings).user = user;
    }

    /// From now on this claim of the user is not in ID tokens, but in userinfo.
    pub fn only_in_userinfo(&self, claim: &str) {
        lock(&self.state.settings)
            .only_in_userinfo
            .push(claim.to_owned());
    }

    /// From now on ID tokens have this claim; null for none.
    pub fn bend_id_tokens(&self, claim: &str, value: impl Into<Value>) {
        let bent = &mut lock(&self.state.settings).id_token;
        bent.insert(claim.to_owned(), value.into());
    }

    /// From now on its metadata has this member.
    pub fn bend_metadata(&self, member: &str, value: impl Into<Value>) {
        let bent = &mut lock(&self.state.settings).metadata;
        bent.insert(member.to_owned(), value.into());
    }

    /// How long access tokens are good from now on, in seconds; `None` for those that do not end.
    pub fn set_lifetime(&self, seconds: Option<i64>) {
        lock(&self.state.settings).lifetime = seconds;
    }

    /// Whether logins have refresh tokens from now on.
    pub fn give_refresh_tokens(&self, give: bool) {
        lock(&self.state.settings).refresh_tokens = give;
    }

    /// For how long a refresh token that is used from now on is taken again, as some providers do.
    pub fn set_refresh_grace(&self, grace: Duration) {
        lock(&self.state.settings).refresh_grace = grace;
    }

    /// From now on access tokens are JWTs for this API, with the claims of the user.
    pub fn give_tokens_for(&self, api: &str) {
        lock(&self.state.settings).api = Some(api.to_owned());
    }

    /// From now on a login asks on a page first: a form with the buttons `Sign in` and `Cancel`.
    pub fn show_login_page(&self) {
        lock(&self.state.settings).login_page = true;
    }

    /// From now on logins end with this error (RFC 6749 section 4.1.2.1).
    pub fn refuse_logins(&self, error: &str) {
        lock(&self.state.settings).refusal = Some(error.to_owned());
    }
}
