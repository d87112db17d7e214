//! Where the provider sends the browser back to: its code is redeemed, and the client gets one of ours.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use tokio::time::timeout;

use crate::{
    answer::see_other,
    authorize::UnderWay,
    code::{Code, Issued},
    form::Form,
    request::seconds,
    resource::organization_of,
    server::Inner,
};

impl Inner {
    /// `GET /callback`.
    pub(crate) async fn callback(
        &self,
        headers: &HeaderMap,
        query: &str,
        now: SystemTime,
    ) -> Response<Bytes> {
        let Ok(form) = Form::parse(query.as_bytes()) else {
            return self.not_this_browser();
        };
        let state = form.get("state").unwrap_or_default();
        let cookie = UnderWay::cookie(state);
        let sealed = self.cookies.get(headers, &cookie).unwrap_or_default();
        let Ok(under_way) = UnderWay::open(self, state, sealed, now) else {
            return self.not_this_browser();
        };
        // Before the login counts as used, and its cookie goes: who finds no room can load the page again.
        let Ok(Ok(_room)) = timeout(ROOM, self.redemptions.acquire()).await else {
            return self.out_of_order();
        };
        let mut response = self.came_back(&form, state, under_way, now).await;
        self.cookies.clear(&mut response, &cookie);
        response
    }

    async fn came_back(
        &self,
        form: &Form,
        state: &str,
        under_way: UnderWay,
        now: SystemTime,
    ) -> Response<Bytes> {
        let UnderWay {
            request,
            code_verifier,
            nonce,
        } = under_way;
        if let Err(error) = self.provider.check_issuer(form.get("iss")).await {
            return self.provider_failed(&request, &error);
        }
        let code = match (form.get("code"), form.get("error")) {
            (Some(code), None) => code,
            (_, error) => {
                let error = error.unwrap_or("server_error");
                let refusal = self.provider.callback_refusal(error, &self.callback);
                let (status, code) = (StatusCode::FORBIDDEN, refusal.error);
                if code == "access_denied" {
                    return self.turned_away(&request, refusal.sentence);
                }
                return self.not_logged_in(&request, status, code, refusal.sentence);
            }
        };
        // A code that is redeemed twice may end the login it began.
        let first = self.used_states.entry_by_ref(state).or_insert(()).await;
        if !first.is_fresh() {
            return self.not_this_browser();
        }
        let login = self
            .provider
            .redeem(code, &code_verifier, &nonce, &self.callback, now);
        let login = match login.await {
            Ok(login) => login,
            Err(error) => return self.provider_failed(&request, &error),
        };
        if self.is_denied(
            &login.subject,
            login.organization.as_deref(),
            &request.client_name,
            now,
        ) {
            return self.turned_away(&request, "this account is not let in here");
        }
        let organization = login.organization.as_deref();
        let wanted = request.below.as_deref().map(organization_of);
        if wanted.is_some_and(|wanted| organization != Some(wanted)) {
            let sentence = "You signed in for another organization than the one whose address the app \
                            uses. Begin again and choose that organization, or use this service's \
                            address without an organization.";
            let status = StatusCode::FORBIDDEN;
            return self.not_logged_in(&request, status, "access_denied", sentence);
        }
        let code = Code {
            request,
            login,
            logged_in_at: seconds(now),
        };
        match self.issue(state, &code).await {
            Ok(Issued::Code(value)) => see_other(
                &code
                    .request
                    .answer(&self.config.issuer, &[("code", &value)]),
            ),
            // Somebody came back with the same state before: whoever it was has the code.
            Ok(Issued::Before) => self.not_this_browser(),
            Err(_) => self.out_of_order(),
        }
    }
}

/// How long a login waits until its code can be redeemed: as long as the provider takes at most.
const ROOM: Duration = Duration::from_secs(10);

/// How long a code is good for: it goes from the browser to the client, and comes back at once.
pub(crate) const CODE_LIVES: Duration = Duration::from_mins(1);
