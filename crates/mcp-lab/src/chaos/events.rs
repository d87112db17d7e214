//! What each event does.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{
    client::Clients,
    fleet::{INSTANCES, Signal},
    identity::Identity,
    schedule::{Event, Step},
    world::World,
};
use mcp_test_support::IssuerMode;

/// Between two changes of the issuer's keys. A server asks for keys it does not know once in ten
/// seconds, so that forged key ids cannot be used to flood the issuer, and no issuer changes its
/// keys that often.
const BETWEEN_KEYS: Duration = Duration::from_secs(13);
/// Longer than a server waits after it failed to get the issuer's keys.
const KEYLESS: Duration = Duration::from_secs(2);
const ISSUER_DELAY: Duration = Duration::from_millis(1_500);

impl World {
    /// Lets an event happen, from its beginning to a fleet that is well again.
    pub(super) async fn perform(&mut self, step: &Step) -> anyhow::Result<()> {
        let lasts = step.lasts();
        if let Some(clients) = &self.clients {
            clients.set_lenient(step.event.loses());
            // Also whoever asked before that, and is still on the way.
            clients.all_refresh().await?;
        }
        match step.event {
            Event::RollingRestart => self.fleet.roll(Signal::Term).await?,
            Event::RollingKill => self.fleet.roll(Signal::Kill).await?,
            Event::EncryptionKeyRotation => self.fleet.rotate_encryption_key().await?,
            Event::ConnectionsReset => self.reset_connections(lasts).await,
            Event::RedisKilled => self.redis.kill_and_replace().await?,
            Event::RedisReplacedWhileHung => self.redis.hang_and_replace(lasts).await?,
            Event::RedisRestartsEmpty => self.redis.restart_empty().await?,
            Event::RedisEmptied => {
                self.redis.empty().await?;
                tokio::time::sleep(lasts).await;
            }
            Event::RedisFailover => self.redis.fail_over().await?,
            Event::RedisConnectionsReset => self.redis.reset_connections().await?,
            Event::RedisHangs => {
                self.redis.hang()?;
                self.outage(step).await?;
                self.redis.go_on().await?;
            }
            Event::IssuerDown => {
                self.make_known().await?;
                self.issuer_goes_down().await;
                self.outage(step).await?;
                self.issuer_comes_back().await?;
            }
            Event::DeployWhileIssuerDown => {
                self.make_known().await?;
                self.issuer_goes_down().await;
                self.fleet.roll(Signal::Term).await?;
                // No instance has a key now: everybody is served from what Redis holds.
                tokio::time::sleep(KEYLESS + lasts).await;
                self.issuer_comes_back().await?;
            }
            Event::IssuerSlow => {
                let slow = IssuerMode::Slow(ISSUER_DELAY);
                self.issuer_mode(slow, step).await?;
            }
            Event::IssuerGarbage => {
                self.make_known().await?;
                self.callers.login.is_down.store(true, Ordering::SeqCst);
                self.issuer_mode(IssuerMode::Garbage, step).await?;
                self.callers.login.is_down.store(false, Ordering::SeqCst);
            }
            Event::IssuerLosesAnswers => {
                self.clients.iter().for_each(Clients::lose_answers);
                tokio::time::sleep(lasts).await;
                self.clients.iter().for_each(Clients::heal);
            }
            Event::IssuerRotatesKeys | Event::IssuerWithdrawsKeys => {
                self.change_issuer_keys(step.event).await;
            }
            Event::IssuerClockAhead => self.issuer_clock(60, lasts).await?,
            Event::IssuerClockBehind => self.issuer_clock(-60, lasts).await?,
        }
        self.calm().await
    }

    /// An outage in the middle of which an instance is replaced.
    async fn outage(&mut self, step: &Step) -> anyhow::Result<()> {
        let begun = Instant::now();
        tokio::time::sleep(step.lasts() / 3).await;
        if let Some(instance) = step.kills {
            self.fleet.restart(instance, Signal::Kill).await?;
        }
        tokio::time::sleep(step.lasts().saturating_sub(begun.elapsed())).await;
        Ok(())
    }

    async fn reset_connections(&self, lasts: Duration) {
        for number in 0..2 * INSTANCES {
            // One instance's at a time: a client that repeats a call has idle connections to the
            // others, and would find those reset too.
            self.fleet.reset_connections(number % INSTANCES);
            tokio::time::sleep(lasts / 6).await;
        }
    }

    /// Every tenant has a token that all instances can find: nobody exchanges one of which no instance
    /// has heard while the issuer is away.
    async fn make_known(&self) -> anyhow::Result<()> {
        if self.clients.is_some() {
            // Their tokens hold what the API is called with.
            return Ok(());
        }
        // Writes of tools are remembered in Redis, too: sessions alone are counted.
        self.rest().await;
        let logged_in = self.log_in_everywhere().await;
        self.go_on();
        logged_in
    }

    async fn issuer_goes_down(&self) {
        let login = &self.callers.login;
        login.is_down.store(true, Ordering::SeqCst);
        login.identity.stop().await;
    }

    async fn issuer_comes_back(&self) -> anyhow::Result<()> {
        let login = &self.callers.login;
        let deadline = Instant::now() + Duration::from_secs(30);
        // The system may have lent its port to a connection.
        while let Err(error) = login.identity.come_back().await {
            anyhow::ensure!(
                Instant::now() < deadline,
                "the issuer does not come back: {error}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        login.is_down.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn issuer_mode(&mut self, mode: IssuerMode, step: &Step) -> anyhow::Result<()> {
        self.callers.login.identity.set_mode(mode);
        self.outage(step).await?;
        self.callers.login.identity.set_mode(IssuerMode::Normal);
        Ok(())
    }

    async fn change_issuer_keys(&mut self, event: Event) {
        if let Some(changed) = self.issuer_keys_changed {
            tokio::time::sleep(BETWEEN_KEYS.saturating_sub(changed.elapsed())).await;
        }
        let login = &self.callers.login;
        let Identity::Issuer(issuer) = &login.identity else {
            return;
        };
        if event == Event::IssuerWithdrawsKeys {
            // In this order a token of the old key can never pass for one of the new.
            issuer.rotate();
            login.key_generation.fetch_add(1, Ordering::SeqCst);
        } else {
            issuer.rotate_with_overlap();
        }
        self.tenants.iter().for_each(|tenant| tenant.log_in(login));
        self.issuer_keys_changed = Some(Instant::now());
    }

    /// A wrong clock: everybody gets a token by it.
    async fn issuer_clock(&mut self, offset: i64, lasts: Duration) -> anyhow::Result<()> {
        let login = &self.callers.login;
        login.set_clock(offset);
        self.tenants.iter().for_each(|tenant| tenant.log_in(login));
        tokio::time::sleep(lasts).await;
        login.set_clock(0);
        self.calm().await
    }
}
