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
