//! The scenarios: what is done, load by load.

mod faults;
mod traffic;

use strum::{IntoStaticStr, VariantArray};

use super::{report::Section, world::World};

/// One thing to find out; they run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Scenario {
    /// Known tokens, as fast as it goes and at a given rate, beside the servers compared with.
    Steady,
    /// From the start of the process to the first answer to a token.
    Cold,
    /// From one user to a thousand.
    Ramp,
    /// A token that nobody has seen with each call.
    NewToken,
    /// Several instances in turn.
    Replicas,
    /// Redis hangs, then is gone.
    Redis,
    /// The issuer signs with a new key.
    Rotation,
    /// The API takes 20 ms.
    Upstream,
    /// A mix of calls, for what a million of them costs.
    Mix,
    /// Exporters on and off.
    Telemetry,
    /// A steady rate for a long time.
    Soak,
}

impl Scenario {
    /// On the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether it works against a server that somebody else started.
    #[must_use]
    pub fn needs_no_stand_ins(self) -> bool {
        matches!(self, Self::Steady | Self::Soak)
    }
}

pub(super) async fn run(scenario: Scenario, world: &mut World) -> anyhow::Result<Section> {
    let section = match scenario {
        Scenario::Steady => traffic::steady(world).await,
        Scenario::Ramp => traffic::ramp(world).await,
        Scenario::Upstream => traffic::upstream(world).await,
        Scenario::Mix => traffic::mix(world).await,
        Scenario::Telemetry => traffic::telemetry(world).await,
        Scenario::Soak => traffic::soak(world).await,
        Scenario::Cold => faults::cold(world).await,
        Scenario::NewToken => faults::new_token(world).await,
        Scenario::Replicas => faults::replicas(world).await,
        Scenario::Redis => faults::redis(world).await,
        Scenario::Rotation => faults::rotation(world).await,
    };
    section.map(|(about, section)| Section {
        scenario: scenario.name().to_owned(),
        about: about.to_owned(),
        ..section
    })
}

/// What was done, and what it showed.
type Shown = (&'static str, Section);
