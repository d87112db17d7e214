//! What a value must be before it is looked at: one visible text, without what editors, shells and
//! env files leave around it. A refusal names the character.

use super::parse::Refusal;

/// Marks that people and editors put around a value.
const QUOTES: [char; 11] = ['"', '\'', '`', '“', '”', '„', '‘', '’', '‚', '«', '»'];

/// The value without blanks, line ends and byte order marks around it.
pub(crate) fn plain(value: &str) -> Result<&str, Refusal> {
    let text = value.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let refuse = |what: String, fix: &str| {
        Err(Refusal {
            what,
            fix: fix.to_owned(),
        })
    };
    let ends = [text.chars().next(), text.chars().next_back()];
    if text.is_empty() {
        return refuse("it is empty".to_owned(), "write a value, or unset it");
    }
    if let Some(quote) = ends.into_iter().flatten().find(|c| QUOTES.contains(c)) {
        return refuse(
            format!("it begins or ends with a quotation mark ({quote})"),
            "leave the quotation marks out: env files hand them on as a part of the value",
        );
    }
    if text.contains(['\n', '\r']) {
        return refuse(
            "it holds a line break".to_owned(),
            "write it on one line; a list is separated by commas",
        );
    }
    if let Some(odd) = text.chars().find(|c| is_unseen(*c)) {
        let code = u32::from(odd);
        return refuse(
            format!("it holds a character that cannot be seen (U+{code:04X})"),
            "type it anew instead of pasting it",
        );
    }
    if text.contains("${") {
        return refuse(
            "it holds ${, a variable that nothing has filled in".to_owned(),
            "write the value itself, or let the shell or the platform fill it in",
        );
    }
    Ok(text)
}

/// A character that takes no place on the screen, or looks like a blank and is none.
fn is_unseen(c: char) -> bool {
    let blank = c.is_whitespace() && !matches!(c, ' ' | '\t');
    let format = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2064}' | '\u{feff}');
    blank || format || (c.is_control() && c != '\t')
}

/// Reads a value with a parser. A refusal also says what the value has beside itself.
pub(crate) fn read<T>(
    value: &str,
    parser: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let text = plain(value)?;
    parser(text).map_err(|mut refusal| {
        if text.contains(" #") {
            refusal.fix += "; leave the comment out: env files hand on what follows the #";
        }
        refusal
    })
}

/// The same for an entry of a list.
pub(crate) fn read_entry<T>(
    entry: &str,
    parser: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    read(entry, parser).map_err(|mut refusal| {
        let entry = entry.trim();
        if entry.contains([';', '|']) || entry.contains(char::is_whitespace) {
            refusal.fix += "; entries are separated by commas";
        }
        refusal
    })
}

/// The entries of a list that is written as one text: separated by commas, or a JSON array.
pub(crate) fn entries(text: &str) -> Vec<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.starts_with('[')
        && let Ok(entries) = serde_json::from_str(text)
    {
        return entries;
    }
    text.split([',', '\n'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_a_value_is_no_part_of_it() {
        for value in ["x", " x", "x ", "x\r\n", "\u{feff}x", "\tx\n", "\u{a0}x"] {
            assert_eq!(plain(value).unwrap(), "x", "{value:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_character() {
        for (value, named) in [
            ("\"x\"", "(\")"),
            ("'x'", "(')"),
            ("x\"", "(\")"),
            ("“x”", "(“)"),
            ("`x`", "(`)"),
            ("a\u{200b}b", "U+200B"),
            ("a\u{a0}b", "U+00A0"),
            ("a\u{0}b", "U+0000"),
            ("a\nb", "line break"),
            ("${HOST}", "${"),
            (" \r\n", "empty"),
        ] {
            let refusal = plain(value).unwrap_err();
            assert!(refusal.what.contains(named), "{value:?}: {}", refusal.what);
            assert!(!refusal.fix.is_empty());
        }
    }

    #[test]
    fn a_list_is_separated_by_commas_or_an_array() {
        let two = ["a", "b"];
        for text in ["a,b", " a , b ,", "a\nb", r#"["a", "b"]"#, "\u{feff}a,b"] {
            assert_eq!(entries(text), two, "{text:?}");
        }
        assert_eq!(entries("[::1]"), ["[::1]"]);
        assert!(entries(" , ").is_empty());
    }
}
