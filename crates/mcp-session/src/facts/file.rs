//! [`FileFacts`]: facts in a folder of a user, for all processes of theirs.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    future::Future,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Fact, FactStore, Facts, Held, MemoryFacts, Put, Rate, Spent, Swap};
use crate::{seal::Keyring, store::StoreError};

/// Most bytes that are kept.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Longest wait for the disk, and for other processes.
const PATIENCE: Duration = Duration::from_secs(2);

/// No fact lives longer, whatever the clock was set to when it was kept.
const LONGEST: Duration = Duration::from_hours(24);

/// Facts in files that only this user reads: `writes.journal`, and `writes.key` with the key that seals
/// them. Each operation locks the files, reads all and writes all: for one user, not for a server. Cheap
/// to clone.
#[derive(Debug, Clone)]
pub struct FileFacts {
    folder: Arc<Path>,
}

impl FileFacts {
    /// Facts in this folder, which is made when it is first needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into().into(),
        }
    }

    /// What seals the facts kept here, under a key that is made when it is first asked for.
    ///
    /// # Errors
    /// When the key cannot be read or written.
    pub async fn keyring(&self) -> Result<Keyring, StoreError> {
        self.blocking(|folder| {
            let path = folder.join("writes.key");
            let key = match fs::read(&path) {
                Ok(key) => <[u8; 32]>::try_from(Zeroizing::new(key).as_slice()).ok(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let key = match key {
                Some(key) => Zeroizing::new(key),
                // There is none, or one that is none.
                None => {
                    let key = crate::random_key();
                    replace(&path, key.as_slice())?;
                    key
                }
            };
            Ok(Keyring::new(&key, &[]))
        })
        .await
    }

    /// Does `work` while no other process has the folder.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        let work = tokio::task::spawn_blocking(move || {
            make_folder(&folder)?;
            let lock = private().open(folder.join("writes.lock"))?;
            take(&lock)?;
            work(&folder)
        });
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(error))) => {
                tracing::debug!(%error, "the file of facts cannot be used");
                Err(StoreError::Unreachable("the file cannot be used"))
            }
            Ok(Err(_)) => Err(StoreError::Unreachable("its work was given up")),
            Err(_) => Err(StoreError::Timeout),
        }
    }

    /// Does `work` with the facts in memory, which are written back if it `changes` them.
    async fn with<T, F>(
        &self,
        changes: bool,
        work: impl FnOnce(MemoryFacts) -> F + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>>,
    {
        let done = self.blocking(move |folder| {
            let path = folder.join("writes.journal");
            let facts = MemoryFacts::new(MAX_BYTES);
            facts.lock().restore(read(&path)?, SystemTime::now());
            // Nothing in memory waits for anything.
            let done = work(facts.clone()).now_or_never();
            let done = done.unwrap_or(Err(StoreError::Timeout));
            if changes && done.is_ok() {
                let snapshot = facts.lock().snapshot(SystemTime::now());
                replace(&path, &serde_json::to_vec(&snapshot)?)?;
            }
            Ok(done)
        });
        done.await?
    }
}

/// Facts as they stand in a file.
#[derive(Default, Serialize, Deserialize)]
struct Snapshot {
    /// By key: version, end in milliseconds since 1970, value in hexadecimal.
    facts: BTreeMap<String, (u64, u64, String)>,
    /// By key: members in hexadecimal, and their ends.
    sets: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Facts {
    fn snapshot(&self, now: SystemTime) -> Snapshot {
        let (from, now) = (Instant::now(), since_1970(now));
        let end = |until: &Instant| now.saturating_add(millis(until.duration_since(from)));
        let fact = |(key, held): (&String, &Held)| {
            let value = hex::encode(&held.fact.value);
            (key.clone(), (held.fact.version, end(&held.until), value))
        };
        let set = |(key, members): (&String, &std::collections::HashMap<Vec<u8>, Instant>)| {
            let members = members.iter();
            let members = members.map(|(member, until)| (hex::encode(member), end(until)));
            (key.clone(), members.collect())
        };
        Snapshot {
            facts: self.values.iter().map(fact).collect(),
            sets: self.sets.iter().map(set).collect(),
        }
    }

    /// Takes up what is not over.
    fn restore(&mut self, snapshot: Snapshot, now: SystemTime) {
        let (from, now) = (Instant::now(), since_1970(now));
        let until = |end: u64| {
            let left = Duration::from_millis(end.checked_sub(now)?);
            Some(from + left.min(LONGEST)).filter(|until| *until > from)
        };
        for (key, (version, end, value)) in snapshot.facts {
            if let (Some(until), Ok(value)) = (until(end), hex::decode(value)) {
                let _ = self.keep(&key, Fact { version, value }, until);
            }
        }
        for (key, members) in snapshot.sets {
            for (member, end) in members {
                if let (Some(until), Ok(member)) = (until(end), hex::decode(member)) {
                    self.bytes += super::size(&key, &member);
                    let set = self.sets.entry(key.clone()).or_default();
                    set.insert(member, until);
                }
            }
        }
    }
}

fn since_1970(at: SystemTime) -> u64 {
    millis(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What is in a file; nothing where there is none, or none that was written here.
fn read(path: &Path) -> io::Result<Snapshot> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshot::default()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    let most = u64::try_from(MAX_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_mul(4);
    file.take(most).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).unwrap_or_else(|_| {
        tracing::warn!("the journal of writes could not be read, and begins anew");
        Snapshot::default()
    }))
}

/// Puts this into a file that only this user reads, whole or not at all. There must be one writer.
///
/// # Errors
/// When it cannot be written; then what was there still is.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    // Not through a link, nor into a file that somebody else may read.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).open(&beside)?;
    file.write_all(content)?;
    // Or a power cut leaves an empty file under this name.
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Takes a lock, and waits no longer than anybody waits for this.
fn take(lock: &File) -> io::Result<()> {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if std::time::Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::TimedOut.into()),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

/// For files that only this user reads.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[async_trait]
impl FactStore for FileFacts {
    async fn read(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        let key = key.to_owned();
        self.with(false, |facts| async move { facts.read(&key).await })
            .await
    }

    async fn put_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Put, StoreError> {
        let key = key.to_owned();
        self.with(true, move |facts| async move {
            facts.put_if_absent(&key, value, ttl).await
        })
        .await
    }

    async fn compare_and_set(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Swap, StoreError> {
        let key = key.to_owned();
        self.with(true, move |facts| async move {
            facts.compare_and_set(&key, version, value, ttl).await
        })
        .await
    }

    async fn compare_and_delete(&self, key: &str, version: u64) -> Result<bool, StoreError> {
        let key = key.to_owned();
        self.with(true, move |facts| async move {
            facts.compare_and_delete(&key, version).await
        })
        .await
    }

    async fn take(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        let key = key.to_owned();
        self.with(true, |facts| async move { facts.take(&key).await })
            .await
    }

    async fn spend(
        &self,
        key: &str,
        rate: Rate,
        owed: u64,
        wanted: u64,
    ) -> Result<Spent, StoreError> {
        let key = key.to_owned();
        self.with(true, move |facts| async move {
            facts.spend(&key, rate, owed, wanted).await
        })
        .await
    }

    async fn insert(&self, key: &str, member: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.with(true, move |facts| async move {
            facts.insert(&key, member, ttl).await
        })
        .await
    }

    async fn remove(&self, key: &str, member: &[u8]) -> Result<(), StoreError> {
        let (key, member) = (key.to_owned(), member.to_owned());
        self.with(true, move |facts| async move {
            facts.remove(&key, &member).await
        })
        .await
    }

    async fn members(&self, key: &str) -> Result<Vec<(Vec<u8>, Duration)>, StoreError> {
        let key = key.to_owned();
        self.with(false, |facts| async move { facts.members(&key).await })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn what_one_process_keeps_another_finds_and_nobody_else_reads() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep/down");
        let (one, other) = (FileFacts::new(&folder), FileFacts::new(&folder));
        let Put::Created(version) = one.put_if_absent("k", vec![7], HOUR).await.unwrap() else {
            panic!("nothing was there")
        };
        one.insert("s", vec![1], HOUR).await.unwrap();
        let fact = Fact {
            version,
            value: vec![7],
        };
        assert_eq!(other.read("k").await, Ok(Some(fact)));
        assert_eq!(other.members("s").await.unwrap().len(), 1);
        let sealed = one.keyring().await.unwrap().seal("k", b"x").unwrap();
        let keyring = other.keyring().await.unwrap();
        assert_eq!(
            keyring.open("k", &sealed).unwrap().plaintext.as_slice(),
            b"x"
        );
        #[cfg(unix)]
        for file in fs::read_dir(&folder).unwrap() {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }

    #[tokio::test]
    async fn of_any_number_of_writers_one_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let puts = (0..8_u8).map(|n| {
            let facts = FileFacts::new(folder.path());
            async move { facts.put_if_absent("k", vec![n], HOUR).await.unwrap() }
        });
        let puts = futures::future::join_all(puts).await;
        let created = puts.iter().filter(|put| matches!(put, Put::Created(_)));
        assert_eq!(created.count(), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_none_of_ours_begins_anew_and_a_folder_that_is_none_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("writes.journal"), "{\"facts\": 3}").unwrap();
        let facts = FileFacts::new(folder.path());
        assert_eq!(facts.read("k").await, Ok(None));
        let nowhere = FileFacts::new(folder.path().join("writes.journal"));
        let read = nowhere.read("k").await;
        assert!(matches!(read, Err(StoreError::Unreachable(_))));
    }

    #[test]
    fn what_is_over_is_not_taken_up_and_nothing_lives_for_ever() {
        let now = SystemTime::now();
        let at = since_1970(now);
        let fact = |end| (1, end, "07".to_owned());
        let snapshot = Snapshot {
            facts: BTreeMap::from([
                ("over".to_owned(), fact(at)),
                ("live".to_owned(), fact(at + 1_000)),
                ("odd".to_owned(), fact(u64::MAX)),
            ]),
            sets: BTreeMap::new(),
        };
        let facts = MemoryFacts::new(MAX_BYTES);
        let mut facts = facts.lock();
        facts.restore(snapshot, now);
        assert_eq!(facts.values.len(), 2);
        let longest = Instant::now() + LONGEST;
        assert!(facts.values["odd"].until <= longest);
    }
}
