//! How much the HTTP edge takes on, from the settings and from what the system gives.

use mcp_transport_http::{HttpConfig, MemoryBudget};

use crate::config::LimitSettings;

/// Most files that are kept for other things than clients.
const MOST_KEPT: usize = 1_024;

/// Sets the limits, and says what they are.
pub(crate) fn apply(settings: &LimitSettings, config: &mut HttpConfig) {
    if let Some(bytes) = settings.memory {
        config.memory = MemoryBudget::new(bytes);
    }
    let files = open_files();
    let affordable = files.map_or(usize::MAX, for_clients);
    let wanted = settings.connections.unwrap_or(config.max_connections);
    config.max_connections = wanted.min(affordable);
    if settings
        .connections
        .is_some_and(|wanted| wanted > affordable)
    {
        tracing::warn!(
            open_files = files,
            max_connections = config.max_connections,
            "MAX_CONNECTIONS is more than the limit of open files has room for: raise the hard limit \
             (ulimit -Hn, LimitNOFILE=)"
        );
    }
    let quarter = (config.max_connections / 4).max(1);
    config.max_strangers_per_address = Some(settings.strangers_per_address.unwrap_or(quarter));
    tracing::info!(
        max_connections = config.max_connections,
        open_files = files,
        memory_budget = config.memory.usage().limit,
        "limits"
    );
}

/// Of so many files, those for clients. The rest is for the way to BrainGrid, Redis and issuers, for
/// operators, probes and logs.
fn for_clients(files: usize) -> usize {
    files - (files / 4).min(MOST_KEPT)
}

/// How many files this process may have open, after asking for as many as it may ask for.
#[cfg(unix)]
fn open_files() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where that is refused (macOS names no number it would take), what was there stays.
    let _ = setrlimit(Resource::Nofile, most);
    let files = getrlimit(Resource::Nofile).current?;
    usize::try_from(files).ok()
}

/// Not limited in a way that can be asked for.
#[cfg(not(unix))]
fn open_files() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_for_other_things_than_clients() {
        assert_eq!(for_clients(1_024), 768);
        assert_eq!(for_clients(256), 192);
        assert_eq!(for_clients(1_048_576), 1_047_552);
        assert_eq!(for_clients(0), 0);
    }
}
