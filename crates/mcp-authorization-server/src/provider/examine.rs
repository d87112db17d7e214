//! What a provider says right now, for an operator who asks what is wrong: what a login needs is tried
//! as far as that goes without a user.

use std::{sync::Arc, time::SystemTime};

use mcp_auth::{ClientAuthentication, Examination, IssuerConfig};
use reqwest::header::LOCATION;
use serde_json::{Map, Value};
use url::Url;

use super::{
    Places, Provider,
    answer::{self, Asked},
    ask::{as_client, ask},
    callback,
    config::{ProviderConfig, ProviderConfigError},
    discovery::Endpoints,
    error::{ProviderError, Trouble},
};
use crate::{keys::random, observe::Observer, request::digest_text};

const NO_RANDOMNESS: &str = "this machine gives no random numbers";

/// How one thing stands. The reasons are sentences for operators; of the provider's words they hold
/// names of hosts and issuers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As it has to be.
    Good,
    /// It may be wrong: somebody should look.
    Doubtful(String),
    /// No login works until an operator mends this.
    Wrong(String),
    /// The provider does not answer, or not with anything of use.
    Away(String),
    /// It cannot be told without a user.
    Unclear(&'static str),
}

/// What was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProviderExamination {
    /// Its metadata, or the configured addresses: whether they name what a login needs.
    pub endpoints: Standing,
    /// The keys that sign its ID tokens; `None` where they are not known, or the provider speaks plain
    /// OAuth.
    pub keys: Option<Examination>,
    /// Whether it takes this server's client: asked for tokens for a made-up code, it refuses the code,
    /// or the client. `None` without endpoints, as the next one.
    pub client: Option<Standing>,
    /// Whether it sends browsers back to this server's redirect URI.
    pub redirect: Option<Standing>,
}

/// Asks a provider, and keeps nothing. `callback` is the redirect URI that is to be registered for this
/// server's client, `client` follows no redirect.
///
/// # Errors
/// [`ProviderConfigError`]: nobody was asked.
pub async fn examine_provider(
    config: &ProviderConfig,
    callback: &str,
    client: reqwest::Client,
) -> Result<ProviderExamination, ProviderConfigError> {
    let provider = Provider::new(config.clone(), client, Observer::default())?;
    Ok(provider.examine(callback).await)
}

impl Provider {
    async fn examine(&self, callback: &str) -> ProviderExamination {
        let found = match &self.places {
            Places::Configured(endpoints) => Ok((Arc::clone(endpoints), Map::new())),
            Places::Discovered(discovery) => discovery.once().await,
        };
        let (endpoints, metadata) = match found {
            Ok(found) => found,
            Err(error) => {
                return ProviderExamination {
                    endpoints: standing(&error),
                    keys: None,
                    client: None,
                    redirect: None,
                };
            }
        };
        ProviderExamination {
            endpoints: Standing::Good,
            keys: self.keys(&endpoints).await,
            client: Some(self.try_client(&endpoints, &metadata, callback).await),
            redirect: Some(self.try_redirect(&endpoints, callback).await),
        }
    }

    async fn keys(&self, endpoints: &Endpoints) -> Option<Examination> {
        let keys = endpoints.id_tokens.as_ref()?;
        let mut issuer = IssuerConfig::new(self.issuer(), [&self.config.client_id]);
        issuer.jwks_uri = Some(keys.uri.to_string());
        Some(mcp_auth::examine(&issuer, &self.client).await)
    }

    /// A code that nobody gave: who knows the client refuses the code (RFC 6749 section 5.2).
    async fn try_client(
        &self,
        endpoints: &Endpoints,
        metadata: &Map<String, Value>,
        callback: &str,
    ) -> Standing {
        let (Ok(code), Ok(code_verifier)) = (random::<32>(), random::<32>()) else {
            return Standing::Unclear(NO_RANDOMNESS);
        };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", callback),
            ("code_verifier", code_verifier.as_str()),
        ];
        let (now, endpoint) = (SystemTime::now(), &endpoints.token);
        let client = (self.config.client_id.as_str(), &self.config.authentication);
        let asked = async {
            let request = self.client.post(endpoint.clone());
            let request = as_client(request, &form, client, endpoint, now)?;
            let reply = ask(request, self.config.timeout).await?;
            let error = reply.object().and_then(|it| text(&it, "error"));
            if error.as_deref() == Some("invalid_request") {
                // What is wrong with it may be the code.
                return Err(Trouble::Unknown(reply.status).now());
            }
            answer::read(&reply, Asked::Code { callback }, client.0, now)
        };
        match asked.await {
            Ok(_) => Standing::Wrong(
                "the provider gives tokens for a code that nobody was given: it is no identity \
                 provider"
                    .to_owned(),
            ),
            Err(ProviderError::InvalidGrant | ProviderError::Refused(_)) => Standing::Good,
            Err(error) => match (standing(&error), self.other_methods(metadata)) {
                (Standing::Wrong(what), Some(methods)) => Standing::Wrong(format!(
                    "{what}; its metadata names {methods} as ways to authenticate, of which this \
                     server uses none"
                )),
                (standing, _) => standing,
            },
        }
    }

    /// The ways to authenticate that the provider knows, where the one that is used is not among them.
    fn other_methods(&self, metadata: &Map<String, Value>) -> Option<String> {
        const KNOWN: &[&str] = &[
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "client_secret_jwt",
            "tls_client_auth",
            "none",
        ];
        let used = match &self.config.authentication {
            ClientAuthentication::SecretBasic(_) => "client_secret_basic",
            ClientAuthentication::SecretPost(_) => "client_secret_post",
            ClientAuthentication::PrivateKeyJwt(_) => "private_key_jwt",
        };
        let named = metadata.get("token_endpoint_auth_methods_supported")?;
        let named = named.as_array()?.iter().filter_map(Value::as_str);
        let named: Vec<&str> = named.filter(|it| KNOWN.contains(it)).collect();
        (!named.is_empty() && !named.contains(&used)).then(|| named.join(", "))
    }

    /// Who may not show a page (`prompt=none`) sends the browser back, if it knows the address
    /// (OpenID Connect Core section 3.1.2.6).
    async fn try_redirect(&self, endpoints: &Endpoints, callback: &str) -> Standing {
        if !self.config.is_open_id() {
            return Standing::Unclear("plain OAuth has no request without a page");
        }
        let randoms = (random::<24>(), random::<24>(), random::<32>());
        let (Ok(state), Ok(nonce), Ok(verifier)) = randoms else {
            return Standing::Unclear(NO_RANDOMNESS);
        };
        let challenge = digest_text(&verifier);
        let url = self.request_at(endpoints, &state, &nonce, &challenge, callback);
        let request = self.client.get(without_page(url));
        let Ok(answer) = request.timeout(self.config.timeout).send().await else {
            return Standing::Away("its login page does not answer".to_owned());
        };
        let location = answer.headers().get(LOCATION);
        let location = location.and_then(|it| it.to_str().ok());
        let location = location.and_then(|it| answer.url().join(it).ok());
        match (location, answer.status().as_u16()) {
            (Some(location), _) => self.read_redirect(&location, callback),
            (None, status @ 500..) => Standing::Away(Trouble::Status(status).to_string()),
            (None, status @ 400..) => Standing::Doubtful(format!(
                "its login page refuses the request (status {status})"
            )),
            (None, _) => Standing::Unclear("it shows a page"),
        }
    }

    fn read_redirect(&self, location: &Url, callback: &str) -> Standing {
        let mut pairs = location.query_pairs();
        let error = pairs.find_map(|(name, value)| (name == "error").then(|| value.into_owned()));
        let mut place = location.clone();
        place.set_query(None);
        place.set_fragment(None);
        let is_ours = Url::parse(callback).is_ok_and(|ours| ours == place);
        let (id, scope) = (&self.config.client_id, &self.scope);
        let refused = |error| callback::read(error, id, callback, scope).to_mend;
        let to_mend = match error.as_deref() {
            // As Cognito calls it, on a page of its own.
            Some("redirect_mismatch" | "redirect_uri_mismatch") => refused("redirect_uri_mismatch"),
            // Others may be about there being no page.
            Some(
                error @ ("invalid_scope"
                | "unauthorized_client"
                | "unsupported_response_type"
                | "application_suspended"),
            ) if is_ours => refused(error),
            _ => None,
        };
        match to_mend {
            Some(to_mend) => Standing::Wrong(to_mend),
            None if is_ours => Standing::Good,
            None => Standing::Unclear("it sends the browser to a page of its own"),
        }
    }
}

/// The same request, which may show nothing; a prompt that is configured is for people.
fn without_page(mut url: Url) -> Url {
    let pairs = url.query_pairs().into_owned();
    let pairs: Vec<_> = pairs.filter(|(name, _)| name != "prompt").collect();
    let mut query = url.query_pairs_mut();
    query.clear().extend_pairs(pairs);
    query.append_pair("prompt", "none");
    drop(query);
    url
}

fn standing(error: &ProviderError) -> Standing {
    match error {
        ProviderError::Misconfigured(sentence) => Standing::Wrong(sentence.clone()),
        ProviderError::Unavailable {
            trouble: Trouble::Unknown(_) | Trouble::NoAssertion,
            ..
        } => Standing::Doubtful(error.to_string()),
        _ => Standing::Away(error.to_string()),
    }
}

fn text(metadata: &Map<String, Value>, name: &str) -> Option<String> {
    metadata.get(name)?.as_str().map(str::to_owned)
}
