//! What all instances of a server know of what callers do.
//!
//! [`Journal`] remembers writes: that one was begun, before its request leaves, and what came of it.
//! A write that is sent again, by a client that lost the answer or to an instance that took the place
//! of a dead one, is told what came of the first and is not done twice.
//!
//! [`Tasks`] are calls that go on while nobody waits for them, and whose answers any instance has;
//! [`TaskMarks`] say that one was begun where the answers stay in their process.
//!
//! [`Denials`] say who is no longer let in, on every instance, within a moment.
//!
//! [`EventIds`] are the events of others that came before.
//!
//! [`Limits`] say how much a caller may still do, on all instances together.
//!
//! [`Tenants`] have what is set for each tenant at run time.
//!
//! What the journal is worth depends on the store: [`WithoutStore`] says what holds while it is away, and a
//! store that loses what it acknowledged (a failover of Redis) may let a write through twice.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use mcp_fleet::{Begun, Journal, JournalConfig, Write};
//! use mcp_session::Keyring;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! // One instance; `Journal::shared` is for several.
//! let journal = Journal::in_process(Arc::new(Keyring::random()), JournalConfig::default());
//! let write = Write::new(&["issuer", "ada"], "create_note", b"{\"text\":\"hi\"}");
//! let Begun::Send(intent) = journal.begin(&write).await? else {
//!     panic!("nobody wrote this before");
//! };
//! assert!(intent.may_send(), "asked right before the request leaves");
//! intent.done(Some("note 7"), true).await;
//!
//! // The same again is not done again.
//! let Begun::Replay(replay) = journal.begin(&write).await? else {
//!     panic!("it was done");
//! };
//! assert_eq!(replay.kept.as_deref(), Some("note 7"));
//! # Ok::<(), mcp_fleet::JournalAway>(()) }).unwrap();
//! ```

mod begin;
mod claim;
mod decide;
mod denials;
mod event_ids;
mod held;
mod here;
mod intent;
mod journal;
mod limits;
mod marks;
mod own;
mod place;
mod record;
mod seen;
mod tasks;
mod tenants;
mod write;

pub use denials::{Asked, Cause, Denial, Denials, DenialsStatus, Denies, Listening, Refusal, Whom};
pub use event_ids::EventIds;
pub use here::TaskHere;
pub use intent::Intent;
pub use journal::{Begun, Journal, ReadBack, Replay};
pub use limits::{Counted, LimitStats, Limited, Limits, Rates, Scope, Spending};
pub use marks::{TaskMark, TaskMarks};
pub use tasks::{FoundTask, RunningTask, TaskError, TaskRecord, TaskState, Tasks, TasksConfig};
pub use tenants::{MAX_SETTINGS, TenantError, TenantNews, TenantRecord, Tenants};
pub use write::{JournalAway, JournalConfig, JournalStats, WithoutStore, Write};
