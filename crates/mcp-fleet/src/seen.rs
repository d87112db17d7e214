//! When a record was seen first as it is: one that nobody has changed for long is nobody's any more.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// From so many on, those that were seen long ago are forgotten.
const MOST: usize = 10_000;

/// The versions of records that others are at work on, and since when they are known here.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<String, (u64, Instant)>>);

impl Seen {
    /// Whether this version has stood for so long, as far as was seen here: by anybody, for one who asks
    /// may never wait that long.
    pub(crate) fn is_silent(&self, name: &str, version: u64, silence: Duration) -> bool {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST {
            seen.retain(|_, (_, since)| now < *since + silence * 4);
        }
        match seen.get(name) {
            Some((last, since)) if *last == version => now >= *since + silence,
            _ => {
                seen.insert(name.to_owned(), (version, now));
                false
            }
        }
    }
}
