//! How many wrong tokens an address may try: ten at once, and then one in six seconds.
//!
//! A wrong token that is said again is no new guess: a scraper with an old one is told what is wrong, and is
//! on record once.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mcp_transport_http::AddressBucket;

use crate::operators::TokenDigest;

/// New wrong tokens at once.
const AT_ONCE: u32 = 10;
/// One more after so long.
const EVERY: Duration = Duration::from_secs(6);
/// Wrong tokens that are known again, of an address.
const REMEMBERED: usize = 16;
/// Addresses that are remembered.
const ADDRESSES: usize = 1_024;

/// What was guessed lately.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<AddressBucket, Guessing>>);

#[derive(Debug)]
struct Guessing {
    left: u32,
    /// Since when these are left.
    since: Instant,
    wrong: VecDeque<TokenDigest>,
}

impl Guesses {
    /// Whether one more wrong token is told so; if not, when the next one is.
    pub(super) fn check(
        &self,
        address: IpAddr,
        token: TokenDigest,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(guessing) = known.get_mut(&AddressBucket::from(address)) else {
            return Ok(());
        };
        guessing.refill(now);
        if guessing.left > 0 || guessing.wrong.contains(&token) {
            return Ok(());
        }
        Err(EVERY.saturating_sub(now.saturating_duration_since(guessing.since)))
    }

    /// A token was wrong; whether it is a new one.
    pub(super) fn was_wrong(&self, address: IpAddr, token: TokenDigest, now: Instant) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = AddressBucket::from(address);
        if known.len() >= ADDRESSES && !known.contains_key(&bucket) {
            make_room(&mut known, now);
        }
        let guessing = known.entry(bucket).or_insert_with(|| Guessing {
            left: AT_ONCE,
            since: now,
            wrong: VecDeque::new(),
        });
        if guessing.wrong.contains(&token) {
            return false;
        }
        guessing.left = guessing.left.saturating_sub(1);
        guessing.wrong.push_back(token);
        if guessing.wrong.len() > REMEMBERED {
            guessing.wrong.pop_front();
        }
        true
    }
}

impl Guessing {
    fn refill(&mut self, now: Instant) {
        while self.left < AT_ONCE && now.saturating_duration_since(self.since) >= EVERY {
            self.left += 1;
            self.since += EVERY;
        }
        if self.left == AT_ONCE {
            self.since = now;
        }
    }
}

/// Forgets who may guess as much as anybody; else the one who guessed longest ago.
fn make_room(known: &mut HashMap<AddressBucket, Guessing>, now: Instant) {
    known.retain(|_, guessing| {
        guessing.refill(now);
        guessing.left < AT_ONCE
    });
    if known.len() >= ADDRESSES
        && let Some(oldest) = known.iter().min_by_key(|(_, guessing)| guessing.since)
    {
        let oldest = *oldest.0;
        known.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u32) -> TokenDigest {
        TokenDigest::of(&number.to_string())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn new_wrong_tokens_of_an_address_are_few_and_old_ones_cost_nothing() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let from = address("2001:db8::1");
        for number in 0..AT_ONCE {
            assert!(guesses.check(from, token(number), start).is_ok());
            assert!(guesses.was_wrong(from, token(number), start));
            assert!(!guesses.was_wrong(from, token(number), start));
        }
        let next = guesses.check(address("2001:db8::2"), token(99), after(2));
        assert_eq!(next, Err(Duration::from_secs(4)), "the same network");
        assert!(
            guesses
                .check(address("2001:db8:1::1"), token(99), start)
                .is_ok()
        );
        assert!(guesses.check(from, token(9), start).is_ok(), "said before");
        assert!(guesses.check(from, token(99), after(6)).is_ok());
        assert!(guesses.was_wrong(from, token(99), after(6)));
        assert!(guesses.check(from, token(100), after(6)).is_err());
        assert!(guesses.check(from, token(100), after(100)).is_ok());
    }

    #[test]
    fn so_many_addresses_are_remembered_and_no_more() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..2 * u32::try_from(ADDRESSES).unwrap() {
            let from = std::net::Ipv4Addr::from_bits(number).into();
            guesses.was_wrong(from, token(number), now);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), ADDRESSES);
    }
}
