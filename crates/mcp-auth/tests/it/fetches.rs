//! What an issuer may make this server fetch: only what was asked for, from where it was asked.

use std::sync::{Arc, Mutex};

use mcp_auth::{AuthError, IssuerConfig, VerifierConfig};
use mcp_test_support::Issuer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::world::{RESOURCE, issuer, verifier_with, verify};

const METADATA: &str = "/.well-known/oauth-authorization-server";

/// An issuer that gives the same answer to every request, and the paths it was asked for. The
/// answer may name the issuer itself as `SELF`.
async fn hostile(status: &str, headers: &str, body: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = body.replace("SELF", &url);
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let asked = Arc::new(Mutex::new(Vec::new()));
    let paths = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            paths.lock().unwrap().push(path);
            // A client that has seen enough hangs up.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

/// What a token of that issuer gets, and what the issuer was asked for.
async fn ask(status: &str, headers: &str, body: &str) -> (AuthError, Vec<String>) {
    let (url, asked) = hostile(status, headers, body).await;
    let stand_in = issuer().await;
    let token = stand_in.token().claim("iss", url.clone()).mint();
    let config = IssuerConfig::new(url, [RESOURCE]);
    let verifier = verifier_with(config, VerifierConfig::default());
    let error = verify(&verifier, &token).await.unwrap_err();
    let asked = asked.lock().unwrap().clone();
    (error, asked)
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let victim = issuer().await;
    let location = format!("location: {}{METADATA}\r\n", victim.url());
    for status in ["302 Found", "307 Temporary Redirect"] {
        let (error, _) = ask(status, &location, "").await;
        assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    }
    assert!(victim.requests().entries().is_empty());
}

#[tokio::test]
async fn metadata_lead_neither_to_another_issuer_nor_to_another_host() {
    let victim = issuer().await;
    let other_host = victim.url().replace("127.0.0.1", "localhost");
    for body in [
        format!(
            r#"{{"issuer":"{}","jwks_uri":"{}"}}"#,
            victim.url(),
            victim.jwks_url()
        ),
        r#"{"issuer":"SELF/","jwks_uri":"SELF/keys"}"#.to_owned(),
        format!(
            r#"{{"issuer":"SELF","jwks_uri":"{other_host}{}"}}"#,
            Issuer::JWKS_PATH
        ),
        r#"{"issuer":"SELF","jwks_uri":"http://169.254.169.254/latest/meta-data"}"#.to_owned(),
        r#"{"issuer":"SELF","jwks_uri":"file:///etc/passwd"}"#.to_owned(),
    ] {
        let (error, asked) = ask("200 OK", "content-type: application/json\r\n", &body).await;
        assert!(
            matches!(error, AuthError::Unavailable { .. }),
            "{body}: {error:?}"
        );
        assert!(
            asked.iter().all(|path| path.starts_with("/.well-known/")),
            "{asked:?}"
        );
    }
    assert!(victim.requests().entries().is_empty());
}

#[tokio::test]
async fn a_document_beyond_the_limit_is_given_up() {
    let body = format!(
        r#"{{"issuer":"SELF","jwks_uri":"SELF/keys","x":"{}"}}"#,
        "x".repeat(600 * 1024)
    );
    let (error, asked) = ask("200 OK", "content-type: application/json\r\n", &body).await;
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    assert!(!asked.iter().any(|path| path == "/keys"), "{asked:?}");
}
