//! What the operator chose, as typed values. The only file that reads the environment.
//!
//! Defaults < file < environment < flags. All of it comes from the table in `settings`; all
//! that is wrong with it is reported at once. Below this file, configuration is arguments.

mod authorization_server;
mod build;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod introspection;
mod issuers;
mod layers;
mod parse;
mod platform;
mod print;
mod problem;
mod reader;
pub(crate) mod settings;
mod tenants;
mod text;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

pub(crate) use authorization_server::AuthorizationServerSettings;
#[cfg(feature = "login")]
pub(crate) use build::LoginSettings;
pub(crate) use build::{
    AdminSettings, ApiSettings, AuditTarget, AuthSettings, Config, DogStatsdSettings,
    EventSettings, HttpSettings, LimitSettings, LogSettings, OperatorSettings, RateSettings,
    SealingKeys, Serve, SessionSettings, StdioSettings, TelemetrySettings, TransmitterSettings,
};
use layers::{Environment, Layer, NotUnicode, Origin};
pub(crate) use parse::logs::{LogFormat, log_level};
pub(crate) use parse::traces::{Propagator, TraceSampler};
#[cfg(feature = "login")]
pub(crate) use parse::words::LoginStore;
use parse::{secrets, words::Transport};
pub(crate) use print::{documentation, effective_json, effective_text};
pub(crate) use problem::Problems;
use reader::Reader;
#[cfg(feature = "login")]
pub(crate) use settings::{API_URL, OAUTH_ISSUER};
pub(crate) use settings::{Group, Kind, Spec};
pub(crate) use upstream::UpstreamSettings;

/// A configuration and how it came about.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The typed configuration.
    pub(crate) config: Config,
    /// Each setting that the chosen transport reads, as it may be shown.
    pub(crate) effective: Vec<Effective>,
}

/// One setting as it is in effect.
#[derive(Debug)]
pub(crate) struct Effective {
    setting: &'static Spec,
    value: Option<String>,
    origin: Origin,
}

/// The flags that were given, by setting key.
pub(crate) type Flags = BTreeMap<&'static str, String>;

/// Everything outside the program that configuration is made of.
pub(crate) struct Surroundings {
    environment: Environment,
    directory: PathBuf,
}

impl Surroundings {
    /// The environment and the working directory of this process.
    pub(crate) fn of_this_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let value = value
                .into_string()
                .map(SecretString::from)
                .map_err(|_| NotUnicode);
            Some((name.into_string().ok()?, value))
        });
        Self {
            environment: Environment(variables.collect()),
            directory: PathBuf::from("."),
        }
    }

    /// A variable that is no setting of ours, such as `PATH`. An empty one counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.environment.0.get(name)?.as_ref().ok()?;
        Some(value.expose_secret()).filter(|value| !value.is_empty())
    }

    /// Those of these variables that are set, each the path of a folder.
    pub(crate) fn paths(&self, names: &[&'static str]) -> BTreeMap<&'static str, PathBuf> {
        let set = |name: &&'static str| Some((*name, PathBuf::from(self.variable(name)?)));
        names.iter().filter_map(set).collect()
    }

    /// The working directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where this user's programs keep what belongs to the user.
    fn user_folder(&self) -> Option<PathBuf> {
        let folder = |name: &str| {
            let path = PathBuf::from(self.variable(name)?);
            path.is_absolute().then_some(path)
        };
        let parent = if cfg!(windows) {
            folder("APPDATA")
        } else if cfg!(target_os = "macos") {
            folder("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))
        };
        Some(parent?.join("braingrid-mcp"))
    }
}

/// Reads the configuration, or says everything that is wrong with it.
pub(crate) fn load(flags: &Flags, around: &Surroundings) -> Result<Loaded, Problems> {
    let mut reader = read_layers(flags, around, None)?;
    let transport = reader.value(&settings::TRANSPORT);
    let config = build::read_config(&mut reader, transport, around);
    let effective = effective(&reader, transport);
    match config {
        Some(config) if reader.problems.is_empty() => Ok(Loaded { config, effective }),
        _ => Err(Problems(reader.problems)),
    }
}

/// Reads the configuration of the local server, whichever transport is chosen.
#[cfg(feature = "login")]
pub(crate) fn load_local(flags: &Flags, around: &Surroundings) -> Result<Config, Problems> {
    let mut flags = flags.clone();
    flags.insert(settings::TRANSPORT.key, "stdio".to_owned());
    Ok(load(&flags, around)?.config)
}

/// A bearer token as a secret, or what is wrong with it.
pub(crate) fn token(given: &str) -> Result<SecretString, String> {
    text::read_secret(given, secrets::token)
        .map_err(|refusal| format!("{}; {}", refusal.what, refusal.fix))
}

/// The address on which a server with these settings listens. Looks at nothing else, so that a
/// health check works wherever the server does.
pub(crate) fn listen_address(flags: &Flags, around: &Surroundings) -> Result<SocketAddr, Problems> {
    let mut flags = flags.clone();
    flags.insert(settings::TRANSPORT.key, "http".to_owned());
    let mut reader = read_layers(&flags, around, None)?;
    reader.problems.clear();
    let listen = build::read_listen(&mut reader);
    if reader.problems.is_empty() {
        Ok(listen)
    } else {
        Err(Problems(reader.problems))
    }
}

/// Where the commands of operators find a server, and with which token. Looks at nothing else, so that they
/// work also where the server cannot start. Like a local server, they are started in whatever folder is
/// open: no relative path of the environment is followed.
pub(crate) fn operator(flags: &Flags, around: &Surroundings) -> Result<OperatorSettings, Problems> {
    let mut reader = read_layers(flags, around, Some(build::is_of_operators))?;
    match build::read_operator(&mut reader) {
        Some(settings) if reader.problems.is_empty() => Ok(settings),
        _ => Err(Problems(reader.problems)),
    }
}

/// Merges the layers: of a server, or for a command that needs `only` these. Variables that only the other
/// transport reads are left out: names like `PORT` or `REDIS_URL` may be meant for another program.
fn read_layers(
    flags: &Flags,
    around: &Surroundings,
    only: Option<fn(&Spec) -> bool>,
) -> Result<Reader, Problems> {
    let mut problems = Vec::new();
    let mut warnings = layers::near_misses(&around.environment);
    let transport_only = |setting: &Spec| setting.key == settings::TRANSPORT.key;
    let asked = layers::environment(
        &around.environment,
        transport_only,
        false,
        &mut Vec::new(),
        &mut Vec::new(),
    );
    let stack = |file: &Layer, environment: Layer| {
        let flags = layers::flags(flags);
        vec![layers::defaults(), file.clone(), environment, flags]
    };
    let is_http = |file: &Layer| -> Result<bool, Problems> {
        let is_server = only.is_none();
        Ok(is_server && transport_of(stack(file, asked.clone()))? == Transport::Http)
    };
    // Whoever reads the file has to know it already: the file cannot say that it may be trusted.
    let hosted = is_http(&Layer::default())?;
    let user_folder = around.user_folder();
    let named = config_file(flags, around).filter(|(path, origin)| {
        let stray = !hosted && path.is_relative() && matches!(origin, Origin::Environment { .. });
        if stray {
            problems.push(layers::relative(settings::CONFIG_FILE.name(), path));
        }
        !stray
    });
    if named.is_none() {
        warnings.extend(layers::unread(&around.directory, user_folder.as_deref()));
    }
    let file = layers::file(
        named,
        &around.directory,
        user_folder.as_deref(),
        |setting| only.is_none_or(|is_wanted| is_wanted(setting)),
        &mut problems,
    );
    let http = is_http(&file)?;
    let environment = layers::environment(
        &around.environment,
        |setting| only.map_or_else(|| setting.read_by(http), |is_wanted| is_wanted(setting)),
        !http,
        &mut problems,
        &mut warnings,
    );
    let all = stack(&file, environment);
    let merged = layers::merge(all).map_err(|problem| Problems(vec![problem]))?;
    Ok(Reader::new(merged, problems, warnings))
}

/// The transport alone; a bad one is reported later, with everything else.
fn transport_of(layers: Vec<Layer>) -> Result<Transport, Problems> {
    let merged = layers::merge(layers).map_err(|problem| Problems(vec![problem]))?;
    let mut reader = Reader::new(merged, Vec::new(), Vec::new());
    Ok(reader.value(&settings::TRANSPORT))
}

/// The configuration file that is named by flag or variable.
fn config_file(flags: &Flags, around: &Surroundings) -> Option<(PathBuf, Origin)> {
    let setting = &settings::CONFIG_FILE;
    if let Some(path) = flags.get(setting.key) {
        return Some((PathBuf::from(path), Origin::Flag { name: "config" }));
    }
    let name = setting.name();
    let value = around.environment.0.get(name)?.as_ref().ok()?;
    let path = value.expose_secret();
    let origin = Origin::Environment {
        name: name.to_owned(),
    };
    (!path.is_empty()).then(|| (PathBuf::from(path), origin))
}

fn effective(reader: &Reader, transport: Transport) -> Vec<Effective> {
    settings::all()
        .filter(|setting| setting.read_by(transport == Transport::Http))
        .map(|setting| Effective {
            setting,
            value: reader.shown(setting),
            origin: reader.origin(setting),
        })
        .collect()
}

#[cfg(test)]
mod tests;
