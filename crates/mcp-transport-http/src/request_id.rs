//! The id of a request: new for each, and not to be guessed.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::{Builder, Uuid};

/// Keys of this process, from the system's random numbers. The numbers of requests hashed with them
/// (`SipHash`) tell whoever has seen some ids nothing of another one, and cost no system call each.
static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A new id: a UUID of version 7 (RFC 9562), so that ids sort by time.
pub(crate) fn new() -> Uuid {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [first, second] = KEYS
        .each_ref()
        .map(|key| key.hash_one(number).to_be_bytes());
    let mut bytes = [0; 10];
    let (most, rest) = bytes.split_at_mut(8);
    most.copy_from_slice(&first);
    rest.copy_from_slice(second.split_at(2).0);
    Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use uuid::Version;

    #[test]
    fn ids_are_uuids_of_version_7_and_have_no_part_in_common() {
        let ids: Vec<_> = (0..100_000).map(|_| new()).collect();
        let random = ids.iter().map(|id| id.as_u128() & u128::from(u64::MAX));
        assert_eq!(random.collect::<HashSet<_>>().len(), 100_000);
        assert_eq!(ids[0].get_version(), Some(Version::SortRand));
        // Of a constant part or a counter, at least 32 bits would hardly ever change.
        let changed: Vec<u32> = ids
            .windows(2)
            .map(|pair| {
                ((pair[0].as_u128() ^ pair[1].as_u128()) & u128::from(u64::MAX)).count_ones()
            })
            .collect();
        assert!(changed.iter().sum::<u32>() / 99_999 > 25);
    }
}
