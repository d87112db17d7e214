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

/// A table with a client that works for itself, and an issuer that speaks for users.
fn without_login(service: &str, issuer: &str) -> String {
    with(&format!(
        "provider = \"google\"\n\
         [[authorization_server.clients]]\nid = \"ci\"\nsecret = \"hunter2-of-the-client\"\n\
         [authorization_server.clients.client_credentials]\n{service}\n\
         [[authorization_server.assertion_issuers]]\n{issuer}\n"
    ))
}

const SERVICE: &str = "organization = \"org_1\"\nscopes = [\"a\"]\napi_token = \"hunter2-api\"\n";
const ISSUER: &str =
    "issuer = \"https://idp.test\"\nclients = [\"agent\"]\napi_token = \"hunter2-idp\"\n";

#[test]
fn who_gets_tokens_without_a_login_has_an_organization_and_a_token_of_the_api() {
    let issuer = format!("{ISSUER}organizations = [\"acme=org_2\", \"acme-eu=org_2\"]");
    let text = without_login(SERVICE, &issuer);
    let own = http(load_file(&text, &[]))
        .auth
        .authorization_server
        .unwrap();
    let service = own.clients[0].service.as_ref().unwrap();
    assert_eq!(service.organization, "org_1");
    assert_eq!(
        (service.scopes.as_slice(), service.api_token.as_str()),
        (&["a".to_owned()][..], "hunter2-api")
    );
    let trusted = &own.assertion_issuers[0];
    assert_eq!(
        (trusted.issuer.as_str(), trusted.api_token.as_str()),
        ("https://idp.test", "hunter2-idp")
    );
    let OrganizationFrom::Mapped {
        claim,
        organizations,
    } = &trusted.organization
    else {
        panic!("{:?}", trusted.organization);
    };
    assert_eq!((claim.as_str(), organizations.len()), ("tenant", 2));

    let without = |text: &str, key: &str| {
        let lines = text.lines().filter(|line| !line.starts_with(key));
        lines.fold(String::new(), |kept, line| kept + line + "\n")
    };
    let fixed = format!("{ISSUER}organization = \"org_2\"");
    for (text, setting, fix) in [
        (
            without_login(&without(SERVICE, "api_token"), &fixed),
            "api_token_file of client_credentials of clients[0]",
            "a token of the API",
        ),
        (
            without_login(&without(SERVICE, "organization"), &fixed),
            "organization of client_credentials",
            "works for",
        ),
        (
            without_login(&format!("{SERVICE}scope = \"a\""), &fixed),
            "scope of client_credentials",
            "did you mean scopes?",
        ),
        (
            without_login(SERVICE, &without(&fixed, "api_token")),
            "api_token_file of assertion_issuers[0]",
            "a token of the API",
        ),
        (
            without_login(SERVICE, &without(&fixed, "clients")),
            "clients of assertion_issuers[0]",
            "list the ids",
        ),
        (
            without_login(SERVICE, &without(&fixed, "issuer")),
            "issuer of assertion_issuers[0]",
            "issuer identifier",
        ),
        (
            without_login(SERVICE, ISSUER),
            "organization of assertion_issuers[0]",
            "set organization",
        ),
        (
            without_login(SERVICE, &format!("{ISSUER}organization_claim = \"org_id\"")),
            "organization of assertion_issuers[0]",
            "set organization",
        ),
        (
            with(
                "provider = \"google\"\n[[authorization_server.clients]]\nid = \"ci\"\njwks = '{\"keys\": []}'\n",
            ),
            "jwks of clients[0]",
            "JWK set",
        ),
    ] {
        let found = problems(load_file(&text, &[]));
        assert!(
            found[0].contains(setting) && found[0].contains(fix),
            "{text}\n{found:?}"
        );
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn its_secret_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("braingrid-mcp.toml");
    let issuer = format!("{ISSUER}organization = \"org_2\"");
    std::fs::write(&file, without_login(SERVICE, &issuer)).unwrap();
    let loaded = load(&Flags::new(), &around_file(&file, &[])).unwrap();
    let shown = effective_text(&loaded.effective);
    assert!(
        shown.contains("authorization_server") && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(!format!("{:?}", loaded.config).contains("hunter2"));
}
