//! Memory for large answers: asked for before they are read, so that many at a time do not end the
//! process.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

/// Asks for room for so many bytes; `None` when there is none now. What it gives holds the room until
/// it is dropped.
pub type MemoryHook = Arc<dyn Fn(usize) -> Option<Room> + Send + Sync>;

/// Room that is held.
pub type Room = Box<dyn Send + Sync>;

/// An answer up to this size is not asked for, in bytes.
const SMALL: usize = 64 * 1024;

/// What an answer takes in all, in its own size: as it came, decoded, as text and as structure, and
/// these two as they leave. An estimate, not measured.
const COPIES: usize = 8;

/// Room comes back when others are done; the limit of the whole call ends the waiting before this.
const PATIENCE: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(50);

/// The room for one answer, as large as is known so far.
pub(crate) struct Rooms<'a> {
    hook: Option<&'a MemoryHook>,
    /// Whether the answer may be given up. That of a write may not: it tells what was done.
    may_refuse: bool,
    covered: usize,
    room: Option<Room>,
}

/// There is no room.
pub(crate) struct NoRoom;

impl<'a> Rooms<'a> {
    pub(crate) fn new(hook: Option<&'a MemoryHook>, may_refuse: bool) -> Self {
        Self {
            hook,
            may_refuse,
            covered: SMALL,
            room: None,
        }
    }

    /// Makes sure that there is room for an answer of so many bytes.
    pub(crate) async fn cover(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let Some(hook) = self.hook.filter(|_| bytes > self.covered) else {
            return Ok(());
        };
        // Who waits for more holds nothing, or two would wait for each other.
        self.room = None;
        self.covered = bytes.max(2 * self.covered);
        for _ in 0..PATIENCE {
            self.room = hook(self.covered.saturating_mul(COPIES));
            if self.room.is_some() || !self.may_refuse {
                return Ok(());
            }
            sleep(BETWEEN).await;
        }
        Err(NoRoom)
    }

    pub(crate) fn into_room(self) -> Option<Room> {
        self.room
    }
}
