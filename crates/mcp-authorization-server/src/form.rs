//! [`Form`]: the parameters of a request, from its body or its query (RFC 6749 sections 3.1 and 3.2).

use std::fmt;

use zeroize::Zeroizing;

/// Most parameters of a request. Ours has below twenty.
const MAX_PARAMETERS: usize = 64;

/// Longest body or query, in bytes. A refresh token may hold tokens of the provider.
const MAX_LEN: usize = 64 * 1024;

/// The one that may be there more than once (RFC 8707 section 2).
const RESOURCE: &str = "resource";

/// Parameters as `application/x-www-form-urlencoded` has them, each there once. They are wiped when
/// dropped, and not shown.
pub(crate) struct Form(Vec<(String, Zeroizing<String>)>);

/// Why a request has no parameters that could be read. Each is an `invalid_request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("the request is longer than 64 KiB")]
    TooLong,
    #[error("the request has more than 64 parameters")]
    TooMany,
    #[error("a parameter is there more than once")]
    Repeated,
    #[error("a parameter is not UTF-8")]
    NotText,
}

impl Form {
    /// Reads a body or a query. A parameter without a value is not there (RFC 6749 section 3.1).
    pub(crate) fn parse(text: &[u8]) -> Result<Self, FormError> {
        if text.len() > MAX_LEN {
            return Err(FormError::TooLong);
        }
        let mut parameters: Vec<(String, Zeroizing<String>)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if value.is_empty() {
                continue;
            }
            // What decoding puts in the place of what is not UTF-8.
            if [&name, &value].iter().any(|text| text.contains('\u{fffd}')) {
                return Err(FormError::NotText);
            }
            let is_there = parameters.iter().any(|(known, _)| *known == name);
            if is_there && name != RESOURCE {
                return Err(FormError::Repeated);
            }
            if parameters.len() == MAX_PARAMETERS {
                return Err(FormError::TooMany);
            }
            parameters.push((name.into_owned(), Zeroizing::new(value.into_owned())));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter; never empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut of_name = self.0.iter().filter(|(known, _)| known == name);
        of_name.next().map(|(_, value)| value.as_str())
    }

    /// All parameters.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What the token is for, which may be several (RFC 8707 section 2).
    pub(crate) fn resources(&self) -> impl Iterator<Item = &str> {
        let resources = self.0.iter().filter(|(name, _)| name == RESOURCE);
        resources.map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({} parameters, [redacted])", self.0.len())
    }
}

/// One half of HTTP Basic, which is encoded like a value of a form (RFC 6749 section 2.3.1). None where it
/// is not UTF-8.
pub(crate) fn decoded(half: &str) -> Option<Zeroizing<String>> {
    // One value, whatever is in it.
    let pair = Zeroizing::new(format!("v={}", half.replace('&', "%26")));
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    let value = Zeroizing::new(value.into_owned());
    (!value.contains('\u{fffd}')).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_there_once_or_not_at_all() {
        let form = Form::parse(b"client_id=a%20b+c&state=&scope=x&empty").unwrap();
        assert_eq!(form.get("client_id"), Some("a b c"));
        assert_eq!(form.get("scope"), Some("x"));
        for absent in ["state", "empty", "other"] {
            assert_eq!(form.get(absent), None, "{absent}");
        }
        assert_eq!(Form::parse(b"").unwrap().get(""), None);
    }

    #[test]
    fn what_is_there_twice_is_refused_but_for_the_resource() {
        for twice in ["a=1&a=1", "a=1&b=2&a=3", "a=1&%61=2"] {
            assert_eq!(
                Form::parse(twice.as_bytes()).unwrap_err(),
                FormError::Repeated
            );
        }
        assert!(Form::parse(b"a=&a=1").is_ok());
        let form = Form::parse(b"resource=x&a=1&resource=y").unwrap();
        assert_eq!(form.resources().collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn what_is_no_text_or_too_much_is_refused() {
        assert_eq!(Form::parse(b"a=%ff").unwrap_err(), FormError::NotText);
        assert_eq!(Form::parse(b"%ff=a").unwrap_err(), FormError::NotText);
        assert_eq!(
            Form::parse(&vec![b'a'; MAX_LEN + 1]).unwrap_err(),
            FormError::TooLong
        );
        let parameters = |count: usize| {
            let pairs: Vec<_> = (0..count).map(|at| format!("p{at}=1")).collect();
            Form::parse(pairs.join("&").as_bytes()).map(drop)
        };
        assert_eq!(parameters(MAX_PARAMETERS), Ok(()));
        assert_eq!(parameters(MAX_PARAMETERS + 1), Err(FormError::TooMany));
        let resources = "resource=x&".repeat(MAX_PARAMETERS + 1);
        assert_eq!(
            Form::parse(resources.as_bytes()).unwrap_err(),
            FormError::TooMany
        );
    }

    #[test]
    fn values_are_not_shown() {
        let form = Form::parse(b"client_secret=hunter2&refresh_token=r1").unwrap();
        assert_eq!(format!("{form:?}"), "Form(2 parameters, [redacted])");
    }

    #[test]
    fn halves_of_basic_are_decoded_as_one_value() {
        for (half, expected) in [
            ("plain", Some("plain")),
            ("a%3Ab+c", Some("a:b c")),
            ("a&b=c", Some("a&b=c")),
            ("100%", Some("100%")),
            ("", Some("")),
            ("%ff", None),
        ] {
            assert_eq!(
                decoded(half).as_deref().map(String::as_str),
                expected,
                "{half}"
            );
        }
    }
}
