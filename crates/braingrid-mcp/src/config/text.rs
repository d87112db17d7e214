//! What a value must be before it is looked at: one visible text, without what editors, shells and
//! env files leave around it. A refusal names the character.

use std::net::Ipv6Addr;

use super::parse::Refusal;

/// Marks that people and editors put around a value.
const QUOTES: &[char] = &['"', '\'', '`', '“', '”', '„', '‘', '’', '‚', '«', '»'];

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
    if text.starts_with('<') || text.ends_with('>') {
        return refuse(
            "it begins with < or ends with >".to_owned(),
            "write the value itself; < and > stand around what is to be replaced",
        );
    }
    if text.contains("${") {
        return unfilled("${");
    }
    if is_variable(text) {
        return unfilled(VARIABLE);
    }
    if text.starts_with("{{") && text.ends_with("}}") {
        return unfilled("{{");
    }
    Ok(text)
}

fn is_variable(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|name| {
        let is_rest = |c: char| is_initial(c) || c.is_ascii_digit();
        name.starts_with(is_initial) && name.chars().all(is_rest)
    })
}

/// Whether a part of a value is a placeholder and nothing else.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let stands_in = |open: &str, close: &str| text.starts_with(open) && text.ends_with(close);
    is_variable(text) || stands_in("{{", "}}") || stands_in("<", ">")
}

const VARIABLE: &str = "a $ before a name";

fn unfilled<T>(mark: &str) -> Result<T, Refusal> {
    Err(Refusal {
        what: format!("it holds {mark}, which nothing has filled in"),
        fix: "write the value itself, or let the shell or the platform fill it in".to_owned(),
    })
}

fn is_initial(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// The same for a value in which a placeholder can only be one, wherever it stands. Not for
/// secrets: a password may hold anything.
fn without_placeholder(value: &str) -> Result<&str, Refusal> {
    let text = plain(value)?;
    if text
        .split('$')
        .skip(1)
        .any(|rest| rest.starts_with(is_initial))
    {
        return unfilled(VARIABLE);
    }
    if let Some(mark) = ["$(", "{{"].into_iter().find(|mark| text.contains(mark)) {
        return unfilled(mark);
    }
    let bracketed = |(_, rest): (&str, &str)| rest.starts_with(is_initial) && rest.contains('>');
    if text.split_once('<').is_some_and(bracketed) {
        return unfilled("< and >");
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
    accepted(without_placeholder(value)?, parser)
}

/// The same for a secret, which may hold more and is never quoted.
pub(crate) fn read_secret<T>(
    value: &str,
    parser: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    accepted(plain(value)?, parser)
}

/// The same for a secret of several lines.
pub(crate) fn read_secret_lines<T>(
    value: &str,
    parser: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let lines = || value.trim().lines();
    for line in [lines().next(), lines().next_back()] {
        plain(line.unwrap_or_default())?;
    }
    accepted(value, parser)
}

fn accepted<T>(text: &str, parser: impl Fn(&str) -> Result<T, Refusal>) -> Result<T, Refusal> {
    let value = parser(text).map_err(|mut refusal| {
        refusal.fix += &beside(text);
        refusal
    })?;
    if ["null", "undefined", "[object Object]"].contains(&text) {
        return Err(Refusal {
            what: format!("it is {text}, as programs write a value that they do not have"),
            fix: "write a value, or unset it".to_owned(),
        });
    }
    Ok(value)
}

/// What a refused value has around it that its file or its program left there. Quotes nothing: the
/// value may be a secret.
fn beside(text: &str) -> String {
    let is_named = text.split_once(['=', ':']).is_some_and(|(name, rest)| {
        let is_variable = name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase());
        let is_name = name.chars().all(|c| is_initial(c) || c.is_ascii_digit());
        is_name && (is_variable || rest.starts_with(' '))
    });
    [
        (
            text.contains(" #"),
            "; leave the comment out: env files hand on what follows the #",
        ),
        (
            text.starts_with("- "),
            "; leave out the dash, with which YAML begins an entry",
        ),
        (
            text.starts_with(['{', '[']) && text.ends_with(['}', ']']),
            "; write the value alone, without brackets around it",
        ),
        (
            text.ends_with([',', ';']),
            "; leave out the comma or semicolon at its end",
        ),
        (is_named, "; leave out the name in front of the value"),
    ]
    .into_iter()
    .filter_map(|(applies, hint)| applies.then_some(hint))
    .collect()
}

/// The same for an entry of a list.
pub(crate) fn read_entry<T>(
    entry: &str,
    parser: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    read(entry, parser).map_err(|mut refusal| {
        let entry = entry.trim();
        if entry.contains([';', '|', ',']) || entry.contains(char::is_whitespace) {
            refusal.fix += "; entries are separated by commas";
        }
        refusal
    })
}

/// The entries of a list that is written as one text: separated by commas, or a JSON array.
pub(crate) fn entries(text: &str) -> Result<Vec<String>, Refusal> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.starts_with('[')
        && let Ok(entries) = serde_json::from_str(text)
    {
        return Ok(entries);
    }
    let inside = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    // An IPv6 address, or several of them, stands in brackets too.
    if inside.is_some_and(|it| !it.contains(']') && it.parse::<Ipv6Addr>().is_err()) {
        return Err(Refusal {
            what: "it stands in brackets and is no JSON list".to_owned(),
            fix: r#"write it without brackets, separated by commas, or as ["first", "second"]"#
                .to_owned(),
        });
    }
    Ok(text
        .split([',', '\n'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect())
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
            ("$HOST", "$ before a name"),
            ("{{ host }}", "{{"),
            ("<host>", "<"),
            ("https://a.test>", ">"),
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
            assert_eq!(entries(text).unwrap(), two, "{text:?}");
        }
        assert_eq!(entries("[::1]").unwrap(), ["[::1]"]);
        assert_eq!(entries("[::1],[::2]").unwrap(), ["[::1]", "[::2]"]);
        assert!(entries(" , ").unwrap().is_empty());
        for text in ["[a, b]", "['a', 'b']", "[1, 2]", "[]x]"] {
            let refused = entries(text).map_err(|refusal| refusal.what);
            let expected = text != "[]x]";
            assert_eq!(refused.is_err(), expected, "{text}: {refused:?}");
        }
    }
}
