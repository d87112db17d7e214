//! Which scopes a call needs. None by default: BrainGrid publishes no scopes of its own.

use super::definition::Effect;

/// The scopes that reading and writing need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopePolicy {
    read: Vec<String>,
    write: Vec<String>,
}

impl ScopePolicy {
    /// Reads need `read`; writes need both, for a write shows what it wrote.
    pub fn new(read: Vec<String>, write: Vec<String>) -> Self {
        let mut all = read.clone();
        all.extend(write);
        Self { read, write: all }
    }

    pub(super) fn required(&self, effect: Effect) -> &[String] {
        if effect.changes_something() {
            &self.write
        } else {
            &self.read
        }
    }

    /// What is missing from `granted`.
    pub(super) fn missing<'a>(&'a self, effect: Effect, granted: &[String]) -> Vec<&'a str> {
        let required = self.required(effect).iter();
        required
            .filter(|scope| !granted.contains(scope))
            .map(String::as_str)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_needs_the_scopes_of_both() {
        let policy = ScopePolicy::new(vec!["read".into()], vec!["write".into()]);
        let granted = ["read".to_owned()];
        assert!(policy.missing(Effect::Read, &granted).is_empty());
        assert_eq!(policy.missing(Effect::Write, &granted), ["write"]);
        assert!(ScopePolicy::default().missing(Effect::Slow, &[]).is_empty());
    }
}
