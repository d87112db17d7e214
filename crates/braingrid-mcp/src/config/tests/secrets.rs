//! Secrets: where they may come from, and that they go nowhere else.

use super::*;
use crate::config::parse::secrets;

#[test]
fn a_secret_comes_from_its_file_without_the_newline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\r\n")).unwrap();
    let path = path.to_str().unwrap();
    let loaded = load_env(&[("BRAINGRID_API_TOKEN_FILE", path)]).unwrap();
    let Serve::Stdio(stdio) = loaded.config.serve else {
        panic!("http was chosen")
    };
    assert_eq!(stdio.token.unwrap().expose_secret(), TOKEN);

    let both = [
        ("BRAINGRID_API_TOKEN_FILE", path),
        ("BRAINGRID_API_TOKEN", TOKEN),
    ];
    assert!(problems(load_env(&both))[0].contains("both set"));
    let missing = problems(load_env(&[("BRAINGRID_API_TOKEN_FILE", "/no/such/file")]));
    assert!(
        missing[0].contains("/no/such/file cannot be read"),
        "{missing:?}"
    );
}

#[test]
fn a_secret_file_named_in_the_file_is_relative_to_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), TOKEN).unwrap();
    let toml = directory.path().join("other.toml");
    std::fs::write(&toml, "api_token_file = \"token\"").unwrap();
    let given = flags(&[("config", toml.to_str().unwrap())]);
    let loaded = load(&given, &around(EMPTY.path(), &[])).unwrap();
    let Serve::Stdio(stdio) = loaded.config.serve else {
        panic!("http was chosen")
    };
    assert_eq!(stdio.token.unwrap().expose_secret(), TOKEN);
}

#[test]
fn an_issuer_may_be_asked_about_opaque_tokens() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), "hunter2\n").unwrap();
    let toml = r#"
        transport = "http"
        upstream_audience = "api"
        [[issuers]]
        issuer = "https://one.example.com"
        introspection_endpoint = "https://one.example.com/introspect"
        introspection_client_id = "mcp"
        introspection_client_secret_file = "secret"
        introspection_cache = "5s"
    "#;
    let file = directory.path().join("other.toml");
    std::fs::write(&file, toml).unwrap();
    let given = flags(&[("config", file.to_str().unwrap())]);
    let loaded = load(&given, &around(EMPTY.path(), &[])).unwrap();
    let printed = format!(
        "{loaded:?} {} {}",
        effective_json(&loaded.effective),
        effective_text(&loaded.effective)
    );
    assert!(!printed.contains("hunter2"), "{printed}");
    let asked = http(Ok(loaded)).auth.issuers[0]
        .accepted
        .introspection
        .clone();
    let asked = asked.unwrap();
    assert_eq!(asked.endpoint, "https://one.example.com/introspect");
    assert_eq!(asked.client_id, "mcp");
    assert_eq!(asked.client_secret.as_str(), "hunter2");
    assert_eq!(asked.valid_for, Duration::from_secs(5));
}

#[test]
fn introspection_needs_a_client_and_is_for_one_issuer() {
    let endpoint = "introspection_endpoint = \"https://one.example.com/introspect\"";
    let complete = format!(
        "{endpoint}\nintrospection_client_id = \"mcp\"\nintrospection_client_secret = \"hunter2\""
    );
    let found = |entries: &[&str]| {
        let table = |(index, entry): (usize, &&str)| {
            format!("[[issuers]]\nissuer = \"https://{index}.example.com\"\n{entry}\n")
        };
        let tables: Vec<_> = entries.iter().enumerate().map(table).collect();
        let head = "transport = \"http\"\nupstream_audience = \"api\"\n";
        let toml = format!("{head}{}", tables.concat());
        problems(load_file(&toml, &[]))
    };
    let missing = found(&[endpoint]);
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing[0].starts_with("introspection_client_id of issuers[0] in "));
    assert!(missing[1].starts_with("introspection_client_secret of issuers[0] in "));
    let alone = found(&["introspection_client_id = \"mcp\""]);
    assert!(
        alone[0].starts_with("introspection_endpoint of issuers[0] in "),
        "{alone:?}"
    );
    let long = found(&[&format!("{complete}\nintrospection_cache = \"1h\"")]);
    assert!(long[0].contains("from 1s to 10m"), "{long:?}");
    let plain = found(&[&complete.replace("https", "http")]);
    assert!(plain[0].contains("https"), "{plain:?}");
    let both = found(&[&format!(
        "{complete}\nintrospection_client_secret_file = \"x\""
    )]);
    assert!(both[0].contains("both set"), "{both:?}");
    let twice = found(&[&complete, &complete]);
    assert!(twice[0].contains("several entries"), "{twice:?}");
    assert!(!format!("{missing:?}{long:?}{plain:?}{both:?}{twice:?}").contains("hunter2"));
}

#[test]
fn no_secret_is_in_debug_output_or_in_what_is_printed() {
    let environment = [
        ("REDIS_URL", REDIS),
        ("ENCRYPTION_KEY", KEY),
        ("ENCRYPTION_KEYS_PREVIOUS", OLD_KEY),
    ];
    let hosted = load_http(&environment).unwrap();
    let local = load_env(&[("BRAINGRID_API_TOKEN", TOKEN)]).unwrap();
    for loaded in [hosted, local] {
        let json = effective_json(&loaded.effective).to_string();
        let text = effective_text(&loaded.effective);
        assert!(
            json.contains("[redacted]") && text.contains("[redacted]"),
            "{text}"
        );
        let printed = format!("{:?} {json} {text}", loaded.config);
        for secret in ["hunter2", REDIS, KEY, OLD_KEY, TOKEN, "79, 12, 154"] {
            assert!(!printed.contains(secret), "{secret} in {printed}");
        }
    }
}

#[test]
fn no_secret_is_in_an_error() {
    let broken_key = format!("{}zz", &KEY[..62]);
    let cases = [
        load_http(&[("ENCRYPTION_KEY", &broken_key)]),
        load_http(&[("ENCRYPTION_KEY", &KEY[..40])]),
        load_http(&[
            ("ENCRYPTION_KEY", KEY),
            ("ENCRYPTION_KEYS_PREVIOUS", &broken_key),
        ]),
        load_http(&[
            ("ENCRYPTION_KEY", KEY),
            ("REDIS_URL", "http://worker:hunter2@cache"),
        ]),
        load_http(&[
            ("ENCRYPTION_KEY", KEY),
            ("REDIS_URL", "worker:hunter2@cache:port"),
        ]),
        load_http(&[("MCP_HOST", "https://u:hunter2@mcp.example.com")]),
        load_http(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://u:hunter2@otel")]),
        load_http(&[("BRAINGRID_API_URL", "u:hunter2@api")]),
        load_env(&[("BRAINGRID_API_TOKEN", "hunter2 and more")]),
        load_file("encryption_key = hunter2", &[]),
        load_file(
            "transport = \"http\"\nencryption_key = [[\"hunter2\"]]",
            &[],
        ),
        load_file("redis_url = \"hunter2\"\nredis_url = \"hunter2\"", &[]),
    ];
    for (index, case) in cases.into_iter().enumerate() {
        let told = format!("{0} {0:?}", case.unwrap_err());
        for secret in ["hunter2", &KEY[..20]] {
            assert!(!told.contains(secret), "case {index}: {told}");
        }
    }
}

#[test]
fn a_placeholder_is_no_key() {
    assert!(secrets::key(&"0".repeat(64)).is_err());
    assert!(secrets::key(KEY).is_ok());
    assert!(secrets::key(&KEY.to_uppercase()).is_ok());
}

#[test]
fn a_pasted_bearer_header_is_understood() {
    let token = secrets::token(&format!("Bearer {TOKEN}")).unwrap();
    assert_eq!(token.expose_secret(), TOKEN);
    assert!(secrets::token("two words").is_err());
}
