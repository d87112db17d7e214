//! One begin: looks where the write stands, and takes it if nobody else has it.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use mcp_outbound::Backoff;
use mcp_session::{StoreError, Swap};
use tokio::{runtime::Handle, time::sleep};

use crate::{
    claim::Claim,
    decide::Next,
    intent::{Intent, Plan, Stage},
    journal::{Begun, ReadBack},
    own::Note,
    place::{Inner, Place, Placed},
    write::{JournalAway, Why, Write, count},
};

pub(crate) struct Begin<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) write: &'a Write<'a>,
    pub(crate) names: Vec<String>,
    pub(crate) digests: Vec<String>,
    /// This begin, of all of all instances.
    pub(crate) by: String,
    pub(crate) claim: Option<Claim>,
    /// Somebody else's ended while this one waited.
    pub(crate) joined: bool,
    /// What the store said is there, so that it need not be asked.
    pub(crate) found: Option<Place>,
    /// Somebody else's was there: it is looked at before anything is put.
    pub(crate) reads: bool,
    /// The store knows of the write: without it nothing can be decided any more.
    pub(crate) is_shared: bool,
    pub(crate) pauses: Backoff,
    pub(crate) failures: std::iter::Take<Backoff>,
    /// What the store was asked to put, and may have put.
    pub(crate) asked: Option<(String, Plan)>,
}

impl<'a> Begin<'a> {
    pub(crate) fn new(inner: &'a Arc<Inner>, write: &'a Write<'a>) -> Self {
        let number = inner.begins.fetch_add(1, Ordering::Relaxed);
        let pauses = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let names = inner.names(write);
        Self {
            inner,
            write,
            digests: inner.digests(write, &names),
            names,
            by: format!("{}.{number}", inner.instance),
            claim: None,
            joined: false,
            found: None,
            reads: false,
            is_shared: false,
            failures: pauses.clone().take(5),
            pauses,
            asked: None,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Begun, JournalAway> {
        let _asking = self
            .inner
            .claims
            .ask(self.first())
            .ok_or(Why::StillRunning)?;
        loop {
            if self.claim.is_none() {
                let (claim, joined) = self.inner.claims.claim(self.first()).await;
                self.claim = Some(claim);
                self.joined |= joined;
            }
            if let Some(begun) = self.step().await? {
                return Ok(begun);
            }
        }
    }

    pub(crate) fn first(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    async fn step(&mut self) -> Result<Option<Begun>, JournalAway> {
        let note = match &self.inner.own {
            Some(own) => own.read(self.first()).await,
            None => None,
        };
        let only_here = note.as_ref().filter(|(note, _)| note.only_here);
        let place = match self.look(only_here.is_some()).await {
            Ok(place) => place,
            Err(error) => return self.without(error, note).await,
        };
        self.is_shared |= place.is_some();
        if let Some(place) = place.as_ref().filter(|place| place.is_by(&self.by))
            && let Some(begun) = self.begun(place.clone()).await
        {
            return Ok(Some(begun));
        }
        let next = match (&place, only_here) {
            (Some(place), note) => self.next(place, note),
            (None, Some((note, version))) => self.known(&note.record, *version),
            (None, None) => Next::Take(self.fresh()),
        };
        let plan = match next {
            Next::Wait => {
                self.wait().await;
                return Ok(None);
            }
            Next::Tell(begun) => return Ok(Some(begun)),
            Next::Take(plan) => plan,
        };
        self.reads = place.is_some();
        match self.take(place, plan).await {
            Ok(begun) => Ok(begun),
            Err(error) => self.without(error, note).await,
        }
    }

    /// What stands in the store, if that is known or must be before anything is put there.
    async fn look(&mut self, reads: bool) -> Result<Option<Place>, StoreError> {
        match self.found.take() {
            None if self.reads || reads => self.inner.read(&self.names).await,
            place => Ok(place),
        }
    }

    /// Lets others of this process look, too: each waits for what it saw itself.
    async fn wait(&mut self) {
        self.claim = None;
        self.reads = true;
        sleep(self.pauses.next().unwrap_or_default()).await;
    }

    /// Puts the plan in the place of what was found, unless somebody else is faster.
    async fn take(
        &mut self,
        place: Option<Place>,
        mut plan: Plan,
    ) -> Result<Option<Begun>, StoreError> {
        // What was asked for earlier may still come to be, with its earlier time.
        if let Some((_, asked)) = &self.asked {
            plan.since = asked.since;
        }
        let (record, keep) = (plan.record.clone(), self.inner.keep(self.write));
        let Some(Place { name, version, .. }) = place else {
            self.asked = Some((self.first().to_owned(), plan));
            match self.inner.put(&self.names, &record, keep).await? {
                Placed::Ours(place) => return Ok(self.begun(place).await),
                Placed::Found(place) => self.found = Some(place),
                Placed::Half(error) => {
                    self.is_shared = true;
                    return Err(error);
                }
            }
            self.asked = None;
            return Ok(None);
        };
        self.asked = Some((name.clone(), plan));
        let sealed = self.inner.sealed(&record, &name)?;
        let swap = self
            .inner
            .shared
            .compare_and_set(&name, version, sealed, keep);
        match swap.await? {
            Swap::Done => {
                let (version, record) = (version.wrapping_add(1), Some(record));
                let place = Place {
                    name,
                    version,
                    record,
                };
                return Ok(self.begun(place).await);
            }
            Swap::Lost(Some(fact)) => {
                let place = self.inner.found(&name, &fact);
                if !place.is_by(&self.by) {
                    self.asked = None;
                }
                self.found = Some(place);
            }
            Swap::Lost(None) => self.asked = None,
        }
        Ok(None)
    }

    /// The write is this begin's, in the store.
    async fn begun(&mut self, place: Place) -> Option<Begun> {
        let (_, plan) = self.asked.take()?;
        let record = place.record.unwrap_or_else(|| plan.record.clone());
        let plan = Plan { record, ..plan };
        let begun = self.intent((place.name, Some(place.version)), plan, false);
        // The store knows: that the process does, too, is for later.
        begun.await.ok()?
    }

    async fn intent(
        &mut self,
        (name, version): (String, Option<u64>),
        plan: Plan,
        alone: bool,
    ) -> Result<Option<Begun>, StoreError> {
        let Some(claim) = self.claim.take() else {
            return Ok(None);
        };
        let (at, stage) = (plan.record.begun_at(), plan.stage.clone());
        let place = (self.first(), name.as_str(), version);
        let intent = Intent::new(self.inner, place, claim, plan, self.write, alone);
        intent.noted().await?;
        Ok(Some(match stage {
            Stage::MaySend => Begun::Send(intent),
            Stage::ReadsBack { settled, .. } => Begun::ReadBack(ReadBack {
                at,
                settled,
                intent,
            }),
        }))
    }

    /// The store does not answer: what this process knows decides, if anything may.
    async fn without(
        &mut self,
        error: StoreError,
        note: Option<(Note, u64)>,
    ) -> Result<Option<Begun>, JournalAway> {
        if self.is_shared && error != StoreError::Full {
            let Some(pause) = self.failures.next() else {
                return Err(error.into());
            };
            sleep(pause).await;
            return Ok(None);
        }
        if !may_have_happened(&error) {
            self.asked = None;
        }
        if self.is_shared || self.inner.own.is_none() {
            return Err(error.into());
        }
        tracing::warn!(%error, "a write begins without the shared store");
        count(&self.inner.stats.without_store);
        let plan = match note
            .as_ref()
            .map(|(note, version)| self.known(&note.record, *version))
        {
            Some(Next::Tell(begun)) => return Ok(Some(begun)),
            Some(Next::Take(plan)) => plan,
            Some(Next::Wait) | None => match &self.asked {
                Some((_, asked)) => asked.clone(),
                None => self.fresh(),
            },
        };
        self.asked = None;
        let place = match note.and_then(|(note, _)| note.shared) {
            Some((name, version)) => (name, Some(version)),
            None => (self.first().to_owned(), None),
        };
        Ok(self.intent(place, plan, true).await?)
    }
}

/// What was asked for and never heard of is taken back: nothing was sent.
impl Drop for Begin<'_> {
    fn drop(&mut self) {
        if let (Some((name, plan)), Some(claim)) = (self.asked.take(), self.claim.take())
            && Handle::try_current().is_ok()
        {
            let place = (self.first(), name.as_str(), None);
            drop(Intent::new(
                self.inner, place, claim, plan, self.write, false,
            ));
        }
    }
}

/// Whether the store may have done what it was asked to.
fn may_have_happened(error: &StoreError) -> bool {
    matches!(error, StoreError::Timeout | StoreError::Unreachable(_))
}
