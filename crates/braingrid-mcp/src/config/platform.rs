//! Platforms that kill a process some time after they asked it to stop, told by their variables.

use std::time::Duration;

use super::Surroundings;

struct Platform {
    name: &'static str,
    /// A variable that it sets.
    sign: &'static str,
    grace: Duration,
    unless: &'static str,
}

const PLATFORMS: &[Platform] = &[
    Platform {
        name: "Cloud Run",
        sign: "K_SERVICE",
        grace: Duration::from_secs(10),
        unless: "",
    },
    Platform {
        name: "Vercel",
        sign: "VERCEL",
        grace: Duration::from_millis(500),
        unless: "",
    },
    Platform {
        name: "Kubernetes",
        sign: "KUBERNETES_SERVICE_HOST",
        grace: Duration::from_secs(30),
        unless: " unless terminationGracePeriodSeconds is longer, and preStop is part of that time",
    },
];

/// What is to be said of a stop that takes so long, where this process runs.
pub(super) fn kills_before(stop: Duration, around: &Surroundings) -> Option<String> {
    let here = |platform: &&Platform| around.variable(platform.sign).is_some();
    let platform = PLATFORMS.iter().find(here)?;
    (stop >= platform.grace).then(|| {
        let Platform {
            name,
            grace,
            unless,
            ..
        } = platform;
        format!(
            "DRAIN_TIMEOUT: {name} kills {grace:?} after it asks to stop{unless}: calls under way would \
             be cut without an answer. Lower DRAIN_TIMEOUT; 0 stops at once"
        )
    })
}
