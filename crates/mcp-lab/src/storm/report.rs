//! What came of it: what the API performed, beside what the clients were told.

use std::{collections::HashMap, fmt};

use anyhow::bail;
use serde::Serialize;

use super::{
    call::Way,
    client::{End, Fate},
    write::number_in,
};
use mcp_test_support::api::Performed;

/// Complaints that are kept word for word.
const COMPLAINTS: usize = 25;

/// What came of the writes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Decided the writes and the events.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// One for each setting of `WRITES`.
    pub parts: Vec<Part>,
}

/// What came of the writes of one part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Part {
    /// The setting `WRITES`.
    pub setting: &'static str,
    /// Things that happened around the instances.
    pub events: usize,
    /// Writes, each with a text of its own.
    pub writes: usize,
    /// Of those, how many the API was told to go wrong with.
    pub api_faults: usize,
    /// Calls that they took.
    pub calls: usize,
    /// Writes that were performed.
    pub performed: usize,
    /// Writes that were performed more than once, and must not be.
    pub doubled: usize,
    /// Answered as done, and never performed.
    pub lost: usize,
    /// Answered as done, and something else was shown.
    pub wrong: usize,
    /// Performed, and its client was neither told so nor that it may be.
    pub unnamed: usize,
    /// Answered as done, and not when it came again.
    pub forgotten: usize,
    /// Never answered for.
    pub unanswered: usize,
    /// Answered as done.
    pub done: usize,
    /// Of those, sent again after that.
    pub came_again: usize,
    /// Of those, shown what an earlier call had made.
    pub replayed: usize,
    /// Of those, shown what an earlier call was making.
    pub joined: usize,
    /// Of those, found by reading back.
    pub read_back: usize,
    /// Named as unknown to its client in the end.
    pub named_unknown: usize,
    /// Of those, performed.
    pub unknown_and_performed: usize,
    /// Changes without a key that came again and were done again, as documented.
    pub changes_done_again: usize,
    /// The first things that must not have happened, in words.
    pub complaints: Vec<String>,
}

impl Part {
    pub(super) fn new(
        setting: &'static str,
        fates: &[Fate],
        performed: &[Performed],
        events: usize,
    ) -> Self {
        let mut times = HashMap::<usize, usize>::new();
        for number in performed.iter().filter_map(|it| number_in(&it.body)) {
            *times.entry(number).or_default() += 1;
        }
        let mut part = Self {
            setting,
            events,
            ..Self::default()
        };
        for fate in fates {
            part.add(fate, times.get(&fate.write.number).copied().unwrap_or(0));
        }
        part
    }

    fn add(&mut self, fate: &Fate, times: usize) {
        let is_performed = times > 0;
        self.writes += 1;
        self.calls += fate.calls;
        self.api_faults += usize::from(fate.write.fault.is_some());
        self.performed += usize::from(is_performed);
        let again = times > 1;
        let mut wrong = again && fate.write.is_done_once();
        self.doubled += usize::from(wrong);
        self.changes_done_again += usize::from(again && !fate.write.is_done_once());
        match fate.end {
            End::Done(how) => {
                self.done += 1;
                match how.way {
                    Way::Sent => {}
                    Way::Replayed => self.replayed += 1,
                    Way::Joined => self.joined += 1,
                    Way::ReadBack => self.read_back += 1,
                }
                self.wrong += usize::from(how.wrong);
                self.lost += usize::from(!is_performed);
                wrong |= how.wrong || !is_performed;
            }
            End::NamedUnknown => {
                self.named_unknown += 1;
                self.unknown_and_performed += usize::from(is_performed);
            }
            End::Unanswered => {
                self.unanswered += 1;
                self.unnamed += usize::from(is_performed);
                wrong = true;
            }
        }
        if let Some(again) = fate.again {
            self.came_again += 1;
            let is_shown = matches!(again, End::Done(how) if how.way != Way::Sent && !how.wrong);
            self.forgotten += usize::from(!is_shown);
            wrong |= !is_shown;
        }
        if wrong && self.complaints.len() < COMPLAINTS {
            let (write, history) = (&fate.write, &fate.history);
            self.complaints
                .push(format!("performed {times} times: {write:?}; {history:?}"));
        }
    }

    /// What must be 0.
    fn must_be_zero(&self) -> [(&'static str, usize); 6] {
        [
            ("doubled", self.doubled),
            ("lost", self.lost),
            ("wrong answers", self.wrong),
            ("done and not named", self.unnamed),
            ("done, and not known again", self.forgotten),
            ("unanswered", self.unanswered),
        ]
    }
}

impl Report {
    /// Whether no write was doubled or lost, and every client knows what it can know.
    ///
    /// # Errors
    ///
    /// Names what must be 0 and is not.
    pub fn verdict(&self) -> anyhow::Result<()> {
        for part in &self.parts {
            for (what, count) in part.must_be_zero() {
                if count > 0 {
                    bail!("WRITES={}: {what}: {count}, and must be 0", part.setting);
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.0} s, seed {}", self.seconds, self.seed)?;
        self.parts.iter().try_for_each(|part| write!(f, "\n{part}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "WRITES={}: {} writes in {} calls, {} faults of the API, {} events",
            self.setting, self.writes, self.calls, self.api_faults, self.events
        )?;
        for (what, count) in self.must_be_zero() {
            writeln!(f, "  {what:<34} {count:>6}  (must be 0)")?;
        }
        let rest = [
            ("performed", self.performed),
            ("answered as done", self.done),
            ("  sent again after that", self.came_again),
            ("  shown what was made before", self.replayed),
            ("  joined what was under way", self.joined),
            ("  found by reading back", self.read_back),
            ("named as unknown", self.named_unknown),
            ("  and performed", self.unknown_and_performed),
            ("changes without a key, done again", self.changes_done_again),
        ];
        for (what, count) in rest {
            writeln!(f, "  {what:<34} {count:>6}")?;
        }
        self.complaints
            .iter()
            .try_for_each(|complaint| writeln!(f, "! {complaint}"))
    }
}

#[cfg(test)]
mod tests {
    use mcp_test_support::api::Operation;
    use serde_json::json;

    use super::*;
    use crate::storm::{call::How, write::Write};

    /// The part of one write that ended so and was performed so many times.
    fn part(end: End, times: usize) -> Part {
        let number = (0..100).find(|number| Write::of(1, *number).is_done_once());
        let write = Write::of(1, number.unwrap());
        let body = json!({ "name": write.text() });
        let operation = Operation::CreateRequirement;
        let performed = vec![Performed { operation, body }; times];
        let fate = Fate {
            write,
            end,
            again: None,
            calls: 1,
            history: Vec::new(),
        };
        Part::new("refuse", &[fate], &performed, 0)
    }

    #[test]
    fn a_write_may_be_performed_once_and_told_so_or_named_as_unknown() {
        let done = End::Done(How {
            way: Way::Sent,
            wrong: false,
        });
        let wrong = |part: Part| {
            let named = part.must_be_zero().into_iter();
            named
                .filter_map(|(what, count)| (count > 0).then_some(what))
                .collect::<Vec<_>>()
        };
        let nothing: [&str; 0] = [];
        assert_eq!(wrong(part(done, 1)), nothing);
        assert_eq!(wrong(part(done, 0)), ["lost"]);
        assert_eq!(wrong(part(done, 2)), ["doubled"]);
        assert_eq!(wrong(part(End::NamedUnknown, 0)), nothing);
        assert_eq!(wrong(part(End::NamedUnknown, 1)), nothing);
        assert_eq!(wrong(part(End::NamedUnknown, 2)), ["doubled"]);
        assert_eq!(
            wrong(part(End::Unanswered, 1)),
            ["done and not named", "unanswered"]
        );
    }
}
