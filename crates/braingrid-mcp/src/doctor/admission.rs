//! Whether MCP clients can get in at an issuer at all, and stay in: registration and refresh.

use reqwest::Client;
use serde_json::Value;

use super::call::at;
use super::check;
use super::finding::Finding;
use crate::config::HttpSettings;

/// What each issuer offers clients. `proven` says that a call went through: a client got in.
pub(super) async fn check(client: &Client, http: &HttpSettings, proven: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let named = !http.auth.scopes.is_empty()
        || http.auth.tool_scopes.iter().any(|(name, _)| name == "read");
    for settings in &http.auth.issuers {
        let issuer = &settings.accepted.issuer;
        let Some(metadata) = mcp_auth::issuer_metadata(&settings.accepted, client).await else {
            let says = format!("{issuer}: not checked: it has no metadata that clients could read");
            let checks = [check::REGISTRATION, check::REFRESH];
            findings.extend(checks.map(|check| Finding::not_checked(check, says.clone())));
            continue;
        };
        findings.push(registration(issuer, &metadata, proven));
        findings.push(refresh(issuer, &metadata, named));
    }
    findings
}

fn registration(issuer: &str, metadata: &Value, proven: bool) -> Finding {
    let check = check::REGISTRATION;
    if at(metadata, "/client_id_metadata_document_supported") == &Value::Bool(true) {
        let says = format!("{issuer}: clients bring their own metadata document");
        return Finding::good(check, says);
    }
    if at(metadata, "/registration_endpoint").is_string() {
        return Finding::good(check, format!("{issuer}: clients register themselves"));
    }
    let says = format!(
        "{issuer}: no client can introduce itself: there is neither a registration_endpoint nor \
         client_id_metadata_document_supported"
    );
    let fix = "switch client id metadata documents or dynamic client registration on there; without \
               them, register each client by hand and give its users the client id";
    if proven {
        return Finding::warning(check, says, fix);
    }
    Finding::problem(check, says, fix)
}

/// Whether a client that logs in once stays logged in.
fn refresh(issuer: &str, metadata: &Value, scopes_named: bool) -> Finding {
    let check = check::REFRESH;
    let lists = |key: &str, word: &str| {
        let list = metadata.get(key).and_then(Value::as_array);
        list.map(|list| list.iter().any(|entry| entry == word))
    };
    match lists("grant_types_supported", "refresh_token") {
        Some(false) => {
            return Finding::problem(
                check,
                format!(
                    "{issuer} gives no refresh tokens: users log in again whenever a token ends"
                ),
                "switch the refresh_token grant on there, for public clients too",
            );
        }
        None => {
            return Finding::warning(
                check,
                format!("{issuer} does not say whether it gives refresh tokens"),
                "see that its grant_types_supported has refresh_token, or try with --login; \
                 without, users log in again whenever a token ends",
            );
        }
        Some(true) => {}
    }
    if lists("scopes_supported", "offline_access") != Some(true) {
        return Finding::good(
            check,
            format!("{issuer} gives refresh tokens, and has no scope for them"),
        );
    }
    if scopes_named {
        return Finding::good(
            check,
            format!(
                "{issuer} gives refresh tokens to clients that ask for offline_access, as they do"
            ),
        );
    }
    Finding::warning(
        check,
        format!(
            "{issuer} gives refresh tokens for offline_access, and clients that are named no scope \
             ask for none"
        ),
        "set OAUTH_SCOPES=openid,profile,email: clients then ask for these, and add offline_access",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::finding::Verdict;

    #[test]
    fn a_way_in_is_a_document_or_a_registration() {
        let judged = |metadata: Value| registration("https://a.test", &metadata, false).verdict;
        let document = json!({ "client_id_metadata_document_supported": true });
        assert_eq!(judged(document), Verdict::Good);
        let endpoint = json!({ "registration_endpoint": "https://a.test/register" });
        assert_eq!(judged(endpoint), Verdict::Good);
        let neither = json!({ "client_id_metadata_document_supported": false });
        assert_eq!(judged(neither.clone()), Verdict::Problem);
        let proven = registration("https://a.test", &neither, true);
        assert_eq!(proven.verdict, Verdict::Warning);
    }

    #[test]
    fn refresh_depends_on_the_grant_and_on_a_scope_that_somebody_asks_for() {
        let judged = |metadata: Value, named| refresh("https://a.test", &metadata, named).verdict;
        let both = ["authorization_code", "refresh_token"];
        let tied = json!({
            "grant_types_supported": both, "scopes_supported": ["openid", "offline_access"]
        });
        assert_eq!(judged(tied.clone(), true), Verdict::Good);
        assert_eq!(judged(tied, false), Verdict::Warning);
        let free = json!({ "grant_types_supported": both, "scopes_supported": ["openid"] });
        assert_eq!(judged(free, false), Verdict::Good);
        let none = json!({ "grant_types_supported": ["authorization_code"] });
        assert_eq!(judged(none, true), Verdict::Problem);
        assert_eq!(judged(json!({}), true), Verdict::Warning);
    }
}
