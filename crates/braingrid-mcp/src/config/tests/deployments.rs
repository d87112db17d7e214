//! What is deployed from this repository is what a server takes.

use config::{FileFormat, Source as _, Value};

use super::*;

/// What the platforms hold.
const SECRETS: &[(&str, &str)] = &[
    ("ENCRYPTION_KEY", KEY),
    ("REDIS_URL", REDIS),
    ("UPSTREAM_CLIENT_SECRET", "hunter2"),
];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn names(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Starts with these settings; whether every issuer's tokens are exchanged.
fn exchanges(settings: &[(String, String)]) -> bool {
    let given = settings.iter().map(|(name, value)| (&**name, &**value));
    let all: Vec<_> = given.chain(SECRETS.iter().copied()).collect();
    let issuers = http(load_env(&all)).auth.issuers;
    let exchange =
        |it: &Option<UpstreamSettings>| matches!(it, Some(UpstreamSettings::Exchange(_)));
    issuers.iter().all(|it| exchange(&it.upstream))
}

#[test]
fn overlays_of_kubernetes_exchange_tokens() {
    let overlays = names("deploy/kubernetes/overlays");
    assert!(overlays.len() > 1);
    for overlay in overlays {
        let text = std::fs::read_to_string(overlay.join("kustomization.yaml")).unwrap();
        let literals = text.lines().filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("- ")?.split_once('=')?;
            let is_name = name.bytes().all(|it| it.is_ascii_uppercase() || it == b'_');
            is_name.then(|| (name.to_owned(), value.to_owned()))
        });
        let literals: Vec<_> = literals.collect();
        assert!(literals.len() > 5, "{}", overlay.display());
        assert!(exchanges(&literals), "{}", overlay.display());
    }
}

/// What `cargo xtask deploy` adds is the least that such a server is told.
#[test]
fn environments_exchange_tokens() {
    let environments = names("deploy/environments");
    assert!(environments.len() > 1);
    for file in environments {
        let text = std::fs::read_to_string(&file).unwrap();
        let environment = config::File::from_str(&text, FileFormat::Toml).collect();
        let environment = environment.unwrap();
        let text = |value: &Value| value.clone().into_string().unwrap();
        let settings = environment["settings"].clone().into_table().unwrap();
        let settings = settings
            .iter()
            .map(|(name, value)| (name.clone(), text(value)));
        let told = [
            ("MCP_TRANSPORT", "http".to_owned()),
            ("UPSTREAM_MODE", "exchange".to_owned()),
            ("MCP_HOST", text(&environment["public_url"])),
            ("OAUTH_ISSUER", text(&environment["oauth_issuer"])),
        ];
        let told = told.map(|(name, value)| (name.to_owned(), value));
        let all: Vec<_> = told.into_iter().chain(settings).collect();
        assert!(exchanges(&all), "{}", file.display());
    }
}

/// Compose hands on what is set, and the rest empty.
#[test]
fn compose_exchanges_tokens_with_what_its_head_says() {
    let text = std::fs::read_to_string(repository("deploy/compose.yaml")).unwrap();
    let exported: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#   export ")?.split_once('='))
        .map(|(name, value)| (name, value.split_whitespace().next().unwrap_or_default()))
        .collect();
    assert!(
        exported.contains_key("UPSTREAM_CLIENT_SECRET"),
        "{exported:?}"
    );
    let variables = text.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": ${")?;
        let (_, otherwise) = value.trim_end_matches('}').split_once(':')?;
        let otherwise = otherwise.strip_prefix('-').unwrap_or_default();
        let value = exported.get(name).copied().unwrap_or(otherwise);
        Some((name.to_owned(), value.to_owned()))
    });
    let image = [("MCP_TRANSPORT".to_owned(), "http".to_owned())];
    let all: Vec<_> = image.into_iter().chain(variables).collect();
    assert!(all.len() > 8, "{all:?}");
    assert!(exchanges(&all));
}
