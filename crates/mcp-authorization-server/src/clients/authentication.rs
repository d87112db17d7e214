//! How a client proves who it is at the token and the revocation endpoint (RFC 6749 section 2.3,
//! RFC 7523 section 2.2): in the way it is known for, and in no weaker one.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use zeroize::Zeroizing;

use super::{
    Asker, Client, ClientAuthentication, ClientError, Clients, assertion::Used, client::Secret,
    registration::is_secret,
};
use crate::form::{Form, decoded};

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const WRONG_SECRET: ClientError = ClientError::NotAuthenticated("the client_secret is wrong");

/// Who a request says that it comes from, and its proof.
pub(super) struct Presented {
    client_id: String,
    proof: Proof,
}

pub(super) enum Proof {
    None,
    /// One secret, in the readings that it has: as it is, and decoded. Many clients do not encode the
    /// halves of HTTP Basic.
    Secret(Vec<Zeroizing<String>>),
    Assertion(Zeroizing<String>),
}

impl Presented {
    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// # Errors
    /// When there is no client's id, or more than one proof (RFC 6749 section 2.3).
    pub(super) fn parse(headers: &HeaderMap, form: &Form) -> Result<Self, ClientError> {
        let basic = basic(headers)?;
        let secret = form.get("client_secret");
        let assertion = form.get("client_assertion");
        let assertion_type = form.get("client_assertion_type");
        if assertion.is_some() != assertion_type.is_some() {
            return Err(ClientError::Request(
                "client_assertion and client_assertion_type belong together",
            ));
        }
        let proofs = [basic.is_some(), secret.is_some(), assertion.is_some()];
        if proofs.into_iter().filter(|is_there| *is_there).count() > 1 {
            return Err(ClientError::Request(
                "the client authenticates in more than one way",
            ));
        }
        let named = form.get("client_id").map(str::to_owned);
        match (basic, secret, assertion) {
            (Some(basic), ..) => basic.of(named),
            (_, Some(secret), _) => {
                let secret = Zeroizing::new(secret.to_owned());
                Self::new(named, Proof::Secret(vec![secret]))
            }
            (.., Some(assertion)) if assertion_type == Some(JWT_BEARER) => {
                let subject = mcp_auth::assertion_subject(assertion);
                let subject = subject.ok_or(ClientError::NotAuthenticated(
                    "the client_assertion is no JWT with a sub",
                ))?;
                if named.is_some_and(|named| named != subject) {
                    return Err(OTHER_CLIENT);
                }
                Self::new(
                    Some(subject),
                    Proof::Assertion(Zeroizing::new(assertion.to_owned())),
                )
            }
            (.., Some(_)) => Err(ClientError::Request(
                "the client_assertion_type is not the one of a JWT (RFC 7523)",
            )),
            (None, None, None) => Self::new(named, Proof::None),
        }
    }

    fn new(client_id: Option<String>, proof: Proof) -> Result<Self, ClientError> {
        let client_id = client_id.ok_or(ClientError::Request("client_id is missing"))?;
        Ok(Self { client_id, proof })
    }
}

const OTHER_CLIENT: ClientError =
    ClientError::Request("client_id is not the client that authenticates");

/// The credentials of HTTP Basic.
struct Basic {
    id: Zeroizing<String>,
    secret: Vec<Zeroizing<String>>,
}

impl Basic {
    fn of(self, named: Option<String>) -> Result<Presented, ClientError> {
        if named.is_some_and(|named| named != *self.id) {
            return Err(OTHER_CLIENT);
        }
        // A client without a secret may send an empty one (RFC 6749 section 2.3.1).
        let proof = if self.secret.iter().all(|secret| secret.is_empty()) {
            Proof::None
        } else {
            Proof::Secret(self.secret)
        };
        Presented::new(Some(self.id.to_string()).filter(|id| !id.is_empty()), proof)
    }
}

/// Another scheme is no way that a client authenticates here, and is ignored: some clients send their old
/// access token with everything.
fn basic(headers: &HeaderMap) -> Result<Option<Basic>, ClientError> {
    const MALFORMED: ClientError = ClientError::NotAuthenticated(
        "the Authorization header has no credentials that can be read",
    );
    let mut found = None;
    for value in headers.get_all(AUTHORIZATION) {
        let value = value.to_str().map_err(|_| MALFORMED)?.trim();
        let (scheme, credentials) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("basic") {
            continue;
        }
        if found.is_some() {
            return Err(ClientError::Request(
                "there is more than one Authorization header",
            ));
        }
        found = Some(credentials_of(credentials.trim()).ok_or(MALFORMED)?);
    }
    Ok(found)
}

fn credentials_of(encoded: &str) -> Option<Basic> {
    let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let (id, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    let mut readings = vec![Zeroizing::new(secret.to_owned())];
    readings.extend(decoded(secret).filter(|decoded| decoded.as_str() != secret));
    Some(Basic {
        id: decoded(id)?,
        secret: readings,
    })
}

impl Clients {
    /// Whether the client proved itself as it has to.
    pub(super) async fn check(
        &self,
        client: &Client,
        presented: &Presented,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Option<Used>, ClientError> {
        match (&client.authentication, &presented.proof) {
            (ClientAuthentication::None, Proof::None) => Ok(None),
            (ClientAuthentication::Secret(expected), Proof::Secret(readings)) => {
                self.check_secret(client, expected, readings).map(|()| None)
            }
            (ClientAuthentication::PrivateKeyJwt(keys), Proof::Assertion(assertion)) => {
                let used = self.check_assertion(client, keys, assertion, asker, now);
                used.await.map(Some)
            }
            (ClientAuthentication::None, _) => Err(ClientError::NotAuthenticated(
                "the client is registered without authentication (token_endpoint_auth_method none)",
            )),
            (ClientAuthentication::Secret(_), _) => Err(ClientError::NotAuthenticated(
                "the client has to authenticate with its client_secret",
            )),
            (ClientAuthentication::PrivateKeyJwt(_), _) => Err(ClientError::NotAuthenticated(
                "the client has to authenticate with a client_assertion (private_key_jwt)",
            )),
        }
    }

    /// In the header or in the form, whichever is registered: both are the same secret over the same
    /// connection, and some clients take the one that they know.
    fn check_secret(
        &self,
        client: &Client,
        expected: &Secret,
        readings: &[Zeroizing<String>],
    ) -> Result<(), ClientError> {
        let is_it = |given: &Zeroizing<String>| is_secret(&self.keys, client, expected, given);
        if readings.iter().any(is_it) {
            Ok(())
        } else {
            Err(WRONG_SECRET)
        }
    }
}
