//! The index of all denials in the store: sixteen sets, by whom a denial is about. A member is a sealed
//! denial, and is over by itself.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::future::try_join_all;
use mcp_session::{FactStore, Keyring, StoreError};
use serde::{Deserialize, Serialize};

use super::{Cause, Denial, Denies, Whom};

/// So many sets: readers and writers of one do not wait for the others, on whatever node each is.
const SETS: usize = 16;

pub(super) struct Index {
    facts: Arc<dyn FactStore>,
    keyring: Arc<Keyring>,
}

/// A denial that is in the index, and where.
pub(super) struct Found {
    pub(super) denial: Denial,
    set: String,
    member: Vec<u8>,
    /// Sealed by the current key and under its name: there when the previous ones are gone.
    pub(super) is_current: bool,
}

/// The form in which a denial is sealed. Times are milliseconds since the epoch.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(rename = "k")]
    kind: Kind,
    #[serde(rename = "n")]
    names: Vec<String>,
    /// What was issued until then.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    lifted: bool,
    #[serde(rename = "c")]
    cause: String,
    #[serde(rename = "t")]
    said_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "u")]
    User,
    #[serde(rename = "m")]
    Member,
    #[serde(rename = "o")]
    Organization,
    #[serde(rename = "c")]
    Client,
    #[serde(rename = "t")]
    Token,
    #[serde(rename = "i")]
    Issuer,
}

impl Index {
    pub(super) fn new(facts: Arc<dyn FactStore>, keyring: Arc<Keyring>) -> Self {
        Self { facts, keyring }
    }

    /// Puts a denial into the index; the member, which is also what others are told.
    pub(super) async fn put(&self, denial: &Denial, lasting: Duration) -> Result<(), StoreError> {
        let names = self.names(set_of(&denial.whom));
        let set = names.into_iter().next().ok_or(StoreError::Full)?;
        let sealed = self.sealed(denial)?;
        self.facts.insert(&set, sealed, lasting).await
    }

    /// A denial as it is written down, wherever that is.
    pub(super) fn sealed(&self, denial: &Denial) -> Result<Vec<u8>, StoreError> {
        let record = serde_json::to_vec(&Record::of(denial)).map_err(|_| StoreError::Full)?;
        let sealed = self.keyring.seal(PLACE, &record);
        sealed.map_err(|_| StoreError::Full)
    }

    /// Takes out what was said about the same before, and is no longer so, under every key of the ring.
    pub(super) async fn remove_older(&self, lifted: &Denial) -> Result<(), StoreError> {
        for set in self.names(set_of(&lifted.whom)) {
            for found in self.found_in(set, false).await? {
                let denial = &found.denial;
                let is_suspension = denial.denies == Denies::UntilLifted;
                if is_suspension && denial.whom == lifted.whom && denial.said_at < lifted.said_at {
                    self.remove(&found).await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn remove(&self, found: &Found) -> Result<(), StoreError> {
        self.facts.remove(&found.set, &found.member).await
    }

    /// All denials that are in the index, under any key of the ring.
    pub(super) async fn all(&self) -> Result<Vec<Found>, StoreError> {
        let names = (0..SETS).flat_map(|number| self.names(number).into_iter().enumerate());
        let sets = names.map(|(older, set)| self.found_in(set, older == 0));
        Ok(try_join_all(sets).await?.into_iter().flatten().collect())
    }

    async fn found_in(&self, set: String, is_current: bool) -> Result<Vec<Found>, StoreError> {
        let members = self.facts.members(&set).await?;
        let found = members.into_iter().filter_map(|(member, _)| {
            let (denial, stale) = self.open(&member)?;
            Some(Found {
                denial,
                set: set.clone(),
                member,
                is_current: is_current && !stale,
            })
        });
        Ok(found.collect())
    }

    /// The denial that a member, or a message, is.
    pub(super) fn open_any(&self, member: &[u8]) -> Option<Denial> {
        self.open(member).map(|(denial, _)| denial)
    }

    /// The denial, and whether a previous key sealed it.
    fn open(&self, member: &[u8]) -> Option<(Denial, bool)> {
        let opened = self.keyring.open(PLACE, member).ok()?;
        let record = serde_json::from_slice::<Record>(&opened.plaintext).ok()?;
        Some((record.denial()?, opened.stale))
    }

    fn names(&self, number: usize) -> Vec<String> {
        self.keyring
            .names("denials", &[number.to_string().as_bytes()])
    }
}

/// A denial says itself whom it is about: it holds in whatever set it is found.
const PLACE: &str = "mcp:denial:v1";

/// The number of the set: the same for everybody, whatever key is the current one.
fn set_of(whom: &Whom) -> usize {
    let (_, names) = names_of(whom);
    let parts: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    usize::try_from(fnv(&parts) % 16).unwrap_or_default()
}

fn fnv(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter().chain(&[0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn names_of(whom: &Whom) -> (Kind, Vec<&str>) {
    match whom {
        Whom::User { issuer, subject } => (Kind::User, vec![issuer, subject]),
        Whom::Member {
            issuer,
            subject,
            organization,
        } => (Kind::Member, vec![issuer, subject, organization]),
        Whom::Organization(organization) => (Kind::Organization, vec![organization]),
        Whom::Client { issuer, client } => (Kind::Client, vec![issuer, client]),
        Whom::Token { issuer, id } => (Kind::Token, vec![issuer, id]),
        Whom::Issuer(issuer) => (Kind::Issuer, vec![issuer]),
    }
}

impl Record {
    fn of(denial: &Denial) -> Self {
        let (kind, names) = names_of(&denial.whom);
        Self {
            kind,
            names: names.into_iter().map(ToOwned::to_owned).collect(),
            before: match denial.denies {
                Denies::Before(at) => Some(millis(at)),
                Denies::UntilLifted | Denies::Nothing => None,
            },
            lifted: denial.denies == Denies::Nothing,
            cause: <&str>::from(denial.cause).to_owned(),
            said_at: millis(denial.said_at),
        }
    }

    fn denial(self) -> Option<Denial> {
        let mut names = self.names.into_iter();
        let mut name = || names.next();
        let whom = match self.kind {
            Kind::User => Whom::User {
                issuer: name()?,
                subject: name()?,
            },
            Kind::Member => Whom::Member {
                issuer: name()?,
                subject: name()?,
                organization: name()?,
            },
            Kind::Organization => Whom::Organization(name()?),
            Kind::Client => Whom::Client {
                issuer: name()?,
                client: name()?,
            },
            Kind::Token => Whom::Token {
                issuer: name()?,
                id: name()?,
            },
            Kind::Issuer => Whom::Issuer(name()?),
        };
        let denies = match self.before {
            Some(at) => Denies::Before(time(at)),
            None if self.lifted => Denies::Nothing,
            None => Denies::UntilLifted,
        };
        Some(Denial {
            whom,
            denies,
            // One that a newer version knows is no less a denial.
            cause: self.cause.parse().unwrap_or(Cause::Operator),
            said_at: time(self.said_at),
        })
    }
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// As exact as it is written down.
pub(super) fn exact(at: SystemTime) -> SystemTime {
    time(millis(at))
}

fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}
