//! The identity provider behind our own authorization server: whether a login there can work, as far as
//! that is told without a user.

use mcp_auth::Examination;
use mcp_authorization_server::{ProviderConfig, ProviderExamination, Standing, examine_provider};
use reqwest::Client;

use super::check;
use super::finding::Finding;
use crate::config::HttpSettings;

const REACH: &str = "see that it runs and that this machine reaches it (name, firewall, proxy); until \
                     then nobody can log in, and tokens that clients hold are good until they end";

/// What a login needs of the provider; nothing where there is none.
pub(super) async fn check(client: &Client, http: &HttpSettings) -> Vec<Finding> {
    let Some(own) = &http.auth.authorization_server else {
        return Vec::new();
    };
    let (provider, port) = (&own.provider, http.listen.port());
    let callback = format!("{}/callback", http.public_url_at(port));
    match examine_provider(provider, &callback, client.clone()).await {
        Ok(found) => findings(provider, &callback, found),
        Err(error) => {
            let fix = "correct it in [authorization_server]";
            vec![Finding::problem(check::PROVIDER, error.to_string(), fix)]
        }
    }
}

fn findings(provider: &ProviderConfig, callback: &str, found: ProviderExamination) -> Vec<Finding> {
    let is_known = found.endpoints == Standing::Good;
    let (name, id) = (provider.issuer(), provider.client_id.as_str());
    let not_checked =
        |check| Finding::not_checked(check, "not checked: its addresses are not known");
    vec![
        about_endpoints(name, found.endpoints),
        match found.keys {
            Some(keys) => about_keys(name, &keys),
            None if is_known => {
                let says = "not needed: a provider with plain OAuth signs nothing";
                Finding::not_needed(check::PROVIDER_KEYS, says)
            }
            None => not_checked(check::PROVIDER_KEYS),
        },
        found.client.map_or_else(
            || not_checked(check::PROVIDER_CLIENT),
            |standing| about_client(id, standing),
        ),
        found.redirect.map_or_else(
            || not_checked(check::REDIRECT_URI),
            |standing| about_redirect(id, callback, standing),
        ),
    ]
}

fn about_endpoints(name: &str, standing: Standing) -> Finding {
    let check = check::PROVIDER;
    match standing {
        Standing::Good | Standing::Unclear(_) => {
            Finding::good(check, format!("{name} says where people log in"))
        }
        Standing::Doubtful(what) | Standing::Away(what) => {
            Finding::problem(check, format!("{name}: {what}"), REACH)
        }
        Standing::Wrong(what) => Finding::problem(
            check,
            what,
            "correct issuer, hosts or the endpoints in [authorization_server] \
             (AUTHORIZATION_SERVER_ISSUER, AUTHORIZATION_SERVER_HOSTS)",
        ),
    }
}

fn about_keys(name: &str, found: &Examination) -> Finding {
    let check = check::PROVIDER_KEYS;
    let refused = found.refused_keys.join("; ");
    match &found.keys {
        Some(Ok(algorithms)) if refused.is_empty() => {
            Finding::good(check, format!("{name}: {}", algorithms.join(", ")))
        }
        Some(Ok(algorithms)) => Finding::warning(
            check,
            format!("{name}: {}; {refused}", algorithms.join(", ")),
            "let the provider replace that key: ID tokens that are signed with it log nobody in",
        ),
        Some(Err(reason)) => Finding::problem(
            check,
            format!("{name}: {reason}"),
            "let the provider sign ID tokens of this client with a key that it publishes (RS256 or \
             ES256), not with the client's secret",
        ),
        None => Finding::not_checked(check, format!("{name}: not known where they are")),
    }
}

fn about_client(id: &str, standing: Standing) -> Finding {
    let check = check::PROVIDER_CLIENT;
    let compare = format!(
        "compare client_id {id:?}, its secret or key, and client_authentication in \
         [authorization_server] (AUTHORIZATION_SERVER_CLIENT_…) with the application at the provider"
    );
    match standing {
        Standing::Good => Finding::good(
            check,
            format!("client {id} is taken: of a request with a made-up code, the code was refused"),
        ),
        Standing::Unclear(why) => Finding::not_checked(check, format!("not tried: {why}")),
        Standing::Doubtful(what) => {
            let says = format!("it is not clear whether client {id} is taken: {what}");
            Finding::warning(check, says, format!("log in; if that fails, {compare}"))
        }
        Standing::Away(what) => Finding::problem(check, what, REACH),
        Standing::Wrong(what) => Finding::problem(check, what, compare),
    }
}

/// Named whatever comes of it: an operator can compare it with what the dashboard has.
fn about_redirect(id: &str, callback: &str, standing: Standing) -> Finding {
    let check = check::REDIRECT_URI;
    let compare = format!(
        "compare: client {id} at the provider has to have exactly {callback} as redirect URI"
    );
    match standing {
        Standing::Good => Finding::good(check, format!("{callback} is registered for client {id}")),
        Standing::Unclear(why) => {
            Finding::not_checked(check, format!("not told without a user ({why}); {compare}"))
        }
        Standing::Doubtful(what) => Finding::warning(check, what, compare),
        Standing::Away(what) => Finding::problem(check, what, REACH),
        Standing::Wrong(what) => {
            let says = format!("the provider sends nobody back to {callback}");
            Finding::problem(check, says, what)
        }
    }
}
