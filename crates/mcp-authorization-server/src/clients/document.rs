//! Client id metadata documents: a client whose id is the address of a document that describes it
//! (draft-ietf-oauth-client-id-metadata-document-02).

use std::{borrow::Cow, sync::Arc};

use mcp_auth::AssertionKeys;
use mcp_outbound::{Reach, is_secure};
use url::Url;

use super::{
    client::{Client, ClientAuthentication, ClientKind, PublishedKeys},
    fields::{Fault, Fields},
};

/// Whether an id is meant as an address, and so is no registration.
pub(crate) fn is_address(id: &str) -> bool {
    let scheme = id.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

/// The address of the document of a client with this id (section 3).
///
/// # Errors
/// What is wrong with it, for the client's developer.
pub(crate) fn client_id(id: &str, reach: Reach) -> Result<Url, &'static str> {
    let url = Url::parse(id).map_err(|_| "the client_id is not a URL")?;
    let here = reach == Reach::PublicAndThisMachine && is_secure(&url);
    if url.scheme() != "https" && !here {
        return Err("the client_id is not an https URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the client_id has a user or a password in it");
    }
    if id.contains('#') {
        return Err("the client_id has a fragment");
    }
    // As far as it is not written as it is asked for, two ids could mean one document: dot segments, upper
    // case in the host, the scheme's own port, no path.
    if url.as_str() != id {
        return Err("the client_id is not a normalized URL (RFC 3986 section 6.2.2)");
    }
    if url.path() == "/" {
        return Err("the client_id has no path");
    }
    Ok(url)
}

/// The client that a document describes, which was fetched from this address (section 4).
///
/// # Errors
/// What is wrong with it, for the client's developer.
pub(crate) fn parse(url: &Url, body: &[u8]) -> Result<Client, Cow<'static, str>> {
    read(url, body).map_err(|fault| format!("its document: {}", fault.into_sentence()).into())
}

fn read(url: &Url, body: &[u8]) -> Result<Client, Fault> {
    let fields = Fields::parse(body)?;
    if fields.text("client_id")? != Some(url.as_str()) {
        return wrong("its client_id is not the address that it was fetched from");
    }
    // A secret that everybody can read is none.
    let secret = ["client_secret", "client_secret_expires_at"];
    if secret.iter().any(|name| fields.get(name).is_some()) {
        return wrong("it has a client_secret");
    }
    fields.check_response_types()?;
    let (redirect_uris, grant_types) = if fields.is_without_login()? {
        (Vec::new(), Vec::new())
    } else {
        (fields.redirect_uris()?, fields.grant_types()?)
    };
    Ok(Client {
        id: url.as_str().to_owned(),
        name: fields.name()?,
        kind: ClientKind::Document,
        redirect_uris,
        authentication: authentication(&fields)?,
        grant_types,
        scope: fields.scope()?,
        service: None,
    })
}

fn authentication(fields: &Fields) -> Result<ClientAuthentication, Fault> {
    match fields.method()? {
        "none" => Ok(ClientAuthentication::None),
        "private_key_jwt" => keys(fields).map(ClientAuthentication::PrivateKeyJwt),
        _ => wrong("its token_endpoint_auth_method is neither none nor private_key_jwt"),
    }
}

fn keys(fields: &Fields) -> Result<PublishedKeys, Fault> {
    match (fields.get("jwks"), fields.text("jwks_uri")?) {
        (Some(set), None) => {
            let keys = AssertionKeys::parse(set.to_string().as_bytes());
            let keys =
                keys.map_err(|problem| Fault::Metadata(format!("jwks: {problem}").into()))?;
            Ok(PublishedKeys::Here(Arc::new(keys)))
        }
        (None, Some(uri)) => match Url::parse(uri).ok().filter(is_secure) {
            Some(uri) => Ok(PublishedKeys::At(uri)),
            None => wrong("its jwks_uri is not an https URL"),
        },
        (Some(_), Some(_)) => wrong("it has both jwks and jwks_uri"),
        (None, None) => wrong("it has private_key_jwt, and neither jwks nor jwks_uri"),
    }
}

fn wrong<T>(sentence: &'static str) -> Result<T, Fault> {
    Err(Fault::Metadata(sentence.into()))
}

#[cfg(test)]
mod tests {
    use mcp_test_support::{Algorithm, SigningKey};
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "https://client.test/oauth/metadata.json";

    fn with(more: Value) -> Result<Client, String> {
        let mut document = json!({
            "client_id": ID,
            "client_name": "Example",
            "redirect_uris": ["http://127.0.0.1/cb", "https://client.test/cb"],
        });
        let more = more.as_object().unwrap().clone();
        document.as_object_mut().unwrap().extend(more);
        parse(&ID.parse().unwrap(), document.to_string().as_bytes()).map_err(Cow::into_owned)
    }

    #[test]
    fn an_id_is_a_normal_https_url_with_a_path() {
        for id in [
            ID,
            "https://a.test:8443/x?v=1",
            "https://a.test/a..b/.well-known/c",
        ] {
            assert_eq!(
                client_id(id, Reach::Public).map(String::from),
                Ok(id.to_owned())
            );
        }
        for id in [
            "https://a.test",
            "https://a.test/",
            "https://a.test?x",
            "http://a.test/x",
            "http://127.0.0.1/x",
            "https://user@a.test/x",
            "https://:pw@a.test/x",
            "https://a.test/x#",
            "https://a.test/x#y",
            "https://a.test/./x",
            "https://a.test/a/../x",
            "https://a.test/a/%2e%2E/x",
            "https://a.test/x/..",
            "https://a.test\\x",
            "https:a.test/x",
            "https:///a.test/x",
            "https://A.test/x",
            "HTTPS://a.test/x",
            "https://a.test:443/x",
            "https://a.test/x y",
            " https://a.test/x",
            "https://2130706433/x",
            "https://",
        ] {
            assert!(client_id(id, Reach::Public).is_err(), "{id}");
        }
        assert!(client_id("http://127.0.0.1:9/x", Reach::PublicAndThisMachine).is_ok());
        assert!(client_id("http://a.test/x", Reach::PublicAndThisMachine).is_err());
    }

    #[test]
    fn a_document_describes_a_client() {
        let client = with(json!({"scope": "a b", "client_uri": "https://client.test"})).unwrap();
        assert_eq!(
            (client.id.as_str(), client.kind),
            (ID, ClientKind::Document)
        );
        assert_eq!(client.name.as_deref(), Some("Example"));
        assert_eq!(client.scope.as_deref(), Some("a b"));
        assert!(client.redirect(Some("http://127.0.0.1:5/cb")).is_some());
        assert!(client.may_use("refresh_token"));
        assert!(matches!(client.authentication, ClientAuthentication::None));
    }

    #[test]
    fn a_document_of_another_client_is_none() {
        for other in [
            json!("https://client.test/oauth/metadata.json/"),
            json!(1),
            json!(null),
        ] {
            assert!(with(json!({"client_id": other})).is_err(), "{other}");
        }
    }

    #[test]
    fn a_document_holds_no_secret() {
        for (name, value) in [
            ("client_secret", json!("s")),
            ("client_secret", json!("")),
            ("client_secret_expires_at", json!(0)),
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("token_endpoint_auth_method", json!("client_secret_post")),
            ("token_endpoint_auth_method", json!("client_secret_jwt")),
            ("token_endpoint_auth_method", json!("tls_client_auth")),
            ("token_endpoint_auth_method", json!(["none"])),
            ("redirect_uris", json!(null)),
            ("redirect_uris", json!(["javascript:x"])),
            ("response_types", json!(["token"])),
            ("grant_types", json!(["implicit"])),
        ] {
            assert!(
                with(json!({ name: value.clone() })).is_err(),
                "{name} {value}"
            );
        }
    }

    #[test]
    fn keys_stand_in_the_document_or_at_an_address() {
        let key = SigningKey::generate(Algorithm::Es256).jwk();
        let of = |jwks: Value, jwks_uri: Value| {
            let method = "private_key_jwt";
            with(json!({"token_endpoint_auth_method": method, "jwks": jwks, "jwks_uri": jwks_uri}))
                .map(|client| client.authentication)
        };
        let set = json!({ "keys": [key] });
        let here = of(set.clone(), json!(null));
        let is_here = |it| {
            matches!(
                it,
                ClientAuthentication::PrivateKeyJwt(PublishedKeys::Here(_))
            )
        };
        assert!(here.is_ok_and(is_here));
        let at = of(json!(null), json!("https://client.test/jwks"));
        let is_at = |it| {
            matches!(
                it,
                ClientAuthentication::PrivateKeyJwt(PublishedKeys::At(_))
            )
        };
        assert!(at.is_ok_and(is_at));
        for (jwks, jwks_uri) in [
            (json!(null), json!(null)),
            (set, json!("https://client.test/jwks")),
            (json!({"keys": []}), json!(null)),
            (json!({"keys": [{"kty": "oct", "k": "AA"}]}), json!(null)),
            (json!(null), json!("http://client.test/jwks")),
            (json!(null), json!("file:///etc/passwd")),
        ] {
            assert!(
                of(jwks.clone(), jwks_uri.clone()).is_err(),
                "{jwks} {jwks_uri}"
            );
        }
    }
}
