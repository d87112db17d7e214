//! What can go wrong on purpose, per operation.

use std::time::Duration;

use serde_json::Value;

use super::operation::Operation;
use crate::gate::Gate;

/// One way of going wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers this status with a plain error body, and does nothing.
    Status(u16),
    /// Answers this status with this body, and does nothing.
    StatusWithBody(u16, Value),
    /// Answers this status with `Retry-After`, and does nothing.
    RetryAfter(u16, u64),
    /// Does it after this long.
    Delay(Duration),
    /// Does it when the gate opens.
    Held(Gate),
    /// Does it, and answers when the gate opens.
    HeldAfterWrite(Gate),
    /// Closes the connection and does nothing.
    Close,
    /// Does it, then closes the connection without an answer.
    CloseAfterWrite,
    /// Answers 200 with a body that is no JSON, and does nothing.
    Garbage,
    /// Never answers, and does nothing.
    Hang,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The next so many requests.
    Next(u32),
    /// Until the faults are cleared.
    Always,
}

#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Operation, Fault, Times)>);

impl Faults {
    pub(super) fn add(&mut self, operation: Operation, fault: Fault, times: Times) {
        self.0.push((operation, fault, times));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault this request meets: the oldest that is not used up.
    pub(super) fn take(&mut self, operation: Operation) -> Option<Fault> {
        self.0.retain(|(_, _, times)| *times != Times::Next(0));
        let (_, fault, times) = self.0.iter_mut().find(|(of, _, _)| *of == operation)?;
        if let Times::Next(left) = times {
            *left -= 1;
        }
        Some(fault.clone())
    }
}
