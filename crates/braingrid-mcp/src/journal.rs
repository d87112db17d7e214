//! What all instances know of writes, as the tools know it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use mcp_core::{
    Begun, Caller, JournalUnavailable, JournalledWrite, OrganizationId, WriteIntent, WriteJournal,
    WriteOutcome,
};
use mcp_fleet::{Intent, Journal, JournalAway, JournalConfig, Write};
use mcp_session::{FileFacts, Keyring};
use tokio::sync::OnceCell;

use crate::metrics::Observer;

/// For [`mcp_core::ToolSet::with_journal`].
pub(crate) fn of_tools(journal: Journal) -> Arc<dyn WriteJournal> {
    Arc::new(ToolJournal {
        window: journal.window(),
        journal: OnceCell::new_with(Some(journal)),
        local: None,
    })
}

/// The same for a user's local servers, opened when something is written. They keep ids only.
pub(crate) fn of_local_tools(local: LocalJournal) -> Arc<dyn WriteJournal> {
    Arc::new(ToolJournal {
        window: local.config.window,
        journal: OnceCell::new(),
        local: Some(local),
    })
}

/// What a user's local servers remember of writes, also when one is started anew.
pub(crate) struct LocalJournal {
    /// Of the login; none where the user has no home.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) config: JournalConfig,
    /// Which BrainGrid is written to.
    pub(crate) api: String,
    /// Watches it, where metrics are on.
    pub(crate) observer: Option<Observer>,
}

impl LocalJournal {
    async fn open(&self) -> Journal {
        let journal = self.opened().await;
        if let Some(observer) = &self.observer {
            observer.journal(&journal);
        }
        journal
    }

    async fn opened(&self) -> Journal {
        let config = self.config.clone();
        let Some(folder) = &self.folder else {
            return Journal::in_process(Arc::new(Keyring::random()), config);
        };
        let facts = FileFacts::new(folder);
        match facts.keyring().await {
            Ok(keyring) => Journal::shared(Arc::new(facts), Arc::new(keyring), config),
            Err(error) => {
                tracing::warn!(%error, "writes are remembered while this process lives, and no longer");
                Journal::in_process(Arc::new(Keyring::random()), config)
            }
        }
    }
}

struct ToolJournal {
    window: Duration,
    journal: OnceCell<Journal>,
    local: Option<LocalJournal>,
}

impl ToolJournal {
    async fn journal(&self) -> &Journal {
        let open = async || match &self.local {
            Some(local) => local.open().await,
            // It was there from the start.
            None => Journal::in_process(Arc::new(Keyring::random()), JournalConfig::default()),
        };
        self.journal.get_or_init(open).await
    }

    fn api(&self) -> Option<&str> {
        self.local.as_ref().map(|local| local.api.as_str())
    }
}

/// A write of a tool, as the journal names it.
struct Named<'a> {
    api: Option<&'a str>,
    /// Where it is written: a client's own key means another write elsewhere.
    address: Option<String>,
    arguments: Vec<u8>,
    write: &'a JournalledWrite<'a>,
}

/// Who it is, to journal and tasks alike.
pub(crate) fn owner<'a>(
    caller: &'a Caller,
    organization: Option<&'a OrganizationId>,
) -> [&'a str; 3] {
    [
        caller.issuer().unwrap_or_default(),
        caller.subject().unwrap_or_default(),
        organization.map_or("", OrganizationId::as_str),
    ]
}

impl<'a> Named<'a> {
    /// Without a server for one BrainGrid alone, `api` says which one is written to.
    fn of(write: &'a JournalledWrite<'a>, api: Option<&'a str>) -> Self {
        Self {
            api,
            address: write.caller.address().map(ToString::to_string),
            // Keys come sorted out of this map. Writing to memory cannot fail.
            arguments: serde_json::to_vec(write.arguments).unwrap_or_default(),
            write,
        }
    }

    fn caller(&self) -> Vec<&str> {
        let owner = owner(self.write.caller, self.write.organization);
        let mut caller: Vec<_> = owner.into_iter().chain(self.api).collect();
        if let Some(address) = &self.address {
            caller.extend(["at", address]);
        }
        caller
    }

    fn write<'w>(&'w self, caller: &'w [&'w str]) -> Write<'w> {
        Write {
            key: self.write.key,
            replays: self.write.replays,
            timeout: self.write.timeout,
            ..Write::new(caller, self.write.tool, &self.arguments)
        }
    }
}

#[async_trait]
impl WriteJournal for ToolJournal {
    async fn begin(&self, write: &JournalledWrite<'_>) -> Result<Begun, JournalUnavailable> {
        let named = Named::of(write, self.api());
        let caller = named.caller();
        let begun = self.journal().await.begin(&named.write(&caller)).await;
        let begun = begun.map_err(|error: JournalAway| {
            tracing::warn!(%error, "a write was refused");
            JournalUnavailable
        })?;
        Ok(match begun {
            mcp_fleet::Begun::Send(intent) => Begun::Send(Box::new(ToolIntent(intent))),
            mcp_fleet::Begun::ReadBack(found) => {
                let intent = Box::new(ToolIntent(found.intent));
                Begun::read_back(found.at, found.settled, intent)
            }
            mcp_fleet::Begun::Replay(replay) => {
                Begun::replay(replay.at, replay.kept, replay.joined, replay.version)
            }
            mcp_fleet::Begun::KeyReused => Begun::KeyReused,
        })
    }

    async fn forget(&self, write: &JournalledWrite<'_>, version: u64) {
        let named = Named::of(write, self.api());
        let caller = named.caller();
        let write = named.write(&caller);
        self.journal().await.forget(&write, version).await;
    }

    fn window(&self) -> Duration {
        self.window
    }

    fn keeps_answers(&self) -> bool {
        self.local.is_none()
    }
}

struct ToolIntent(Intent);

#[async_trait]
impl WriteIntent for ToolIntent {
    fn may_send(&self) -> bool {
        self.0.may_send()
    }

    async fn send_again(&mut self) -> bool {
        self.0.send_again().await
    }

    async fn end(self: Box<Self>, outcome: WriteOutcome) {
        let intent = self.0;
        match outcome {
            WriteOutcome::Done {
                kept,
                answered,
                read_back: true,
            } => intent.resolved(kept.as_deref(), answered).await,
            WriteOutcome::Done { kept, answered, .. } => {
                intent.done(kept.as_deref(), answered).await;
            }
            WriteOutcome::Unknown => intent.unclear().await,
            WriteOutcome::NotDone => intent.release().await,
        }
    }
}
