//! A token that somebody hands over in a file or on standard input, and what is wrong with it. Its
//! text is never quoted, nor is the file's name: it may be the token itself.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::{config, text};

/// Longest token that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// The token in this file, or on standard input (`-`).
pub(crate) fn read(source: &Path) -> Result<SecretString, String> {
    if source == Path::new("-") {
        return parse(io::stdin());
    }
    if source.is_dir() {
        return Err("it is a folder: name the file in it".to_owned());
    }
    match File::open(source) {
        Ok(file) => parse(file),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err("this user may not read the file".to_owned())
        }
        Err(_) => Err(
            "there is no file of that name, and a token has no place on the command line, where \
             others can see it: pipe it in, with - as the file"
                .to_owned(),
        ),
    }
}

fn parse(source: impl Read) -> Result<SecretString, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = source.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("it cannot be read: {}", error.kind()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST) {
        return Err("it is longer than any token: write the token alone into it".to_owned());
    }
    let text = text::decode(&bytes).ok_or("it is no text: write the token alone into it")?;
    let token = text.trim();
    if let Some(fault) = fault(token) {
        return Err(fault.to_owned());
    }
    config::token(token)
}

/// What is wrong at first sight, and what to do.
fn fault(token: &str) -> Option<&'static str> {
    let quotes = ['"', '\'', '`'];
    if token.is_empty() {
        return Some("it is empty: write the token into it");
    }
    if token.lines().count() > 1 {
        return Some("it has more than one line: write the token alone, on one line");
    }
    if token.starts_with(quotes) || token.ends_with(quotes) {
        return Some("it is in quotes: leave them out");
    }
    None
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_token_is_said_and_the_token_is_not() {
        let long = "x".repeat(70_000);
        let cases = [
            ("sesame", Ok("sesame")),
            ("  sesame\r\n\n", Ok("sesame")),
            ("Bearer sesame\n", Ok("sesame")),
            ("", Err("empty")),
            ("\n", Err("empty")),
            ("sesame\nopen", Err("one line")),
            ("\"sesame\"", Err("in quotes")),
            ("Bearer 'sesame'", Err("in quotes")),
            ("sesame open", Err("no token")),
            ("Authorization: Bearer sesame", Err("no token")),
            (&long, Err("longer")),
        ];
        for (text, expected) in cases {
            let found = parse(text.as_bytes());
            match expected {
                Ok(token) => assert_eq!(found.unwrap().expose_secret(), token),
                Err(words) => {
                    let why = found.unwrap_err();
                    assert!(
                        why.contains(words) && !why.contains("sesame"),
                        "{text}: {why}"
                    );
                }
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let why = |path: &Path| read(path).unwrap_err();
        assert!(why(folder.path()).contains("a folder"));
        assert!(why(&folder.path().join("eyJ")).contains("no file"));
        assert!(parse(&b"\xff\xfe\x00"[..]).unwrap_err().contains("no text"));
    }
}
