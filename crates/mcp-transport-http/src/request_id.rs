//! The id of a request: the caller's, when it is a plain one, else a new one.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::{Builder, Uuid};

/// Different in every process. Ids need to differ, not to be guessed at with difficulty: asking the
/// system for random bytes would be two system calls a request.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A new id: a UUID of version 7 (RFC 9562), so that ids sort by time. Its random part is a number of
/// this process (48 bits) and the number of the request (32 bits).
pub(crate) fn new() -> Uuid {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
    let mut bytes = [0; 10];
    let (process, number) = bytes.split_at_mut(6);
    process.copy_from_slice(PROCESS.to_be_bytes().split_at(2).1);
    number.copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use uuid::Version;

    #[test]
    fn ids_are_uuids_of_version_7_and_never_the_same() {
        let ids: HashSet<_> = (0..100_000).map(|_| new()).collect();
        assert_eq!(ids.len(), 100_000);
        let id = ids.iter().next().unwrap();
        assert_eq!(id.get_version(), Some(Version::SortRand));
    }
}
