//! Numbers, amounts of memory, and durations.

use std::time::Duration;

use mcp_session::Rate;

use super::{Parsed, quoted, refuse};

pub(crate) fn port(value: &str) -> Parsed<u16> {
    match value.parse() {
        Ok(port) => Ok(port),
        Err(_) => refuse(
            format!("{} is no port", quoted(value)),
            "use a number from 0 to 65535, such as 8080",
        ),
    }
}

/// A whole number.
pub(crate) fn number(value: &str) -> Parsed<u32> {
    match value.parse() {
        Ok(number) => Ok(number),
        Err(_) => refuse(
            format!("{} is no whole number", quoted(value)),
            "use digits alone, such as 100; 0 or more",
        ),
    }
}

/// How many of something there may be.
pub(crate) fn count(value: &str) -> Parsed<usize> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => refuse(
            format!("{} is no whole number above 0", quoted(value)),
            "use one, such as 1000",
        ),
    }
}

/// A share of the whole.
pub(crate) fn ratio(value: &str) -> Parsed<f64> {
    match value.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => refuse(
            format!("{} is no number from 0 to 1", quoted(value)),
            "use one with a point, such as 0.05 for five percent",
        ),
    }
}

/// Bytes, or a number with a unit as Kubernetes and Docker write it; at least 16 MiB.
pub(crate) fn memory(value: &str) -> Parsed<usize> {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = value.split_at(digits);
    let scale: Option<usize> = match &*unit.trim().to_ascii_lowercase() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "ki" | "kib" => Some(1 << 10),
        "mi" | "mib" => Some(1 << 20),
        "gi" | "gib" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.parse::<usize>().ok().zip(scale);
    match bytes.and_then(|(number, scale)| number.checked_mul(scale)) {
        Some(bytes) if bytes >= 16 << 20 => Ok(bytes),
        Some(_) => refuse(
            format!("{} is too little to serve anybody", quoted(value)),
            "use 16MiB or more",
        ),
        None => refuse(
            format!("{} is no amount of memory", quoted(value)),
            "use a number with a unit, such as 256MiB",
        ),
    }
}

/// Seconds, or a number with `s`, `m`, `h` or `d`.
pub(crate) fn duration(value: &str) -> Parsed<Duration> {
    let split = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let (number, unit) = value.split_at(split);
    let scale = match &*unit.trim().to_ascii_lowercase() {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => Some(1),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60),
        "h" | "hour" | "hours" => Some(3_600),
        "d" | "day" | "days" => Some(86_400),
        _ => None,
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .zip(scale)
        .and_then(|(n, s)| n.checked_mul(s));
    match seconds {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => refuse(
            format!("{} is no duration", quoted(value)),
            "use whole seconds, or a whole number with a unit: 90, 10s, 5m, 12h, 7d",
        ),
    }
}

/// A duration between two bounds, in seconds.
pub(crate) fn duration_within<const LEAST: u64, const MOST: u64>(value: &str) -> Parsed<Duration> {
    let duration = duration(value)?;
    if (LEAST..=MOST).contains(&duration.as_secs()) {
        return Ok(duration);
    }
    refuse(
        format!("{} is out of range", quoted(value)),
        format!("use a duration from {LEAST} to {MOST} seconds"),
    )
}

/// So many in so long: a number, a stroke and a duration, or a unit alone. Nothing for no limit.
pub(crate) fn rate(value: &str) -> Parsed<Option<Rate>> {
    if value.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let no_rate = || {
        refuse(
            format!("{} is no number in a time", quoted(value)),
            "use one such as 600/1m, a day at most, or off",
        )
    };
    let Some((number, time)) = value.split_once('/') else {
        return no_rate();
    };
    let (number, time) = (number.trim(), time.trim());
    let time = if time.starts_with(|c: char| c.is_ascii_alphabetic()) {
        duration(&format!("1{time}"))
    } else {
        duration(time)
    };
    match (number.parse(), time) {
        (Ok(number @ 1..=1_000_000_000), Ok(time)) if !time.is_zero() && time <= Rate::LONGEST => {
            Ok(Some(Rate::new(number, time)))
        }
        _ => no_rate(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        let minute = Duration::from_mins(1);
        for text in ["600/1m", "600 / 60s", "600/60", "600/m", "600/min"] {
            assert_eq!(rate(text).unwrap(), Some(Rate::new(600, minute)), "{text}");
        }
        assert_eq!(rate("Off").unwrap(), None);
        for text in [
            "", "600", "0/1m", "-1/1m", "600/", "/1m", "600/0s", "600/2d", "600/1y", "1/1m/1m",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
