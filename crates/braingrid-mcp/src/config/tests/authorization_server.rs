//! Our own authorization server.

use mcp_authorization_server::OrganizationFrom;

use super::*;

const HEAD: &str = "transport = \"http\"\npublic_url = \"https://mcp.test\"\n";
const CLIENT: &str = "client_id = \"id\"\nclient_secret = \"hunter2-hunter2\"\n";

fn key() -> String {
    format!("encryption_key = \"{KEY}\"\n")
}

fn with(table: &str) -> String {
    format!("{HEAD}{}[authorization_server]\n{CLIENT}{table}", key())
}

#[test]
fn with_it_this_server_is_the_issuer() {
    let table =
        "provider = \"google\"\norganizations = [\"acme.test=org_1\"]\ngrant_lifetime = \"30d\"\n";
    let auth = http(load_file(&with(table), &[])).auth;
    assert_eq!(auth.issuers.len(), 1);
    assert_eq!(auth.issuers[0].accepted.issuer, "https://mcp.test");
    assert!(matches!(
        auth.issuers[0].upstream,
        Some(UpstreamSettings::Granted)
    ));
    let own = auth.authorization_server.unwrap();
    assert_eq!(own.grant_lifetime, Some(Duration::from_hours(30 * 24)));
    assert!(
        own.provider
            .parameters
            .contains(&("access_type".to_owned(), "offline".to_owned()))
    );
    let OrganizationFrom::Mapped {
        claim,
        organizations,
    } = own.provider.organization
    else {
        panic!("the domain stands for an organization");
    };
    assert_eq!(
        (claim.as_str(), organizations["acme.test"].as_str()),
        ("hd", "org_1")
    );

    let others = format!(
        "{}[[issuers]]\nissuer = \"https://other.test\"\n[issuers.upstream]\nmode = \"same-audience\"\naudience = \"api\"\n",
        with("provider = \"github\"\n")
    );
    let issuers = http(load_file(&others, &[])).auth.issuers;
    let names: Vec<_> = issuers
        .iter()
        .map(|it| it.accepted.issuer.as_str())
        .collect();
    assert_eq!(names, ["https://mcp.test", "https://other.test"]);
}

#[test]
fn what_cannot_work_is_said_with_the_fix() {
    for (text, setting, fix) in [
        (
            with(""),
            "issuer of authorization_server",
            "set provider, issuer",
        ),
        (
            with("provider = \"gogle\"\n"),
            "provider of authorization_server",
            "google",
        ),
        (
            with("provider = \"entra\"\n"),
            "issuer of authorization_server",
            "set issuer",
        ),
        (
            with("provider = \"google\"\nisuer = \"https://x.test\"\n"),
            "isuer",
            "did you mean issuer?",
        ),
        (
            with("token_endpoint = \"https://x.test/token\"\n"),
            "authorization_endpoint of authorization_server",
            "set authorization_endpoint, token_endpoint and userinfo_endpoint",
        ),
        (
            with(
                "provider = \"google\"\norganization = \"org_1\"\nemail_domains = [\"a.test=org_2\"]\n",
            ),
            "organization of authorization_server",
            "keep organization",
        ),
        (
            with("provider = \"google\"\nparameters = [\"prompt\"]\n"),
            "parameters of authorization_server",
            "equals sign",
        ),
        (
            with("provider = \"google\"\n[[authorization_server.clients]]\nname = \"x\"\n"),
            "id of clients[0]",
            "id that the client sends",
        ),
    ] {
        let found = problems(load_file(&text, &[]));
        assert!(
            found
                .iter()
                .any(|it| it.contains(setting) && it.contains(fix)),
            "{text}\n{found:?}"
        );
        assert!(found.iter().all(|it| !it.contains("hunter2")), "{found:?}");
    }
    let no_key = format!("{HEAD}[authorization_server]\n{CLIENT}provider = \"google\"\n");
    let found = problems(load_file(&no_key, &[]));
    assert!(
        found.len() == 1 && found[0].starts_with("ENCRYPTION_KEY: "),
        "{found:?}"
    );
    let found = problems(load_file(
        &with("provider = \"google\"\n"),
        &[("OAUTH_ISSUER", "https://x.test")],
    ));
    assert!(
        found.len() == 1 && found[0].starts_with("OAUTH_ISSUER: "),
        "{found:?}"
    );
}

#[test]
fn its_secret_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("braingrid-mcp.toml");
    std::fs::write(&file, with("provider = \"google\"\n")).unwrap();
    let loaded = load(&Flags::new(), &around_file(&file, &[])).unwrap();
    let shown = effective_text(&loaded.effective);
    assert!(
        shown.contains("authorization_server") && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(!format!("{:?}", loaded.config).contains("hunter2"));
}
