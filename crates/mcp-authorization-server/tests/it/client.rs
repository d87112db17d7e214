//! A client, and the browser of its user.

use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use mcp_authorization_server::AuthorizationServer;
use serde_json::{Value, json};

use crate::world::{
    APP, ISSUER, RESOURCE, VERIFIER, World, ask, challenge, form, location, parameter, post,
};

/// A browser, and its cookies.
#[derive(Default, Clone)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn get(
        &mut self,
        server: &AuthorizationServer,
        path: &str,
        now: SystemTime,
    ) -> Response<Bytes> {
        self.send(server, Method::GET, path, "", now).await
    }

    pub(crate) async fn send(
        &mut self,
        server: &AuthorizationServer,
        method: Method,
        path: &str,
        body: &str,
        now: SystemTime,
    ) -> Response<Bytes> {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let answer = ask(server, method, path, &[("cookie", &cookies)], body, now).await;
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            assert!(
                line.starts_with("__Host-") && line.contains("; Secure"),
                "{line}"
            );
            assert!(
                line.contains("; HttpOnly") && line.contains("; SameSite=Lax"),
                "{line}"
            );
            let (name, value) = line.split_once(';').unwrap().0.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                assert!(name.len() + value.len() < 4_096, "a browser drops {name}");
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Says yes or no on the consent page.
    pub(crate) async fn decide(
        &mut self,
        server: &AuthorizationServer,
        page: &Response<Bytes>,
        decision: &str,
        now: SystemTime,
    ) -> Response<Bytes> {
        let body = form(&[("request", &sealed_request(page)), ("decision", decision)]);
        self.send(server, Method::POST, "/authorize", &body, now)
            .await
    }
}

/// The hidden field of the consent page.
pub(crate) fn sealed_request(page: &Response<Bytes>) -> String {
    assert_eq!(page.status(), StatusCode::OK);
    let html = String::from_utf8_lossy(page.body()).into_owned();
    let (_, after) = html
        .split_once("name=\"request\" value=\"")
        .unwrap_or_else(|| panic!("{html}"));
    after.split_once('"').unwrap().0.to_owned()
}

/// A client that registered itself.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) redirect_uri: String,
    /// What it wants tokens for.
    pub(crate) resource: String,
}

impl App {
    pub(crate) async fn register(server: &AuthorizationServer, now: SystemTime) -> Self {
        Self::register_at(server, APP, now).await
    }

    pub(crate) async fn register_at(
        server: &AuthorizationServer,
        redirect_uri: &str,
        now: SystemTime,
    ) -> Self {
        let body = json!({
            "client_name": "An app",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let json = [("content-type", "application/json")];
        let answer = ask(
            server,
            Method::POST,
            "/register",
            &json,
            &body.to_string(),
            now,
        )
        .await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        Self {
            id: answer["client_id"].as_str().unwrap().to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            resource: RESOURCE.to_owned(),
        }
    }

    /// Where the browser is sent first; `other` parameters replace or add.
    pub(crate) fn link(&self, other: &[(&str, &str)]) -> String {
        let challenge = challenge();
        let mut pairs = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("state", "the state of the client"),
            ("scope", "notes:read"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("resource", self.resource.as_str()),
        ]);
        pairs.extend(other.iter().copied());
        pairs.retain(|_, value| !value.is_empty());
        let pairs: Vec<_> = pairs.into_iter().collect();
        format!("/authorize?{}", form(&pairs))
    }

    /// Logs in with a browser, over these instances in turn; the code.
    pub(crate) async fn code(
        &self,
        world: &World,
        [one, two, three]: [&AuthorizationServer; 3],
        browser: &mut Browser,
        now: SystemTime,
    ) -> String {
        let path = self.back(world, [one, two], browser, now).await;
        let answer = browser.get(three, &path, now).await;
        let back = location(&answer);
        assert!(back.as_str().starts_with(&self.redirect_uri), "{back}");
        assert_eq!(
            parameter(&back, "state").as_deref(),
            Some("the state of the client")
        );
        assert_eq!(parameter(&back, "iss").as_deref(), Some(ISSUER));
        parameter(&back, "code").unwrap()
    }

    /// The same as far as the provider: the path that it sends the browser back to.
    pub(crate) async fn back(
        &self,
        world: &World,
        [one, two]: [&AuthorizationServer; 2],
        browser: &mut Browser,
        now: SystemTime,
    ) -> String {
        let mut answer = browser.get(one, &self.link(&[]), now).await;
        if answer.status() == StatusCode::OK {
            answer = browser.decide(two, &answer, "allow", now).await;
        }
        let back = world.at_provider(location(&answer).as_str()).await;
        back.strip_prefix(ISSUER).unwrap().to_owned()
    }

    pub(crate) async fn redeem(
        &self,
        server: &AuthorizationServer,
        code: &str,
        now: SystemTime,
    ) -> (StatusCode, Value) {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
            ("resource", &self.resource),
        ];
        post(server, "/token", &pairs, now).await
    }

    pub(crate) async fn refresh(
        &self,
        server: &AuthorizationServer,
        refresh_token: &str,
        now: SystemTime,
    ) -> (StatusCode, Value) {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", &self.id),
        ];
        post(server, "/token", &pairs, now).await
    }

    /// Logs in whole; the answer with the tokens.
    pub(crate) async fn log_in(
        &self,
        world: &World,
        server: &AuthorizationServer,
        now: SystemTime,
    ) -> Value {
        let mut browser = Browser::default();
        let code = self.code(world, [server; 3], &mut browser, now).await;
        let (status, tokens) = self.redeem(server, &code, now).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        tokens
    }
}
