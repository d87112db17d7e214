//! What a begin does about a write, by what is known of it.

use tokio::time::Instant;

use crate::{
    begin::Begin,
    intent::{Plan, Stage},
    journal::Begun,
    own::Note,
    place::Place,
    record::{Record, State},
};

/// What the journal says of a write that stands in it.
pub(crate) enum Next {
    Wait,
    Tell(Begun),
    Take(Plan),
}

impl Begin<'_> {
    /// What is to be done about a write that stands in the store; what only this process knows of the
    /// same request counts for more.
    pub(crate) fn next(&mut self, place: &Place, only_here: Option<&(Note, u64)>) -> Next {
        let Some(record) = &place.record else {
            if !self.inner.is_silent(place) {
                return Next::Wait;
            }
            tracing::warn!("a record of the write journal did not open");
            return Next::Take(self.read_back(&self.fresh().record, false));
        };
        if record.is_done() {
            return self.known(record, place.version);
        }
        // Whoever asks has the claim and did not begin it: in this process, who did is gone.
        let is_ours = record.by.split('.').next() == Some(&self.inner.instance);
        let runs = record.state == State::Running && !is_ours && !self.inner.is_silent(place);
        if runs && self.digests.contains(&record.of) {
            self.joined = true;
            return Next::Wait;
        }
        match only_here {
            Some((note, version)) if note.record.from == record.from => {
                self.known(&note.record, *version)
            }
            _ => self.known(record, place.version),
        }
    }

    /// What is to be done about a write that nobody works on.
    pub(crate) fn known(&self, record: &Record, version: u64) -> Next {
        if !self.digests.contains(&record.of) {
            return Next::Tell(Begun::KeyReused);
        }
        match &record.state {
            State::Done { kept, .. } if self.joined || self.write.is_replayed() => {
                let replay = self
                    .inner
                    .replay(record, kept.as_ref(), self.joined, version);
                Next::Tell(Begun::Replay(replay))
            }
            State::Done { answered: true, .. } => Next::Take(self.fresh()),
            State::Done { .. } => Next::Take(self.read_back(record, true)),
            State::Running | State::Unclear => Next::Take(self.read_back(record, false)),
        }
    }

    pub(crate) fn fresh(&self) -> Plan {
        let since = Instant::now();
        let of = self.digests.first().map_or("", String::as_str);
        Plan {
            record: self.inner.fresh(self.write, &self.by, of),
            since,
            stage: Stage::MaySend,
        }
    }

    fn read_back(&self, found: &Record, known: bool) -> Plan {
        let since = Instant::now();
        let now = self.inner.now();
        let record = Record {
            by: self.by.clone(),
            state: State::Running,
            ..found.clone()
        }
        .begun_by(now);
        let settled = known || record.settles_at <= now;
        let state = if known {
            found.state.clone()
        } else {
            State::Unclear
        };
        let back = Box::new(record.now(state));
        Plan {
            record,
            since,
            stage: Stage::ReadsBack { settled, back },
        }
    }
}
