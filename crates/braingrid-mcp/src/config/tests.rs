//! What the settings promise, by loading them.

mod edges;
mod effects;
mod places;
mod secrets;

use super::*;
use secrecy::ExposeSecret;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

const KEY: &str = "4f0c9a5d1e7b8832a6c4d9e0f1b2736455aa90cc17de3f28b6419e70d5c8a3f1";
const OLD_KEY: &str = "90cc17de3f28b6419e70d5c8a3f14f0c9a5d1e7b8832a6c4d9e0f1b2736455aa";
const REDIS: &str = "redis://worker:hunter2@cache.internal:6379/0";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl";

/// A working directory without a configuration file.
static EMPTY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// Names and values.
type Given = &'static [(&'static str, &'static str)];

fn around(directory: &Path, environment: &[(&str, &str)]) -> Surroundings {
    let variable = |(name, value): &(&str, &str)| {
        (
            (*name).to_owned(),
            Ok(SecretString::from((*value).to_owned())),
        )
    };
    Surroundings {
        environment: Environment(environment.iter().map(variable).collect()),
        directory: directory.to_owned(),
    }
}

/// The same with a configuration file that is named.
fn around_file(file: &Path, environment: &[(&str, &str)]) -> Surroundings {
    let mut environment = environment.to_vec();
    environment.push(("BRAINGRID_CONFIG", file.to_str().unwrap()));
    around(EMPTY.path(), &environment)
}

fn flags(given: &[(&'static str, &str)]) -> Flags {
    given
        .iter()
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect()
}

/// Loads with variables alone.
fn load_env(environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
    load(&Flags::new(), &around(EMPTY.path(), environment))
}

/// Loads a server for HTTP with what it needs and a few more variables.
fn load_http(environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let needed = [
        ("MCP_TRANSPORT", "http"),
        ("UPSTREAM_AUDIENCE", "https://api.example.com"),
    ];
    let environment: Vec<_> = needed.iter().chain(environment).copied().collect();
    load_env(&environment)
}

/// Loads a configuration file with a few variables.
fn load_file(toml: &str, environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("braingrid-mcp.toml");
    std::fs::write(&file, toml).unwrap();
    load(&Flags::new(), &around_file(&file, environment))
}

fn http(loaded: Result<Loaded, Problems>) -> HttpSettings {
    match loaded.unwrap().config.serve {
        Serve::Http(http) => *http,
        Serve::Stdio(_) => panic!("stdio was chosen"),
    }
}

/// The problems, one line each.
fn problems(loaded: Result<Loaded, Problems>) -> Vec<String> {
    let line = |problem: &problem::Problem| {
        format!("{}: {} | {}", problem.setting, problem.what, problem.fix)
    };
    loaded.unwrap_err().0.iter().map(line).collect()
}

#[test]
fn nothing_set_is_a_local_server() {
    let config = load_env(&[]).unwrap().config;
    let Serve::Stdio(stdio) = config.serve else {
        panic!("http was chosen")
    };
    assert!(stdio.token.is_none() && stdio.organization.is_none());
    assert_eq!(config.api.base_url.as_str(), "https://app.braingrid.ai/");
    assert_eq!(
        (config.log.level, config.log.filter, config.log.format),
        ("info", None, None)
    );
    assert!(config.telemetry.traces_endpoint.is_none());
    assert!(!config.tools.read_only && !config.tools.experimental);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn a_login_is_kept_in_the_users_own_folder_unless_told_otherwise() {
    let login = |environment: &[(&str, &str)]| match load_env(environment).unwrap().config.serve {
        Serve::Stdio(stdio) => stdio.login,
        Serve::Http(_) => panic!("http was chosen"),
    };
    let nothing = login(&[]);
    assert_eq!(nothing.issuer, "https://auth.braingrid.ai");
    assert_eq!(
        nothing.scopes,
        ["openid", "profile", "email", "offline_access"]
    );
    assert!(nothing.client_id.is_none() && nothing.resource.is_none());
    assert_eq!(nothing.directory, None, "nobody is at home");
    assert_eq!(login(&[("HOME", "relative")]).directory, None);
    let chosen = login(&[("HOME", "/home/ada"), ("BRAINGRID_LOGIN_DIR", "/elsewhere")]);
    assert_eq!(chosen.directory.as_deref(), Some(Path::new("/elsewhere")));
    #[cfg(target_os = "linux")]
    for (environment, folder) in [
        (&[("HOME", "/home/ada")][..], "/home/ada/.config"),
        (
            &[("HOME", "/home/ada"), ("XDG_CONFIG_HOME", "/cfg")],
            "/cfg",
        ),
    ] {
        let expected = Path::new(folder).join("braingrid-mcp");
        assert_eq!(login(environment).directory, Some(expected));
    }
}

#[test]
fn the_defaults_of_a_hosted_server() {
    let http = http(load_http(&[]));
    assert_eq!(http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(http.public_url_at(8080), "http://127.0.0.1:8080");
    assert_eq!(http.drain_timeout, Duration::from_secs(8));
    assert_eq!(http.auth.leeway, Duration::from_secs(90));
    assert_eq!(http.auth.issuers.len(), 1);
    assert_eq!(http.auth.issuers[0].issuer, "https://auth.braingrid.ai");
    assert_eq!(http.session.max_lifetime, Duration::from_hours(168));
    assert!(http.session.redis_url.is_none() && http.session.keys.is_none());
}

#[test]
fn flags_over_environment_over_file_over_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("braingrid-mcp.toml");
    let port = |toml: &str, environment: Given, given: Given| {
        std::fs::write(&file, toml).unwrap();
        let mut environment = environment.to_vec();
        environment.extend([("MCP_TRANSPORT", "http"), ("UPSTREAM_AUDIENCE", "api")]);
        http(load(&flags(given), &around_file(&file, &environment)))
            .listen
            .port()
    };
    let cases: [(&str, Given, Given, u16); 7] = [
        ("", &[], &[], 8080),
        ("port = 1", &[], &[], 1),
        ("port = \"1\"", &[], &[], 1),
        ("port = 1", &[("PORT", "2")], &[], 2),
        ("port = 1", &[("PORT", "")], &[], 1),
        ("port = 1", &[("PORT", "2")], &[("port", "3")], 3),
        ("port = 1", &[], &[("port", "3")], 3),
    ];
    for (toml, environment, given, expected) in cases {
        assert_eq!(
            port(toml, environment, given),
            expected,
            "{toml} {environment:?} {given:?}"
        );
    }
}

#[test]
fn every_setting_can_be_set_in_the_file() {
    let toml = format!(
        r#"
        transport = "Streamable-HTTP"
        environment = "staging"
        port = 0
        bind = "::"
        public_url = "https://MCP.example.com:443/"
        allowed_origins = ["https://inspector.example.com/"]
        drain_timeout = "1m"
        oauth_issuer = "https://auth.example.com/"
        oauth_jwks_uri = "https://auth.example.com/keys"
        workos_client_id = "client_1"
        oauth_leeway = 30
        upstream_audience = "https://api.example.com"
        redis_url = "{REDIS}"
        encryption_key = "{KEY}"
        encryption_keys_previous = ["{OLD_KEY}"]
        session_cache_ttl = "7d"
        api_url = "http://localhost:9999/base"
        read_only = true
        tools = ["get_profile", "list_projects"]
        exclude_tools = "list_projects"
        experimental = false
        log_level = "DEBUG"
        log_filter = "info,mcp_session=debug"
        log_format = "json"
        otlp_endpoint = "http://collector:4318/"
        "#
    );
    let config = load_file(&toml, &[]).unwrap().config;
    let Serve::Http(http) = config.serve else {
        panic!("stdio was chosen")
    };
    assert_eq!(http.listen.to_string(), "[::]:0");
    assert_eq!(http.public_url_at(1), "https://mcp.example.com");
    assert_eq!(http.allowed_origins, ["https://inspector.example.com"]);
    assert_eq!(http.drain_timeout, Duration::from_mins(1));
    let issuer = &http.auth.issuers[0];
    assert_eq!(
        issuer.issuer, "https://auth.example.com/",
        "an issuer stays as it is written"
    );
    assert_eq!(
        issuer.jwks_uri.as_deref(),
        Some("https://auth.example.com/keys")
    );
    assert_eq!(issuer.audiences, ["client_1"]);
    assert_eq!(http.auth.leeway, Duration::from_secs(30));
    assert_eq!(http.session.redis_url.unwrap().expose_secret(), REDIS);
    let keys = http.session.keys.unwrap();
    assert_eq!(
        (keys.current[0], keys.current[31], keys.previous.len()),
        (0x4f, 0xf1, 1)
    );
    assert_eq!(config.api.base_url.as_str(), "http://localhost:9999/base");
    assert!(config.tools.read_only);
    assert_eq!(config.tools.tools, ["get_profile", "list_projects"]);
    assert_eq!(config.tools.exclude_tools, ["list_projects"]);
    assert_eq!(
        (config.log.level, config.log.format),
        ("debug", Some(LogFormat::Json))
    );
    assert_eq!(config.log.filter.as_deref(), Some("info,mcp_session=debug"));
    let metrics = config.telemetry.metrics_endpoint.unwrap();
    assert_eq!(metrics.as_str(), "http://collector:4318/v1/metrics");
    let traces = config.telemetry.traces_endpoint.unwrap();
    assert_eq!(traces.as_str(), "http://collector:4318/v1/traces");
    assert_eq!(config.telemetry.environment, "staging");
}

#[test]
fn everything_wrong_is_reported_at_once_each_with_its_fix() {
    let toml = r#"
        transport = "http"
        prot = 8080
        bind = "everywhere"
        log_format = ["json"]
        [section]
        port = 1
    "#;
    let environment = [
        ("PORT", "70000"),
        ("MCP_HOST", "https://mcp.example.com/?a=b"),
        ("DRAIN_TIMEOUT", "soon"),
        (
            "ALLOWED_ORIGINS",
            "*,https://ok.example.com,ftp://no.example.com",
        ),
        ("ALLOWED_HOSTS", "https://mcp.example.com"),
        (
            "TOOL_SCOPES",
            "read=a b,read,no_such_tool=a,write=offline_access",
        ),
        ("SCOPE_HIERARCHY", "a="),
        ("REDIS_URL", REDIS),
        ("LOG_LEVEL", "inof"),
        ("BRAINGRID_API_URL", "http://api.example.com"),
        ("BRAINGRID_READ_ONLY", "maybe"),
    ];
    let found = problems(load_file(toml, &environment));
    let expected = [
        ("prot in ", "did you mean port?"),
        ("section in ", "config --docs"),
        ("bind in ", "0.0.0.0"),
        ("log_format in ", "one text"),
        ("PORT: \"70000\"", "0 to 65535"),
        ("MCP_HOST: ", "from ? or # on"),
        ("DRAIN_TIMEOUT: \"soon\"", "5m"),
        ("ALLOWED_ORIGINS: \"*\"", "name each origin"),
        ("ALLOWED_ORIGINS: \"ftp://", "https://"),
        (
            "UPSTREAM_AUDIENCE: it is not set",
            "the BrainGrid API accepts",
        ),
        ("ALLOWED_HOSTS: \"https://", "without https://"),
        ("TOOL_SCOPES: \"read\" has no =", "NAME=SCOPE"),
        ("TOOL_SCOPES: \"no_such_tool\"", "tool list"),
        ("TOOL_SCOPES: offline_access", "leave it out"),
        ("SCOPE_HIERARCHY: \"a=\"", "at least one scope"),
        ("ENCRYPTION_KEY: it is not set", "openssl rand -hex 32"),
        ("LOG_LEVEL: \"inof\"", "RUST_LOG"),
        ("BRAINGRID_API_URL: ", "https"),
        ("BRAINGRID_READ_ONLY: \"maybe\"", "true or false"),
    ];
    for (start, fix) in expected {
        let told = |line: &String| line.starts_with(start) && line.contains(fix);
        assert!(found.iter().any(told), "{start} … {fix} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    // What this server's own audience is, nobody knows where MCP_HOST cannot be read.
    let ours = "127.0.0.1:8080/mcp";
    assert!(!found.iter().any(|line| line.contains(ours)), "{found:#?}");
    let unset = problems(load_file("", &[("MCP_TRANSPORT", "http")]));
    assert!(unset.iter().any(|line| line.contains(ours)), "{unset:#?}");
}

#[test]
fn a_public_url_is_an_origin_and_perhaps_a_path() {
    let good = [
        ("https://mcp.example.com", "https://mcp.example.com"),
        ("https://mcp.example.com/", "https://mcp.example.com"),
        (
            "https://mcp.example.com:8443",
            "https://mcp.example.com:8443",
        ),
        ("https://mcp.example.com/mcp", "https://mcp.example.com"),
        (
            "https://Example.com:443/tools/",
            "https://example.com/tools",
        ),
        (
            "https://example.com/tools/mcp/",
            "https://example.com/tools",
        ),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://example.com/tools/", "https://example.com/tools"),
        ("HTTPS://Example.com:443/Tools", "https://example.com/Tools"),
    ];
    for (given, expected) in good {
        assert_eq!(parse::public_url(given).unwrap(), expected, "{given}");
    }
    let bad = [
        "mcp.example.com",
        "http://mcp.example.com",
        "https://mcp.example.com/a//b",
        "https://mcp.example.com/a%20b",
        "https://mcp.example.com/?a=b",
        "https://mcp.example.com/#a",
        "https://user:hunter2@mcp.example.com",
        "ftp://mcp.example.com",
        "",
    ];
    for given in bad {
        let refusal = parse::public_url(given).unwrap_err();
        assert!(!format!("{refusal:?}").contains("hunter2"), "{refusal:?}");
    }
}

#[test]
fn tools_are_known_under_each_of_their_names() {
    let tools = |names| {
        load_env(&[("BRAINGRID_TOOLS", names)])
            .unwrap()
            .config
            .tools
            .tools
    };
    assert_eq!(
        tools("get_project, create_project_requirement"),
        ["get_project", "create_requirement"]
    );
    let found = problems(load_env(&[("BRAINGRID_EXCLUDE_TOOLS", "get_projct")]));
    assert!(
        found[0].starts_with("BRAINGRID_EXCLUDE_TOOLS: \"get_projct\""),
        "{found:?}"
    );
}

#[test]
fn transports_and_durations_have_their_spellings() {
    for name in [
        "http",
        "HTTP",
        "httpStream",
        "HTTPSTREAM",
        "streamable-http",
    ] {
        assert_eq!(parse::transport(name).unwrap(), Transport::Http, "{name}");
    }
    assert!(parse::transport("sse").is_err());
    let durations = [
        ("0", 0),
        ("90", 90),
        ("10s", 10),
        ("5m", 300),
        ("2h", 7_200),
        ("7d", 604_800),
    ];
    for (text, seconds) in durations {
        assert_eq!(
            parse::duration(text).unwrap(),
            Duration::from_secs(seconds),
            "{text}"
        );
    }
    for text in [
        "",
        "s",
        "-1",
        "1.5",
        "1w",
        "99999999999999999999",
        "9999999999999999999d",
    ] {
        assert!(parse::duration(text).is_err(), "{text}");
    }
}

#[test]
fn several_issuers_from_the_file_or_one_from_the_environment() {
    let toml = r#"
        transport = "http"
        upstream_audience = "api"
        [[issuers]]
        issuer = "https://one.example.com"
        audiences = ["extra"]
        algorithms = ["ES256"]
        organization_claim = "tenant"
        organization_required = false
        [[issuers]]
        issuer = "https://two.example.com"
        jwks_uri = "https://two.example.com/keys"
    "#;
    let issuers = http(load_file(toml, &[])).auth.issuers;
    assert_eq!(issuers.len(), 2);
    assert_eq!(issuers[0].audiences, ["extra"]);
    assert_eq!(issuers[0].algorithms, ["ES256"]);
    assert_eq!(issuers[0].organization_claim, "tenant");
    assert!(!issuers[0].organization_required && issuers[1].organization_required);
    assert_eq!(
        issuers[1].jwks_uri.as_deref(),
        Some("https://two.example.com/keys")
    );

    let issuers = http(load_file(
        toml,
        &[("WORKOS_ISSUER", "https://env.example.com")],
    ))
    .auth
    .issuers;
    assert_eq!(issuers.len(), 1);
    assert_eq!(issuers[0].issuer, "https://env.example.com");

    let found = problems(load_file(
        toml,
        &[("OAUTH_JWKS_URI", "https://one.example.com/k")],
    ));
    assert!(
        found[0].starts_with("OAUTH_JWKS_URI: ") && found.len() == 1,
        "{found:?}"
    );
    let found = problems(load_file(
        &format!("oauth_issuer = \"https://x.example\"\n{toml}"),
        &[],
    ));
    assert!(
        found[0].starts_with("oauth_issuer in ") && found.len() == 1,
        "{found:?}"
    );
}

#[test]
fn a_bad_issuer_entry_is_named_with_its_key() {
    let toml = r#"
        transport = "http"
        upstream_audience = "api"
        [[issuers]]
        isuer = "https://one.example.com"
        algorithms = ["HS256", "none"]
        [[issuers]]
        issuer = "http://two.example.com"
    "#;
    let found = problems(load_file(toml, &[]));
    let expected = [
        ("issuer of issuers[0] in ", "set the issuer"),
        ("isuer of issuers[0] in ", "did you mean issuer?"),
        ("algorithms of issuers[0] in ", "RS256"),
        ("algorithms of issuers[0] in ", "EdDSA"),
        ("issuer of issuers[1] in ", "use https"),
    ];
    for (start, fix) in expected {
        let told = |line: &String| line.starts_with(start) && line.contains(fix);
        assert!(found.iter().any(told), "{start} … {fix} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn the_client_id_is_an_audience_with_a_warning() {
    let config = load_http(&[("WORKOS_CLIENT_ID", "client_1")])
        .unwrap()
        .config;
    assert!(
        config
            .warnings
            .iter()
            .any(|warning| warning.contains("WORKOS_CLIENT_ID"))
    );
}

#[test]
fn variables_of_the_other_transport_are_not_looked_at() {
    load_env(&[
        ("PORT", "tcp://10.0.0.1:80"),
        ("REDIS_URL", "http://x"),
        ("BIND", "?"),
    ])
    .unwrap();
    load_http(&[("BRAINGRID_ORGANIZATION_ID", "default")]).unwrap();
}

#[test]
fn names_that_are_nearly_ours_get_a_warning() {
    let environment = [
        ("MCP_TRANSPROT", "http"),
        ("BRAINGRID_API_TOKEN_FIEL", "x"),
        ("MCP_OTHER_THING", "x"),
    ];
    let warnings = load_env(&environment).unwrap().config.warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("did you mean MCP_TRANSPORT?"))
    );
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("did you mean BRAINGRID_API_TOKEN_FILE?"))
    );
}

#[test]
fn of_two_variables_the_first_wins_and_a_difference_is_told() {
    let both = [
        ("OAUTH_ISSUER", "https://a.example"),
        ("WORKOS_ISSUER", "https://b.example"),
    ];
    let loaded = load_http(&both).unwrap();
    assert!(loaded.config.warnings[0].contains("OAUTH_ISSUER is used"));
    assert_eq!(http(Ok(loaded)).auth.issuers[0].issuer, "https://a.example");
}

#[test]
fn a_named_file_has_to_be_there() {
    let given = flags(&[("config", "/no/such/file.toml")]);
    let found = problems(load(&given, &around(EMPTY.path(), &[])));
    assert!(
        found[0].starts_with("--config: /no/such/file.toml cannot be read"),
        "{found:?}"
    );
    let found = problems(load_env(&[("BRAINGRID_CONFIG", "/no/such/file.toml")]));
    assert!(found[0].contains("BRAINGRID_CONFIG"), "{found:?}");
}

#[test]
fn a_log_level_flag_wins_over_rust_log() {
    let around = around(
        EMPTY.path(),
        &[("RUST_LOG", "trace"), ("LOG_LEVEL", "warn")],
    );
    let log = load(&Flags::new(), &around).unwrap().config.log;
    assert_eq!((log.level, log.filter.as_deref()), ("warn", Some("trace")));
    let log = load(&flags(&[("log_level", "error")]), &around)
        .unwrap()
        .config
        .log;
    assert_eq!((log.level, log.filter), ("error", None));
}

#[test]
fn the_health_check_finds_the_server_whatever_else_is_wrong() {
    let around = around(EMPTY.path(), &[("PORT", "9000"), ("REDIS_URL", "nonsense")]);
    assert_eq!(listen_address(&Flags::new(), &around).unwrap().port(), 9000);
}

#[test]
fn keys_variables_and_flags_are_unique() {
    let unique = |mut names: Vec<&str>| {
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    };
    unique(SETTINGS.iter().map(|setting| setting.key).collect());
    unique(
        SETTINGS
            .iter()
            .flat_map(|setting| setting.env.iter().copied())
            .collect(),
    );
    unique(SETTINGS.iter().filter_map(|setting| setting.flag).collect());
}

#[test]
fn every_default_is_accepted() {
    load_env(&[]).unwrap();
    load_http(&[]).unwrap();
}

#[test]
fn the_example_in_the_documentation_works() {
    let documentation = documentation();
    let example = documentation
        .split("```toml\n# braingrid-mcp.toml\n")
        .nth(1)
        .unwrap();
    let example = example.split("```").next().unwrap();
    let issuers = documentation.split("```toml\n[[issuers]]").nth(1).unwrap();
    let issuers = issuers.split("```").next().unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key"), KEY).unwrap();
    std::fs::write(directory.path().join("redis"), REDIS).unwrap();
    let toml = format!("{example}\n[[issuers]]{issuers}")
        .replace("/run/secrets/encryption-key", "key")
        .replace("/run/secrets/redis-url", "redis");
    let file = directory.path().join("braingrid-mcp.toml");
    std::fs::write(&file, toml).unwrap();
    let settings = http(load(&Flags::new(), &around_file(&file, &[])));
    assert_eq!(settings.auth.issuers.len(), 2);
    assert!(settings.session.keys.is_some());
}

#[test]
fn the_documentation_is_the_one_in_docs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == documentation(),
        "docs/configuration.md is out of date: cargo run -p braingrid-mcp -- config --docs > \
         docs/configuration.md"
    );
}

#[test]
fn a_preset_sets_what_the_vendor_does_and_can_be_overruled() {
    let toml = r#"
        transport = "http"
        upstream_audience = "https://api.example.com"
        [[issuers]]
        issuer = "https://a.example.com"
        preset = "entra"
        [[issuers]]
        issuer = "https://b.example.com"
        preset = "descope"
        organization_claim = "tenant"
        algorithms = ["ES256"]
        service_principals = true
    "#;
    let config = load_file(toml, &[]).unwrap().config;
    let Serve::Http(http) = config.serve else {
        panic!("http was asked for");
    };
    let [entra, descope] = http.auth.issuers.as_slice() else {
        panic!("two issuers");
    };
    assert_eq!(entra.organization_claim, "tid");
    assert_eq!(entra.algorithms, ["RS256"]);
    assert!(!entra.service_principals);
    assert_eq!(descope.organization_claim, "tenant");
    assert_eq!(descope.algorithms, ["ES256"]);
    assert!(descope.service_principals);
}

#[test]
fn a_private_ca_is_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    std::fs::write(path("ca.pem"), pem).unwrap();
    std::fs::write(path("no.pem"), "hello").unwrap();
    let base = [
        ("MCP_TRANSPORT", "http"),
        ("UPSTREAM_AUDIENCE", "https://api.example.com"),
    ];
    let with = |file: &str| {
        let file = path(file);
        let environment = [base[0], base[1], ("REDIS_CA_FILE", file.as_str())];
        load_file("", &environment)
    };
    let Serve::Http(http) = with("ca.pem").unwrap().config.serve else {
        panic!("http was asked for");
    };
    assert_eq!(http.session.redis_ca.as_deref(), Some(pem.as_bytes()));
    for (file, told) in [
        ("no.pem", "no certificate"),
        ("absent.pem", "cannot be read"),
    ] {
        let found = problems(with(file));
        assert!(found.iter().any(|line| line.contains(told)), "{found:?}");
    }
}

#[test]
fn a_sampler_by_name_replaces_our_own() {
    use parse::TraceSampler::{AlwaysOff, AlwaysOn, AtMost, ParentBased, Ratio};
    let by_parent = |root| ParentBased(Box::new(root));
    let argument = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
    for (environment, expected) in [
        (vec![], AtMost(100)),
        (vec![argument], AtMost(100)),
        (vec![("TRACES_PER_SECOND", "7")], AtMost(7)),
        (vec![("OTEL_TRACES_SAMPLER", "always_on")], AlwaysOn),
        (
            vec![("OTEL_TRACES_SAMPLER", "parentbased_always_off")],
            by_parent(AlwaysOff),
        ),
        (vec![("OTEL_TRACES_SAMPLER", "traceidratio")], Ratio(1.0)),
        (
            vec![
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                argument,
            ],
            by_parent(Ratio(0.25)),
        ),
    ] {
        let config = load_env(&environment).unwrap().config;
        assert_eq!(config.telemetry.sampler, expected, "{environment:?}");
        assert_eq!(config.warnings, Vec::<String>::new());
    }
    // Meant for others with the same environment, with an argument of their own.
    let foreign = [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://localhost:14250"),
    ];
    let config = load_env(&foreign).unwrap().config;
    assert_eq!(config.telemetry.sampler, AtMost(100));
    assert!(config.warnings[0].contains("jaeger_remote"));
    let wrong = [
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "5%"),
    ];
    assert!(problems(load_env(&wrong))[0].contains("from 0 to 1"));
}

#[test]
fn a_stop_that_the_platform_would_cut_short_gets_a_warning() {
    let warns = |environment: &[(&str, &str)]| {
        let warnings = load_http(environment).unwrap().config.warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("DRAIN_TIMEOUT"))
    };
    for (sign, fits, too_long) in [
        ("K_SERVICE", "9s", "10s"),
        ("VERCEL", "0", "1s"),
        ("KUBERNETES_SERVICE_HOST", "29s", "30s"),
    ] {
        assert!(!warns(&[(sign, "x"), ("DRAIN_TIMEOUT", fits)]), "{sign}");
        assert!(warns(&[(sign, "x"), ("DRAIN_TIMEOUT", too_long)]), "{sign}");
    }
    assert!(!warns(&[("DRAIN_TIMEOUT", "1h")]));
    assert!(warns(&[("VERCEL", "1")]), "the default is too long there");
}
