//! The scenarios: what is done, load by load.

mod faults;
mod traffic;

use strum::{IntoStaticStr, VariantArray};

use super::{report::Section, world::World};

/// One thing to find out, see [`Scenario::about`]; they run in this order.
#[expect(missing_docs, reason = "`about` says it, to people too")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Scenario {
    Steady,
    Cold,
    Ramp,
    NewToken,
    Replicas,
    Redis,
    Rotation,
    Upstream,
    Mix,
    Writes,
    Telemetry,
    Soak,
}

impl Scenario {
    /// What it finds out.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Steady => "known tokens: a closed loop, and an open loop at half its rate",
            Self::Cold => "from the start of the process to the first answer to a token",
            Self::Ramp => "from 1 user to 1,000",
            Self::NewToken => "a token that nobody has seen with each call",
            Self::Replicas => "every call of a tenant goes to the next instance",
            Self::Redis => "Redis hangs, is gone, comes back",
            Self::Rotation => "the issuer signs with a new key",
            Self::Upstream => "the API takes 20 ms",
            Self::Mix => "what a million mixed calls cost",
            Self::Writes => "writes that are remembered, beside writes that are not",
            Self::Telemetry => "exporters on, beside off",
            Self::Soak => "a steady rate for long",
        }
    }

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
        Scenario::Writes => traffic::writes(world).await,
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
