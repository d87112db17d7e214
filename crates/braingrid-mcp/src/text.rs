//! Text files as editors write them: Windows' own put a byte order mark in front, and some write
//! UTF-16.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

/// A text file's content. It may be a secret.
///
/// # Errors
/// When it cannot be read, or is no text.
pub(crate) fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = Zeroizing::new(std::fs::read(path)?);
    decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The text: UTF-8, or UTF-16 with a byte order mark; without the mark.
pub(crate) fn decode(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units = pairs.iter().map(|pair| unit(*pair));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.ok().filter(|_| rest.is_empty())
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        bytes => str::from_utf8(without_mark(bytes)).ok()?.to_owned(),
    };
    Some(Zeroizing::new(text))
}

/// The bytes without the byte order mark of UTF-8.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_is_taken_away() {
        let wide = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
            let units = "a = ü".encode_utf16().flat_map(bytes);
            mark.into_iter().chain(units).collect::<Vec<_>>()
        };
        let cases = [
            "a = ü".as_bytes().to_vec(),
            "\u{feff}a = ü".as_bytes().to_vec(),
            wide([0xff, 0xfe], u16::to_le_bytes),
            wide([0xfe, 0xff], u16::to_be_bytes),
        ];
        for bytes in cases {
            let text = decode(&bytes).map(|text| text.to_string());
            assert_eq!(text.as_deref(), Some("a = ü"), "{bytes:?}");
        }
        for garbage in [&b"\xff"[..], b"\xff\xfea", b"\xff\xfe\x00\xd8"] {
            assert!(decode(garbage).is_none(), "{garbage:?}");
        }
        assert_eq!(decode(b"").unwrap().as_str(), "");
    }
}
