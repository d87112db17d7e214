//! Who logs people in, and what the API is called with for them: what an environment has to say of it.

use std::collections::BTreeMap;

use super::Environment;

/// How the API is called for users, and the way that is taken unless another is chosen.
pub(super) const MODE: &str = "UPSTREAM_MODE";
pub(super) const EXCHANGE: &str = "exchange";

/// What proves that the server is the client that exchanges tokens: one of them.
const EXCHANGE_SECRETS: [&str; 2] = ["UPSTREAM_CLIENT_SECRET", "UPSTREAM_CLIENT_KEY"];

/// What a server's own authorization server is told begins with this.
pub(super) const OWN: &str = "AUTHORIZATION_SERVER_";
const OWN_CLIENT: &str = "AUTHORIZATION_SERVER_CLIENT_ID";

/// What proves that the server is its client at the identity provider: one of them.
const OWN_SECRETS: [&str; 2] = [
    "AUTHORIZATION_SERVER_CLIENT_SECRET",
    "AUTHORIZATION_SERVER_CLIENT_KEY",
];

impl Environment {
    /// The client that exchanges tokens, and the API that they are for; none where they are sent on.
    pub(crate) fn exchange(&self) -> Option<(&str, &str)> {
        let setting = |name: &str| self.settings.get(name).map(String::as_str);
        let api = API.iter().find_map(|name| setting(name));
        let is_chosen = setting(MODE) == Some(EXCHANGE);
        is_chosen.then(|| {
            let client = setting(CLIENT).unwrap_or_default();
            (client, api.unwrap_or_default())
        })
    }

    /// The client that the server is at the provider where it logs people in itself.
    pub(crate) fn provider_client(&self) -> Option<&str> {
        self.settings.get(OWN_CLIENT).map(String::as_str)
    }

    /// What proves that the server is its client, one of them; none where it is nobody's.
    pub(crate) fn client_secrets(&self) -> Option<[&'static str; 2]> {
        match (self.exchange(), self.provider_client()) {
            (Some(_), _) => Some(EXCHANGE_SECRETS),
            (None, Some(_)) => Some(OWN_SECRETS),
            (None, None) => None,
        }
    }
}

/// What names the API.
const API: [&str; 3] = ["UPSTREAM_RESOURCE", "UPSTREAM_AUDIENCE", "UPSTREAM_SCOPES"];
const CLIENT: &str = "UPSTREAM_CLIENT_ID";

/// What is missing for the mode, before a new revision says it.
pub(super) fn upstream_faults(settings: &BTreeMap<String, String>) -> Vec<String> {
    let mode = settings.get(MODE).map_or(EXCHANGE, String::as_str);
    let mut faults = Vec::new();
    if mode == EXCHANGE {
        if !settings.contains_key(CLIENT) {
            faults.push(format!(
                "settings.{CLIENT} is missing: the client that may exchange tokens at the issuer; where \
                 the issuer exchanges none, set {MODE} = \"same-audience\" and UPSTREAM_AUDIENCE"
            ));
        }
        if !API.iter().any(|name| settings.contains_key(*name)) {
            faults.push(format!(
                "settings.{} is missing: the BrainGrid API, as the issuer names it (or {})",
                API[0], API[1]
            ));
        }
    } else if !settings.contains_key("UPSTREAM_AUDIENCE") {
        faults.push(format!(
            "settings.UPSTREAM_AUDIENCE is missing, which {MODE} = \"{mode}\" needs"
        ));
    }
    faults
}

/// The same for a server that logs people in itself.
pub(super) fn own_faults(settings: &BTreeMap<String, String>, issuer: Option<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    if issuer.is_some() {
        faults.push(format!(
            "oauth_issuer must go: with {OWN}… the server is the issuer of its tokens"
        ));
    }
    if !settings.contains_key(OWN_CLIENT) {
        faults.push(format!(
            "settings.{OWN_CLIENT} is missing: the client that the server is at the identity provider"
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::environment::tests::{GOOD, parsed};

    #[test]
    fn a_mode_without_what_it_needs_is_not_deployed() {
        let with = |settings: &str| parsed(&format!("{GOOD}[settings]\n{settings}"));
        let said = format!("{:#}", with("").unwrap_err());
        for part in ["UPSTREAM_CLIENT_ID", "UPSTREAM_RESOURCE", "same-audience"] {
            assert!(said.contains(part), "{said}");
        }
        let shared = "UPSTREAM_MODE = 'same-audience'\n";
        let said = format!("{:#}", with(shared).unwrap_err());
        assert!(said.contains("settings.UPSTREAM_AUDIENCE"), "{said}");
        let shared = format!("{shared}UPSTREAM_AUDIENCE = 'https://api.example.com'\n");
        assert_eq!(with(&shared).unwrap().exchange(), None);
    }

    #[test]
    fn a_server_that_logs_people_in_itself_has_no_other_issuer() {
        let own = GOOD.replace("oauth_issuer = 'https://auth.example.com'\n", "");
        let settings = "[settings]\nAUTHORIZATION_SERVER_PROVIDER = 'google'\n";
        let client = "AUTHORIZATION_SERVER_CLIENT_ID = 'client_1'\n";
        let environment = parsed(&format!("{own}{settings}{client}")).unwrap();
        for name in ["OAUTH_ISSUER", MODE] {
            assert!(!environment.settings.contains_key(name), "{name}");
        }
        assert_eq!(environment.provider_client(), Some("client_1"));
        assert_eq!(environment.client_secrets(), Some(OWN_SECRETS));
        let said = format!("{:#}", parsed(&format!("{GOOD}{settings}")).unwrap_err());
        for part in ["oauth_issuer must go", OWN_CLIENT] {
            assert!(said.contains(part), "{said}");
        }
    }
}
