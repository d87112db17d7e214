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
        other => panic!("{other:?}"),
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
        other => panic!("{other:?}"),
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
        (
            EXCHANGE.to_owned(),
            "client_secret",
            "client_secret_file or client_key_file",
        ),
        (
            format!("{full}\nclient_key_file = \"key.pem\""),
            "client_key",
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
    for loaded in [loaded, load_variables(&[]).unwrap()] {
        let printed = format!(
            "{loaded:?} {} {}",
            effective_json(&loaded.effective),
            effective_text(&loaded.effective)
        );
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

/// Variables of an exchange that lacks nothing.
const EXCHANGE_VARIABLES: &[(&str, &str)] = &[
    ("MCP_TRANSPORT", "http"),
    ("OAUTH_ISSUER", "https://one.example.com"),
    ("UPSTREAM_MODE", "exchange"),
    ("UPSTREAM_AUDIENCE", "https://api.test"),
    ("UPSTREAM_CLIENT_ID", "mcp"),
    ("UPSTREAM_CLIENT_SECRET", "hunter2"),
];

/// Those with some set otherwise; an empty one counts as not set.
fn load_variables(changed: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let all = EXCHANGE_VARIABLES.iter().chain(changed);
    load_env(&all.copied().collect::<Vec<_>>())
}

fn exchange_by_variables(changed: &[(&str, &str)]) -> mcp_auth::ExchangeConfig {
    match upstream_of(load_variables(changed)) {
        UpstreamSettings::Exchange(config) => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn variables_say_what_the_table_says() {
    let secret = format!("{EXCHANGE}client_secret = \"hunter2\"");
    let by_table = exchange_of("", &secret);
    assert_eq!(
        format!("{by_table:?}"),
        format!("{:?}", exchange_by_variables(&[]))
    );
    for preset in ["workos", "entra", "okta"] {
        let by_table = exchange_of(&format!("preset = \"{preset}\""), &secret);
        let by_variables = exchange_by_variables(&[("OAUTH_PRESET", preset)]);
        assert_eq!(
            format!("{by_table:?}"),
            format!("{by_variables:?}"),
            "{preset}"
        );
    }
    let key = SigningKey::generate(Algorithm::EdDsa).private_pem();
    let scopes = [
        ("UPSTREAM_SCOPES", "read write"),
        ("UPSTREAM_CLIENT_SECRET", ""),
    ];
    let chosen = [scopes[0], scopes[1], ("UPSTREAM_CLIENT_KEY", key.as_ref())];
    let by_key = exchange_by_variables(&chosen);
    assert_eq!(by_key.scopes, ["read", "write"]);
    assert!(matches!(
        by_key.authentication,
        ClientAuthentication::PrivateKeyJwt(_)
    ));
}

#[test]
fn the_issuer_of_workos_needs_no_preset_to_spell_its_exchange() {
    let old_name = [
        ("OAUTH_ISSUER", ""),
        ("WORKOS_ISSUER", "https://one.example.com"),
    ];
    let config = exchange_by_variables(&old_name);
    assert_eq!(config.resource.as_deref(), Some("https://api.test"));
    assert!(matches!(
        config.authentication,
        ClientAuthentication::SecretPost(_)
    ));
}

#[test]
fn a_preset_in_a_variable_reads_the_tokens_too() {
    let issuers = http(load_variables(&[("OAUTH_PRESET", "entra")]))
        .auth
        .issuers;
    assert_eq!(issuers[0].accepted.organization_claim, "tid");
}

#[test]
fn variables_that_contradict_each_other_are_told_with_the_fix() {
    let own = "http://127.0.0.1:8080/mcp";
    for (changed, start, fix) in [
        (
            &[("UPSTREAM_MODE", "")][..],
            "UPSTREAM_MODE: it is missing",
            "set it to exchange",
        ),
        (
            &[("UPSTREAM_MODE", "swap")],
            "UPSTREAM_MODE: ",
            "use exchange or same-audience",
        ),
        (
            &[("UPSTREAM_CLIENT_ID", "")],
            "UPSTREAM_CLIENT_ID: ",
            "may exchange tokens",
        ),
        (
            &[("UPSTREAM_CLIENT_SECRET", "")],
            "UPSTREAM_CLIENT_SECRET: ",
            "UPSTREAM_CLIENT_SECRET_FILE or UPSTREAM_CLIENT_KEY_FILE",
        ),
        (
            &[("UPSTREAM_AUDIENCE", "")],
            "UPSTREAM_AUDIENCE: nothing names the API",
            "set UPSTREAM_AUDIENCE or UPSTREAM_RESOURCE",
        ),
        (
            &[("UPSTREAM_MODE", "same-audience")],
            "UPSTREAM_CLIENT_SECRET: it goes with exchange",
            "set UPSTREAM_MODE to exchange",
        ),
        (
            &[("UPSTREAM_AUDIENCE", own)],
            "UPSTREAM_AUDIENCE: ",
            "name the BrainGrid API",
        ),
        (
            &[("UPSTREAM_AUDIENCE", ""), ("UPSTREAM_RESOURCE", own)],
            "UPSTREAM_RESOURCE: ",
            "name the BrainGrid API",
        ),
        (
            &[("UPSTREAM_CLIENT_KEY", "hunter2")],
            "UPSTREAM_CLIENT_KEY: ",
            "openssl",
        ),
        (
            &[("UPSTREAM_CLIENT_KEY_ID", "k")],
            "UPSTREAM_CLIENT_KEY_ID: ",
            "set UPSTREAM_CLIENT_KEY_FILE",
        ),
    ] {
        let found = problems(load_variables(changed));
        let told = |line: &String| line.starts_with(start) && line.contains(fix);
        assert!(
            found.iter().any(told),
            "{changed:?}: {start} … {fix} in {found:#?}"
        );
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn variables_for_one_issuer_say_nothing_about_the_entries_of_the_file() {
    let secret = format!("{EXCHANGE}client_secret = \"hunter2\"");
    let beside = [("UPSTREAM_CLIENT_ID", "other"), ("OAUTH_PRESET", "okta")];
    let found = problems(load_upstream("", &secret, &beside));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("set preset in"), "{found:#?}");
    assert!(
        found[1].contains("set client_id of [issuers.upstream]"),
        "{found:#?}"
    );
    // Who says what holds instead may replace them.
    let instead = load_upstream("", &secret, EXCHANGE_VARIABLES);
    assert!(
        matches!(upstream_of(instead), UpstreamSettings::Exchange(config) if config.client_id == "mcp")
    );
}

#[test]
fn same_audience_may_be_chosen_by_variable() {
    let nothing = [("UPSTREAM_CLIENT_ID", ""), ("UPSTREAM_CLIENT_SECRET", "")];
    let chosen = [("UPSTREAM_MODE", "same-audience"), nothing[0], nothing[1]];
    let chosen = load_variables(&chosen).unwrap();
    assert_eq!(chosen.config.warnings, Vec::<String>::new());
    assert!(
        matches!(upstream_of(Ok(chosen)), UpstreamSettings::SameAudience(it) if it == "https://api.test")
    );
}

/// The callers' tokens would go to a service that they do not name.
#[test]
fn a_token_that_names_this_server_only_is_not_silently_good_for_another_origin() {
    const OWN: &str = "https://mcp.test/mcp";
    for (audience, api, warned) in [
        (OWN, "https://api.test", true),
        (OWN, "https://mcp.test:8443/api", true),
        (OWN, "https://mcp.test/api/v1", false),
        (OWN, "https://mcp.test:443", false),
        ("https://api.test", "https://api.test", false),
    ] {
        let environment = [
            ("MCP_HOST", "https://mcp.test"),
            ("UPSTREAM_AUDIENCE", audience),
            ("BRAINGRID_API_URL", api),
        ];
        let warnings = load_http(&environment).unwrap().config.warnings;
        let told = warnings.iter().any(|it| it.contains("own resource"));
        assert_eq!(told, warned, "{audience} and {api}: {warnings:?}");
    }
}
