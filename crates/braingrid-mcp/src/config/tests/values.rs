//! Single settings, by the values that they take.

use super::*;
use crate::config::parse::{endpoints, numbers, traces, words};

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
        assert_eq!(endpoints::public_url(given).unwrap(), expected, "{given}");
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
        let refusal = endpoints::public_url(given).unwrap_err();
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
            .include
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
        assert_eq!(words::transport(name).unwrap(), Transport::Http, "{name}");
    }
    assert!(words::transport("sse").is_err());
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
            numbers::duration(text).unwrap(),
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
        assert!(numbers::duration(text).is_err(), "{text}");
    }
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
    use traces::TraceSampler::{AlwaysOff, AlwaysOn, AtMost, ParentBased, Ratio};
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
