//! What is said of settings everywhere.

use super::*;

#[test]
fn keys_variables_and_flags_are_unique() {
    let unique = |mut names: Vec<&str>| {
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    };
    unique(settings::all().map(|setting| setting.key).collect());
    unique(
        settings::all()
            .flat_map(|setting| setting.env.iter().copied())
            .collect(),
    );
    unique(settings::all().filter_map(|setting| setting.flag).collect());
}

#[test]
fn every_default_is_accepted() {
    load_env(&[]).unwrap();
    load_http(&[]).unwrap();
}

/// What stands after the first `begin` in the documentation, up to the end of the example.
fn example(begin: &str) -> String {
    let documentation = documentation();
    let (_, rest) = documentation.split_once(begin).unwrap();
    rest.split("```").next().unwrap().to_owned()
}

#[test]
fn the_examples_in_the_documentation_work() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("encryption-key", KEY),
        ("redis-url", REDIS),
        ("upstream-client-secret", "x"),
        ("google-client", "x"),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let file = directory.path().join("braingrid-mcp.toml");
    let loaded = |toml: &str, environment: &[(&str, &str)]| {
        let toml = toml.replace("/run/secrets/", "").replace('…', "X");
        std::fs::write(&file, toml).unwrap();
        http(load(&Flags::new(), &around_file(&file, environment)))
    };
    let exchanges = |settings: &HttpSettings| {
        let upstream = &settings.auth.issuers[0].upstream;
        matches!(upstream, Some(UpstreamSettings::Exchange(_)))
    };
    let hosted = loaded(&example("```toml\n# braingrid-mcp.toml\n"), &[]);
    assert!(hosted.session.keys.is_some() && exchanges(&hosted));

    let http = [("MCP_TRANSPORT", "http")];
    let table = example("without\n`upstream_`:\n\n```toml\n");
    assert!(exchanges(&loaded(&table, &http)));

    let several = example("the one it names.\n\n```toml\n");
    let shared = [http[0], ("UPSTREAM_AUDIENCE", "https://api.example.com")];
    assert_eq!(loaded(&several, &shared).auth.issuers.len(), 2);

    let own = example("`/callback` below it.\n\n```toml\n");
    let own = loaded(&own, &[http[0], ("ENCRYPTION_KEY", KEY)]).auth;
    assert!(own.authorization_server.is_some());

    let secret = directory.path().join("upstream-client-secret");
    let variables = example("```sh\nOAUTH_ISSUER=");
    let variables = format!("OAUTH_ISSUER={variables}")
        .replace('…', "X")
        .replace(
            "/run/secrets/upstream-client-secret",
            secret.to_str().unwrap(),
        );
    let mut environment = http.to_vec();
    environment.extend(variables.lines().filter_map(|line| line.split_once('=')));
    assert!(exchanges(&super::http(load_env(&environment))));
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
