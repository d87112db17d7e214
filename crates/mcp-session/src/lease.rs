//! One exchange of a token for all instances: who begins it has a lease, and leaves what came of it to
//! those who came with the same token meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use mcp_auth::{AccessToken, AuthError, Principal, TokenExchange, UpstreamToken};
use mcp_outbound::run_to_end;

use crate::{
    facts::{Fact, FactStore, Put, Swap},
    key::SessionKey,
    record,
    seal::Keyring,
    store::StoreError,
};

/// Longer than an exchange takes at most: then its instance is gone.
const LEASE: Duration = Duration::from_secs(8);

/// How long a token is left for others: as long as they may have waited, and a little.
const LEFT: Duration = Duration::from_secs(10);

/// Between two looks at somebody else's exchange.
const LOOK: Duration = Duration::from_millis(50);

/// The leases of all instances.
#[derive(Clone)]
pub(crate) struct Leases {
    facts: Arc<dyn FactStore>,
    keyring: Arc<Keyring>,
}

/// What is asked for, and for whom.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) key: SessionKey,
    pub(crate) exchange: Arc<TokenExchange>,
    pub(crate) token: AccessToken,
    pub(crate) principal: Principal,
    /// The API refuses this one, or it is over: another one is wanted.
    pub(crate) instead_of: Option<UpstreamToken>,
    pub(crate) now: SystemTime,
}

impl Wanted {
    pub(crate) async fn exchange(&self) -> Result<UpstreamToken, AuthError> {
        let exchange = self
            .exchange
            .exchange(&self.token, &self.principal, self.now);
        exchange.await
    }

    /// Whether a token that somebody else got will do.
    fn is(&self, token: &UpstreamToken) -> bool {
        let refused = self.instead_of.as_ref();
        let meant_for_it = token.target() == self.exchange.target();
        let refused_it = refused.is_some_and(|it| it.expose() == token.expose());
        meant_for_it && token.expires_at() > self.now && !refused_it
    }
}

/// What the others are doing.
enum Turn {
    /// It is ours to exchange, under this version of the lease.
    Ours(u64),
    /// Somebody did.
    Done(UpstreamToken),
    /// Somebody is about to.
    Wait,
    /// There is nobody to ask.
    Alone,
}

impl Leases {
    pub(crate) fn new(facts: Arc<dyn FactStore>, keyring: Arc<Keyring>) -> Self {
        Self { facts, keyring }
    }

    /// The token that this instance or another one exchanges. A store that cannot be asked costs an
    /// exchange for each instance, and nothing else.
    pub(crate) async fn exchange(&self, wanted: Wanted) -> Result<UpstreamToken, AuthError> {
        let name = wanted.key.lease();
        let until = Instant::now() + LEASE;
        loop {
            match self.turn(&name, &wanted).await {
                Turn::Done(token) => return Ok(token),
                Turn::Ours(version) => return self.exchange_under(name, version, wanted).await,
                Turn::Wait if Instant::now() < until => tokio::time::sleep(LOOK).await,
                Turn::Wait | Turn::Alone => return wanted.exchange().await,
            }
        }
    }

    /// Takes away what was left for a token, and the lease of whoever is about to leave something.
    pub(crate) async fn forget(&self, key: SessionKey) -> Result<(), StoreError> {
        let name = key.lease();
        if let Some(fact) = self.facts.read(&name).await? {
            self.facts.compare_and_delete(&name, fact.version).await?;
        }
        Ok(())
    }

    async fn turn(&self, name: &str, wanted: &Wanted) -> Turn {
        let fact = match self.facts.put_if_absent(name, Vec::new(), LEASE).await {
            Ok(Put::Created(version)) => return Turn::Ours(version),
            Ok(Put::Exists(fact)) => fact,
            Err(_) => return Turn::Alone,
        };
        if fact.value.is_empty() {
            return Turn::Wait;
        }
        match self.left(name, &fact) {
            Some(token) if wanted.is(&token) => Turn::Done(token),
            _ => self.take_over(name, fact.version).await,
        }
    }

    /// What was left there is not what is wanted.
    async fn take_over(&self, name: &str, version: u64) -> Turn {
        let swap = self.facts.compare_and_set(name, version, Vec::new(), LEASE);
        match swap.await {
            Ok(Swap::Done) => Turn::Ours(version.wrapping_add(1)),
            Ok(Swap::Lost(_)) => Turn::Wait,
            Err(_) => Turn::Alone,
        }
    }

    /// Goes on also when nobody waits here any more: others do.
    async fn exchange_under(
        &self,
        name: String,
        version: u64,
        wanted: Wanted,
    ) -> Result<UpstreamToken, AuthError> {
        let leases = self.clone();
        let again = wanted.clone();
        let work = async move {
            let exchanged = wanted.exchange().await;
            leases.leave(&name, version, exchanged.as_ref().ok()).await;
            exchanged
        };
        match run_to_end(work, || ()).await {
            Some(exchanged) => exchanged,
            None => again.exchange().await,
        }
    }

    /// What cannot be written leaves a lease that ends by itself.
    async fn leave(&self, name: &str, version: u64, token: Option<&UpstreamToken>) {
        let sealed = token.and_then(|token| {
            let plaintext = record::encode_upstream(token).ok()?;
            self.keyring.seal(name, &plaintext).ok()
        });
        match sealed {
            Some(sealed) => {
                let left = self.facts.compare_and_set(name, version, sealed, LEFT);
                drop(left.await);
            }
            None => drop(self.facts.compare_and_delete(name, version).await),
        }
    }

    fn left(&self, name: &str, fact: &Fact) -> Option<UpstreamToken> {
        let opened = self.keyring.open(name, &fact.value).ok()?;
        record::decode_upstream(&opened.plaintext).ok()
    }
}
