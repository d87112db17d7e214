//! The provider behind our own authorization server.

use mcp_test_support::{IdentityProvider, ProviderFault, random_hex};

use super::*;
use crate::own::{self, App};

const CHECKS: [&str; 4] = [
    "provider metadata",
    "provider keys",
    "provider client",
    "redirect URI",
];

async fn told(command: &ServerCommand) -> Report {
    let report = doctor(command).await;
    assert!(!report.text.contains(IdentityProvider::CLIENT_SECRET));
    report
}

#[tokio::test]
async fn a_provider_that_is_set_up_is_well_and_is_asked_by_no_user() {
    let world = World::shared().await;
    let provider = own::provider(&world).await;
    let command = own::command(&world, &provider, "");
    let _server = world.start(&command).await;
    let report = told(&command).await;
    assert_eq!(report.code, Some(0), "{:#}", report.json);
    for check in CHECKS {
        report.is(check, "good", "");
    }
    report.is("redirect URI", "good", &own::callback(&world));
    assert_eq!(provider.logins(), 0);
    // What clients meet is looked at as with any other issuer.
    report.is("client registration", "good", "");
    report.is("issuer keys", "good", "EdDSA");
}

#[tokio::test]
async fn the_dashboard_value_that_is_wrong_is_named() {
    let world = World::small().await;
    let provider = own::provider(&world).await;
    let command = own::command(&world, &provider, "");
    let secret = world.home.path().join("provider-secret");
    fs::write(&secret, "another secret").unwrap();
    told(&command).await.needs_fix(
        "provider client",
        &["check client id and secret", "compare"],
    );
    fs::write(&secret, IdentityProvider::CLIENT_SECRET).unwrap();

    let moved = command.clone().env("MCP_HOST", "http://127.0.0.1:9");
    let report = told(&moved).await;
    report.is(
        "redirect URI",
        "warning",
        "exactly http://127.0.0.1:9/callback",
    );
    report.is("provider client", "good", "");

    provider.bend_metadata("issuer", "https://b.test");
    let report = told(&command).await;
    report.needs_fix(
        "provider metadata",
        &["configure it as https://b.test", "issuer"],
    );
    report.is("redirect URI", "not_checked", "");

    provider.break_path(IdentityProvider::METADATA_PATH, ProviderFault::Garbage);
    let report = told(&command).await;
    report.needs_fix("provider metadata", &["reaches it", "nobody can log in"]);
}

#[tokio::test]
async fn how_long_a_previous_key_is_needed_is_said_by_doctor_start_and_log() {
    let world = World::shared().await;
    let provider = IdentityProvider::start().await.unwrap();
    provider.register_redirect(&own::callback(&world));
    let before = own::command(&world, &provider, "");
    let mut server = world.start(&before).await;
    let app = App::register(&world).await;
    let tokens = app.log_in().await;
    server.stop(LIMIT).await.unwrap();
    assert!(!server.text().contains("previous encryption key"));
    // The key is turned.
    let turned = before
        .env("ENCRYPTION_KEYS_PREVIOUS", &world.encryption_key)
        .env("ENCRYPTION_KEY", random_hex(32));
    let server = world.start(&turned).await;
    assert!(
        server
            .text()
            .contains("clients hold what previous encryption keys sealed")
    );
    let needed = "a previous encryption key is still needed";
    assert!(!server.text().contains(needed));
    app.refresh(&tokens).await;
    assert!(server.said(needed, LIMIT).await, "{}", server.text());
    let report = told(&turned).await;
    report.is(
        "encryption keys",
        "good",
        "keep it for 90 days after it was replaced",
    );
}
