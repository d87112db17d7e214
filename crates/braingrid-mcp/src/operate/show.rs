//! What the listener answers, for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::terminal::plain;

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => plain(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => "–".to_owned(),
    }
}

fn list<'v>(answer: &'v Value, name: &str) -> &'v [Value] {
    answer
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Columns as wide as what stands in them.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        let widest = cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default();
        widest.max(head.get(at).map_or(0, |name| name.len()))
    };
    let mut table = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (at, cell) in cells.enumerate() {
            let _ = write!(line, "{cell:<width$}  ", width = width(at));
        }
        table.push_str(line.trim_end());
        table.push('\n');
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    table
}

/// How many are shown of how many.
fn count(answer: &Value, shown: usize, one: &str, more: &str, of: &str) -> String {
    let total = answer
        .get("total")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let noun = if total == 1 { one } else { more };
    if usize::try_from(total).is_ok_and(|total| total == shown) {
        return format!("{total} {noun}{of}\n");
    }
    format!("{shown} of {total} {noun}{of}; --offset and --limit show others\n")
}

pub(super) fn sessions(answer: &Value) -> String {
    let sessions = list(answer, "sessions");
    let row = |session: &Value| {
        let columns = [
            "organization",
            "subject",
            "client",
            "since",
            "expires",
            "issuer",
        ];
        columns.iter().map(|name| text(session, name)).collect()
    };
    let rows: Vec<Vec<String>> = sessions.iter().map(row).collect();
    let count = count(
        answer,
        rows.len(),
        "session",
        "sessions",
        " of this instance",
    );
    if rows.is_empty() {
        return count;
    }
    let head = [
        "ORGANIZATION",
        "USER",
        "CLIENT",
        "SINCE",
        "EXPIRES",
        "ISSUER",
    ];
    table(&head, &rows) + &count
}

pub(super) fn revocations(answer: &Value) -> String {
    let revocations = list(answer, "revocations");
    let row = |revocation: &Value| {
        let whom = revocation.get("whom").map(whom).unwrap_or_default();
        vec![
            state(revocation),
            whom,
            text(revocation, "issued_before"),
            text(revocation, "cause"),
            text(revocation, "said_at"),
        ]
    };
    let rows: Vec<Vec<String>> = revocations.iter().map(row).collect();
    let count = count(
        answer,
        rows.len(),
        "revocation",
        "revocations",
        ", on all instances",
    );
    if rows.is_empty() {
        return count;
    }
    let head = ["STATE", "WHOM", "ISSUED BEFORE", "CAUSE", "SAID AT"];
    table(&head, &rows) + &count
}

fn state(revocation: &Value) -> String {
    text(revocation, "state").replace('_', " ")
}

/// `user ada, organization org_ada (https://issuer)`.
fn whom(whom: &Value) -> String {
    let parts = [
        ("user", "subject"),
        ("organization", "organization"),
        ("client", "client"),
        ("token", "token_id"),
    ];
    let named = |(word, name): &(&str, &str)| {
        whom.get(name)?;
        Some(format!("{word} {}", text(whom, name)))
    };
    let parts: Vec<_> = parts.iter().filter_map(named).collect();
    match (parts.is_empty(), whom.get("issuer")) {
        (true, _) => format!("everybody of {}", text(whom, "issuer")),
        (false, Some(_)) => format!("{} ({})", parts.join(", "), text(whom, "issuer")),
        (false, None) => parts.join(", "),
    }
}

/// What was done, and what there is to know about it.
pub(super) fn done(answer: &Value) -> String {
    let whom = answer.get("whom").map(whom).unwrap_or_default();
    let mut said = format!("{}: {whom}\n", state(answer));
    let everywhere = answer.get("everywhere") == Some(&Value::Bool(true));
    said.push_str(if everywhere {
        "All instances were told.\n"
    } else {
        "It holds on this instance. The store is away: the others are told as soon as it is back.\n"
    });
    if state(answer) == "resumed" {
        return said;
    }
    let sessions = answer.get("sessions_here").and_then(Value::as_u64);
    let _ = match sessions.unwrap_or_default() {
        0 => writeln!(
            said,
            "No session in the memory of this instance was theirs: if that is a surprise, compare the name."
        ),
        1 => writeln!(said, "1 session in the memory of this instance was theirs."),
        more => writeln!(
            said,
            "{more} sessions in the memory of this instance were theirs."
        ),
    };
    said
}

pub(super) fn tasks(answer: &Value) -> String {
    let tasks = list(answer, "tasks");
    let row = |task: &Value| {
        let columns = ["id", "tool", "subject", "organization", "since"];
        columns.iter().map(|name| text(task, name)).collect()
    };
    let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
    let count = count(answer, rows.len(), "task", "tasks", " of this instance");
    if rows.is_empty() {
        return count;
    }
    table(&["ID", "TOOL", "USER", "ORGANIZATION", "SINCE"], &rows) + &count
}

/// A task that was cancelled.
pub(super) fn task(answer: &Value) -> String {
    let (tool, subject) = (text(answer, "tool"), text(answer, "subject"));
    format!("cancelled: {tool} of {subject}\n")
}

pub(super) fn log_level(answer: &Value) -> String {
    format!("{}\n", text(answer, "level"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sessions_stand_in_columns_and_cannot_steer_the_terminal() {
        let answer = json!({"total": 3, "sessions": [
            {"organization": "org_ada", "subject": "a\u{1b}[2Jda", "since": "1", "expires": "2", "issuer": "i"},
            {"subject": "bob", "client": "claude", "since": "1", "expires": "2", "issuer": "i"},
        ]});
        assert_eq!(
            sessions(&answer),
            "ORGANIZATION  USER    CLIENT  SINCE  EXPIRES  ISSUER\n\
             org_ada       a[2Jda  –       1      2        i\n\
             –             bob     claude  1      2        i\n\
             2 of 3 sessions of this instance; --offset and --limit show others\n"
        );
        assert_eq!(
            sessions(&json!({"total": 0, "sessions": []})),
            "0 sessions of this instance\n"
        );
    }

    #[test]
    fn what_was_done_says_whom_it_was_about_and_who_was_told() {
        let answer = json!({
            "whom": {"kind": "member", "subject": "ada", "organization": "o", "issuer": "i"},
            "state": "signed_out", "everywhere": true, "sessions_here": 2,
        });
        let said = done(&answer);
        assert!(
            said.starts_with("signed out: user ada, organization o (i)\nAll instances"),
            "{said}"
        );
        assert!(said.contains("2 sessions"), "{said}");
        let everybody = json!({
            "whom": {"kind": "issuer", "issuer": "i"}, "state": "suspended", "everywhere": false,
        });
        let said = done(&everybody);
        assert!(
            said.starts_with("suspended: everybody of i\nIt holds on this instance"),
            "{said}"
        );
        assert!(said.contains("compare the name"), "{said}");
    }
}
