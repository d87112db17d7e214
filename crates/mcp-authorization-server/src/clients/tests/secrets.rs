//! Clients with a secret, and those with nothing.

use super::*;

#[tokio::test]
async fn a_public_client_names_itself_and_shows_no_secret() {
    let clients = clients();
    let registered = register(&clients, json!({"redirect_uris": ["https://a.test/cb"]})).unwrap();
    let id = registered["client_id"].as_str().unwrap();
    let bare = HeaderMap::new();
    assert_eq!(
        authenticate(&clients, &bare, &[("client_id", id)]).await,
        Ok(id.to_owned())
    );
    assert_eq!(
        authenticate(&clients, &basic(id, ""), &[]).await,
        Ok(id.to_owned())
    );
    let bearer =
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"))]);
    assert_eq!(
        authenticate(&clients, &bearer, &[("client_id", id)]).await,
        Ok(id.to_owned())
    );
    assert!(is_refused(
        &authenticate(&clients, &basic(id, "x"), &[]).await
    ));
    let guessed = [("client_id", id), ("client_secret", "x")];
    assert!(is_refused(&authenticate(&clients, &bare, &guessed).await));
    assert!(is_request(&authenticate(&clients, &bare, &[]).await));
}

#[tokio::test]
async fn a_client_with_a_secret_shows_it_in_the_header_or_in_the_form() {
    let clients = clients();
    for method in ["client_secret_basic", "client_secret_post"] {
        let body =
            json!({"redirect_uris": ["https://a.test/cb"], "token_endpoint_auth_method": method});
        let registered = register(&clients, body).unwrap();
        assert_eq!(registered["token_endpoint_auth_method"], method);
        assert_eq!(registered["client_secret_expires_at"], 0);
        let id = registered["client_id"].as_str().unwrap();
        let secret = registered["client_secret"].as_str().unwrap();
        let bare = HeaderMap::new();
        assert!(
            authenticate(&clients, &basic(id, secret), &[])
                .await
                .is_ok()
        );
        assert!(
            authenticate(&clients, &basic(id, secret), &[("client_id", id)])
                .await
                .is_ok()
        );
        let post = [("client_id", id), ("client_secret", secret)];
        assert!(authenticate(&clients, &bare, &post).await.is_ok());

        assert!(is_refused(
            &authenticate(&clients, &bare, &[("client_id", id)]).await
        ));
        assert!(is_refused(
            &authenticate(&clients, &basic(id, ""), &[]).await
        ));
        assert!(is_refused(
            &authenticate(&clients, &basic(id, &secret[1..]), &[]).await
        ));
        let twice = authenticate(&clients, &basic(id, secret), &post).await;
        assert!(is_request(&twice), "{twice:?}");
        let other = authenticate(&clients, &basic(id, secret), &[("client_id", "other")]).await;
        assert!(is_request(&other), "{other:?}");
    }
}

#[tokio::test]
async fn a_secret_of_one_client_is_not_that_of_another() {
    let clients = clients();
    let body = json!({
        "redirect_uris": ["https://a.test/cb"],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let one = register(&clients, body.clone()).unwrap();
    let other = register(&clients, body).unwrap();
    assert_ne!(one["client_id"], other["client_id"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (id, secret) = (text(&one["client_id"]), text(&other["client_secret"]));
    assert!(is_refused(
        &authenticate(&clients, &basic(&id, &secret), &[]).await
    ));
}

#[tokio::test]
async fn a_configured_client_and_its_secret_may_have_any_characters() {
    let secret = "a+b %41:c&d=e~f/g";
    let config = |id: &str| ClientConfig {
        id: id.to_owned(),
        secret: Some(Zeroizing::new(secret.to_owned())),
        redirect_uris: vec!["https://a.test/cb".to_owned()],
        ..ClientConfig::default()
    };
    let odd = " a+b %41:c&d=e~f\"\\g|`";
    let configured = vec![config("dash board"), config(odd)];
    let clients = with(keys(1, &[]), configured, MemoryFacts::default());
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let got = authenticate(&clients, &basic(&encode(odd), &encode(secret)), &[]).await;
    assert_eq!(got.as_deref(), Ok(odd));
    let posted = [("client_id", odd), ("client_secret", secret)];
    let got = authenticate(&clients, &HeaderMap::new(), &posted).await;
    assert_eq!(got.as_deref(), Ok(odd));
    for headers in [
        basic(&encode("dash board"), &encode(secret)),
        basic("dash board", secret),
    ] {
        let got = authenticate(&clients, &headers, &[]).await;
        assert_eq!(got, Ok("dash board".to_owned()));
    }
    assert!(is_refused(
        &authenticate(&clients, &basic("dash board", "a b %41"), &[]).await
    ));
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_no_credentials() {
    let clients = clients();
    for value in [
        "Basic",
        "Basic !",
        "Basic eA==",
        "basic //8=",
        "Basic JWZmOng=",
    ] {
        let headers =
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
        let got = authenticate(&clients, &headers, &[("client_id", "x")]).await;
        assert!(is_refused(&got), "{value}: {got:?}");
    }
    let mut twice = basic("a", "b");
    twice.append(header::AUTHORIZATION, twice[header::AUTHORIZATION].clone());
    assert!(is_request(&authenticate(&clients, &twice, &[]).await));
}
