//! Clients that sign.

use super::*;

fn assertion(key: &SigningKey, id: &str, more: Value) -> String {
    let mut claims = json!({
        "iss": id, "sub": id, "aud": ISSUER, "exp": 1_800_000_060, "jti": "1",
    });
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let header = json!({"alg": key.algorithm().name(), "kid": key.kid()});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

async fn assert(clients: &Clients, assertion: &str) -> Result<String, ClientError> {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let pairs = [
        ("client_assertion", assertion),
        ("client_assertion_type", kind),
    ];
    authenticate(clients, &HeaderMap::new(), &pairs).await
}

fn with_keys(key: &SigningKey) -> ClientConfig {
    ClientConfig {
        id: "robot".to_owned(),
        redirect_uris: vec!["https://a.test/cb".to_owned()],
        jwks: Some(json!({"keys": [key.jwk()]})),
        ..ClientConfig::default()
    }
}

#[tokio::test]
async fn an_assertion_is_good_once_on_all_instances() {
    let key = SigningKey::generate(Algorithm::Es256);
    let facts = MemoryFacts::default();
    let instance = |keys| with(keys, vec![with_keys(&key)], facts.clone());
    let first = assertion(&key, "robot", json!({}));
    assert_eq!(
        assert(&instance(keys(1, &[2])), &first).await,
        Ok("robot".to_owned())
    );
    // While the keys are turned, one has what the other had.
    for keys in [keys(1, &[2]), keys(2, &[1])] {
        assert!(is_refused(&assert(&instance(keys), &first).await));
    }
    let second = assertion(&key, "robot", json!({"jti": "2", "aud": [TOKEN]}));
    assert!(assert(&instance(keys(2, &[1])), &second).await.is_ok());
}

#[tokio::test]
async fn an_assertion_is_the_clients_own_and_the_only_proof() {
    let (key, other) = (
        SigningKey::generate(Algorithm::EdDsa),
        SigningKey::generate(Algorithm::EdDsa),
    );
    let clients = with(keys(1, &[]), vec![with_keys(&key)], MemoryFacts::default());
    for forged in [
        assertion(&other, "robot", json!({})),
        assertion(&key, "robot", json!({"iss": "other"})),
        assertion(&key, "robot", json!({"aud": "https://other.test"})),
        assertion(&key, "robot", json!({"exp": 1_799_999_000})),
        "x.y.z".to_owned(),
    ] {
        let got = assert(&clients, &forged).await;
        assert!(is_refused(&got), "{got:?}");
    }
    assert_eq!(
        assert(&clients, &assertion(&key, "nobody", json!({}))).await,
        Err(ClientError::Unknown)
    );
    let bare = HeaderMap::new();
    assert!(is_refused(
        &authenticate(&clients, &bare, &[("client_id", "robot")]).await
    ));
    assert!(is_refused(
        &authenticate(&clients, &basic("robot", "x"), &[]).await
    ));
    let good = assertion(&key, "robot", json!({}));
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for more in [
        vec![("client_assertion", good.as_str())],
        vec![("client_assertion_type", kind)],
        vec![("client_assertion", &good), ("client_assertion_type", "x")],
        vec![
            ("client_assertion", &good),
            ("client_assertion_type", kind),
            ("client_secret", "x"),
        ],
        vec![
            ("client_assertion", &good),
            ("client_assertion_type", kind),
            ("client_id", "other"),
        ],
    ] {
        let got = authenticate(&clients, &bare, &more).await;
        assert!(is_request(&got), "{got:?}");
    }
    assert!(
        assert(&clients, &good).await.is_ok(),
        "none of these used it"
    );
}

#[tokio::test]
async fn an_assertion_that_cannot_be_seen_to_be_new_is_not_taken() {
    let key = SigningKey::generate(Algorithm::Es256);
    let full = MemoryFacts::new(0);
    let clients = with(keys(1, &[]), vec![with_keys(&key)], full);
    let got = assert(&clients, &assertion(&key, "robot", json!({}))).await;
    assert_eq!(got, Err(ClientError::Unavailable));
}

#[tokio::test]
async fn keys_at_an_address_are_asked_for_again_when_they_are_turned() {
    let (old, new) = (
        SigningKey::generate(Algorithm::Es256),
        SigningKey::generate(Algorithm::Es256),
    );
    let (document, key_set) = (Host::start().await, Host::start().await);
    let (id, jwks_uri) = (document.url.clone(), key_set.url.clone());
    document.says(move || {
        answer(
            StatusCode::OK,
            &json!({
                "client_id": id, "redirect_uris": ["http://127.0.0.1/cb"],
                "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": jwks_uri,
            }),
        )
    });
    let publish = |key: &SigningKey| {
        let set = json!({"keys": [key.jwk()]});
        key_set.says(move || {
            let mut answer = answer(StatusCode::OK, &set);
            let hour = HeaderValue::from_static("max-age=3600");
            answer.headers_mut().insert(header::CACHE_CONTROL, hour);
            answer
        });
    };
    publish(&old);
    let clients = clients();
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let assert = async |key: &SigningKey, jti: &str, seconds: u64| {
        let exp = 1_800_000_060 + seconds;
        let assertion = assertion(key, &document.url, json!({"jti": jti, "exp": exp}));
        let form = form(&[
            ("client_assertion", &assertion),
            ("client_assertion_type", kind),
        ]);
        let now = now() + Duration::from_secs(seconds);
        clients
            .authenticate(&HeaderMap::new(), &form, now)
            .await
            .map(drop)
    };
    assert_eq!(assert(&old, "1", 0).await, Ok(()));
    publish(&new);
    // Not again within a minute, whatever keys are made up.
    assert!(matches!(
        assert(&new, "2", 59).await,
        Err(ClientError::NotAuthenticated(_))
    ));
    assert_eq!(key_set.asked(), 1);
    assert_eq!(assert(&new, "3", 60).await, Ok(()));
    assert!(matches!(
        assert(&old, "4", 61).await,
        Err(ClientError::NotAuthenticated(_))
    ));
    assert_eq!(key_set.asked(), 2);
}
