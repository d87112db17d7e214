//! What the settings promise, by loading them.

mod authorization_server;
mod deployments;
mod documentation;
mod edges;
mod effects;
mod issuers;
mod places;
mod secrets;
mod tenants;
mod upstream;
mod values;

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
    assert_eq!(http.auth.verifier.leeway, Duration::from_secs(90));
    assert_eq!(http.auth.issuers.len(), 1);
    assert_eq!(
        http.auth.issuers[0].accepted.issuer,
        "https://auth.braingrid.ai"
    );
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
        issuer.accepted.issuer, "https://auth.example.com/",
        "an issuer stays as it is written"
    );
    assert_eq!(
        issuer.accepted.jwks_uri.as_deref(),
        Some("https://auth.example.com/keys")
    );
    assert_eq!(issuer.accepted.audiences, ["client_1"]);
    assert_eq!(http.auth.verifier.leeway, Duration::from_secs(30));
    assert_eq!(http.session.redis_url.unwrap().expose_secret(), REDIS);
    let keys = http.session.keys.unwrap();
    assert_eq!(
        (keys.current[0], keys.current[31], keys.previous.len()),
        (0x4f, 0xf1, 1)
    );
    assert_eq!(config.api.base_url.as_str(), "http://localhost:9999/base");
    assert!(config.tools.read_only);
    assert_eq!(config.tools.include, ["get_profile", "list_projects"]);
    assert_eq!(config.tools.exclude, ["list_projects"]);
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
        ("UPSTREAM_MODE: it is not set", "UPSTREAM_MODE=exchange"),
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
    assert_eq!(
        http(Ok(loaded)).auth.issuers[0].accepted.issuer,
        "https://a.example"
    );
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
fn the_health_check_finds_the_server_whatever_else_is_wrong() {
    let around = around(EMPTY.path(), &[("PORT", "9000"), ("REDIS_URL", "nonsense")]);
    assert_eq!(listen_address(&Flags::new(), &around).unwrap().port(), 9000);
}

#[test]
fn commands_of_operators_look_at_their_settings_alone_and_at_those_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ops.toml");
    std::fs::write(
        &file,
        "encryption_key_file = \"nowhere\"\nport = \"nonsense\"\nadmin_url = \"https://ops.example\"\n",
    )
    .unwrap();
    let ask = |path: &str, environment: &[(&str, &str)]| {
        let flags = Flags::from([(settings::CONFIG_FILE.key, path.to_owned())]);
        operator(&flags, &around(folder.path(), environment))
    };
    let named = file.to_str().unwrap();
    let token = ("ADMIN_TOKEN", "0123456789012345678901234567890123456789");
    let found = ask(named, &[token, ("REDIS_URL", "nonsense")]).unwrap();
    assert_eq!(found.url.as_str(), "https://ops.example/");
    for (path, environment, told) in [
        ("/no/such/file.toml", token, "/no/such/file.toml"),
        (
            named,
            ("ADMIN_TOKEN_FILE", "/no/such/token"),
            "ADMIN_TOKEN_FILE",
        ),
        (named, ("ADMIN_TOKEN_FILE", "token"), "relative path"),
        (named, ("ADMIN_URL", "nonsense"), "ADMIN_URL"),
    ] {
        let problems = ask(path, &[environment]).unwrap_err().to_string();
        assert!(problems.contains(told), "{problems}");
    }
    let relative = around(folder.path(), &[token, ("BRAINGRID_CONFIG", "ops.toml")]);
    let problems = operator(&Flags::new(), &relative).unwrap_err();
    assert!(problems.to_string().contains("relative path"), "{problems}");
}
