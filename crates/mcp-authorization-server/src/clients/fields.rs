//! [`Fields`]: what a client says about itself (RFC 7591 section 2), in a registration and in its document.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{client::shown_name, redirect};
use crate::config::{AUTHORIZATION_CODE, JWT_BEARER, REFRESH_TOKEN};

/// What this server has; a client may name others, and does not get them.
const GRANT_TYPES: [&str; 2] = [AUTHORIZATION_CODE, REFRESH_TOKEN];

/// A client's metadata. What it does not name, or gives as `null`, is not there.
pub(crate) struct Fields(Map<String, Value>);

/// What is wrong with it (RFC 7591 section 3.2.2). The sentences are for the client's developer, and hold
/// nothing that it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    RedirectUri(Cow<'static, str>),
    Metadata(Cow<'static, str>),
}

impl Fault {
    pub(crate) fn into_sentence(self) -> Cow<'static, str> {
        match self {
            Self::RedirectUri(sentence) | Self::Metadata(sentence) => sentence,
        }
    }
}

impl Fields {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Fault> {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        let json = json.strip_prefix(MARK).unwrap_or(json);
        let mut members: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|_| Fault::Metadata("the client's metadata is not a JSON object".into()))?;
        members.retain(|_, value| !value.is_null());
        Ok(Self(members))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A member that is a text; an empty one is not there.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, Fault> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Fault::Metadata(format!("{name} is not a string").into())),
        }
    }

    /// A member that is a list of texts.
    pub(crate) fn texts(&self, name: &'static str) -> Result<Option<Vec<&str>>, Fault> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let texts = value.as_array().map(|list| list.iter().map(Value::as_str));
        match texts.and_then(Iterator::collect::<Option<Vec<_>>>) {
            Some(texts) => Ok(Some(texts)),
            None => Err(Fault::Metadata(
                format!("{name} is not a list of strings").into(),
            )),
        }
    }

    /// Between 1 and 10, each one that a client may have.
    pub(crate) fn redirect_uris(&self) -> Result<Vec<String>, Fault> {
        const NAME: &str = "redirect_uris";
        let uris = self
            .texts(NAME)
            .map_err(|fault| Fault::RedirectUri(fault.into_sentence()))?;
        let uris = uris.unwrap_or_default();
        if uris.is_empty() || uris.len() > redirect::MAX_COUNT {
            let sentence = format!(
                "{NAME} must have between 1 and {} members",
                redirect::MAX_COUNT
            );
            return Err(Fault::RedirectUri(sentence.into()));
        }
        let mut checked: Vec<String> = Vec::new();
        for (at, uri) in uris.into_iter().enumerate() {
            redirect::check(uri)
                .map_err(|problem| Fault::RedirectUri(format!("{NAME}[{at}] {problem}").into()))?;
            if !checked.iter().any(|known| known == uri) {
                checked.push(uri.to_owned());
            }
        }
        Ok(checked)
    }

    /// Those of the grant types that this server has. A client that names none gets both, because a client
    /// that does not want refresh tokens need not use them, and one that does seldom says so.
    pub(crate) fn grant_types(&self) -> Result<Vec<String>, Fault> {
        let asked = self.texts("grant_types")?.filter(|asked| !asked.is_empty());
        let asked = asked.unwrap_or_else(|| GRANT_TYPES.to_vec());
        if !asked.contains(&AUTHORIZATION_CODE) {
            let sentence = "grant_types must contain authorization_code";
            return Err(Fault::Metadata(sentence.into()));
        }
        let granted = GRANT_TYPES.into_iter().filter(|it| asked.contains(it));
        Ok(granted.map(str::to_owned).collect())
    }

    /// Whether it presents assertions of its users' identity providers, and nobody logs in with it.
    pub(crate) fn is_without_login(&self) -> Result<bool, Fault> {
        let asked = self.texts("grant_types")?.unwrap_or_default();
        Ok(asked.contains(&JWT_BEARER) && !asked.contains(&AUTHORIZATION_CODE))
    }

    /// `code` is the only one there is.
    pub(crate) fn check_response_types(&self) -> Result<(), Fault> {
        let asked = self.texts("response_types")?.unwrap_or_default();
        if asked.is_empty() || asked.contains(&"code") {
            return Ok(());
        }
        Err(Fault::Metadata("response_types must contain code".into()))
    }

    /// Scope tokens with a space between them (RFC 6749 section 3.3).
    pub(crate) fn scope(&self) -> Result<Option<String>, Fault> {
        let is_scope =
            |byte: u8| byte == b' ' || (byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        let Some(scope) = self.text("scope")? else {
            return Ok(None);
        };
        if !scope.bytes().all(is_scope) {
            return Err(Fault::Metadata(
                "scope has characters that no scope has".into(),
            ));
        }
        let tokens: Vec<_> = scope.split_ascii_whitespace().collect();
        Ok(Some(tokens.join(" ")).filter(|scope| !scope.is_empty()))
    }

    pub(crate) fn name(&self) -> Result<Option<String>, Fault> {
        Ok(self.text("client_name")?.and_then(shown_name))
    }

    /// `token_endpoint_auth_method`. A client that names none is one without a secret: the default of
    /// RFC 7591 would give it one, and those that leave it out mean to have none.
    pub(crate) fn method(&self) -> Result<&str, Fault> {
        Ok(self.text("token_endpoint_auth_method")?.unwrap_or("none"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::parse(value.to_string().as_bytes()).ok().unwrap()
    }

    fn sentence<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        result.unwrap_err().into_sentence().into_owned()
    }

    #[test]
    fn a_client_gets_the_grant_types_that_there_are() {
        let of = |value: Value| fields(json!({ "grant_types": value })).grant_types();
        let both = Ok(GRANT_TYPES.map(str::to_owned).to_vec());
        assert_eq!(of(Value::Null), both);
        assert_eq!(of(json!([])), both);
        let device = "urn:ietf:params:oauth:grant-type:device_code";
        assert_eq!(
            of(json!(["refresh_token", device, "authorization_code"])),
            both
        );
        assert_eq!(
            of(json!(["authorization_code"])),
            Ok(vec!["authorization_code".to_owned()])
        );
        assert!(sentence(of(json!(["client_credentials"]))).contains("authorization_code"));
        assert!(sentence(of(json!("authorization_code"))).contains("list of strings"));
    }

    #[test]
    fn only_a_code_is_a_response() {
        let of = |value: Value| fields(json!({ "response_types": value })).check_response_types();
        for taken in [
            Value::Null,
            json!([]),
            json!(["code"]),
            json!(["token", "code"]),
        ] {
            assert_eq!(of(taken.clone()), Ok(()), "{taken}");
        }
        assert!(of(json!(["token"])).is_err());
        assert!(of(json!([1])).is_err());
    }

    #[test]
    fn redirect_uris_are_there_and_each_is_checked() {
        let of = |value: Value| fields(json!({ "redirect_uris": value })).redirect_uris();
        let (a, b) = ("https://a.test/cb", "http://127.0.0.1/cb");
        assert_eq!(of(json!([a, b, a])), Ok(vec![a.to_owned(), b.to_owned()]));
        for none in [Value::Null, json!([])] {
            assert!(sentence(of(none)).contains("between 1 and 10"));
        }
        assert!(sentence(of(json!(vec![a; 11]))).contains("between 1 and 10"));
        assert!(sentence(of(json!([a, "javascript:alert(1)"]))).starts_with("redirect_uris[1] "));
        for wrong in [json!(a), json!([a, 1]), json!({})] {
            assert!(matches!(of(wrong), Err(Fault::RedirectUri(_))));
        }
    }

    #[test]
    fn a_scope_is_tokens_with_spaces_between() {
        let of = |value: &str| fields(json!({ "scope": value })).scope();
        assert_eq!(of(""), Ok(None));
        assert_eq!(of(" "), Ok(None));
        assert_eq!(of(" a  b:c "), Ok(Some("a b:c".to_owned())));
        for wrong in ["a\nb", "a\"b", "a\\b", "ö"] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for text in ["", "[]", "null", "\"x\"", "{", "{}{}"] {
            assert!(Fields::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Fields::parse(b"\xEF\xBB\xBF{}").is_ok());
    }
}
