//! What this instance works on: known without the store, for its operators.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// A task that this instance works on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskHere {
    /// Its id.
    pub id: String,
    /// Whose it is, as it was begun.
    pub owner: Vec<String>,
    /// What it is about, in the words of who began it.
    pub about: String,
    /// When it began, by the clock of the instance where it did.
    pub since: SystemTime,
}

impl TaskHere {
    pub(crate) fn new(id: &str, owner: &[&str], about: &str, since: SystemTime) -> Self {
        Self {
            id: id.to_owned(),
            owner: owner.iter().map(|part| (*part).to_owned()).collect(),
            about: about.to_owned(),
            since,
        }
    }
}

/// All of them, by who works on each.
#[derive(Debug, Default)]
pub(crate) struct Here(Mutex<HashMap<String, TaskHere>>);

impl Here {
    pub(crate) fn insert(&self, by: String, task: TaskHere) {
        self.lock().insert(by, task);
    }

    pub(crate) fn remove(&self, by: &str) {
        self.lock().remove(by);
    }

    pub(crate) fn contains(&self, by: &str) -> bool {
        self.lock().contains_key(by)
    }

    pub(crate) fn all(&self) -> Vec<TaskHere> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, TaskHere>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
