//! Operators: a file of bearer tokens says who they are and what each may do.
//!
//! A line for each token: a name for the audit log, `read` or `write`, and the token. Only digests of
//! tokens stay in memory.

use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use crate::text;

/// Fewest characters of a token: 128 bits in hexadecimal. No limit on guesses has to protect it.
const SHORTEST: usize = 32;
/// Most characters of an operator's name.
const LONGEST_NAME: usize = 64;

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// See: who is connected, what is denied.
    Read,
    /// See and change.
    Write,
}

impl Right {
    /// As the file has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Somebody who runs this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// For the audit log.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) right: Right,
}

/// A token as it is kept and compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }
}

/// Says nothing: whoever has it could try tokens at leisure.
impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest([redacted])")
    }
}

/// The tokens of a file.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<(TokenDigest, Operator)>);

impl Tokens {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, without a word of it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text =
            text::read(path).map_err(|error| format!("it cannot be read: {}", error.kind()))?;
        Self::parse(&text)
    }

    /// Reads the text of a file. All of it has to be right: half a list would let in whom a slip left in.
    ///
    /// # Errors
    /// The number of the first line that is wrong, and what is; nothing of the line itself.
    fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (digest, operator) =
                parse_line(line).map_err(|fault| format!("line {number}: {fault}"))?;
            if tokens.0.iter().any(|(known, _)| *known == digest) {
                return Err(format!("line {number}: the token is there twice"));
            }
            tokens.0.push((digest, operator));
        }
        Ok(tokens)
    }

    /// Whose a token is. Takes as long for a wrong one as for a right one.
    pub(crate) fn operator_of(&self, token: TokenDigest) -> Option<&Operator> {
        let mut found = None;
        for (known, operator) in &self.0 {
            if verify_slices_are_equal(&known.0, &token.0).is_ok() {
                found = Some(operator);
            }
        }
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse_line(line: &str) -> Result<(TokenDigest, Operator), String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [name, right, token] = words.as_slice() else {
        return Err(
            "write a name, read or write, and a token, with blanks between them".to_owned(),
        );
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
        return Err(format!(
            "a name has letters, digits, and . _ @ - only, {LONGEST_NAME} at most"
        ));
    }
    let right = match *right {
        "read" => Right::Read,
        "write" => Right::Write,
        _ => return Err("the second word is read or write".to_owned()),
    };
    if token.len() < SHORTEST || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!(
            "a token has {SHORTEST} visible ASCII characters at least; openssl rand -hex 32 makes one"
        ));
    }
    let first = token.chars().next();
    if token.chars().all(|c| Some(c) == first) {
        return Err(
            "one character repeated is no token; openssl rand -hex 32 makes one".to_owned(),
        );
    }
    let operator = Operator {
        name: (*name).to_owned(),
        right,
    };
    Ok((TokenDigest::of(token), operator))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "0123456789abcdef0123456789abcdef";
    const BOB: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn each_line_is_a_name_a_right_and_a_token() {
        let text =
            format!("# who may do what\r\n\r\nada@ops write {ADA}\r\n grafana\tread  {BOB} \n");
        let tokens = Tokens::parse(&text).unwrap();
        let found = |token| tokens.operator_of(TokenDigest::of(token));
        let ada = found(ADA).unwrap();
        assert_eq!((&*ada.name, ada.right), ("ada@ops", Right::Write));
        assert_eq!(found(BOB).unwrap().right, Right::Read);
        assert!(found("").is_none() && found(&ADA.to_uppercase()).is_none());
        assert!(Right::Write > Right::Read);
        assert!(Tokens::parse("# nobody\n").unwrap().is_empty());
        assert!(!format!("{tokens:?}").contains(ADA));
    }

    #[test]
    fn one_line_that_is_wrong_is_named_and_nobody_is_let_in() {
        let short = &ADA[1..];
        let same = "a".repeat(40);
        for (text, told) in [
            (ADA.to_owned(), "line 1: write a name"),
            (format!("ada {ADA}"), "line 1: write a name"),
            (format!("ada admin {ADA}"), "read or write"),
            (format!("ada write Bearer {ADA}"), "write a name"),
            (format!("a:b write {ADA}"), "a name has letters"),
            (format!("\nada write {short}"), "line 2: a token has 32"),
            (format!("ada write {short}ü"), "a token has 32"),
            (format!("ada write {same}"), "one character repeated"),
            (
                format!("ada write {ADA}\nbob read {ADA}"),
                "line 2: the token is there twice",
            ),
        ] {
            let fault = Tokens::parse(&text).unwrap_err();
            assert!(fault.contains(told), "{text}: {fault}");
            assert!(!fault.contains(short), "{fault}");
        }
    }
}
