//! Text of strangers, as it may be shown.

use unicode_general_category::{GeneralCategory as Category, get_general_category};

/// Marks above or below one letter. More of them cover the lines around it.
const MARKS_AT_MOST: usize = 3;

/// One line of what is seen, cut after so many characters. What is not seen is left out (control
/// characters, those that turn the direction of the text around them), and what looks like the end of a
/// quotation is no longer one.
pub(super) fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    let (mut length, mut marks, mut gap) = (0, 0, false);
    for character in text.chars() {
        let Some(seen) = seen(character) else {
            continue;
        };
        if seen == ' ' {
            gap = !plain.is_empty();
            continue;
        }
        marks = if is_mark(seen) { marks + 1 } else { 0 };
        // Without a letter of its own, a mark would stand on what is before the text.
        let has_no_letter = plain.is_empty() || gap;
        if marks > MARKS_AT_MOST || marks > 0 && has_no_letter {
            continue;
        }
        length += 1 + usize::from(gap);
        if length > most {
            plain.push('…');
            return plain;
        }
        if std::mem::take(&mut gap) {
            plain.push(' ');
        }
        plain.push(seen);
    }
    plain
}

/// The character as it is shown, a space for every kind of gap.
fn seen(character: char) -> Option<char> {
    // Letters and symbols by their category, and blank.
    if matches!(
        character,
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
    ) {
        return Some(' ');
    }
    if character.is_whitespace() {
        return Some(' ');
    }
    match get_general_category(character) {
        Category::Control
        | Category::Format
        | Category::PrivateUse
        | Category::Surrogate
        | Category::Unassigned => None,
        Category::InitialPunctuation | Category::FinalPunctuation => Some('\''),
        _ if matches!(character, '"' | '„' | '〝' | '〞' | '〟' | '＂') => Some('\''),
        _ => Some(character),
    }
}

fn is_mark(character: char) -> bool {
    matches!(
        get_general_category(character),
        Category::NonspacingMark | Category::EnclosingMark
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_left_out() {
        for (written, shown) in [
            ("Claude Code", "Claude Code"),
            ("  a \n\t b\r\n", "a b"),
            // Shown as "evil exe.txt" by what turns the direction.
            ("evil\u{202e}txt.exe\u{2069}", "eviltxt.exe"),
            ("Clau\u{200b}de\u{feff}\0\u{7f}", "Claude"),
            ("\u{3164}\u{2800}\u{200d}", ""),
            ("\u{301}a \u{34f}\u{301} b\u{301}", "a b\u{301}"),
            ("\u{e000}\u{f0000}x\u{e0041}", "x"),
            ("Größe ✓ 日本語 שלום", "Größe ✓ 日本語 שלום"),
        ] {
            assert_eq!(plain(written, 60), shown, "{written:?}");
        }
    }

    #[test]
    fn no_name_ends_its_own_quotation() {
        assert_eq!(plain("A” of “B\" «C»", 60), "A' of 'B' 'C'");
    }

    #[test]
    fn a_long_name_is_cut_and_a_tall_one_is_flattened() {
        assert_eq!(plain("abcdef", 6), "abcdef");
        assert_eq!(plain("abcdefg", 6), "abcdef…");
        assert_eq!(plain("abc def  ", 7), "abc def");
        let tall = format!("a{}b", "\u{301}".repeat(200));
        assert_eq!(plain(&tall, 60), "a\u{301}\u{301}\u{301}b");
    }
}
