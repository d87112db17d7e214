//! The provider behind our own authorization server.

use mcp_test_support::{IdentityProvider, ProviderFault};

use super::*;
use crate::own;

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
