//! The wire form of a JWT: its header and claims, before anything is believed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::{error::InvalidReason, principal::PrincipalRecord, token::AccessToken};

/// The JOSE header (RFC 7515 section 4.1). `jku`, `jwk`, `x5u` and `x5c` are not even read: a token
/// does not choose the key that verifies it.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    #[serde(default)]
    pub(crate) kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    /// Present even as `null`: nobody may read past it.
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

impl Header {
    /// `typ` and `crit`: RFC 8725 section 3.11, RFC 7515 section 4.1.11.
    fn check(&self) -> Result<(), InvalidReason> {
        if self.crit.is_some() {
            return Err(InvalidReason::Critical);
        }
        let Some(typ) = &self.typ else { return Ok(()) };
        let typ = typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        if matches!(typ, "jwt" | "at+jwt") {
            Ok(())
        } else {
            Err(InvalidReason::Type)
        }
    }
}

/// A JWT taken apart. Nothing in it is proven yet.
#[derive(Debug)]
pub(crate) struct Unverified<'t> {
    pub(crate) header: Header,
    pub(crate) claims: Claims,
    /// `base64(header) "." base64(claims)`: what the signature covers.
    pub(crate) message: &'t str,
    pub(crate) signature: &'t str,
}

impl<'t> Unverified<'t> {
    /// Splits and decodes a compact JWS (RFC 7515 section 7.1).
    pub(crate) fn parse(token: &'t AccessToken) -> Result<Self, InvalidReason> {
        let (message, signature) = token
            .expose()
            .rsplit_once('.')
            .ok_or(InvalidReason::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(InvalidReason::Malformed)?;
        if claims.contains('.') {
            return Err(InvalidReason::Malformed);
        }
        let header: Header = decode(header)?;
        header.check()?;
        let claims = Claims(decode(claims)?);
        Ok(Self {
            header,
            claims,
            message,
            signature,
        })
    }

    /// Reads the header alone: what is needed to know whether its key is at hand.
    pub(crate) fn header_of(token: &AccessToken) -> Result<Header, InvalidReason> {
        let (header, _) = token
            .expose()
            .split_once('.')
            .ok_or(InvalidReason::Malformed)?;
        decode(header)
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, InvalidReason> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| InvalidReason::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| InvalidReason::Malformed)
}

/// The claims set (RFC 7519 section 4), with the spellings real issuers use.
#[derive(Debug, Clone)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    /// The claims of an introspection answer. `iss` and `exp` are optional there (RFC 7662 section
    /// 2.2): the issuer is the one that was asked, and the answer is believed until `until` at most.
    pub(crate) fn introspected(mut answer: Map<String, Value>, issuer: &str, until: u64) -> Self {
        answer.entry("iss").or_insert_with(|| issuer.into());
        let claims = Self(answer);
        let until = claims
            .date("exp")
            .ok()
            .flatten()
            .map_or(until, |exp| exp.min(until));
        let Self(mut answer) = claims;
        answer.insert("exp".to_owned(), until.into());
        Self(answer)
    }

    /// Whether this is a bearer access token, as far as the claims tell. Other tokens of the same
    /// issuer, under the same keys, must not pass for one (RFC 8725 section 3.12): ID tokens
    /// (OpenID Connect Core section 3.3.2.11) and what Keycloak, Cognito and Descope call by
    /// another name. A token bound to a key (RFC 7800) is good only with a proof of that key.
    pub(crate) fn check_kind(&self) -> Result<(), InvalidReason> {
        const OTHER: [(&str, &[&str]); 4] = [
            ("typ", &["ID", "Refresh", "Offline", "Logout"]),
            ("token_use", &["id", "refresh", "refresh_token"]),
            ("token_type", &["refresh", "refresh_token"]),
            ("drn", &["DSR"]),
        ];
        let is_other = |(claim, kinds): &(&str, &[&str])| {
            self.text(claim).is_some_and(|kind| kinds.contains(&kind))
        };
        if ["at_hash", "c_hash"]
            .iter()
            .any(|claim| self.0.contains_key(*claim))
            || OTHER.iter().any(is_other)
        {
            return Err(InvalidReason::Type);
        }
        match self.0.get("cnf") {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(InvalidReason::KeyBound),
        }
    }

    /// Whether the token speaks for a client rather than for a user: the subject is the client
    /// (RFC 9068 section 2.2), or the issuer says so in its own way (Auth0, Entra, Keycloak). Entra's
    /// `idtyp` is optional; in its tokens for users `sub` is never the `oid`.
    pub(crate) fn is_service(&self) -> bool {
        let subject = self.text("sub");
        subject.is_some_and(|sub| [self.text("client_id"), self.text("azp")].contains(&Some(sub)))
            || self.text("gty") == Some("client-credentials")
            || self.text("idtyp") == Some("app")
            || (subject.is_some() && subject == self.text("oid"))
            || self
                .text("preferred_username")
                .is_some_and(|name| name.starts_with("service-account-"))
    }

    pub(crate) fn issuer(&self) -> Result<&str, InvalidReason> {
        self.text("iss").ok_or(InvalidReason::Claim("iss"))
    }

    /// `exp`, `nbf` and `iat` with a leeway for clocks that disagree.
    pub(crate) fn check_times(
        &self,
        now: SystemTime,
        leeway: Duration,
    ) -> Result<(), InvalidReason> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let leeway = leeway.as_secs();
        let expires_at = self.date("exp")?.ok_or(InvalidReason::Claim("exp"))?;
        if expires_at.saturating_add(leeway) <= now {
            return Err(InvalidReason::Expired);
        }
        for begin in ["nbf", "iat"] {
            if self
                .date(begin)?
                .is_some_and(|begin| begin > now.saturating_add(leeway))
            {
                return Err(InvalidReason::NotYetValid);
            }
        }
        Ok(())
    }

    /// `aud` as a string or a list of strings.
    pub(crate) fn audiences(&self) -> Result<Vec<String>, InvalidReason> {
        match self.0.get("aud") {
            None => Err(InvalidReason::Audience),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(many)) => many
                .iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or(InvalidReason::Claim("aud")),
            Some(_) => Err(InvalidReason::Claim("aud")),
        }
    }

    /// The principal these claims describe. Call it only after the signature was verified.
    pub(crate) fn into_principal(
        self,
        organization_claim: &str,
    ) -> Result<PrincipalRecord, InvalidReason> {
        let subject = self
            .text("sub")
            .ok_or(InvalidReason::Claim("sub"))?
            .to_owned();
        Ok(PrincipalRecord {
            issuer: self.issuer()?.to_owned(),
            subject,
            client_id: self
                .text("client_id")
                .or_else(|| self.text("azp"))
                .map(str::to_owned),
            organization: self.organization(organization_claim),
            scopes: self.scopes(),
            audiences: self.audiences()?,
            expires_at: self.date("exp")?.ok_or(InvalidReason::Claim("exp"))?,
            issued_at: self.date("iat")?,
        })
    }

    /// The organization claim: a string, a list of one string, or an object with one member, whose
    /// `id` counts if it has one (Keycloak). An empty value, the placeholder `default` and a choice
    /// of several name none.
    fn organization(&self, claim: &str) -> Option<String> {
        let named = match self.0.get(claim)? {
            Value::String(one) => Some(one.as_str()),
            Value::Array(list) => match list.as_slice() {
                [one] => one.as_str(),
                _ => None,
            },
            Value::Object(map) if map.len() == 1 => map.iter().next().map(|(name, about)| {
                about
                    .get("id")
                    .and_then(Value::as_str)
                    .unwrap_or(name.as_str())
            }),
            _ => None,
        };
        named
            .filter(|name| !name.is_empty() && *name != "default")
            .map(str::to_owned)
    }

    /// Scopes from `scope` (RFC 8693 section 4.2), `scp`, `scopes` and `permissions`, each a
    /// space-separated string or a list.
    fn scopes(&self) -> Vec<String> {
        let mut scopes = Vec::new();
        for claim in ["scope", "scp", "scopes", "permissions"] {
            match self.0.get(claim) {
                Some(Value::String(text)) => {
                    scopes.extend(text.split_ascii_whitespace().map(str::to_owned));
                }
                Some(Value::Array(list)) => {
                    scopes.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// A claim that is a non-empty string.
    fn text(&self, claim: &str) -> Option<&str> {
        self.0
            .get(claim)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A `NumericDate` (RFC 7519 section 2): seconds, possibly with a fraction.
    fn date(&self, claim: &'static str) -> Result<Option<u64>, InvalidReason> {
        let Some(value) = self.0.get(claim) else {
            return Ok(None);
        };
        if let Some(seconds) = value.as_u64() {
            return Ok(Some(seconds));
        }
        match value.as_f64() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "float-to-integer casts saturate, and negative values were excluded"
            )]
            Some(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(Some(seconds as u64)),
            _ => Err(InvalidReason::Claim(claim)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        match value {
            Value::Object(map) => Claims(map),
            _ => panic!("claims are an object"),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_checked_with_leeway() {
        let leeway = Duration::from_secs(90);
        let check = |value: Value, now| claims(value).check_times(at(now), leeway);
        assert_eq!(check(json!({"exp": 1000}), 1089), Ok(()));
        assert_eq!(
            check(json!({"exp": 1000}), 1090),
            Err(InvalidReason::Expired)
        );
        assert_eq!(check(json!({"exp": 1000.5}), 999), Ok(()));
        assert_eq!(
            check(json!({"exp": 9000, "nbf": 1091}), 1000),
            Err(InvalidReason::NotYetValid)
        );
        assert_eq!(check(json!({"exp": 9000, "nbf": 1090}), 1000), Ok(()));
        assert_eq!(
            check(json!({"exp": 9000, "iat": 2000}), 1000),
            Err(InvalidReason::NotYetValid)
        );
        assert_eq!(check(json!({}), 1000), Err(InvalidReason::Claim("exp")));
        assert_eq!(
            check(json!({"exp": "1000"}), 1000),
            Err(InvalidReason::Claim("exp"))
        );
        assert_eq!(
            check(json!({"exp": -5}), 1000),
            Err(InvalidReason::Claim("exp"))
        );
        assert_eq!(check(json!({"exp": u64::MAX}), 1000), Ok(()));
    }

    #[test]
    fn scopes_come_from_every_spelling_sorted_once() {
        let record = claims(json!({
            "iss": "i", "sub": "s", "aud": ["x"], "exp": 1,
            "scope": "b a", "scp": ["c"], "scopes": ["a"], "permissions": "d"
        }))
        .into_principal("org_id")
        .unwrap();
        assert_eq!(record.scopes, ["a", "b", "c", "d"]);
    }

    #[test]
    fn placeholders_are_no_organization() {
        for value in [json!(""), json!("default"), json!(7), json!(null)] {
            assert_eq!(
                claims(json!({"org_id": value})).organization("org_id"),
                None
            );
        }
        let named = claims(json!({"tenant": "t1"}));
        assert_eq!(named.organization("tenant").as_deref(), Some("t1"));
    }

    #[test]
    fn an_organization_may_be_wrapped_but_not_ambiguous() {
        let organization = |value: Value| claims(json!({"o": value})).organization("o");
        assert_eq!(organization(json!(["acme"])).as_deref(), Some("acme"));
        assert_eq!(organization(json!({"acme": {}})).as_deref(), Some("acme"));
        assert_eq!(
            organization(json!({"acme": {"id": "42"}})).as_deref(),
            Some("42")
        );
        assert_eq!(organization(json!(["acme", "other"])), None);
        assert_eq!(organization(json!({"acme": {}, "other": {}})), None);
        assert_eq!(organization(json!([])), None);
    }

    #[test]
    fn service_tokens_are_told_from_user_tokens() {
        assert!(claims(json!({"sub": "c", "client_id": "c"})).is_service());
        assert!(claims(json!({"sub": "c@clients", "gty": "client-credentials"})).is_service());
        assert!(claims(json!({"sub": "x", "idtyp": "app"})).is_service());
        assert!(claims(json!({"sub": "x", "oid": "x", "azp": "y"})).is_service());
        assert!(!claims(json!({"sub": "x", "oid": "z", "azp": "y"})).is_service());
        assert!(!claims(json!({})).is_service());
        assert!(!claims(json!({"sub": "u", "client_id": "c", "azp": "c"})).is_service());
        assert!(!claims(json!({"sub": "u"})).is_service());
    }

    #[test]
    fn tokens_of_another_kind_are_no_access_tokens() {
        let check = |value: Value| claims(value).check_kind();
        for value in [
            json!({"at_hash": "x"}),
            json!({"c_hash": null}),
            json!({"typ": "ID"}),
            json!({"typ": "Refresh"}),
            json!({"token_use": "id"}),
            json!({"token_type": "refresh_token"}),
            json!({"drn": "DSR"}),
        ] {
            assert_eq!(check(value.clone()), Err(InvalidReason::Type), "{value}");
        }
        for value in [
            json!({"typ": "Bearer", "token_type": "Bearer", "drn": "DS"}),
            json!({"token_use": "access", "nonce": "n"}),
        ] {
            assert_eq!(check(value.clone()), Ok(()), "{value}");
        }
    }

    #[test]
    fn a_token_bound_to_a_key_is_no_bearer_token() {
        let bound = json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}});
        assert_eq!(claims(bound).check_kind(), Err(InvalidReason::KeyBound));
    }

    #[test]
    fn a_critical_header_is_refused_whatever_it_holds() {
        for crit in [json!(["b64"]), json!([]), json!(null), json!("x")] {
            let header: Header =
                serde_json::from_value(json!({"alg": "RS256", "crit": crit})).unwrap();
            assert_eq!(header.check(), Err(InvalidReason::Critical), "{crit}");
        }
    }

    #[test]
    fn an_introspected_answer_is_believed_for_a_time() {
        let answer = |value: Value| match value {
            Value::Object(map) => Claims::introspected(map, "https://a.test", 500),
            _ => panic!("an object"),
        };
        let early = answer(json!({"exp": 400, "iss": "https://b.test"}));
        assert_eq!(
            (early.date("exp"), early.issuer()),
            (Ok(Some(400)), Ok("https://b.test"))
        );
        let late = answer(json!({"exp": 900}));
        assert_eq!(
            (late.date("exp"), late.issuer()),
            (Ok(Some(500)), Ok("https://a.test"))
        );
        assert_eq!(answer(json!({})).date("exp"), Ok(Some(500)));
    }

    #[test]
    fn audiences_may_be_one_or_many_strings_only() {
        assert_eq!(claims(json!({"aud": "a"})).audiences().unwrap(), ["a"]);
        assert_eq!(
            claims(json!({"aud": ["a", "b"]})).audiences().unwrap(),
            ["a", "b"]
        );
        assert_eq!(claims(json!({})).audiences(), Err(InvalidReason::Audience));
        assert!(claims(json!({"aud": ["a", 1]})).audiences().is_err());
        assert!(claims(json!({"aud": {"a": 1}})).audiences().is_err());
    }
}
