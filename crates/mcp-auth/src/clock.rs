//! How our clock stands against the issuers': a wrong clock makes good tokens look expired, and a
//! 401 for that would send every user to a login that does not help.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwapOption;
use reqwest::header::{AGE, DATE, HeaderMap};
use tokio::sync::Mutex;
use url::Url;

use crate::times::seconds;

/// How long a difference is believed.
const BELIEVED: Duration = Duration::from_mins(15);
/// How often, at most, an issuer is asked.
pub(crate) const PAUSE: Duration = Duration::from_mins(1);
/// Limit for one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks one issuer what time it is, by the `Date` of any answer (RFC 9110 section 6.6.1).
#[derive(Debug)]
pub(crate) struct IssuerClock {
    /// None where there is no other machine to ask.
    url: Option<Url>,
    client: reqwest::Client,
    /// Holding this lock is the right to ask.
    asked_at: Mutex<Option<Instant>>,
    seen: ArcSwapOption<Seen>,
}

/// What an answer told.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Seconds by which our clock is ahead of theirs.
    ahead: i64,
    at: Instant,
}

impl IssuerClock {
    pub(crate) fn new(url: Option<Url>, client: reqwest::Client) -> Arc<Self> {
        Arc::new(Self {
            url,
            client,
            asked_at: Mutex::default(),
            seen: ArcSwapOption::empty(),
        })
    }

    /// Asks, unless that was done a moment ago, and says whether it asked. What does not answer
    /// changes nothing.
    pub(crate) async fn look(&self) -> bool {
        let Some(url) = &self.url else {
            return false;
        };
        let mut asked_at = self.asked_at.lock().await;
        if asked_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return false;
        }
        *asked_at = Some(Instant::now());
        let asked = self.client.head(url.clone()).timeout(PATIENCE);
        let Ok(answer) = asked.send().await else {
            return true;
        };
        if let Some(theirs) = date_of(answer.headers()) {
            let (ahead, at) = (difference(SystemTime::now(), theirs), Instant::now());
            self.seen.store(Some(Arc::new(Seen { ahead, at })));
        }
        true
    }

    /// Seconds by which our clock is ahead of theirs, if that was seen lately.
    pub(crate) fn ahead(&self) -> Option<i64> {
        let seen = self.seen.load_full()?;
        (seen.at.elapsed() < BELIEVED).then_some(seen.ahead)
    }
}

/// The time at the far end when it answered; a cache's answer has aged since (section 5.1 of RFC
/// 9111).
fn date_of(headers: &HeaderMap) -> Option<SystemTime> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let age = headers
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.parse().ok());
    date.checked_add(Duration::from_secs(age.unwrap_or(0)))
}

fn difference(ours: SystemTime, theirs: SystemTime) -> i64 {
    let signed = |time| i64::try_from(seconds(time)).unwrap_or(i64::MAX);
    signed(ours).saturating_sub(signed(theirs))
}

/// By how much our clock is ahead, as the issuers see it together: their median, and of two the one
/// that accuses us less. So one that is wrong cannot speak for several.
pub(crate) fn agreed(ahead: impl Iterator<Item = i64>) -> Option<i64> {
    let mut ahead: Vec<_> = ahead.collect();
    ahead.sort_unstable();
    let last = ahead.len().checked_sub(1)?;
    let middle = [ahead.get(last / 2), ahead.get(last.div_ceil(2))];
    middle
        .into_iter()
        .flatten()
        .copied()
        .min_by_key(|it| it.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn several_issuers_are_right_against_one() {
        for (ahead, expected) in [
            (vec![], None),
            (vec![7200], Some(7200)),
            (vec![0, 7200], Some(0)),
            (vec![-7200, -7000], Some(-7000)),
            (vec![0, 1, 90_000], Some(1)),
            (vec![7200, 7201, 0], Some(7200)),
            (vec![-5, 0, 7200, 7200], Some(0)),
        ] {
            assert_eq!(agreed(ahead.clone().into_iter()), expected, "{ahead:?}");
        }
    }

    #[test]
    fn a_date_is_that_of_the_answer_not_of_the_cache() {
        let headers = |pairs: &[(_, &'static str)]| {
            let pairs = pairs.iter().cloned();
            let pairs = pairs.map(|(name, value)| (name, HeaderValue::from_static(value)));
            pairs.collect::<HeaderMap>()
        };
        let date = (DATE, "Thu, 26 Nov 2026 12:00:00 GMT");
        let at = |pairs: &[_]| date_of(&headers(pairs)).map(seconds);
        assert_eq!(at(std::slice::from_ref(&date)), Some(1_795_694_400));
        assert_eq!(at(&[date.clone(), (AGE, "3600")]), Some(1_795_698_000));
        assert_eq!(at(&[date, (AGE, "soon")]), Some(1_795_694_400));
        assert_eq!(at(&[(DATE, "yesterday")]), None);
        assert_eq!(at(&[]), None);
    }
}
