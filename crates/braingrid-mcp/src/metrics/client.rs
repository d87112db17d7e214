//! Which kind of client called, by its `User-Agent`: one of a few words, whatever it sends.

/// How a `User-Agent` begins, in lower case, and the kind that is meant. The first fit counts.
const KINDS: &[(&str, &str)] = &[
    ("claude-code", "claude-code"),
    ("claude", "claude"),
    ("anthropic", "claude"),
    ("cursor", "cursor"),
    ("visual studio code", "vscode"),
    ("vscode", "vscode"),
    ("openai-mcp", "chatgpt"),
    ("chatgpt", "chatgpt"),
    ("codex", "codex"),
    ("gemini", "gemini"),
    ("windsurf", "windsurf"),
    ("zed", "zed"),
    ("goose", "goose"),
    ("mcp-inspector", "inspector"),
    ("braingrid", "braingrid"),
    ("mozilla", "browser"),
    ("node", "node"),
    ("undici", "node"),
    ("python", "python"),
    ("go-http-client", "go"),
    ("reqwest", "rust"),
    ("curl", "curl"),
];

/// The kind; `none` without a `User-Agent`, `other` for one that is not known.
pub(super) fn client_kind(user_agent: Option<&str>) -> &'static str {
    let Some(agent) = user_agent else {
        return "none";
    };
    let begins = |start: &str| {
        let head = agent.as_bytes().get(..start.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
    };
    let kind = KINDS.iter().find(|(start, _)| begins(start));
    kind.map_or("other", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_becomes_one_of_a_few_words() {
        for (agent, kind) in [
            ("claude-code/2.1.7 (cli)", "claude-code"),
            ("Claude-User", "claude"),
            ("Cursor/1.7.44", "cursor"),
            ("openai-mcp/1.0.0", "chatgpt"),
            ("python-httpx/0.28.1", "python"),
            ("Mozilla/5.0 (X11; Linux x86_64)", "browser"),
            ("ada@example.com", "other"),
            ("é", "other"),
            ("", "other"),
        ] {
            assert_eq!(client_kind(Some(agent)), kind, "{agent}");
        }
        assert_eq!(client_kind(None), "none");
    }
}
