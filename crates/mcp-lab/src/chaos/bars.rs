//! What a hung Redis costs: the same calls to one instance, by turns with a Redis that answers and
//! one that does not. Measured and reported; a test does not fail by the clock.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;
use serde_json::json;

use super::{record::percentile, schedule::Length, world::World};
use mcp_test_support::{
    Issuer,
    client::{Generation, RawHttp},
};

/// Until the circuit is open for certain: three failures of at most 250 ms each, in a row.
const CIRCUIT_OPENS: Duration = Duration::from_millis(1_500);
const LIMIT: Duration = Duration::from_secs(30);

/// Durations of calls in milliseconds, measured by the client.
#[derive(Clone, Debug, Serialize)]
pub struct Bars {
    /// Turns, each with a healthy and a hung half.
    pub rounds: usize,
    /// A token that the instance knows.
    pub warm: Compared,
    /// A token that nobody has seen, in the first moments of the outage.
    pub new_token: Compared,
    /// A token that nobody has seen, when the circuit is open.
    pub new_token_circuit_open: Compared,
}

/// The same calls with a Redis that answers and with one that hangs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Compared {
    /// Calls in each half.
    pub calls: usize,
    /// Median while Redis answers.
    pub healthy_p50: f64,
    /// 99th percentile while Redis answers.
    pub healthy_p99: f64,
    /// Median while Redis hangs.
    pub hung_p50: f64,
    /// 99th percentile while Redis hangs.
    pub hung_p99: f64,
}

impl Compared {
    fn new(healthy: &[u32], hung: &[u32]) -> Self {
        Self {
            calls: healthy.len(),
            healthy_p50: percentile(healthy, 0.5),
            healthy_p99: percentile(healthy, 0.99),
            hung_p50: percentile(hung, 0.5),
            hung_p99: percentile(hung, 0.99),
        }
    }
}

/// Calls with a known token, with a new one, and with a new one somewhat later.
#[derive(Default)]
struct Half {
    warm: Vec<u32>,
    new: Vec<u32>,
    later: Vec<u32>,
}

/// Expects a fleet at rest, and leaves it so.
pub(super) async fn measure(
    world: &mut World,
    issuer: &Issuer,
    length: Length,
) -> anyhow::Result<Bars> {
    let (rounds, size) = if length == Length::Short {
        (2, 20)
    } else {
        (8, 100)
    };
    let probe = Probe {
        instance: world.fleet.direct(0),
        issuer,
        world,
    };
    let (mut healthy, mut hung) = (Half::default(), Half::default());
    let known = probe.token();
    probe.timed(&known).await?;
    for _ in 0..rounds {
        probe
            .half(&mut healthy, &known, size, Duration::ZERO)
            .await?;
        probe.world.redis.hang()?;
        let measured = probe.half(&mut hung, &known, size, CIRCUIT_OPENS).await;
        probe.world.redis.go_on().await?;
        measured?;
        probe.wait_for_writes().await?;
    }
    Ok(Bars {
        rounds,
        warm: Compared::new(&healthy.warm, &hung.warm),
        new_token: Compared::new(&healthy.new, &hung.new),
        new_token_circuit_open: Compared::new(&healthy.later, &hung.later),
    })
}

struct Probe<'a> {
    world: &'a World,
    issuer: &'a Issuer,
    instance: RawHttp,
}

impl Probe<'_> {
    async fn half(
        &self,
        half: &mut Half,
        known: &str,
        size: usize,
        pause: Duration,
    ) -> anyhow::Result<()> {
        // Known and new by turns: the first moments are what a new token may be slow in.
        for _ in 0..size / 4 {
            half.new.push(self.timed(&self.token()).await?);
            half.warm.push(self.timed(known).await?);
        }
        tokio::time::sleep(pause).await;
        for _ in 0..size / 4 {
            half.later.push(self.timed(&self.token()).await?);
        }
        for _ in 0..size * 3 {
            half.warm.push(self.timed(known).await?);
        }
        Ok(())
    }

    fn token(&self) -> String {
        let token = self.issuer.token();
        token.subject("user-900").organization("org-900").mint()
    }

    /// Microseconds of one call.
    async fn timed(&self, token: &str) -> anyhow::Result<u32> {
        let request = self
            .instance
            .request(Generation::Modern, "tools/list", json!({}));
        let request = request.bearer(token);
        let begun = Instant::now();
        let answer = request.send().await?;
        let micros = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        if answer.status != 200 {
            bail!(
                "a measured call was answered {}: {}",
                answer.status,
                answer.body
            );
        }
        Ok(micros)
    }

    /// Waits until the circuit is closed again.
    async fn wait_for_writes(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        self.world.redis.master().reset_stats().await?;
        while self.world.redis.writes().await? == 0 {
            if Instant::now() > deadline {
                bail!("no session is written to Redis after it came back");
            }
            self.timed(&self.token()).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}
