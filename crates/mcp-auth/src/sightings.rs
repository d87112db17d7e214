//! When tokens with an unknown key were first seen: bounded, forgotten by generations.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    mem,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::jwt::Unverified;

/// Tokens of one generation; two are kept, in some 400 KiB at most.
const GENERATION: usize = 8_192;

/// A keyed hash of each token with the time it was first seen.
///
/// Of the token, not of its `kid`: who guesses the name of a key that is to come can make no token
/// of it bad beforehand.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    hasher: RandomState,
    generations: Mutex<[HashMap<u64, Instant>; 2]>,
}

impl Sightings {
    /// When this token was first seen, as far as is remembered; `now` if never.
    pub(crate) fn first_seen(&self, token: &Unverified<'_>, now: Instant) -> Instant {
        let token = self.hasher.hash_one((token.message, token.signature));
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if let Some(seen) = young.get(&token).or_else(|| old.get(&token)) {
            return *seen;
        }
        if young.len() >= GENERATION {
            *old = mem::take(young);
        }
        young.insert(token, now);
        now
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::AccessToken;

    #[test]
    fn the_first_sight_is_remembered_and_the_memory_is_bounded() {
        let (sightings, start) = (Sightings::default(), Instant::now());
        let seen = |name: usize, after: u64| {
            let token = format!("Bearer eyJhbGciOiJSUzI1NiJ9.e30.{name}");
            let token = AccessToken::parse(&token).unwrap();
            let token = token.jwt().unwrap();
            sightings.first_seen(&token, start + Duration::from_secs(after))
        };
        assert_eq!(seen(0, 0), start);
        assert_eq!(seen(0, 7), start);
        for name in 1..=3 * GENERATION {
            seen(name, 8);
        }
        assert_eq!(
            seen(0, 9),
            start + Duration::from_secs(9),
            "pushed out by others"
        );
        let generations = sightings.generations.lock().unwrap();
        assert!(generations.iter().all(|known| known.len() <= GENERATION));
    }
}
