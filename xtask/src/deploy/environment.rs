//! One environment: a small file in `deploy/environments`, read and checked as a whole.

mod identity;

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, bail};
use strum::VariantNames as _;
use toml::{Table, Value};

use super::{Platform, secrets};
use crate::shell;
use identity::{EXCHANGE, MODE, OWN, own_faults, upstream_faults};

/// Where the files are.
pub(crate) const DIR: &str = "deploy/environments";

/// An environment, free of secrets.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) public_url: String,
    /// Whose tokens it takes; none where it logs people in itself.
    pub(crate) issuer: Option<String>,
    pub(crate) image: String,
    /// What the server is told, by the names of its variables.
    pub(crate) settings: BTreeMap<String, String>,
    /// The section of one platform; empty when the file has none.
    pub(crate) platform: Table,
}

/// What the command line changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) image: Option<String>,
    /// `NAME=VALUE`, as given by `--set`.
    pub(crate) settings: Vec<(String, String)>,
}

/// Reads `deploy/environments/<name>.toml`.
pub(crate) fn read(
    name: &str,
    platform: Platform,
    changes: Changes,
) -> anyhow::Result<Environment> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        bail!("the name of an environment has letters, digits and '-' only");
    }
    let text = shell::read(&format!("{DIR}/{name}.toml"))
        .with_context(|| format!("there is no environment '{name}' ({DIR}/{name}.toml)"))?;
    parse(name, platform, &text, changes)
}

/// All mistakes at once.
pub(crate) fn parse(
    name: &str,
    platform: Platform,
    text: &str,
    changes: Changes,
) -> anyhow::Result<Environment> {
    // The parser's own message shows the line, which might hold a secret.
    let mut file: Table = text
        .parse()
        .map_err(|_| anyhow::anyhow!("{DIR}/{name}.toml is no valid TOML"))?;
    let mut wrong = Vec::new();
    look_for_secrets("", &file, platform, &mut wrong);
    for (name, value) in &changes.settings {
        refuse(&format!("--set {name}"), name, value, platform, &mut wrong);
    }
    if let Some(image) = &changes.image {
        refuse("--image", "image", image, platform, &mut wrong);
    }
    let mut text = |key: &str| match file.remove(key) {
        Some(Value::String(value)) => Some(value),
        Some(_) => {
            wrong.push(format!("{key} must be a text"));
            None
        }
        None => None,
    };
    let public_url = text("public_url").map(|url| url.trim_end_matches('/').to_owned());
    let issuer = text("oauth_issuer");
    let image = changes.image.or(text("image"));
    if image.is_none() {
        wrong.push("no image: set `image`, or give --image".to_owned());
    }
    let mut settings = strings(file.remove("settings"), "settings", &mut wrong);
    settings.extend(changes.settings);
    let mut urls = vec![("public_url", &public_url)];
    if settings.keys().any(|name| name.starts_with(OWN)) {
        wrong.extend(own_faults(&settings, issuer.as_deref()));
    } else {
        urls.push(("oauth_issuer", &issuer));
        wrong.extend(upstream_faults(&settings));
    }
    for (key, value) in urls {
        let is_https = |url: &String| url.starts_with("https://");
        if !value.as_ref().is_some_and(is_https) {
            wrong.push(format!("{key} must be an https URL"));
        }
    }
    let section = match file.remove(platform.name()) {
        Some(Value::Table(table)) => table,
        Some(_) => bail!("{} must be a table", platform.name()),
        None => Table::new(),
    };
    for (key, value) in &file {
        if !Platform::VARIANTS.contains(&key.as_str()) || !value.is_table() {
            wrong.push(format!("unknown key {key}"));
        }
    }
    if !wrong.is_empty() {
        let mut list = String::new();
        for one in wrong {
            let _ = write!(list, "\n  - {one}");
        }
        bail!("the environment '{name}' cannot be deployed:{list}");
    }
    let mut environment = Environment {
        name: name.to_owned(),
        public_url: public_url.unwrap_or_default(),
        issuer,
        image: image.unwrap_or_default(),
        settings: BTreeMap::new(),
        platform: section,
    };
    environment.settings = defaults(&environment);
    let proxies = proxies_of(platform).to_owned();
    environment
        .settings
        .insert("TRUSTED_PROXIES".to_owned(), proxies);
    environment.settings.extend(settings);
    Ok(environment)
}

impl Environment {
    /// What clients connect to, and what tokens must be issued for.
    pub(crate) fn resource(&self) -> String {
        format!("{}/mcp", self.public_url)
    }

    /// The host in the public URL.
    pub(crate) fn host(&self) -> &str {
        let host = self.public_url.trim_start_matches("https://");
        host.split([':', '/']).next().unwrap_or(host)
    }
}

/// What every hosted server is told.
fn defaults(environment: &Environment) -> BTreeMap<String, String> {
    let mut defaults = vec![
        ("MCP_TRANSPORT", "http"),
        ("BIND", "0.0.0.0"),
        ("MCP_HOST", &environment.public_url),
        ("BRAINGRID_ENV", &environment.name),
        ("LOG_FORMAT", "json"),
    ];
    if let Some(issuer) = &environment.issuer {
        defaults.extend([("OAUTH_ISSUER", issuer.as_str()), (MODE, EXCHANGE)]);
    }
    let owned = defaults.into_iter();
    owned
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Who is in front of the server and says from where a request comes.
fn proxies_of(platform: Platform) -> &'static str {
    match platform {
        // Ingress controllers and gateways have addresses of the cluster or of its network.
        Platform::Kubernetes => "private",
        // Nobody but the platform's own front end reaches the port.
        Platform::CloudRun | Platform::Vercel => "peer",
    }
}

/// Texts, numbers and truth values as the texts that variables hold.
pub(crate) fn strings(
    value: Option<Value>,
    what: &str,
    wrong: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    match value {
        None => {}
        Some(Value::Table(table)) => {
            for (key, value) in table {
                match value {
                    Value::String(text) => drop(found.insert(key, text)),
                    Value::Integer(number) => drop(found.insert(key, number.to_string())),
                    Value::Boolean(truth) => drop(found.insert(key, truth.to_string())),
                    _ => wrong.push(format!("{what}.{key} must be a text")),
                }
            }
        }
        Some(_) => wrong.push(format!("{what} must be a table")),
    }
    found
}

/// Every text of the file, wherever it stands; below `secrets` names are secret and values are not.
fn look_for_secrets(path: &str, table: &Table, platform: Platform, wrong: &mut Vec<String>) {
    for (key, value) in table {
        let here = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let name = if path.ends_with("secrets") { "" } else { key };
        match value {
            Value::Table(table) => look_for_secrets(&here, table, platform, wrong),
            Value::String(text) => refuse(&here, name, text, platform, wrong),
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_str) {
                    refuse(&here, name, item, platform, wrong);
                }
            }
            _ => {}
        }
    }
}

fn refuse(here: &str, name: &str, value: &str, platform: Platform, wrong: &mut Vec<String>) {
    let reason = if secrets::name_is_secret(name) {
        "is a secret by its name"
    } else if let Some(shape) = secrets::shape(value) {
        wrong.push(format!("{here} looks like {shape}: {}", keep_it(platform)));
        return;
    } else {
        return;
    };
    wrong.push(format!("{here} {reason}: {}", keep_it(platform)));
}

/// What to do instead.
fn keep_it(platform: Platform) -> &'static str {
    match platform {
        Platform::CloudRun => {
            "keep it in Secret Manager, and name that secret under [cloud-run.secrets], such as ENCRYPTION_KEY = \"braingrid-mcp-encryption-key:latest\""
        }
        Platform::Kubernetes => {
            "keep it in a Secret of the cluster, and name that under [kubernetes], such as secret_name = \"braingrid-mcp\""
        }
        Platform::Vercel => "keep it in the project: vercel env add NAME production --sensitive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const GOOD: &str = "public_url = 'https://mcp.example.com/'\n\
                        oauth_issuer = 'https://auth.example.com'\n\
                        image = 'registry.example.com/braingrid-mcp:1'\n";

    const EXCHANGING: &str = "[settings]\n\
                              UPSTREAM_CLIENT_ID = 'client_1'\n\
                              UPSTREAM_RESOURCE = 'https://api.example.com'\n";

    pub(super) fn parsed(text: &str) -> anyhow::Result<Environment> {
        parse("test", Platform::CloudRun, text, Changes::default())
    }

    #[test]
    fn a_small_file_is_enough_and_its_settings_win() {
        let environment = parsed(&format!("{GOOD}{EXCHANGING}LOG_FORMAT = 'pretty'\n")).unwrap();
        let setting = |name: &str| environment.settings.get(name).map(String::as_str);
        assert_eq!(setting("MCP_HOST"), Some("https://mcp.example.com"));
        assert_eq!(environment.resource(), "https://mcp.example.com/mcp");
        assert_eq!(setting("UPSTREAM_MODE"), Some("exchange"));
        let exchange = Some(("client_1", "https://api.example.com"));
        assert_eq!(environment.exchange(), exchange);
        assert_eq!(setting("LOG_FORMAT"), Some("pretty"));
        assert_eq!(setting("TRUSTED_PROXIES"), Some("peer"));
        assert_eq!(proxies_of(Platform::Kubernetes), "private");
        assert_eq!(environment.host(), "mcp.example.com");
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_no_value_is_shown() {
        let key = "0123456789abcdef0123456789abcdef";
        let text = format!(
            "public_url = 'http://mcp.example.com'\nregion = 'x'\n[settings]\nENCRYPTION_KEY = '{key}'\n"
        );
        let said = format!("{:#}", parsed(&text).unwrap_err());
        for part in [
            "public_url",
            "oauth_issuer",
            "no image",
            "unknown key region",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(said.contains("settings.ENCRYPTION_KEY is a secret by its name"));
        assert!(!said.contains(key), "{said}");
    }

    #[test]
    fn a_section_of_secrets_names_them_and_does_not_hold_them() {
        let section = |value: &str| {
            format!("{GOOD}{EXCHANGING}[cloud-run.secrets]\nENCRYPTION_KEY = '{value}'\n")
        };
        assert!(parsed(&section("braingrid-mcp-encryption-key:latest")).is_ok());
        let held = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        assert!(parsed(&section(held)).is_err());
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let said = format!("{:#}", parsed("ENCRYPTION_KEY = hunter2\n").unwrap_err());
        assert!(
            said.contains("no valid TOML") && !said.contains("hunter2"),
            "{said}"
        );
    }
}
