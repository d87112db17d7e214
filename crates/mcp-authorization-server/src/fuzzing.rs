//! What must hold for any input, for the fuzz targets and for the replay of their seeds.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, UNIX_EPOCH},
};

use mcp_session::MemoryFacts;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    clients::{
        Client, ClientAuthentication, Clients, ClientsConfig, RedirectKind, check_redirect,
        find_redirect, parse_document,
    },
    form::Form,
    keys::Keys,
};

/// A body or a query gives parameters that are each there once, and that are the same when they are
/// written and read again; or none.
pub fn form(data: &[u8]) {
    let Ok(form) = Form::parse(data) else {
        return;
    };
    let mut again = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in form.pairs() {
        assert!(!value.is_empty() && form.get(name).is_some());
        again.append_pair(name, value);
    }
    // Written out, everything may take thrice its length.
    if let Ok(again) = Form::parse(again.finish().as_bytes()) {
        assert!(again.pairs().eq(form.pairs()));
    } else {
        assert!(3 * data.len() > 64 * 1024);
    }
}

/// Of two lines, the redirect URI in the first is one that a client may have, or not; that in the second is
/// the same one, or the same app on this computer on another port, or is not found.
pub fn redirect(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (registered, asked) = text.split_once('\n').unwrap_or((text, text));
    if check_redirect(registered).is_ok() {
        may_be_registered(registered);
    }
    let Some(found) = find_redirect(&[registered.to_owned()], Some(asked)) else {
        return;
    };
    assert_eq!(found.uri, asked);
    may_be_registered(asked);
    if registered != asked {
        let (known, asked) = (parsed(registered), parsed(asked));
        assert_eq!(found.kind, RedirectKind::Loopback);
        assert_eq!((known.scheme(), asked.scheme()), ("http", "http"));
        assert_eq!(known.host(), asked.host());
        assert_eq!((known.path(), known.query()), (asked.path(), asked.query()));
    }
}

/// Metadata gives a client whose id is its whole registration, or a reason.
pub fn registration(data: &[u8]) {
    let answer = match CLIENTS.register(data, UNIX_EPOCH + Duration::from_hours(500_000)) {
        Ok(answer) => answer,
        Err(error) => {
            assert!(!error.code().is_empty() && !error.description().is_empty());
            return;
        }
    };
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let id = answer.get("client_id").and_then(Value::as_str);
    let id = id.unwrap_or_default();
    assert!((1..=1024).contains(&id.len()));
    let client = CLIENTS.registered(id);
    assert!(client.is_ok(), "an id that was given out is a client's");
    let Ok(client) = client else {
        return;
    };
    well_formed(&client);
    let uris = serde_json::json!(client.redirect_uris);
    assert_eq!(answer.get("redirect_uris"), Some(&uris));
    let has_secret = matches!(client.authentication, ClientAuthentication::Secret(_));
    assert_eq!(answer.get("client_secret").is_some(), has_secret);
}

/// A document gives a client with the id that is its address, without a secret; or a reason.
pub fn document(data: &[u8]) {
    let url = parsed("https://client.test/oauth/metadata.json");
    match parse_document(&url, data) {
        Ok(client) => {
            assert_eq!(client.id, url.as_str());
            assert!(!matches!(
                client.authentication,
                ClientAuthentication::Secret(_)
            ));
            if client.grant_types.is_empty() {
                assert!(client.redirect_uris.is_empty() && client.redirect(None).is_none());
            } else {
                well_formed(&client);
            }
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
}

fn well_formed(client: &Client) {
    assert!((1..=10).contains(&client.redirect_uris.len()));
    for uri in &client.redirect_uris {
        may_be_registered(uri);
        assert!(client.redirect(Some(uri)).is_some());
    }
    assert!(client.may_use("authorization_code"));
    let name = client.name.as_deref().unwrap_or("x");
    assert!(!name.is_empty() && name.chars().count() <= 128);
    assert!(!name.chars().any(char::is_control));
}

fn may_be_registered(uri: &str) {
    assert!(uri.len() <= 1024 && uri.bytes().all(|byte| byte.is_ascii_graphic()));
    let url = parsed(uri);
    assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
    let runs = ["javascript", "data", "file", "about", "blob", "vbscript"];
    assert!(!runs.contains(&url.scheme()));
    let here = ["localhost", "127.0.0.1", "[::1]"];
    assert!(url.scheme() != "http" || url.host_str().is_some_and(|host| here.contains(&host)));
}

#[expect(clippy::expect_used, reason = "what was checked before is a URL")]
fn parsed(uri: &str) -> Url {
    Url::parse(uri).expect("a URL")
}

static CLIENTS: LazyLock<Clients> = LazyLock::new(|| {
    let issuer = "https://as.test";
    let keys = Keys::new(&Zeroizing::new([7; 32]), &[], issuer, "https://as.test/mcp");
    let config = ClientsConfig {
        configured: Vec::new(),
        named: Vec::new(),
        scopes: Vec::new(),
        issuer: issuer.to_owned(),
        token_endpoint: "https://as.test/token".to_owned(),
        documents: None,
    };
    #[expect(clippy::expect_used, reason = "fixed values")]
    Clients::new(config, Arc::new(keys), Arc::new(MemoryFacts::default()))
        .expect("a configuration that is fine")
});

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn replay(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/seeds")
            .join(target);
        let mut seeds = 0;
        for file in fs::read_dir(folder).unwrap() {
            check(&fs::read(file.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "{target} has no seeds");
    }

    #[test]
    fn forms_of_the_fuzz_seeds_are_read_or_refused() {
        replay("form", form);
    }

    #[test]
    fn redirect_uris_of_the_fuzz_seeds_are_found_or_not() {
        replay("redirect", redirect);
    }

    #[test]
    fn registrations_of_the_fuzz_seeds_are_taken_or_refused() {
        replay("registration", registration);
    }

    #[test]
    fn documents_of_the_fuzz_seeds_are_taken_or_refused() {
        replay("document", document);
    }
}
