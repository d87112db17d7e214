//! One write: decided by its number and the seed, recognized at the API by its text.

use fastrand::Rng;
use serde_json::{Value, json};

use super::faults;
use mcp_test_support::api::{Fault, Operation};

/// What a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Capture,
    Task,
    Idea,
    Change,
}

/// A write, and what happens to it on its way.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) number: usize,
    pub(super) kind: Kind,
    /// Its client names it.
    pub(super) has_key: bool,
    /// It is sent twice at once.
    pub(super) twice: bool,
    /// Its client hangs up the first time, after so many milliseconds.
    pub(super) hangs_up_after: Option<u64>,
    /// What the next request of its kind meets at the API.
    pub(super) fault: Option<Fault>,
    /// It is sent again after it was answered as done.
    pub(super) comes_again: bool,
}

impl Write {
    pub(super) fn of(seed: u64, number: usize) -> Self {
        let mut random = Rng::with_seed(seed.rotate_left(32) ^ u64::try_from(number).unwrap_or(0));
        let kinds = [Kind::Capture, Kind::Task, Kind::Idea];
        Self {
            number,
            kind: if random.u8(..8) == 0 {
                Kind::Change
            } else {
                kinds[random.usize(..kinds.len())]
            },
            has_key: random.u8(..3) == 0,
            twice: random.u8(..6) == 0,
            hangs_up_after: (random.u8(..8) == 0).then(|| random.u64(..25)),
            fault: (random.u8(..3) == 0).then(|| faults::at_the_api(&mut random)),
            comes_again: random.u8(..4) == 0,
        }
    }

    /// Whether the same, sent again, is never done again.
    pub(super) fn is_done_once(&self) -> bool {
        self.kind != Kind::Change || self.has_key
    }

    pub(super) fn operation(&self) -> Operation {
        match self.kind {
            Kind::Capture => Operation::CreateRequirement,
            Kind::Task => Operation::CreateTask,
            Kind::Idea => Operation::SpecifyRequirement,
            Kind::Change => Operation::UpdateRequirement,
        }
    }

    /// What no other write says.
    pub(super) fn text(&self) -> String {
        format!("{MARK}{:06}", self.number)
    }

    /// The parameters of its `tools/call`, the same each time.
    pub(super) fn params(&self) -> Value {
        let text = self.text();
        let (tool, arguments) = match self.kind {
            Kind::Capture => (
                "capture_project_requirement",
                json!({ "project_id": "PROJ-1", "name": text, "content": "As a shopper, I wait." }),
            ),
            Kind::Task => (
                "create_project_task",
                json!({ "project_id": "PROJ-1", "requirement_id": "REQ-1", "title": text }),
            ),
            Kind::Idea => (
                "create_requirement",
                json!({ "project_id": "PROJ-1", "message": format!("{text}, a rough idea") }),
            ),
            Kind::Change => (
                "update_project_requirement",
                json!({ "project_id": "PROJ-1", "requirement_id": "REQ-1", "name": text }),
            ),
        };
        let mut params = json!({ "name": tool, "arguments": arguments });
        if self.has_key {
            params["_meta"] = json!({ "com.braingrid/idempotency-key": format!("key of {text}") });
        }
        params
    }
}

const MARK: &str = "write-";

/// The number of the write that a body at the API belongs to.
pub(super) fn number_in(body: &Value) -> Option<usize> {
    let body = body.to_string();
    let (_, rest) = body.split_once(MARK)?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next();
    digits?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_a_write_and_its_text_gives_its_number() {
        for number in [0, 7, 1_234_567] {
            let write = Write::of(3, number);
            assert_eq!(format!("{write:?}"), format!("{:?}", Write::of(3, number)));
            assert_eq!(number_in(&write.params()["arguments"]), Some(number));
        }
        assert_eq!(number_in(&json!({ "name": "another" })), None);
    }
}
