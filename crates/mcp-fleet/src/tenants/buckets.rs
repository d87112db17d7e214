//! Tenants' settings in the store: in so many records, each sealed, each changed as a whole by
//! compare-and-set.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mcp_session::{Fact, FactStore, Keyring, Put, StoreError, Swap};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TenantRecord;
use crate::record::millis;

/// For which place news are sealed: a message says itself whom it is about.
const NEWS_PLACE: &str = "mcp:tenants-news:v1";

/// Settings have no end.
const LASTING: Duration = Duration::from_hours(10 * 366 * 24);

/// How often somebody else may be faster.
const TRIES: usize = 32;

pub(super) struct Buckets {
    facts: Arc<dyn FactStore>,
    keyring: Arc<Keyring>,
}

/// What came of a change.
pub(super) enum Changed {
    Done(TenantRecord),
    /// Another version is there than was seen.
    Meanwhile(Option<TenantRecord>),
}

/// One tenant, as it is written down. Settings stay as they came, also what this version of the program
/// does not know of them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    #[serde(rename = "v")]
    version: u64,
    /// Milliseconds since the epoch.
    #[serde(rename = "t")]
    changed_at: u64,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    settings: Option<Value>,
}

type Entries = BTreeMap<String, Entry>;

#[derive(Serialize, Deserialize)]
struct Message {
    #[serde(rename = "n")]
    tenant: String,
    #[serde(flatten)]
    entry: Entry,
}

impl Buckets {
    /// So many records: the settings of some ten thousand tenants fit into them.
    pub(super) const COUNT: usize = 128;

    pub(super) fn new(facts: Arc<dyn FactStore>, keyring: Arc<Keyring>) -> Self {
        Self { facts, keyring }
    }

    /// The bucket of a tenant: the same for everybody, whatever key is the current one.
    pub(super) fn of(tenant: &str) -> usize {
        let hash = tenant
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        usize::try_from(hash % Self::COUNT as u64).unwrap_or_default()
    }

    /// All of a bucket; what is `known` here and missing there is written back.
    pub(super) async fn read(
        &self,
        number: usize,
        known: HashMap<String, TenantRecord>,
    ) -> Result<Vec<(String, TenantRecord)>, StoreError> {
        let (entries, ()) = self.change(number, known, |_| ()).await?;
        let records = entries
            .into_iter()
            .map(|(tenant, entry)| (tenant, entry.into()));
        Ok(records.collect())
    }

    /// Sets a tenant's settings in the place of the version that was `seen`.
    pub(super) async fn put(
        &self,
        tenant: &str,
        seen: u64,
        settings: Option<Value>,
        known: HashMap<String, TenantRecord>,
    ) -> Result<Changed, StoreError> {
        let now = since_epoch(SystemTime::now());
        let set = |entries: &mut Entries| {
            let found = entries.get(tenant);
            let version = found.map_or(0, |found| found.version);
            if version != seen {
                return Changed::Meanwhile(found.cloned().map(Into::into));
            }
            let entry = Entry {
                version: version + 1,
                // Also where clocks disagree.
                changed_at: found.map_or(now, |found| now.max(found.changed_at + 1)),
                settings: settings.clone(),
            };
            entries.insert(tenant.to_owned(), entry.clone());
            Changed::Done(entry.into())
        };
        let (_, changed) = self.change(Self::of(tenant), known, set).await?;
        Ok(changed)
    }

    /// Changes a bucket, unless it is as it was already.
    async fn change<R>(
        &self,
        number: usize,
        known: HashMap<String, TenantRecord>,
        change: impl Fn(&mut Entries) -> R,
    ) -> Result<(Entries, R), StoreError> {
        let names = self
            .keyring
            .names("tenants", &[number.to_string().as_bytes()]);
        let Some((current, previous)) = names.split_first() else {
            return Err(StoreError::Full);
        };
        let mut before: Entries = known
            .into_iter()
            .map(|(tenant, record)| (tenant, record.into()))
            .collect();
        for name in previous {
            if let Some(fact) = self.facts.read(name).await? {
                merge(&mut before, self.opened(name, &fact));
            }
        }
        let mut fact = self.facts.read(current).await?;
        for _ in 0..TRIES {
            let there = fact.as_ref().map(|fact| self.opened(current, fact));
            let there = there.unwrap_or_default();
            let mut entries = there.clone();
            merge(&mut entries, before.clone());
            let result = change(&mut entries);
            if entries == there {
                return Ok((entries, result));
            }
            fact = match self.written(current, fact, &entries).await? {
                None => return Ok((entries, result)),
                Some(faster) => faster,
            };
        }
        Err(StoreError::Timeout)
    }

    /// Writes a bucket; what is there, if somebody was faster.
    async fn written(
        &self,
        name: &str,
        there: Option<Fact>,
        entries: &Entries,
    ) -> Result<Option<Option<Fact>>, StoreError> {
        let plain = serde_json::to_vec(entries).map_err(|_| StoreError::Full)?;
        let sealed = self.keyring.seal(name, &plain);
        let sealed = sealed.map_err(|_| StoreError::Full)?;
        let Some(fact) = there else {
            return Ok(
                match self.facts.put_if_absent(name, sealed, LASTING).await? {
                    Put::Created(_) => None,
                    Put::Exists(faster) => Some(Some(faster)),
                },
            );
        };
        let swap = self
            .facts
            .compare_and_set(name, fact.version, sealed, LASTING);
        Ok(match swap.await? {
            Swap::Done => None,
            Swap::Lost(faster) => Some(faster),
        })
    }

    /// What nobody of this deployment wrote counts as nothing.
    fn opened(&self, name: &str, fact: &Fact) -> Entries {
        let opened = self.keyring.open(name, &fact.value).ok();
        let entries = opened.and_then(|it| serde_json::from_slice(&it.plaintext).ok());
        entries.unwrap_or_default()
    }

    /// A change as the others are told.
    pub(super) fn message(
        &self,
        tenant: &str,
        record: &TenantRecord,
    ) -> Result<Vec<u8>, StoreError> {
        let message = Message {
            tenant: tenant.to_owned(),
            entry: record.clone().into(),
        };
        let plain = serde_json::to_vec(&message).map_err(|_| StoreError::Full)?;
        let sealed = self.keyring.seal(NEWS_PLACE, &plain);
        sealed.map_err(|_| StoreError::Full)
    }

    pub(super) fn heard(&self, message: &[u8]) -> Option<(String, TenantRecord)> {
        let opened = self.keyring.open(NEWS_PLACE, message).ok()?;
        let message: Message = serde_json::from_slice(&opened.plaintext).ok()?;
        Some((message.tenant, message.entry.into()))
    }
}

/// Of two entries of one tenant the newer one counts.
fn merge(into: &mut Entries, from: Entries) {
    for (tenant, entry) in from {
        let newer = match into.get(&tenant) {
            None => true,
            Some(there) => {
                TenantRecord::from(entry.clone()).is_after(&TenantRecord::from(there.clone()))
            }
        };
        if newer {
            into.insert(tenant, entry);
        }
    }
}

impl From<Entry> for TenantRecord {
    fn from(entry: Entry) -> Self {
        Self {
            version: entry.version,
            changed_at: UNIX_EPOCH + Duration::from_millis(entry.changed_at),
            settings: entry.settings.map(Arc::new),
        }
    }
}

impl From<TenantRecord> for Entry {
    fn from(record: TenantRecord) -> Self {
        Self {
            version: record.version,
            changed_at: since_epoch(record.changed_at),
            settings: record.settings.map(Arc::unwrap_or_clone),
        }
    }
}

fn since_epoch(at: SystemTime) -> u64 {
    millis(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_tenants_are_spread_over_all_buckets() {
        for prefix in ["org_", "org_01HXYZABCDEFGHJKMNPQRS", ""] {
            let mut sizes = [0_u32; Buckets::COUNT];
            for number in 0..10_000 {
                sizes[Buckets::of(&format!("{prefix}{number:05}"))] += 1;
            }
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            // 78 on average; 64 KiB have room for 120 of 500 bytes.
            assert!(
                least > Some(&40) && most < Some(&120),
                "{prefix}: {sizes:?}"
            );
        }
    }
}
