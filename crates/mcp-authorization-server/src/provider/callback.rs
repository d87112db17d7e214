//! Errors that a provider sends back with the browser (RFC 6749 section 4.1.2.1, OpenID Connect Core
//! section 3.1.2.6): what the client is told, what the person, and what the operator has to mend.

/// Why there is no login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallbackRefusal {
    /// The error for the client that began it, one of RFC 6749 section 4.1.2.1.
    pub(crate) error: &'static str,
    /// For the person in front of the browser.
    pub(crate) sentence: &'static str,
    /// What an operator has to mend, if it is for one.
    pub(crate) to_mend: Option<String>,
}

/// What an error of client `id`, sent to `callback`, means here.
pub(super) fn read(error: &str, id: &str, callback: &str, scopes: &str) -> CallbackRefusal {
    let refusal = |error, sentence| CallbackRefusal {
        error,
        sentence,
        to_mend: None,
    };
    match error {
        "access_denied" => refusal(
            "access_denied",
            "The sign-in was cancelled, or your account may not use this app. Begin again, or ask \
             the administrator for access.",
        ),
        "login_required" | "interaction_required" | "account_selection_required" => refusal(
            "access_denied",
            "The identity provider needs you to sign in there again. Begin again in the app.",
        ),
        "consent_required" => refusal(
            "access_denied",
            "The identity provider needs your agreement, or your administrator's, before you can \
             use this app.",
        ),
        "temporarily_unavailable" => refusal(
            "temporarily_unavailable",
            "The identity provider cannot serve right now. Try again in a moment.",
        ),
        "server_error" => refusal(
            "server_error",
            "The identity provider had a problem. Try again in a moment.",
        ),
        error => CallbackRefusal {
            error: "server_error",
            sentence: "The sign-in did not work, and trying again will not help. Ask the \
                       administrator of this server, whose log says what to change.",
            to_mend: Some(match error {
                "redirect_uri_mismatch" => {
                    format!("register {callback} as redirect URI of client {id} at the provider")
                }
                "invalid_scope" => format!(
                    "the provider does not know or allow one of the scopes {scopes} for client {id}"
                ),
                "unauthorized_client" | "unsupported_response_type" => format!(
                    "allow the grant authorization_code (response type code) for client {id} at the \
                     provider"
                ),
                "application_suspended" => {
                    format!("client {id} is suspended at the provider")
                }
                "invalid_request" | "request_not_supported" | "registration_not_supported" => {
                    format!(
                        "the provider does not take authorization requests of client {id}: check \
                         its redirect URI ({callback}) and the further parameters"
                    )
                }
                _ => format!(
                    "the provider sent client {id} an error that is not known here: its own log has \
                     the reason"
                ),
            }),
        },
    }
}
