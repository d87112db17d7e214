//! Key sets and metadata as issuers really write them: what is the same in another spelling is read,
//! and what cannot be used is the issuer's fault, never the token's.

use std::sync::{Arc, Mutex};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use mcp_auth::{AuthError, InvalidReason, IssuerConfig, VerifierConfig};
use mcp_test_support::{Algorithm, Issuer, SigningKey};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::world::{RESOURCE, config_for, impatient, issuer, verifier, verifier_with, verify};

/// What a token signed by `key` gets when the issuer publishes these keys.
async fn with_keys(issuer: &Issuer, key: &Arc<SigningKey>, keys: &Value) -> Option<AuthError> {
    issuer.publish(json!({ "keys": keys }).to_string());
    let token = issuer.token().signed_by(Arc::clone(key)).mint();
    verify(&verifier(issuer), &token).await.err()
}

fn bytes(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
}

fn with(jwk: &Value, changes: &Value) -> Value {
    let mut jwk = jwk.clone();
    let members = jwk.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| *value != "absent");
    jwk
}

/// A P-256 key with a coordinate that begins with a zero, and the name of that coordinate.
fn short_coordinate() -> (Arc<SigningKey>, &'static str) {
    loop {
        let key = SigningKey::generate(Algorithm::Es256);
        let jwk = key.jwk();
        let short = ["x", "y"].into_iter().find(|it| bytes(&jwk, it)[0] == 0);
        if let Some(name) = short {
            return (Arc::new(key), name);
        }
    }
}

#[tokio::test]
async fn numbers_of_a_key_are_read_in_every_harmless_spelling() {
    let issuer = issuer().await;
    let rsa = issuer.key(Algorithm::Rs256);
    let (ec, short) = short_coordinate();
    let ed = issuer.key(Algorithm::EdDsa);
    let zero = |bytes: &[u8]| URL_SAFE_NO_PAD.encode([&[0], bytes].concat());
    let (n, e) = (bytes(&rsa.jwk(), "n"), bytes(&rsa.jwk(), "e"));
    let (x, y) = (bytes(&ec.jwk(), "x"), bytes(&ec.jwk(), "y"));
    let ed_x = bytes(&ed.jwk(), "x");
    let lines = |text: String| format!("{}\n{}", &text[..40], &text[40..]);
    let coordinate = bytes(&ec.jwk(), short);
    for (key, changes) in [
        (&rsa, json!({})),
        (&rsa, json!({"n": zero(&n)})),
        (&rsa, json!({"e": zero(&e)})),
        (
            &rsa,
            json!({"n": zero(&n), "e": URL_SAFE_NO_PAD.encode([0, 0, 1, 0, 1])}),
        ),
        (&rsa, json!({"n": STANDARD.encode(&n)})),
        (
            &rsa,
            json!({"n": URL_SAFE.encode(&n), "e": URL_SAFE.encode(&e)}),
        ),
        (&rsa, json!({"n": lines(STANDARD.encode(&n))})),
        (&ec, json!({})),
        (&ec, json!({"x": zero(&x), "y": zero(&y)})),
        (
            &ec,
            json!({"x": STANDARD.encode(&x), "y": URL_SAFE.encode(&y)}),
        ),
        (
            &ec,
            json!({short: URL_SAFE_NO_PAD.encode(&coordinate[1..])}),
        ),
        (&ed, json!({})),
        (&ed, json!({"x": STANDARD.encode(&ed_x)})),
    ] {
        let refused = with_keys(&issuer, key, &json!([with(&key.jwk(), &changes)])).await;
        assert_eq!(refused, None, "{changes}");
    }
}

#[tokio::test]
async fn members_of_a_key_that_say_nothing_or_say_it_oddly_do_not_spoil_it() {
    let issuer = issuer().await;
    let key = issuer.key(Algorithm::Rs256);
    for changes in [
        json!({"use": null}),
        json!({"use": ""}),
        json!({"use": "SIG"}),
        json!({"use": "signature"}),
        json!({"use": 7}),
        json!({"use": "absent", "key_ops": ["verify"]}),
        json!({"key_ops": "verify"}),
        json!({"key_ops": ["Verify", "sign"]}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": []}),
        json!({"key_ops": null}),
        json!({"alg": null}),
        json!({"alg": ""}),
        json!({"alg": "rs256"}),
        json!({"alg": "RSA"}),
        json!({"alg": "absent"}),
        json!({"kty": "rsa"}),
        json!({"kid": "absent"}),
        json!({"kid": ""}),
        json!({"kid": null}),
        json!({"x5c": 7, "x5t": null, "x": [], "crv": 1, "exp": "soon"}),
    ] {
        let refused = with_keys(&issuer, &key, &json!([with(&key.jwk(), &changes)])).await;
        assert_eq!(refused, None, "{changes}");
    }
    let number = with(&key.jwk(), &json!({"kid": 7}));
    issuer.publish(json!({ "keys": [number] }).to_string());
    for kid in [json!("7"), json!(7)] {
        let token = issuer.token().header("kid", kid).mint();
        verify(&verifier(&issuer), &token).await.unwrap();
        // Padding after a signature changes nothing.
        verify(&verifier(&issuer), &format!("{token}=="))
            .await
            .unwrap();
    }
}

/// What is said of a key that cannot be used, if this refusal is about one.
fn fault(refused: Option<AuthError>) -> String {
    let refused = refused.unwrap();
    assert_eq!(refused.label(), "unusable_key", "{refused:?}");
    refused.to_string()
}

#[tokio::test]
async fn a_token_of_a_key_that_cannot_be_used_is_not_called_bad() {
    let issuer = issuer().await;
    let (rsa, ec) = (issuer.key(Algorithm::Rs256), issuer.key(Algorithm::Es256));
    let other = SigningKey::generate(Algorithm::EdDsa).jwk();
    let short = URL_SAFE_NO_PAD.encode([0x81; 128]);
    let long = URL_SAFE_NO_PAD.encode([0x81; 33]);
    for (key, changes, says) in [
        (&rsa, json!({"n": short}), "modulus"),
        (&rsa, json!({"n": "!"}), "numbers"),
        (&rsa, json!({"n": null}), "numbers"),
        (&rsa, json!({"e": "AQAA"}), "exponent"),
        (&rsa, json!({"e": "AQ"}), "exponent"),
        (&rsa, json!({"alg": "RSA-OAEP"}), "not for signatures"),
        (&rsa, json!({"alg": "HS256"}), "algorithm"),
        (&rsa, json!({"kty": "oct", "k": "c2VjcmV0"}), "type"),
        (&rsa, json!({"use": "enc"}), "not for signatures"),
        (&rsa, json!({"key_ops": ["encrypt"]}), "not for signatures"),
        (&ec, json!({"crv": "P-521"}), "curve"),
        (&ec, json!({"x": long}), "coordinates"),
        (&ec, json!({"x": ec.jwk()["y"]}), "coordinates"),
    ] {
        let broken = with(&key.jwk(), &changes);
        // Beside a good key, and as the only one: no outage that "try again" would end.
        for keys in [json!([other, broken]), json!([broken])] {
            let said = fault(with_keys(&issuer, key, &keys).await);
            assert!(said.contains(says), "{keys}: {said}");
        }
    }
    let keys = json!([other, with(&rsa.jwk(), &json!({"kty": "absent"}))]);
    fault(with_keys(&issuer, &rsa, &keys).await);
    // Nor where the token does not say which key it is.
    let broken = with(&rsa.jwk(), &json!({"n": short, "kid": "absent"}));
    issuer.publish(json!({ "keys": [other, broken] }).to_string());
    let token = issuer.token().without_header("kid").mint();
    fault(verify(&verifier(&issuer), &token).await.err());
    // And never where the key is fine and the signature is not.
    issuer.publish(json!({ "keys": [rsa.jwk(), broken] }).to_string());
    let forged = issuer.token().tampered().mint();
    let refused = verify(&verifier(&issuer), &forged).await.unwrap_err();
    assert_eq!(refused, InvalidReason::Signature.into());
}

#[tokio::test]
async fn an_issuer_without_a_usable_key_is_told_apart_from_an_outage_and_heals() {
    let issuer = issuer().await;
    let verifier = verifier_with(config_for(&issuer), impatient());
    let key = issuer.key(Algorithm::Rs256);
    let weak = with(
        &key.jwk(),
        &json!({"n": URL_SAFE_NO_PAD.encode([0x81; 128])}),
    );
    let encrypts = with(&key.jwk(), &json!({"use": "enc", "kid": "enc"}));
    issuer.publish(json!({ "keys": [encrypts, weak] }).to_string());
    let said = fault(verify(&verifier, &issuer.token().mint()).await.err());
    assert!(said.contains("modulus"), "{said}");
    // Of whatever key: none of this issuer's could be used.
    let unknown = issuer.token().header("kid", "new").mint();
    let said = fault(verify(&verifier, &unknown).await.err());
    assert!(said.contains("modulus"), "{said}");
    issuer.publish(json!({ "keys": [key.jwk()] }).to_string());
    verify(&verifier, &issuer.token().mint()).await.unwrap();
}

#[tokio::test]
async fn a_key_set_that_went_bad_takes_no_good_keys_away() {
    let issuer = issuer().await;
    let verifier = verifier_with(config_for(&issuer), impatient());
    let token = issuer.token().mint();
    verify(&verifier, &token).await.unwrap();
    issuer.requests().clear();
    issuer.publish(json!({"keys": [{"kty": "oct", "k": "AA"}]}).to_string());
    let unknown = issuer.token().header("kid", "new").mint();
    verify(&verifier, &unknown).await.unwrap_err();
    let asked = issuer.requests().entries();
    assert!(!asked.is_empty(), "the bad one was read");
    verify(&verifier, &token).await.unwrap();
}

#[tokio::test]
async fn a_token_has_one_more_spelling_and_not_thousands() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer);
    let token = issuer.token().mint();
    let signature = token.rsplit('.').next().unwrap();
    let padding = (4 - signature.len() % 4) % 4;
    for count in 0..9 {
        let spelled = format!("{token}{}", "=".repeat(count));
        let is_taken = verify(&verifier, &spelled).await.is_ok();
        assert_eq!(is_taken, count == 0 || count == padding, "{count}");
    }
}

#[tokio::test]
async fn a_key_is_used_in_the_algorithm_that_it_is_for() {
    let issuer = issuer().await;
    let key = issuer.key(Algorithm::Rs256);
    for alg in ["RS512", "PS256"] {
        let published = with(&key.jwk(), &json!({ "alg": alg }));
        for published in [
            published.clone(),
            with(&published, &json!({"kid": "absent"})),
        ] {
            let keys = json!([published]);
            let said = fault(with_keys(&issuer, &key, &keys).await);
            assert!(said.contains("alg is another"), "{alg}: {said}");
        }
        // Made up, it proves nothing about the issuer.
        issuer.publish(json!({ "keys": [published] }).to_string());
        let forged = issuer.token().tampered().mint();
        let refused = verify(&verifier(&issuer), &forged).await.unwrap_err();
        assert_eq!(refused, InvalidReason::Algorithm.into());
    }
}

#[tokio::test]
async fn the_right_key_is_found_among_many_and_among_namesakes() {
    let issuer = issuer().await;
    let key = issuer.key(Algorithm::Es256);
    let other = || SigningKey::generate(Algorithm::Es256).jwk();
    let nameless = |jwk: Value| with(&jwk, &json!({"kid": "absent"}));
    for others in [9, 40] {
        let mut keys: Vec<_> = (0..others).map(|_| nameless(other())).collect();
        keys.push(nameless(key.jwk()));
        issuer.publish(json!({ "keys": keys }).to_string());
        for token in [
            issuer.token().signed_by(Arc::clone(&key)),
            issuer
                .token()
                .signed_by(Arc::clone(&key))
                .without_header("kid"),
        ] {
            verify(&verifier(&issuer), &token.mint()).await.unwrap();
        }
    }
    let namesake = |jwk: Value| with(&jwk, &json!({"kid": key.kid()}));
    let encrypts = with(&key.jwk(), &json!({"use": "enc"}));
    let rsa = namesake(issuer.key(Algorithm::Rs256).jwk());
    let keys = json!([namesake(other()), encrypts, rsa, 7, null, key.jwk()]);
    assert_eq!(with_keys(&issuer, &key, &keys).await, None);
}

/// An issuer that answers by the path and the head of the request, and what it was asked. In its
/// answers `SELF` is its address.
pub(crate) async fn answering(
    answer: impl Fn(&str, &str) -> (u16, String) + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (own, asked) = (url.clone(), Arc::new(Mutex::new(Vec::new())));
    let paths = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..read]).to_lowercase();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let (status, body) = answer(&path, &head);
            let body = body.replace("SELF", &own);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
            );
            paths.lock().unwrap().push(path);
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    (url, asked)
}

/// What a token of an issuer with these documents gets.
async fn with_documents(
    metadata: impl Fn(&str) -> (u16, String) + Send + 'static,
    keys: impl Fn(&str, String) -> (u16, String) + Send + 'static,
) -> Result<(), AuthError> {
    let stand_in = issuer().await;
    let key = stand_in.key(Algorithm::Rs256);
    let set = json!({ "keys": [key.jwk()] }).to_string();
    let answer = move |path: &str, head: &str| match path {
        "/keys" => keys(head, set.clone()),
        _ => metadata(head),
    };
    let (url, _) = answering(answer).await;
    let token = stand_in.token().claim("iss", url.clone()).mint();
    let config = IssuerConfig::new(url, [RESOURCE]);
    let verifier = verifier_with(config, VerifierConfig::default());
    verify(&verifier, &token).await.map(drop)
}

const METADATA: &str = r#"{"issuer":"SELF","jwks_uri":"SELF/keys"}"#;

#[tokio::test]
async fn documents_are_asked_for_by_the_types_that_issuers_have_for_them() {
    let only = |head: &str, wanted: &str, body: &str| {
        let accept = head.lines().find(|line| line.starts_with("accept:"));
        if accept.unwrap_or_default().contains(wanted) {
            (200, body.to_owned())
        } else {
            (406, "{}".to_owned())
        }
    };
    for wanted in ["application/json", "*/*"] {
        let metadata = move |head: &str| only(head, wanted, METADATA);
        let keys = move |head: &str, set: String| only(head, wanted, &set);
        with_documents(metadata, keys).await.unwrap();
    }
    let metadata = |_: &str| (200, METADATA.to_owned());
    let keys = move |head: &str, set: String| only(head, "application/jwk-set+json", &set);
    with_documents(metadata, keys).await.unwrap();
}

#[tokio::test]
async fn a_byte_order_mark_before_a_document_is_passed_over() {
    let metadata = |_: &str| (200, format!("\u{feff}{METADATA}"));
    let keys = |_: &str, set: String| (200, format!("\u{feff}{set}"));
    with_documents(metadata, keys).await.unwrap();
}

#[tokio::test]
async fn members_of_the_metadata_that_nobody_needs_may_be_anything() {
    for odd in ["null", "7", "\"S256\"", "[null, 7]", "{}"] {
        let metadata = move |_: &str| {
            let odd = format!(
                r#"{{"issuer":"SELF","jwks_uri":"SELF/keys","scopes_supported":{odd},
                "authorization_endpoint":{odd},"code_challenge_methods_supported":{odd}}}"#
            );
            (200, odd)
        };
        let keys = |_: &str, set: String| (200, set);
        with_documents(metadata, keys).await.unwrap();
    }
}

#[tokio::test]
async fn an_error_in_a_200_is_an_outage_and_proves_nothing() {
    for wrong in [
        r#"{"error":"temporarily_unavailable"}"#,
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[null, {}, "RSA", {"kid":"a"}]}"#,
        "null",
        "",
        "<html>",
    ] {
        let metadata = |_: &str| (200, METADATA.to_owned());
        let keys = move |_: &str, _| (200, wrong.to_owned());
        let refused = with_documents(metadata, keys).await.unwrap_err();
        assert_eq!(refused.label(), "unavailable", "{wrong}");
        let metadata = move |_: &str| (200, wrong.to_owned());
        let keys = |_: &str, set: String| (200, set);
        let refused = with_documents(metadata, keys).await.unwrap_err();
        assert_eq!(refused.label(), "unavailable", "{wrong}");
    }
}
