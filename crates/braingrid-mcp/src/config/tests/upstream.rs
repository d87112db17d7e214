//! What the API is called with for the users of an issuer.

use mcp_auth::{AssertionAudience, ClientAuthentication, ExchangeGrant};

use mcp_test_support::{Algorithm, SigningKey};

use super::*;

/// An issuer with these keys and these of its table `upstream`, in a folder with a secret and a key.
fn load_upstream(
    issuer: &str,
    upstream: &str,
    environment: &[(&str, &str)],
) -> Result<Loaded, Problems> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("secret"), "hunter2\n").unwrap();
    std::fs::write(path("broken.pem"), "hunter2").unwrap();
    let key = SigningKey::generate(Algorithm::EdDsa);
    std::fs::write(path("key.pem"), key.private_pem()).unwrap();
    let toml = format!(
        "transport = \"http\"\n[[issuers]]\nissuer = \"https://one.example.com\"\n{issuer}\n\
         [issuers.upstream]\n{upstream}\n"
    );
    std::fs::write(path("other.toml"), toml).unwrap();
    load(
        &Flags::new(),
        &around_file(&path("other.toml"), environment),
    )
}

const EXCHANGE: &str =
    "mode = \"exchange\"\nclient_id = \"mcp\"\naudience = \"https://api.test\"\n";

fn upstream_of(loaded: Result<Loaded, Problems>) -> UpstreamSettings {
    http(loaded).auth.issuers.remove(0).upstream.unwrap()
}

fn exchange_of(issuer: &str, upstream: &str) -> mcp_auth::ExchangeConfig {
    match upstream_of(load_upstream(issuer, upstream, &[])) {
        UpstreamSettings::Exchange(config) => config,
        UpstreamSettings::SameAudience(audience) => panic!("{audience}"),
    }
}

#[test]
fn tokens_may_be_exchanged_by_a_client_with_a_secret_or_a_key() {
    let secret = format!("{EXCHANGE}client_secret_file = \"secret\"");
    let config = exchange_of("", &format!("{secret}\nscopes = [\"read\", \"write\"]"));
    assert_eq!(config.issuer, "https://one.example.com");
    assert_eq!(config.client_id, "mcp");
    assert_eq!(config.audience.as_deref(), Some("https://api.test"));
    assert_eq!(
        (config.resource, config.scopes),
        (None, vec!["read".to_owned(), "write".to_owned()])
    );
    let ClientAuthentication::SecretBasic(secret_read) = config.authentication else {
        panic!("a secret goes into HTTP Basic");
    };
    assert_eq!(secret_read.as_str(), "hunter2");
    let posted = format!("{secret}\nclient_authentication = \"client_secret_post\"");
    let posted = exchange_of("", &posted).authentication;
    assert!(matches!(posted, ClientAuthentication::SecretPost(_)));
    let key = format!("{EXCHANGE}client_key_file = \"key.pem\"\nclient_key_id = \"k1\"");
    let key = exchange_of("", &key).authentication;
    assert!(matches!(key, ClientAuthentication::PrivateKeyJwt(_)));
}

#[test]
fn a_preset_spells_the_exchange() {
    let secret = format!("{EXCHANGE}client_secret = \"hunter2\"");
    let workos = exchange_of("preset = \"workos\"", &secret);
    assert_eq!(workos.resource.as_deref(), Some("https://api.test"));
    assert!(matches!(
        workos.authentication,
        ClientAuthentication::SecretPost(_)
    ));
    let entra = exchange_of("preset = \"entra\"", &secret);
    assert_eq!(entra.grant, ExchangeGrant::OnBehalfOf);
    assert_eq!(entra.scopes, ["https://api.test/.default"]);
    let okta = exchange_of("preset = \"okta\"", &secret);
    assert_eq!(okta.assertion_audience, AssertionAudience::TokenEndpoint);
}

#[test]
fn same_audience_is_a_mode_too_and_upstream_audience_fills_what_is_left() {
    let shared = "mode = \"same-audience\"\naudience = \"api\"";
    let audience = |settings| match settings {
        UpstreamSettings::SameAudience(audience) => audience,
        UpstreamSettings::Exchange(_) => panic!("nothing is exchanged"),
    };
    let chosen = load_upstream("", shared, &[("UPSTREAM_AUDIENCE", "other")]).unwrap();
    let told = |warning: &String| warning.contains("UPSTREAM_AUDIENCE is without effect");
    assert!(chosen.config.warnings.iter().any(told));
    assert_eq!(audience(upstream_of(Ok(chosen))), "api");
    let http = http(load_http(&[]));
    let upstream = http.auth.issuers[0].upstream.clone().unwrap();
    assert_eq!(audience(upstream), "https://api.example.com");
    let two = format!(
        "upstream_audience = \"rest\"\n[[issuers]]\nissuer = \"https://two.test\"\n\
        [[issuers]]\nissuer = \"https://one.test\"\n[issuers.upstream]\n{shared}"
    );
    let issuers = super::http(load_file(&two, &[("MCP_TRANSPORT", "http")]))
        .auth
        .issuers;
    let audiences = issuers.into_iter().map(|it| audience(it.upstream.unwrap()));
    assert_eq!(audiences.collect::<Vec<_>>(), ["rest", "api"]);
}

#[test]
fn what_cannot_be_exchanged_is_told_with_the_fix() {
    let secret = "client_secret = \"hunter2\"";
    let full = format!("{EXCHANGE}{secret}");
    for (upstream, key, fix) in [
        (String::new(), "mode", "set it to exchange"),
        ("mode = \"passthrough\"".to_owned(), "mode", "use exchange"),
        (
            "mode = \"same-audience\"".to_owned(),
            "audience",
            "the audience that the API accepts",
        ),
        (
            format!("mode = \"same-audience\"\naudience = \"x\"\n{secret}"),
            "client_secret",
            "remove it",
        ),
        (
            full.replace("client_id = \"mcp\"", ""),
            "client_id",
            "may exchange tokens",
        ),
        (
            full.replace("audience", "audiense"),
            "audience",
            "set audience or resource",
        ),
        (EXCHANGE.to_owned(), "client_secret_file", "client_key_file"),
        (
            format!("{full}\nclient_key_file = \"key.pem\""),
            "client_key_file",
            "keep one",
        ),
        (
            format!("{full}\nclient_secret_file = \"secret\""),
            "client_secret_file",
            "keep one",
        ),
        (
            format!("{full}\nclient_key_id = \"k\""),
            "client_key_id",
            "set client_key_file",
        ),
        (
            format!("{full}\nclient_authentication = \"private_key_jwt\""),
            "client_authentication",
            "goes with",
        ),
        (
            format!("{full}\nclient_authentication = \"none\""),
            "client_authentication",
            "client_secret_basic",
        ),
        (
            format!("{EXCHANGE}client_key_file = \"broken.pem\""),
            "client_key_file",
            "openssl",
        ),
        (
            format!("{full}\ntoken_endpoint = \"http://one.example.com/t\""),
            "token_endpoint",
            "https",
        ),
    ] {
        let found = problems(load_upstream("", &upstream, &[]));
        let start = format!("{key} of upstream of issuers[0] in ");
        let told = |line: &String| line.starts_with(&start) && line.contains(fix);
        assert!(
            found.iter().any(told),
            "{upstream}: {start} … {fix} in {found:#?}"
        );
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
    let no_table = problems(load_file(
        "[[issuers]]\nissuer = \"https://a.test\"\nupstream = 7",
        &[("MCP_TRANSPORT", "http")],
    ));
    assert!(
        no_table.iter().any(|line| line.contains("it is no table")),
        "{no_table:?}"
    );
}

/// Tokens that were to be exchanged would be sent on, and nobody would see it.
#[test]
fn an_issuer_in_the_environment_does_not_silently_replace_a_table_that_exchanges() {
    let secret = format!("{EXCHANGE}client_secret = \"hunter2\"");
    let environment = [
        ("OAUTH_ISSUER", "https://two.example.com"),
        ("UPSTREAM_AUDIENCE", "https://api.test"),
    ];
    let found = problems(load_upstream("", &secret, &environment));
    let told = |line: &String| line.contains("OAUTH_ISSUER") && line.contains("[issuers.upstream]");
    assert!(found.iter().any(told), "{found:#?}");
}

#[test]
fn no_secret_of_an_exchange_is_printed() {
    let secret = format!("{EXCHANGE}client_secret = \"hunter2\"");
    let loaded = load_upstream("", &secret, &[]).unwrap();
    let printed = format!(
        "{loaded:?} {} {}",
        effective_json(&loaded.effective),
        effective_text(&loaded.effective)
    );
    assert!(!printed.contains("hunter2"), "{printed}");
}
