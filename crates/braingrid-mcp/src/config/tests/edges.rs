//! Values as people write them: all settings against what editors, env files and habit put there.

use super::*;
use crate::config::settings::UsedBy;

/// Every setting that has a variable, with what has to be set for it to be read.
fn with_variables() -> impl Iterator<Item = (&'static Spec, Vec<(&'static str, &'static str)>)> {
    let settings = settings::all()
        .filter(|setting| !setting.env.is_empty() && setting.kind != Kind::FilePath)
        // That it is no whole path is said before anything else.
        .filter(|setting| setting.key != "login_dir");
    settings.map(|setting| {
        let mut needed = Vec::new();
        if setting.used_by != UsedBy::Stdio && setting.key != "transport" {
            needed.push(("MCP_TRANSPORT", "http"));
        }
        if setting.key != "upstream_audience" {
            needed.push(("UPSTREAM_AUDIENCE", "https://api.example.com"));
        }
        let is_alone = ["upstream_audience", "upstream_mode"].contains(&setting.key);
        if setting.key.starts_with("upstream_") && !is_alone {
            needed.push(("UPSTREAM_MODE", "exchange"));
        }
        if setting.name() == "OTEL_TRACES_SAMPLER_ARG" {
            needed.push(("OTEL_TRACES_SAMPLER", "traceidratio"));
        }
        (setting, needed)
    })
}

/// What is said of one variable: problems, else warnings.
fn said_of(setting: &Spec, given: Vec<(&'static str, &str)>, value: &str) -> Vec<String> {
    let all: Vec<(&str, &str)> = given.into_iter().chain([(setting.name(), value)]).collect();
    let said = match load_env(&all) {
        Ok(loaded) => loaded.config.warnings,
        Err(Problems(problems)) => problems
            .iter()
            .map(|it| format!("{}: {} | {}", it.setting, it.what, it.fix))
            .collect(),
    };
    let about = |line: &String| line.contains(setting.name());
    said.into_iter().filter(about).collect()
}

/// Asserts that a variable with this value gets a word with `told` in it.
pub(super) fn assert_told(name: &str, value: &str, told: &str) {
    let found = with_variables().find(|(setting, _)| setting.env.contains(&name));
    let (setting, needed) = found.unwrap();
    let said = said_of(setting, needed, value).join("\n");
    assert!(said.contains(told), "{name}={value}: {told} in {said:?}");
}

#[test]
fn quotation_marks_are_named_in_every_setting() {
    for (setting, needed) in with_variables() {
        for value in ["\"hunter2\"", "'hunter2'", "“hunter2”", "hunter2\""] {
            let said = said_of(setting, needed.clone(), value).join("\n");
            let name = setting.name();
            assert!(said.contains("quotation mark ("), "{name}={value}: {said}");
            assert!(!(setting.secret && said.contains("hunter2")), "{name}");
        }
    }
}

#[test]
fn blanks_alone_are_no_value_of_any_setting() {
    for (setting, needed) in with_variables() {
        for value in ["  ", "\r\n", "\u{feff}"] {
            let said = said_of(setting, needed.clone(), value).join("\n");
            let told = said.contains("it is empty") || said.contains("it names nothing");
            assert!(told, "{}={value:?}: {said}", setting.name());
        }
    }
}

#[test]
fn an_unseen_character_is_named_in_every_setting() {
    for (setting, needed) in with_variables() {
        let said = said_of(setting, needed, "hun\u{200b}ter2").join("\n");
        assert!(said.contains("U+200B"), "{}: {said}", setting.name());
    }
}

#[test]
fn a_wildcard_or_a_stranger_in_a_list_is_never_without_a_word() {
    for (setting, needed) in with_variables().filter(|(it, _)| it.kind == Kind::List) {
        let said = said_of(setting, needed, "*").join("\n");
        assert!(!said.is_empty(), "{}=* is accepted", setting.name());
    }
    for (name, value, told) in [
        ("BRAINGRID_TOOLS", "get_*", "no wildcards"),
        ("BRAINGRID_TOOLS", "Get-Projet", "did you mean get_project?"),
        (
            "BRAINGRID_TOOLS",
            "get_project list_projects",
            "separated by commas",
        ),
        (
            "BRAINGRID_TOOLS",
            "get_project;list_projects",
            "separated by commas",
        ),
        (
            "BRAINGRID_TOOLS",
            "create_git_branch",
            "BRAINGRID_EXPERIMENTAL",
        ),
        ("BRAINGRID_TOOLS", ",", "names nothing"),
        ("ALLOWED_ORIGINS", "https://*.example.com", "wildcard"),
        (
            "ALLOWED_ORIGINS",
            "app.example.com",
            "write https://app.example.com",
        ),
        (
            "ALLOWED_ORIGINS",
            "https://a.test https://b.test",
            "separated by commas",
        ),
        ("ALLOWED_HOSTS", "*.example.com", "wildcard"),
        ("ALLOWED_HOSTS", "https://a.test/x", "write a.test"),
        ("ADMIN_ALLOWED_HOSTS", "*", "wildcard"),
        ("TOOL_SCOPES", "read=a,read=b", "read=FIRST SECOND"),
        ("TOOL_SCOPES", "*=a", "no wildcards"),
        ("TOOL_SCOPES", "write=*", "no scope that means all"),
        (
            "TOOL_SCOPES",
            "read=a;write=b",
            "separate entries by commas",
        ),
        ("SCOPE_HIERARCHY", "a=b", "without effect"),
        ("OAUTH_SCOPES", "*", "no scope that means all"),
        (
            "OAUTH_SCOPES",
            "openid offline_access",
            "clients add it themselves",
        ),
        ("OTEL_PROPAGATORS", "b3", "does not have"),
        ("UPSTREAM_AUDIENCE", "*", "compared as they stand"),
        (
            "UPSTREAM_AUDIENCE",
            "https://a.test,https://b.test",
            "compared as they stand",
        ),
        (
            "MCP_HOST",
            "mcp.example.com",
            "write https://mcp.example.com",
        ),
        (
            "BRAINGRID_API_URL",
            "app.braingrid.ai",
            "write https://app.braingrid.ai",
        ),
        ("OAUTH_ISSUER", "https://${DOMAIN}", "nothing has filled in"),
        ("OAUTH_ISSUER", "https://auth.test # ours", "comment"),
        ("BIND", "0.0.0.0:8080", "the port is PORT"),
        ("BIND", "*", "0.0.0.0"),
        ("ADMIN_BIND", ":9464", "127.0.0.1:9464"),
        ("ADMIN_BIND", "9464", "127.0.0.1:9464"),
        ("PORT", "99999", "0 to 65535"),
        ("DRAIN_TIMEOUT", "500ms", "whole seconds"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "grpc://collector:4317",
            "4318",
        ),
        ("REDIS_URL", "redis://u:pa#ss@cache:6379", "%23"),
    ] {
        assert_told(name, value, told);
    }
}

#[test]
fn a_placeholder_that_nothing_filled_is_named_in_every_setting() {
    for (setting, needed) in with_variables() {
        for value in ["$HUNTER2", "${HUNTER2}", "{{ hunter2 }}", "<hunter2>"] {
            let said = said_of(setting, needed.clone(), value).join("\n");
            let name = setting.name();
            let told = said.contains("nothing has filled in") || said.contains("is to be replaced");
            assert!(told, "{name}={value}: {said}");
            assert!(!said.to_lowercase().contains("hunter2"), "{name}: {said}");
        }
        // Within a secret, anything may be itself.
        for value in ["https://$HOST/x", "a{{b}}c", "client_<id>_1", "x$(NAME)"] {
            let said = said_of(setting, needed.clone(), value).join("\n");
            let told = said.contains("nothing has filled in");
            assert_eq!(told, !setting.secret, "{}={value}: {said}", setting.name());
        }
        for value in ["null", "undefined"] {
            let said = said_of(setting, needed.clone(), value).join("\n");
            assert!(!said.is_empty(), "{}={value} is accepted", setting.name());
        }
    }
}

#[test]
fn what_a_file_or_program_left_around_a_value_is_named() {
    for (name, value, told) in [
        ("ALLOWED_HOSTS", "['a.test']", "no JSON list"),
        ("ALLOWED_ORIGINS", "[https://a.test]", "no JSON list"),
        ("ALLOWED_ORIGINS", "- https://a.test", "the dash"),
        ("LOG_LEVEL", "level: info", "the name in front"),
        ("MCP_HOST", "MCP_HOST=https://a.test", "the name in front"),
        ("PORT", "8080,", "comma or semicolon at its end"),
        ("PORT", "8080;", "comma or semicolon at its end"),
        ("LOG_FORMAT", r#"{"a":"json"}"#, "without brackets"),
        ("BRAINGRID_READ_ONLY", "[true]", "without brackets"),
    ] {
        assert_told(name, value, told);
    }
}

#[test]
fn a_key_that_is_none_is_told_which_one_is_meant() {
    for (toml, start, fix) in [
        ("mcp_host = 'x'", "mcp_host in ", "did you mean public_url?"),
        ("MCP_HOST = 'x'", "MCP_HOST in ", "did you mean public_url?"),
        (
            "public-url = 'x'",
            "public-url in ",
            "did you mean public_url?",
        ),
        (
            "publicUrl = 'x'",
            "publicUrl in ",
            "did you mean public_url?",
        ),
        ("redis = 'x'", "redis in ", "did you mean redis_url?"),
        ("[redis]\nx = 1", "redis in ", "did you mean redis_url?"),
        ("[server]\nport = 1", "server in ", "there are no sections"),
        (
            "[[issuers]]\nport = 1",
            "port of issuers[0] in ",
            "above the first table",
        ),
        (
            "[[issuers]]\nMCP_HOST = 1",
            "MCP_HOST of ",
            "above the first table",
        ),
        (
            "[[issuers]]\nissuer_url = 1",
            "issuer_url of ",
            "did you mean issuer?",
        ),
        (
            "[[issuers]]\njwks = 1",
            "jwks of ",
            "did you mean jwks_uri?",
        ),
        (
            "[[issuers]]\npreset = 'auht0'",
            "preset of ",
            "did you mean auth0?",
        ),
        (
            "[[issuers]]\npreset = 'Keycloack'",
            "preset of ",
            "did you mean keycloak?",
        ),
        (
            "[[issuers]]\npreset = 'mine'",
            "preset of ",
            "or leave it out",
        ),
        ("[redis_url]\nhost = 'x'", "redis_url in ", "write one text"),
        ("\"a\\u001bb\" = 1", "\"a\\u{1b}b\" in ", "remove it"),
    ] {
        let found = problems(load_file(toml, &[("MCP_TRANSPORT", "http")]));
        let told = |line: &String| line.starts_with(start) && line.contains(fix);
        assert!(
            found.iter().any(told),
            "{toml}: {start} … {fix} in {found:#?}"
        );
    }
}

#[test]
fn what_is_meant_all_the_same_works() {
    let auth = |given: Given| http(load_http(given)).auth;
    let three = ["openid", "profile", "email"];
    for spelled in [
        "openid profile email",
        "openid,profile,email",
        "openid, profile ,email,openid,",
        "\u{feff}openid profile email\r\n",
        r#"["openid", "profile", "email"]"#,
    ] {
        let loaded = load_env(&[
            ("MCP_TRANSPORT", "http"),
            ("UPSTREAM_AUDIENCE", "api"),
            ("OAUTH_ISSUER", "https://auth.test"),
            ("OAUTH_SCOPES", spelled),
        ]);
        assert_eq!(http(loaded).auth.scopes, three, "{spelled:?}");
    }
    assert_eq!(auth(&[]).scopes, three, "BrainGrid's own issuer has them");
    assert!(
        auth(&[("OAUTH_ISSUER", "https://auth.test")])
            .scopes
            .is_empty()
    );
    let origins = http(load_http(&[(
        "ALLOWED_ORIGINS",
        "known-clients,https://App.example.com:443/,https://claude.ai",
    )]));
    let origins = origins.allowed_origins;
    assert!(origins.contains(&"https://chatgpt.com".to_owned()));
    assert!(origins.contains(&"https://app.example.com".to_owned()));
    let claude = origins.iter().filter(|it| *it == "https://claude.ai");
    assert_eq!(claude.count(), 1);
    let tools = load_env(&[("BRAINGRID_TOOLS", "get_project,get_project, list_projects")]);
    assert_eq!(
        tools.unwrap().config.tools.include,
        ["get_project", "list_projects"]
    );
}

#[test]
fn a_preset_names_its_scopes_unless_another_issuer_may_not_have_them() {
    let scopes = |second: &str| {
        let toml = format!(
            "transport = \"http\"\nupstream_audience = \"api\"\n\
             [[issuers]]\nissuer = \"https://one.example.com\"\npreset = \"auth0\"\n{second}"
        );
        http(load_file(&toml, &[])).auth.scopes
    };
    assert_eq!(scopes(""), ["openid", "profile", "email"]);
    assert!(scopes("[[issuers]]\nissuer = \"https://two.example.com\"").is_empty());
}

#[test]
fn one_issuer_in_two_spellings_is_one() {
    let toml = "transport = \"http\"\nupstream_audience = \"api\"\n\
                [[issuers]]\nissuer = \"https://one.example.com\"\n\
                [[issuers]]\nissuer = \"HTTPS://One.example.com:443/\"";
    let found = problems(load_file(toml, &[]));
    assert!(found[0].contains("stands there twice"), "{found:?}");
}

#[test]
fn a_configuration_file_may_begin_with_a_byte_order_mark() {
    let loaded = load_file("\u{feff}read_only = true\r\n", &[]).unwrap();
    assert!(loaded.config.tools.read_only);
}
