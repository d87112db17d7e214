//! What all instances know of calls, as the tools know it: the write journal, and the tasks.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use mcp_core::{
    Begun, Caller, FoundState, FoundTask, JournalUnavailable, JournalledWrite, OrganizationId,
    OrphanedTask, TaskOwner, TaskStore, TaskStoreUnavailable, TaskWork, WriteIntent, WriteJournal,
    WriteOutcome,
};
use mcp_fleet::{
    Intent, Journal, JournalAway, JournalConfig, RunningTask, TaskState, Tasks, Write,
};
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
    caller: Vec<&'a str>,
    arguments: Vec<u8>,
    write: &'a JournalledWrite<'a>,
}

/// Who it is, to journal and tasks alike.
fn owner<'a>(caller: &'a Caller, organization: Option<&'a OrganizationId>) -> [&'a str; 3] {
    [
        caller.issuer().unwrap_or_default(),
        caller.subject().unwrap_or_default(),
        organization.map_or("", OrganizationId::as_str),
    ]
}

impl<'a> Named<'a> {
    /// Without a server for one BrainGrid alone, `api` says which one is written to.
    fn of(write: &'a JournalledWrite<'a>, api: Option<&'a str>) -> Self {
        let caller = owner(write.caller, write.organization).into_iter();
        Self {
            caller: caller.chain(api).collect(),
            // Keys come sorted out of this map. Writing to memory cannot fail.
            arguments: serde_json::to_vec(write.arguments).unwrap_or_default(),
            write,
        }
    }

    fn write(&self) -> Write<'_> {
        Write {
            key: self.write.key,
            replays: self.write.replays,
            timeout: self.write.timeout,
            ..Write::new(&self.caller, self.write.tool, &self.arguments)
        }
    }
}

#[async_trait]
impl WriteJournal for ToolJournal {
    async fn begin(&self, write: &JournalledWrite<'_>) -> Result<Begun, JournalUnavailable> {
        let named = Named::of(write, self.api());
        let begun = self.journal().await.begin(&named.write()).await;
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
        self.journal().await.forget(&named.write(), version).await;
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

/// For [`mcp_core::ToolSet::with_tasks`].
pub(crate) fn tasks_of_tools(tasks: Tasks) -> Arc<dyn TaskStore> {
    Arc::new(ToolTasks(tasks))
}

struct ToolTasks(Tasks);

#[async_trait]
impl TaskStore for ToolTasks {
    async fn begin(
        &self,
        whose: &TaskOwner,
        about: String,
        request: String,
    ) -> Result<(String, Box<dyn TaskWork>), TaskStoreUnavailable> {
        let owner = owner(&whose.caller, whose.organization.as_ref());
        let [issuer, _, organization] = owner;
        let tenant = [issuer, organization];
        let (id, work) = self
            .0
            .begin(&owner, &tenant, about, request)
            .await
            .map_err(away)?;
        Ok((id, Box::new(ToolTask(work))))
    }

    async fn find(
        &self,
        whose: &TaskOwner,
        id: &str,
    ) -> Result<Option<FoundTask>, TaskStoreUnavailable> {
        let owner = owner(&whose.caller, whose.organization.as_ref());
        let Some(found) = self.0.find(&owner, id).await.map_err(away)? else {
            return Ok(None);
        };
        let record = found.record.clone();
        let times = [record.created_at(), record.updated_at(), record.worked_at()];
        let state = match record.state {
            TaskState::Working if found.is_orphaned => FoundState::Orphaned(Box::new(Orphan {
                tasks: self.0.clone(),
                owner: owner.map(str::to_owned),
                id: id.to_owned(),
                found,
            })),
            TaskState::Working => FoundState::Working,
            TaskState::Cancelled => FoundState::Cancelled,
            TaskState::Done(result) => FoundState::Done(result),
        };
        let task = FoundTask::new((record.about, record.request), times, state);
        Ok(Some(task))
    }

    async fn cancel(&self, whose: &TaskOwner, id: &str) -> Result<bool, TaskStoreUnavailable> {
        let owner = owner(&whose.caller, whose.organization.as_ref());
        self.0.cancel(&owner, id).await.map_err(away)
    }

    fn ttl(&self) -> Duration {
        self.0.ttl()
    }
}

fn away(error: impl std::fmt::Display) -> TaskStoreUnavailable {
    tracing::warn!(%error, "tasks are not kept");
    TaskStoreUnavailable
}

struct Orphan {
    tasks: Tasks,
    owner: [String; 3],
    id: String,
    found: mcp_fleet::FoundTask,
}

#[async_trait]
impl OrphanedTask for Orphan {
    async fn take_over(self: Box<Self>) -> Option<Box<dyn TaskWork>> {
        let owner = self.owner.each_ref().map(String::as_str);
        let taken = self.tasks.take_over(&owner, &self.id, &self.found).await;
        match taken {
            Ok(work) => Some(Box::new(ToolTask(work?))),
            Err(error) => {
                tracing::warn!(%error, "a task is not taken over");
                None
            }
        }
    }
}

struct ToolTask(RunningTask);

#[async_trait]
impl TaskWork for ToolTask {
    async fn watch(&self) {
        self.0.watch().await;
    }

    async fn finish(self: Box<Self>, result: String) {
        self.0.finish(result).await;
    }

    async fn give_up(self: Box<Self>) {
        self.0.give_up().await;
    }
}
