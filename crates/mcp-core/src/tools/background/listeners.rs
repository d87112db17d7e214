//! Who listens to tasks here: counted, so that nobody makes too many be looked at, and told when the
//! server stops.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{super::stopped::Cut, TaskOwner};
use crate::OrganizationId;

/// To how many tasks one owner may listen here at a time: as many as one may have by default.
const MAX_OF_OWNER: usize = 64;

/// Who an owner is, to all of their requests.
type Who = [String; 3];

/// All who listen here.
#[derive(Clone, Default)]
pub(in super::super) struct Listeners {
    tasks: Arc<Mutex<HashMap<Who, usize>>>,
    end: Cut,
}

/// Somebody who listens.
pub(super) struct Listener {
    all: Listeners,
    who: Who,
    tasks: usize,
}

impl Listeners {
    /// Lets an owner listen to so many tasks more; nothing if that would be too many.
    pub(super) fn enter(&self, owner: &TaskOwner, tasks: usize) -> Option<Listener> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let organization = owner.organization.as_ref().map(OrganizationId::as_str);
        let who = [
            text(owner.caller.issuer()),
            text(owner.caller.subject()),
            text(organization),
        ];
        let mut of_all = self.of_all();
        let of_owner = of_all.get(&who).copied().unwrap_or_default() + tasks;
        if of_owner > MAX_OF_OWNER {
            return None;
        }
        of_all.insert(who.clone(), of_owner);
        Some(Listener {
            all: self.clone(),
            who,
            tasks,
        })
    }

    /// The server stops: nobody listens any more.
    pub(in super::super) fn end(&self) {
        self.end.now();
    }

    /// Completes when nobody may listen any more.
    pub(super) async fn over(&self) {
        self.end.clone().over().await;
    }

    fn of_all(&self) -> MutexGuard<'_, HashMap<Who, usize>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut of_all = self.all.of_all();
        let left = of_all.get(&self.who).copied().unwrap_or_default();
        match left.checked_sub(self.tasks) {
            None | Some(0) => drop(of_all.remove(&self.who)),
            Some(left) => drop(of_all.insert(self.who.clone(), left)),
        }
    }
}
