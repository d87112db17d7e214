//! Values that would do nothing, or something else than is meant.

use super::edges::assert_told;
use super::*;

#[test]
fn a_value_that_would_do_nothing_or_something_else_is_told_what_to_write() {
    for (name, value, told) in [
        (
            "OAUTH_ISSUER",
            "a.test,b.test",
            "are [[issuers]] in the file",
        ),
        (
            "OAUTH_ISSUER",
            "https://a.test,https://b.test",
            "are [[issuers]]",
        ),
        (
            "OAUTH_ISSUER",
            "https://a.test/.well-known/openid-configuration",
            "mostly https://a.test",
        ),
        (
            "OAUTH_ISSUER",
            "https://a.test/.well-known/oauth-authorization-server/b",
            "mostly https://a.test/b",
        ),
        (
            "OAUTH_JWKS_URI",
            "https://a.test/.well-known/openid-configuration",
            "is the issuer's metadata",
        ),
        ("OAUTH_SCOPES", "none", "for no scope at all"),
        ("TOOL_SCOPES", "read=none", "leave it out"),
        ("UPSTREAM_AUDIENCE", "a;b", "compared as they stand"),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "write peer"),
        ("TRUSTED_PROXIES", "::/0", "write peer"),
        ("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1", "write peer"),
        ("TRUSTED_PROXIES", "0.0.0.0", "write peer"),
        ("TRUSTED_PROXIES", "none,loopback", "none stands beside"),
        ("TRUSTED_PROXIES", "forwarded", "private,forwarded"),
        ("TRUSTED_PROXIES", "none,forwarded", "private,forwarded"),
        ("MCP_HOST", "https://a.test;https://b.test", "write one URL"),
        ("ALLOWED_HOSTS", ".example.com", "no subdomain"),
        ("ADMIN_ALLOWED_HOSTS", "all", "no word for all"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:4317",
            "listen on 4318",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:4318/v1/traces/",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "http://collector:4318",
            "collectors take this at /v1/metrics",
        ),
        ("RUST_LOG", "info;mcp_session=debug", "by commas"),
        ("RUST_LOG", "info mcp_session=debug", "by commas"),
        ("RUST_LOG", "warning", "did you mean warn?"),
        ("RUST_LOG", "inof", "did you mean info?"),
        ("RUST_LOG", "mcp-session=debug", "write mcp_session"),
        (
            "BRAINGRID_API_URL",
            "https://a.test/api/v1/projects",
            "it: https://a.test/api/v1",
        ),
        (
            "BRAINGRID_CLIENT_ID",
            "http://a.test/c.json",
            "an https URL",
        ),
        ("BRAINGRID_CLIENT_ID", "https://a.test", "with a path"),
    ] {
        assert_told(name, value, told);
    }
}

#[test]
fn what_an_issuer_would_never_match_is_refused() {
    for (entry, told) in [
        ("organizations = ['a,b']", "in an entry of its own"),
        ("organizations = ['a;b']", "in an entry of its own"),
        ("organizations = ['null']", "it is null"),
        ("organization_claim = '$.org'", "dots lead into objects"),
        ("organization_claim = '/org/id'", "dots lead into objects"),
        ("organization_claim = 'org..id'", "dots lead into objects"),
        ("organization_claim = 'org.'", "dots lead into objects"),
        ("audiences = ['a,b']", "compared as they stand"),
    ] {
        let toml = format!("[[issuers]]\nissuer = 'https://a.test'\n{entry}");
        let found = problems(load_file(&toml, &[("MCP_TRANSPORT", "http")]));
        assert!(
            found.iter().any(|line| line.contains(told)),
            "{entry}: {found:#?}"
        );
    }
    let good = "transport = 'http'\nupstream_audience = 'api'\n[[issuers]]\n\
                issuer = 'https://a.test'\norganization_claim = 'https://a.test/claims/org.id'";
    load_file(good, &[]).unwrap();
}

#[test]
fn a_filter_of_targets_and_fields_is_taken_as_it_is() {
    for value in [
        "info,mcp_session=debug",
        "warn, hyper=info",
        "WARN",
        "off",
        "mcp_session[resolve{tier=\"a b\"}]=trace",
        "some-crate=debug",
        "braingrid_mcp",
        "",
    ] {
        load_env(&[("RUST_LOG", value)]).unwrap();
    }
}
