//! What a browser gets when there is no login: a page that says why, or the way back to the client.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{
    answer::see_other,
    clients::{Client, ClientError, ClientKind, Redirect, RedirectKind},
    form::Form,
    observe::refused,
    pages::{self, Problem},
    provider::ProviderError,
    request::{AuthorizationRequest, Refused, answer_at},
    server::Inner,
};

impl Inner {
    /// A page for whoever sits there, with the way back to the client, which is told too.
    pub(crate) fn provider_failed(
        &self,
        request: &AuthorizationRequest,
        error: &ProviderError,
    ) -> Response<Bytes> {
        let (status, code) = match error {
            ProviderError::InvalidGrant => (StatusCode::BAD_REQUEST, "access_denied"),
            ProviderError::Refused(_) | ProviderError::NoOrganization => {
                (StatusCode::FORBIDDEN, "access_denied")
            }
            ProviderError::Misconfigured(_) => (StatusCode::BAD_GATEWAY, "server_error"),
            ProviderError::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
        };
        self.not_logged_in(request, status, code, error.sentence())
    }

    /// The page of a login that came to nothing.
    pub(crate) fn not_logged_in(
        &self,
        request: &AuthorizationRequest,
        status: StatusCode,
        code: &'static str,
        sentence: &str,
    ) -> Response<Bytes> {
        let refused = Refused::new(code, sentence);
        let back = request.refusal(&self.config.issuer, &refused);
        self.page(
            code,
            status,
            "You could not be signed in",
            sentence,
            None,
            Some(&back),
        )
    }

    /// The browser goes back to the client with the word that its user is not let in.
    pub(crate) fn turned_away(
        &self,
        request: &AuthorizationRequest,
        why: &'static str,
    ) -> Response<Bytes> {
        let denied = Refused::new("access_denied", why);
        let back = request.refusal(&self.config.issuer, &denied);
        refused(denied.code, see_other(&back))
    }

    /// A browser is not sent to where strangers may have it sent (RFC 9700 section 4.11.2): without the
    /// user's word only to its own machine, and to clients that an operator named.
    pub(crate) fn refuse(
        &self,
        client: &Client,
        redirect: &Redirect,
        form: &Form,
        reason: &Refused,
    ) -> Response<Bytes> {
        let pairs = [
            ("error", reason.code),
            ("error_description", &*reason.description),
        ];
        let state = form.get("state");
        let back = answer_at(&redirect.uri, state, &self.config.issuer, &pairs);
        let known =
            client.kind == ClientKind::Configured || redirect.kind == RedirectKind::Loopback;
        if known {
            return refused(reason.code, see_other(&back));
        }
        self.page(
            reason.code,
            StatusCode::BAD_REQUEST,
            "This app asked in a way that cannot be answered",
            &reason.description,
            Some("Go back to the app, and tell its makers what this page says."),
            Some(&back),
        )
    }

    pub(crate) fn page(
        &self,
        reason: &'static str,
        status: StatusCode,
        title: &str,
        happened: &str,
        advice: Option<&str>,
        back: Option<&str>,
    ) -> Response<Bytes> {
        let page = pages::problem(&Problem {
            status,
            service: &self.config.service_name,
            title,
            happened,
            advice,
            back,
            detail: None,
            request_id: None,
        });
        refused(reason, page)
    }

    pub(crate) fn bad_link(&self, happened: &str) -> Response<Bytes> {
        let advice = "Go back to the app that sent you here, and begin to sign in again.";
        let status = StatusCode::BAD_REQUEST;
        self.page(
            "invalid_request",
            status,
            "This link does not work",
            happened,
            Some(advice),
            None,
        )
    }

    pub(crate) fn unknown_client(&self, error: &ClientError) -> Response<Bytes> {
        let (reason, status, title, advice) = match error {
            ClientError::Unavailable | ClientError::Busy => (
                "temporarily_unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "This app cannot be looked up just now",
                "Wait a moment and begin to sign in again. If it stays so, ask the administrator of \
                 this server, whose log says what cannot be reached.",
            ),
            _ => (
                "invalid_client",
                StatusCode::BAD_REQUEST,
                "This app is not known here",
                "Go back to the app and begin to sign in again. If it stays so, remove this server \
                 from the app and add it anew: it then introduces itself again.",
            ),
        };
        let happened = error.to_string();
        self.page(reason, status, title, &happened, Some(advice), None)
    }

    pub(crate) fn not_this_browser(&self) -> Response<Bytes> {
        self.page(
            "not_this_browser",
            StatusCode::BAD_REQUEST,
            "This sign-in cannot go on",
            "It was begun in another browser, took longer than ten minutes, was finished already, or \
             this browser keeps no cookies.",
            Some("Go back to the app and begin to sign in again."),
            None,
        )
    }

    pub(crate) fn out_of_order(&self) -> Response<Bytes> {
        self.page(
            "temporarily_unavailable",
            StatusCode::SERVICE_UNAVAILABLE,
            "You cannot sign in just now",
            "A part that this server needs to sign you in does not answer.",
            Some("Wait a moment and begin to sign in again. Who is signed in stays so."),
            None,
        )
    }
}
