//! Whether a program needs anything of the system that it will run on.

/// The program header that names a dynamic loader.
const PT_INTERP: u32 = 3;

/// Whether this is a 64-bit little-endian ELF program that names no dynamic loader.
pub(crate) fn is_static(program: &[u8]) -> bool {
    headers(program).is_some_and(|kinds| !kinds.contains(&PT_INTERP))
}

/// The kinds of its program headers.
fn headers(program: &[u8]) -> Option<Vec<u32>> {
    if program.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = u64::from_le_bytes(program.get(32..40)?.try_into().ok()?);
    let table = usize::try_from(table).ok()?;
    let length = usize::from(u16::from_le_bytes(program.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(program.get(56..58)?.try_into().ok()?));
    let kind = |number: usize| {
        let start = table.checked_add(number.checked_mul(length)?)?;
        let kind = program.get(start..start.checked_add(4)?)?;
        Some(u32::from_le_bytes(kind.try_into().ok()?))
    };
    (0..count).map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header with one program header of this kind.
    fn program(kind: u32) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes.extend(kind.to_le_bytes());
        bytes.resize(120, 0);
        bytes
    }

    #[test]
    fn only_a_program_without_a_loader_is_static() {
        assert!(is_static(&program(1)));
        assert!(!is_static(&program(PT_INTERP)));
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_not_static() {
        assert!(!is_static(&program(1)[..60]));
        assert!(!is_static(b"#!/bin/sh"));
        assert!(!is_static(b""));
    }
}
