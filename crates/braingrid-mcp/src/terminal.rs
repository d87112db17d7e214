//! Text from elsewhere that goes to a terminal.

/// Most characters of it.
const MOST: usize = 400;

/// A line that can neither move the cursor nor turn what is around it.
pub(crate) fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let seen = text.chars().filter(|c| !c.is_control() && !turns(*c));
    seen.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(plain("Ada\u{1b}[2J\nEve\u{202e}"), "Ada[2JEve");
        assert_eq!(plain(&"x".repeat(500)).len(), MOST);
    }
}
