//! From text to typed values. A refusal says what is wrong and what to write instead.

pub(crate) mod addresses;
pub(crate) mod endpoints;
pub(crate) mod hosts;
pub(crate) mod identity;
pub(crate) mod logs;
pub(crate) mod numbers;
pub(crate) mod redis;
pub(crate) mod secrets;
pub(crate) mod tools;
pub(crate) mod traces;
pub(crate) mod urls;
pub(crate) mod words;

/// Why a value was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) fix: String,
}

pub(crate) type Parsed<T> = Result<T, Refusal>;

pub(crate) fn refuse<T>(what: impl Into<String>, fix: impl Into<String>) -> Parsed<T> {
    Err(Refusal {
        what: what.into(),
        fix: fix.into(),
    })
}

/// For what is no text, but tables of the file.
pub(crate) fn no_text(_: &str) -> Parsed<()> {
    refuse("it is a text", "write tables, in the file")
}

/// A value as an error may quote it: short, and not at all where it could hold a password.
pub(crate) fn quoted(value: &str) -> String {
    if value.contains('@') {
        return "the value".to_owned();
    }
    let mut short: String = value.chars().take(40).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// A key of the file as an error may name it.
pub(crate) fn key_name(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.len() <= 80 && key.chars().all(plain) {
        return key.to_owned();
    }
    quoted(key)
}
