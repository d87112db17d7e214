//! Our own authorization server.

use mcp_auth::ClientAuthentication;
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

/// What a host without files says, as the table says it.
const VARIABLES: &[(&str, &str)] = &[
    ("MCP_TRANSPORT", "http"),
    ("MCP_HOST", "https://mcp.test"),
    ("ENCRYPTION_KEY", KEY),
    ("AUTHORIZATION_SERVER_PROVIDER", "entra"),
    (
        "AUTHORIZATION_SERVER_ISSUER",
        "https://login.microsoftonline.com/tenant/v2.0",
    ),
    ("AUTHORIZATION_SERVER_CLIENT_ID", "id"),
    ("AUTHORIZATION_SERVER_CLIENT_SECRET", "hunter2-hunter2"),
    ("AUTHORIZATION_SERVER_SCOPES", "openid offline_access,api"),
    ("AUTHORIZATION_SERVER_PARAMETERS", "prompt=login"),
    ("AUTHORIZATION_SERVER_HOSTS", "keys.test"),
    ("AUTHORIZATION_SERVER_ORGANIZATIONS", "tenant=org_1"),
    ("AUTHORIZATION_SERVER_DYNAMIC_REGISTRATION", "off"),
];

#[test]
fn variables_say_what_the_table_says() {
    let table = "provider = \"entra\"\n\
                 issuer = \"https://login.microsoftonline.com/tenant/v2.0\"\n\
                 scopes = [\"openid\", \"offline_access\", \"api\"]\nparameters = [\"prompt=login\"]\n\
                 hosts = [\"keys.test\"]\norganizations = [\"tenant=org_1\"]\n\
                 dynamic_registration = false\n";
    let own = |loaded| http(loaded).auth.authorization_server.unwrap();
    let (said, written) = (own(load_env(VARIABLES)), own(load_file(&with(table), &[])));
    assert_eq!(format!("{said:?}"), format!("{written:?}"));
    let ClientAuthentication::SecretBasic(secret) = said.provider.authentication else {
        panic!("a secret goes into HTTP Basic");
    };
    assert_eq!(secret.as_str(), "hunter2-hunter2");
}

#[test]
fn a_variable_stands_in_place_of_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "from-the-file\n").unwrap();
    let variables = [
        ("AUTHORIZATION_SERVER_CLIENT_ID", "another"),
        (
            "AUTHORIZATION_SERVER_CLIENT_SECRET_FILE",
            secret.to_str().unwrap(),
        ),
    ];
    let text = with("provider = \"google\"\norganization = \"org_1\"\n");
    let own = http(load_file(&text, &variables)).auth.authorization_server;
    let provider = own.unwrap().provider;
    assert_eq!(provider.client_id, "another");
    let ClientAuthentication::SecretBasic(secret) = provider.authentication else {
        panic!("a secret goes into HTTP Basic");
    };
    assert_eq!(secret.as_str(), "from-the-file");
    let fixed = OrganizationFrom::Fixed("org_1".to_owned());
    assert_eq!(provider.organization, fixed);
}

#[test]
fn what_is_wrong_with_a_variable_is_said_under_its_name() {
    let without = |left_out: &str, more: &[(&'static str, &'static str)]| {
        let rest = VARIABLES.iter().filter(|(name, _)| *name != left_out);
        let all: Vec<_> = rest.chain(more).copied().collect();
        problems(load_env(&all))
    };
    for (left_out, more, setting, fix) in [
        (
            "AUTHORIZATION_SERVER_CLIENT_ID",
            &[][..],
            "AUTHORIZATION_SERVER_CLIENT_ID",
            "id of the client",
        ),
        (
            "AUTHORIZATION_SERVER_CLIENT_SECRET",
            &[],
            "AUTHORIZATION_SERVER_CLIENT_SECRET",
            "AUTHORIZATION_SERVER_CLIENT_KEY_FILE",
        ),
        (
            "AUTHORIZATION_SERVER_HOSTS",
            &[("AUTHORIZATION_SERVER_HOSTS", "*.test")],
            "AUTHORIZATION_SERVER_HOSTS",
            ".example.com for all",
        ),
        (
            "AUTHORIZATION_SERVER_ORGANIZATIONS",
            &[
                ("AUTHORIZATION_SERVER_ORGANIZATION", "org_1"),
                ("AUTHORIZATION_SERVER_ORGANIZATION_CLAIM", "tid"),
            ],
            "AUTHORIZATION_SERVER_ORGANIZATION",
            "keep organization",
        ),
    ] {
        let found = without(left_out, more);
        let told = format!("{setting}: ");
        assert!(
            found.len() == 1 && found[0].starts_with(&told) && found[0].contains(fix),
            "{left_out}: {found:?}"
        );
    }
    // A key of the table is none at the top of the file.
    let found = problems(load_file(
        "authorization_server_client_id = \"id\"\n",
        &[("MCP_TRANSPORT", "stdio")],
    ));
    assert!(found[0].contains("there is no such setting"), "{found:?}");
    let near = load_env(&[("AUTHORIZATION_SERVER_CLIENTID", "id")]).unwrap();
    let warned = near.config.warnings.join("\n");
    assert!(
        warned.contains("did you mean AUTHORIZATION_SERVER_CLIENT_ID?"),
        "{warned}"
    );
}

#[test]
fn every_variable_stands_for_a_key_of_the_table() {
    let keys = crate::config::authorization_server::AUTHORIZATION_SERVER_KEYS;
    let variables = settings::all().filter(|it| it.table.is_some());
    assert!(variables.clone().count() > 10);
    for setting in variables {
        let key = setting.key_in_table();
        let file = format!("{key}_file");
        assert!(
            keys.iter().any(|it| it.key == key || it.key == file),
            "{key}"
        );
    }
}

#[test]
fn a_client_id_may_have_every_printable_character() {
    let table = |id: &str| {
        let clients =
            "[[authorization_server.clients]]\nredirect_uris = [\"https://a.test/cb\"]\nid = ";
        with(&format!("provider = \"github\"\n{clients}'{id}'\n"))
            .replace("\"id\"", &format!("'{id}'"))
    };
    for id in ["client of the provider", "50% + a:b/c?d=e&f~", "{a}|\\^~"] {
        let own = http(load_file(&table(id), &[])).auth.authorization_server;
        let own = own.unwrap();
        assert_eq!((&*own.provider.client_id, &*own.clients[0].id), (id, id));
    }
    for id in ["cliént", "a\tb"] {
        let found = problems(load_file(&table(id), &[]));
        let told = found
            .iter()
            .filter(|it| it.contains("which no client id has"));
        assert_eq!(told.count(), 2, "{found:?}");
    }
}
