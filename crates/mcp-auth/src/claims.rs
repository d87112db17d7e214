//! The claims of a token, in the spellings real issuers use.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    error::{ForbiddenReason, InvalidReason},
    organization,
};

/// The claims set (RFC 7519 section 4), with the spellings real issuers use.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Claims(pub(crate) Map<String, Value>);

impl Claims {
    /// Whether this is a bearer access token, as far as the claims tell. Other tokens of the same
    /// issuer, under the same keys, must not pass for one (RFC 8725 section 3.12): ID tokens
    /// (OpenID Connect Core section 3.3.2.11), logout tokens, and what Keycloak, Cognito,
    /// `FusionAuth` and Descope call by another name. A token bound to a key (RFC 7800) is good only
    /// with a proof of that key.
    pub(crate) fn check_kind(&self, hashes: Hashes) -> Result<(), InvalidReason> {
        const OTHER: &[(&str, &[&str])] = &[
            ("typ", &["ID", "Refresh", "Offline", "Logout"]),
            ("token_use", &["id", "refresh", "refresh_token"]),
            ("token_type", &["id_token", "refresh", "refresh_token"]),
            ("tty", &["id", "rt"]),
            ("drn", &["DSR"]),
        ];
        const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
        let is_other = |(claim, kinds): &(&str, &[&str])| {
            self.text(claim).is_some_and(|kind| kinds.contains(&kind))
        };
        let events = self.get("events").and_then(Value::as_object);
        let of_an_id_token: &[&str] = match hashes {
            Hashes::TellIdTokens => &["at_hash", "c_hash"],
            Hashes::AsDexHasThem => &["c_hash"],
            Hashes::SayNothing => &[],
        };
        if of_an_id_token.iter().any(|claim| self.get(claim).is_some())
            || events.is_some_and(|events| events.contains_key(LOGOUT))
            || OTHER.iter().any(is_other)
        {
            return Err(InvalidReason::Type);
        }
        match self.get("cnf") {
            None => Ok(()),
            Some(Value::Object(no_key)) if no_key.is_empty() => Ok(()),
            Some(_) => Err(InvalidReason::KeyBound),
        }
    }

    pub(crate) fn issuer(&self) -> Result<&str, InvalidReason> {
        self.text("iss").ok_or(InvalidReason::Claim("iss"))
    }

    /// `aud` as a string or a list of strings; empty when there is none. What else is in a list names
    /// nobody; a list of nothing else is no absent audience, which would be judged by its client.
    pub(crate) fn audiences(&self) -> Result<Vec<String>, ForbiddenReason> {
        match self.get("aud") {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(many)) => {
                let texts = many.iter().filter_map(Value::as_str).map(str::to_owned);
                let texts: Vec<_> = texts.collect();
                if texts.is_empty() && !many.is_empty() {
                    return Err(ForbiddenReason::Claim("aud"));
                }
                Ok(texts)
            }
            Some(_) => Err(ForbiddenReason::Claim("aud")),
        }
    }

    /// Scopes from `scope` (RFC 8693 section 4.2), `scp`, `scopes` and `permissions`, each a
    /// space-separated string or a list.
    pub(crate) fn scopes(&self) -> Vec<String> {
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

    /// The subject. A number is its text: the issuer's mistake is no reason to turn its users away.
    pub(crate) fn subject(&self) -> Option<String> {
        self.word("sub")
    }

    /// The client that the token was issued to: `client_id` (RFC 9068), `azp` (OpenID Connect),
    /// `cid` (Okta) or `appid` (Entra, v1.0).
    pub(crate) fn client(&self) -> Option<String> {
        ["client_id", "azp", "cid", "appid"]
            .iter()
            .find_map(|claim| self.word(claim))
    }

    /// A claim that is there and not `null`.
    pub(crate) fn get(&self, claim: &str) -> Option<&Value> {
        self.0.get(claim).filter(|value| !value.is_null())
    }

    /// A claim that is a non-empty string.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.0
            .get(claim)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A claim that is a string and not blank, or a whole number as its text.
    pub(crate) fn word(&self, claim: &str) -> Option<String> {
        let word = organization::word(self.0.get(claim)?)?;
        Some(word).filter(|word| !word.trim().is_empty())
    }

    #[cfg(test)]
    pub(crate) fn of(value: Value) -> Self {
        Self(serde_json::from_value(value).unwrap())
    }
}

/// Whether the hashes that ID tokens hold (`at_hash`, `c_hash`) tell one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashes {
    /// They do.
    TellIdTokens,
    /// Dex makes access tokens as it makes ID tokens, with an `at_hash`; only the latter can have
    /// a `c_hash`.
    AsDexHasThem,
    /// The header says that it is an access token.
    SayNothing,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::{
        audience::MeantFor,
        error::AuthError,
        jwt::Header,
        principal::PrincipalRecord,
        times::{self, Limits},
    };

    fn principal(value: Value) -> Result<PrincipalRecord, AuthError> {
        let limits = Limits {
            leeway: Duration::ZERO,
            max_lifetime: Duration::from_secs(1_000),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let meant_for = MeantFor::Audiences(vec!["x".to_owned()]);
        Claims::of(value).principal(meant_for, "org_id", now, limits)
    }

    #[test]
    fn scopes_come_from_every_spelling_sorted_once() {
        let record = principal(json!({
            "iss": "i", "sub": "s", "aud": ["x"], "exp": 1,
            "scope": "b a", "scp": ["c"], "scopes": ["a"], "permissions": "d"
        }));
        assert_eq!(record.unwrap().scopes, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_subject_is_a_text_or_a_whole_number() {
        let subject = |sub: Value| {
            principal(json!({"iss": "i", "sub": sub, "exp": 1, "org_id": "o"}))
                .map(|record| record.subject)
        };
        for (sub, expected) in [
            (json!("ada"), "ada"),
            (json!("7"), "7"),
            (json!(7), "7"),
            (json!(7.0), "7"),
            (json!(-7), "-7"),
            (json!(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(subject(sub.clone()).unwrap(), expected, "{sub}");
        }
        // More digits than a number keeps would make two people one.
        let long: Value = serde_json::from_str("123456789012345678901234567890").unwrap();
        for sub in [
            json!(""),
            json!(" \t"),
            json!(null),
            json!(7.5),
            json!(1e16),
            json!(["ada"]),
            json!({}),
            long,
        ] {
            let refused = Err(AuthError::Forbidden(ForbiddenReason::NoSubject));
            assert_eq!(subject(sub.clone()), refused, "{sub}");
        }
    }

    #[test]
    fn a_service_without_subject_is_its_client() {
        let record = principal(json!({"iss": "i", "client_id": "robot", "exp": 1})).unwrap();
        assert_eq!(record.subject, "robot");
        for odd in [json!(""), json!({}), json!(7.5)] {
            let record = principal(json!({"iss": "i", "client_id": "robot", "exp": 1, "sub": odd}));
            let refused = Err(AuthError::Forbidden(ForbiddenReason::NoSubject));
            assert_eq!(
                record, refused,
                "{odd}: what is no subject is no service either"
            );
        }
    }

    #[test]
    fn what_nobody_reads_may_hold_anything() {
        for odd in [
            json!(null),
            json!(7),
            json!(true),
            json!([]),
            json!([{}]),
            json!({"a": 1}),
        ] {
            for unused in [
                "scope",
                "scp",
                "permissions",
                "client_id",
                "azp",
                "cid",
                "gty",
                "idtyp",
                "typ",
                "token_use",
                "events",
                "jti",
                "acr",
                "amr",
                "act",
                "email",
                "x5t#S256",
            ] {
                let mut claims = json!({"iss": "i", "sub": "s", "exp": 1});
                claims[unused] = odd.clone();
                assert_eq!(
                    Claims::of(claims.clone()).check_kind(Hashes::TellIdTokens),
                    Ok(())
                );
                assert!(
                    !crate::service::is_service(&Claims::of(claims.clone())),
                    "{unused}: {odd}"
                );
                assert_eq!(principal(claims).unwrap().subject, "s", "{unused}: {odd}");
            }
        }
    }

    #[test]
    fn tokens_of_another_kind_are_no_access_tokens() {
        let check = |value: Value| Claims::of(value).check_kind(Hashes::TellIdTokens);
        for value in [
            json!({"at_hash": "x"}),
            json!({"c_hash": "x"}),
            json!({"typ": "ID"}),
            json!({"typ": "Refresh"}),
            json!({"token_use": "id"}),
            json!({"token_type": "refresh_token"}),
            json!({"tty": "id"}),
            json!({"drn": "DSR"}),
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        ] {
            assert_eq!(check(value.clone()), Err(InvalidReason::Type), "{value}");
        }
        for value in [
            json!({"typ": "Bearer", "token_type": "Bearer", "drn": "DS", "tty": "at"}),
            json!({"token_use": "access", "nonce": "n"}),
            json!({"at_hash": null, "c_hash": null, "cnf": null}),
            json!({"cnf": {}}),
        ] {
            assert_eq!(check(value.clone()), Ok(()), "{value}");
        }
    }

    #[test]
    fn hashes_tell_an_id_token_unless_the_issuer_or_the_header_says_otherwise() {
        let check = |value: Value, hashes| Claims::of(value).check_kind(hashes);
        let (access, id) = (
            json!({"at_hash": "x"}),
            json!({"at_hash": "x", "c_hash": "y"}),
        );
        assert_eq!(check(access.clone(), Hashes::AsDexHasThem), Ok(()));
        assert_eq!(
            check(id.clone(), Hashes::AsDexHasThem),
            Err(InvalidReason::Type)
        );
        assert_eq!(check(id, Hashes::SayNothing), Ok(()));
        let named = json!({"at_hash": "x", "token_use": "id"});
        assert_eq!(check(named, Hashes::SayNothing), Err(InvalidReason::Type));
        for (typ, says) in [
            (json!("at+jwt"), true),
            (json!("application/AT+JWT"), true),
            (json!("JWT"), false),
            (json!(null), false),
        ] {
            let header: Header =
                serde_json::from_value(json!({"alg": "RS256", "typ": typ})).unwrap();
            assert_eq!(header.says_access_token(), says, "{typ}");
        }
    }

    #[test]
    fn a_token_bound_to_a_key_is_no_bearer_token() {
        let bound = json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}});
        let checked = Claims::of(bound).check_kind(Hashes::TellIdTokens);
        assert_eq!(checked, Err(InvalidReason::KeyBound));
    }

    #[test]
    fn an_introspected_answer_is_believed_for_a_time() {
        let answer = |value: Value| match value {
            Value::Object(map) => Claims::introspected(map, "https://a.test", 500),
            _ => panic!("an object"),
        };
        let early = answer(json!({"exp": 400, "iss": "https://b.test"}));
        assert_eq!(
            (times::expiry(&early), early.issuer()),
            (Some(400), Ok("https://b.test"))
        );
        let late = answer(json!({"exp": 900}));
        assert_eq!(
            (times::expiry(&late), late.issuer()),
            (Some(500), Ok("https://a.test"))
        );
        for odd in [
            json!({}),
            json!({"exp": null}),
            json!({"exp": "soon"}),
            json!({"exp": 1e13}),
        ] {
            assert_eq!(times::expiry(&answer(odd)), Some(500));
        }
    }

    #[test]
    fn audiences_may_be_one_or_many_strings_only() {
        let audiences = |value: Value| Claims::of(json!({"aud": value})).audiences();
        assert_eq!(audiences(json!("a")).unwrap(), ["a"]);
        assert_eq!(audiences(json!(["a", "b"])).unwrap(), ["a", "b"]);
        assert_eq!(audiences(json!(["a", null, 1])).unwrap(), ["a"]);
        for none in [json!(null), json!([])] {
            assert!(audiences(none).unwrap().is_empty());
        }
        for odd in [json!([null, 1]), json!({"a": 1}), json!(7)] {
            assert_eq!(
                audiences(odd.clone()),
                Err(ForbiddenReason::Claim("aud")),
                "{odd}"
            );
        }
    }
}
