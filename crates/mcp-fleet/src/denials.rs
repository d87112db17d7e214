//! Who is no longer let in: known to every instance, in memory, so that asking costs no I/O.
//!
//! A denial is about a user, an organization, a client, or one token. There are two kinds.
//! *Before* a time signs out: what was issued until then is refused, and a new login is welcome. *Until
//! lifted* suspends: nothing is let in, whenever it was issued. The store has an index of all, sealed;
//! news of one reach the other instances by subscription, and each reads the whole index again when its
//! subscription was renewed, and every minute. What an instance knows and the index does not is written
//! back: emptying the store lets nobody in.

mod file;
mod index;
mod known;
mod untold;

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, SystemTime},
};

use futures::StreamExt as _;
use mcp_session::{FactStore, Heard, Keyring, MemoryFacts, MemoryStore, SharedStore, StoreError};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use self::{
    file::DenialFile,
    index::{Found, Index},
    known::Known,
    untold::Untold,
};

/// Whom a denial is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whom {
    /// A subject of an issuer, whatever its organization.
    User {
        /// Issuer identifier.
        issuer: String,
        /// Its `sub`.
        subject: String,
    },
    /// A subject of an issuer, for one organization alone.
    Member {
        /// Issuer identifier.
        issuer: String,
        /// Its `sub`.
        subject: String,
        /// The organization.
        organization: String,
    },
    /// An organization, whoever the issuer is.
    Organization(String),
    /// An OAuth client of an issuer.
    Client {
        /// Issuer identifier.
        issuer: String,
        /// Its `client_id`.
        client: String,
    },
    /// One access token of an issuer.
    Token {
        /// Issuer identifier.
        issuer: String,
        /// Its `jti`.
        id: String,
    },
    /// All tokens of an issuer.
    Issuer(String),
}

/// What is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denies {
    /// Tokens that were issued until then. A new login is welcome.
    Before(SystemTime),
    /// All, until it is lifted.
    UntilLifted,
    /// Nothing any more: a denial until lifted ends.
    Nothing,
}

/// Why somebody is denied.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// An operator said so.
    Operator,
    /// The issuer's webhook.
    Webhook,
    /// OpenID Connect back-channel logout.
    BackchannelLogout,
    /// A security event (RFC 8935, CAEP).
    SecurityEvent,
}

impl Cause {
    /// All there are.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// A stable name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// That somebody is denied, from some time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Whom it is about.
    pub whom: Whom,
    /// What is denied.
    pub denies: Denies,
    /// Why.
    pub cause: Cause,
    /// When it was said. Of two about the same, the later one counts.
    pub said_at: SystemTime,
}

impl Denial {
    /// As exact as it is written down.
    fn in_millis(mut self) -> Self {
        self.said_at = index::exact(self.said_at);
        if let Denies::Before(at) = self.denies {
            self.denies = Denies::Before(index::exact(at));
        }
        self
    }
}

/// What is asked about a token.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its issuer.
    pub issuer: &'a str,
    /// Its subject.
    pub subject: &'a str,
    /// The organization it is for.
    pub organization: Option<&'a str>,
    /// The client it was issued to.
    pub client: Option<&'a str>,
    /// Its id.
    pub token_id: Option<&'a str>,
    /// When it was issued, if it says so.
    pub issued_at: Option<SystemTime>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why it is denied.
    pub cause: Cause,
    /// What was issued until then is denied, and the token does not say when it was issued: it may be a
    /// new one, and a new login may give just such another.
    pub unclear_until: Option<SystemTime>,
}

/// What can be seen of the denials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DenialsStatus {
    /// How many there are.
    pub known: usize,
    /// How long ago the index was read whole; `None` before the first time.
    pub age: Option<Duration>,
}

/// How long a denial that signs out is kept: longer than any token lives.
const MAX_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// How often the index is read whole without being told to.
const EVERY: Duration = Duration::from_mins(1);

/// By how much a later word of an operator is later, at least: as exact as it is written down.
const AFTER: Duration = Duration::from_millis(1);

/// When a reading that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The denials of a deployment. Cheap to clone.
#[derive(Clone)]
pub struct Denials {
    inner: Arc<Inner>,
}

struct Inner {
    known: RwLock<Known>,
    /// Whether there are none: what most calls find.
    none: AtomicBool,
    index: Index,
    news: Arc<dyn SharedStore>,
    untold: Untold,
    file: Option<DenialFile>,
    changed: Notify,
    /// Milliseconds from `begun` to the last whole reading, and one more; 0 before the first.
    read_at: AtomicU64,
    begun: Instant,
    /// How long what signs out is kept.
    lasting: Duration,
}

/// Listens for as long as it lives.
pub struct Listening([AbortHandle; 2]);

impl Drop for Listening {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Denials {
    /// The channel on which news go.
    const NEWS: &'static str = "mcp:denied:v1";

    /// Denials that all instances share. `longest_token` is how long a token lives at most, leeway
    /// included.
    pub fn shared(
        facts: Arc<dyn FactStore>,
        news: Arc<dyn SharedStore>,
        keyring: Arc<Keyring>,
        longest_token: Duration,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                known: RwLock::default(),
                none: AtomicBool::new(true),
                index: Index::new(facts, keyring),
                news,
                untold: Untold::default(),
                file: None,
                changed: Notify::new(),
                read_at: AtomicU64::new(0),
                begun: Instant::now(),
                lasting: longest_token.min(MAX_LIFETIME),
            }),
        }
    }

    /// Denials of a single instance, which a restart forgets.
    pub fn in_process(keyring: Arc<Keyring>, longest_token: Duration) -> Self {
        let facts = Arc::new(MemoryFacts::default());
        let news = Arc::new(MemoryStore::default());
        Self::shared(facts, news, keyring, longest_token)
    }

    /// The same, new as they are, and what this file kept of them, sealed: it outlives the store and all
    /// instances. Written to while they [listen](Self::listen); made when it is not there.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn kept_in(mut self, path: impl Into<PathBuf>) -> io::Result<Self> {
        let file = DenialFile::new(path.into());
        let kept = file.read(|member| self.inner.index.open_any(member))?;
        self.learn_all(kept.iter());
        file.write(&self.sealed())?;
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.file = Some(file);
        }
        Ok(self)
    }

    /// Begins to hear what other instances deny, and reads what was denied before. Ends when it is
    /// dropped.
    pub fn listen(&self) -> Listening {
        let (hearing, keeping) = (self.clone(), self.clone());
        let hearing = tokio::spawn(async move { hearing.hear().await });
        // Apart: a disk may hang, and news do not wait for it.
        let keeping = tokio::spawn(async move { keeping.keep().await });
        Listening([hearing.abort_handle(), keeping.abort_handle()])
    }

    /// Reads what was denied before, so that nobody is served before it is known: for so long at most,
    /// as the store may be away.
    pub async fn read_within(&self, patience: Duration) {
        // What it could not read in time, it reads when it listens.
        drop(timeout(patience, self.read()).await);
    }

    /// Whether a token is refused. No I/O.
    pub fn check(&self, asked: &Asked<'_>) -> Option<Refusal> {
        if self.inner.none.load(Ordering::Relaxed) {
            return None;
        }
        self.known().check(asked)
    }

    /// Denies, here at once and in the other instances as soon as they hear of it.
    ///
    /// # Errors
    /// [`StoreError`] where the others may not hear of it now. It holds here, and is written to the
    /// index as soon as that is possible.
    pub async fn deny(&self, denial: Denial) -> Result<(), StoreError> {
        let denial = self.settle(denial.in_millis());
        // Known here or not: whether the store was told is not.
        let told = self.write_back(&denial).await;
        if told.is_err() {
            self.inner.untold.call();
        }
        if denial.denies == Denies::Nothing {
            return told.and(self.inner.index.remove_older(&denial).await);
        }
        told
    }

    /// All that is denied now, in no order.
    pub fn all(&self) -> Vec<Denial> {
        self.known().all()
    }

    /// What can be seen of it. No I/O.
    pub fn status(&self) -> DenialsStatus {
        let read_at = self.inner.read_at.load(Ordering::Relaxed).checked_sub(1);
        let age = read_at.map(|at| {
            let since = self.inner.begun.elapsed();
            since.saturating_sub(Duration::from_millis(at))
        });
        DenialsStatus {
            known: self.known().len(),
            age,
        }
    }

    async fn hear(&self) {
        let mut news = self.inner.news.listen(Self::NEWS);
        // Sooner as soon as news are heard, of which none may be between the two.
        let (mut due, mut over) = (Instant::now() + AGAIN, false);
        loop {
            tokio::select! {
                heard = news.next(), if !over => match heard {
                    Some(Heard::Message(member)) => self.heard(&member),
                    // What was said before is in the index.
                    Some(Heard::Listening) => due = Instant::now(),
                    // Nobody tells news: the index has to do.
                    None => over = true,
                },
                () = sleep_until(due) => due = self.read().await,
                () = self.inner.untold.called() => due = due.min(Instant::now() + AGAIN),
            }
        }
    }

    /// Keeps the file as it should be, where there is one.
    async fn keep(&self) {
        let Some(file) = &self.inner.file else {
            return;
        };
        loop {
            self.inner.changed.notified().await;
            let (file, sealed) = (file.clone(), self.sealed());
            let written = tokio::task::spawn_blocking(move || file.write(&sealed)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(%error, "the file of denials cannot be written");
                self.inner.changed.notify_one();
                sleep(EVERY).await;
            }
        }
    }

    fn sealed(&self) -> Vec<Vec<u8>> {
        let all = self.all();
        let sealed = all.iter().map(|denial| self.inner.index.sealed(denial));
        sealed.filter_map(Result::ok).collect()
    }

    fn heard(&self, member: &[u8]) {
        if let Some(denial) = self.inner.index.open_any(member) {
            self.learn_all(std::iter::once(&denial));
        }
    }

    /// Reads the index whole, and writes back what is missing in it. When to do it again.
    async fn read(&self) -> Instant {
        match self.inner.index.all().await {
            Ok(found) => {
                self.learn_all(found.iter().map(|it| &it.denial));
                let (missing, over) = self.compared(&found);
                self.forget_old();
                let at = self.inner.begun.elapsed().as_millis();
                let at = u64::try_from(at).unwrap_or(u64::MAX - 1) + 1;
                self.inner.read_at.store(at, Ordering::Relaxed);
                match self.mend(&missing, &over).await {
                    Ok(()) => Instant::now() + EVERY,
                    Err(_) => Instant::now() + AGAIN,
                }
            }
            Err(error) => {
                tracing::debug!(error = %error, "what is denied cannot be read just now");
                Instant::now() + AGAIN
            }
        }
    }

    /// What the index has not, under the current key, and what it has though something later counts: whoever
    /// is signed out often does not fill it.
    fn compared<'f>(&self, found: &'f [Found]) -> (Vec<Denial>, Vec<&'f Found>) {
        let known = self.known();
        let current = found.iter().filter(|it| it.is_current);
        let missing = known.missing_in(current.map(|it| &it.denial));
        let mut over: Vec<_> = found.iter().collect();
        over.retain(|it| known.is_superseded(&it.denial));
        (missing, over)
    }

    async fn mend(&self, missing: &[Denial], over: &[&Found]) -> Result<(), StoreError> {
        let mut has_room = true;
        for denial in missing {
            match self.write_back(denial).await {
                // The others need not wait for one that does not fit.
                Err(StoreError::Full) => {
                    has_room = false;
                    tracing::error!(
                        "the store has no room for a denial: it holds on this instance alone"
                    );
                }
                written => written?,
            }
        }
        // What counts in their place is there.
        for found in over.iter().filter(|_| has_room) {
            self.inner.index.remove(found).await?;
        }
        let mut told = Ok(());
        for denial in self.inner.untold.take() {
            if told.is_ok() {
                told = self.tell(&denial).await;
            }
            if told.is_err() {
                self.inner.untold.keep(&denial);
            }
        }
        told
    }

    /// Puts it into the index, and tells those who read that before it was there.
    async fn write_back(&self, denial: &Denial) -> Result<(), StoreError> {
        let put = self.inner.index.put(denial, self.lasting(denial)).await;
        let told = match put {
            Ok(()) => self.tell(denial).await,
            Err(error) => Err(error),
        };
        // It may be in the index nevertheless, and then nobody would miss it there.
        if told.as_ref().is_err_and(|error| *error != StoreError::Full) {
            self.inner.untold.keep(denial);
        }
        told
    }

    async fn tell(&self, denial: &Denial) -> Result<(), StoreError> {
        let member = self.inner.index.sealed(denial)?;
        self.inner.news.publish(Self::NEWS, member).await
    }

    /// Learns what is said now. Of an operator it is the last word, whatever the clocks of those who spoke
    /// before.
    fn settle(&self, mut denial: Denial) -> Denial {
        let mut known = self.known_mut();
        let settles = !matches!(denial.denies, Denies::Before(_));
        if settles && denial.cause == Cause::Operator {
            let next = known.settled_at(&denial.whom).map(|at| at + AFTER);
            denial.said_at = next.map_or(denial.said_at, |next| next.max(denial.said_at));
        }
        self.take(&mut known, std::iter::once(&denial));
        denial
    }

    fn learn_all<'d>(&self, denials: impl Iterator<Item = &'d Denial>) {
        self.take(&mut self.known_mut(), denials);
    }

    fn take<'d>(&self, known: &mut Known, denials: impl Iterator<Item = &'d Denial>) {
        let mut learned = false;
        for denial in denials {
            learned |= known.learn(denial);
        }
        self.inner.none.store(known.is_empty(), Ordering::Relaxed);
        if learned {
            self.inner.changed.notify_one();
        }
    }

    fn forget_old(&self) {
        let oldest = SystemTime::now() - self.inner.lasting;
        let mut known = self.known_mut();
        known.forget_before(oldest);
        self.inner.none.store(known.is_empty(), Ordering::Relaxed);
    }

    /// What signs out outlives every token that it is about; what suspends has to be lifted. That it was
    /// lifted is kept for as long as an instance may be away that knows it otherwise.
    fn lasting(&self, denial: &Denial) -> Duration {
        match denial.denies {
            Denies::Before(_) | Denies::Nothing => self.inner.lasting,
            Denies::UntilLifted => MAX_LIFETIME * 10,
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.inner
            .known
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.inner
            .known
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Denials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Denials")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
