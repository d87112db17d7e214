//! Markdown for the model: short, with the ids that the next call needs.

use std::fmt::Write as _;

use crate::braingrid::{
    Page, Paging,
    model::{Profile, Project, Requirement, Task},
};

/// One line: id, name, what matters.
pub(super) fn project_line(project: &Project) -> String {
    let mut line = head(project.reference(), project.name.as_deref(), None);
    if let Some(repository) = &project.repository {
        let _ = write!(line, " · {repository}");
    }
    line
}

pub(super) fn requirement_line(requirement: &Requirement) -> String {
    let (name, status) = (requirement.name.as_deref(), requirement.status.as_deref());
    let mut line = head(requirement.reference(), name, status);
    if let Some(progress) = &requirement.task_progress {
        let _ = write!(line, " · {progress} tasks");
    }
    line
}

pub(super) fn task_line(task: &Task) -> String {
    let mut line = head(
        task.reference(),
        task.title.as_deref(),
        task.status.as_deref(),
    );
    if !task.blocked_by.is_empty() {
        let _ = write!(line, " · blocked by {}", task.blocked_by.join(", "));
    }
    line
}

fn head(id: Option<&str>, name: Option<&str>, status: Option<&str>) -> String {
    let name = one_line(name.unwrap_or("(no name)"));
    let mut line = id.map_or_else(|| name.clone(), |id| format!("{id} {name}"));
    if let Some(status) = status {
        let _ = write!(line, " [{status}]");
    }
    line
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A list with one line for each thing.
pub(super) fn list<T>(
    page: &Page<T>,
    has_more: Option<bool>,
    paging: Paging,
    nouns: &str,
    line: impl Fn(&T) -> String,
) -> String {
    if page.items.is_empty() && has_more == Some(false) {
        let more = if paging.page > 1 { " on this page" } else { "" };
        return format!("No {nouns}{more}.");
    }
    let mut text = String::new();
    for item in &page.items {
        let _ = writeln!(text, "- {}", line(item));
    }
    text.trim_end().to_owned()
}

/// That a list was cut short, if it was, and how to go on.
pub(super) fn remainder<T>(
    page: &Page<T>,
    has_more: Option<bool>,
    paging: Paging,
) -> Option<String> {
    let next = next_page(has_more, paging)?;
    let of = page
        .total
        .map(|total| format!(" of {total}"))
        .unwrap_or_default();
    let shown = page.items.len();
    Some(match has_more {
        Some(true) => format!("Cut short: {shown}{of} shown. Next: page={next}."),
        _ => format!("{shown}{of} shown; there may be more: page={next}."),
    })
}

/// The page to ask for next, where there is or may be one.
pub(super) fn next_page(has_more: Option<bool>, paging: Paging) -> Option<u32> {
    (has_more != Some(false)).then(|| paging.page.saturating_add(1))
}

/// Whether there are more: as BrainGrid said, else as the numbers tell, else unknown.
pub(super) fn more<T>(page: &Page<T>, paging: Paging) -> Option<bool> {
    let shown = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
    let before = u64::from(paging.page.saturating_sub(1)) * u64::from(paging.limit);
    page.has_more
        .or_else(|| page.total.map(|total| before.saturating_add(shown) < total))
        .or_else(|| (shown < u64::from(paging.limit)).then_some(false))
}

pub(super) fn project(project: &Project) -> String {
    let mut text = format!("# {}\n", project_line(project));
    field(&mut text, "URL", project.url.as_deref());
    body(&mut text, project.description.as_deref());
    text.trim_end().to_owned()
}

pub(super) fn requirement(requirement: &Requirement) -> String {
    let mut text = format!("# {}\n", requirement_line(requirement));
    field(&mut text, "URL", requirement.url.as_deref());
    field(&mut text, "Branch", requirement.branch.as_deref());
    field(&mut text, "Assigned to", requirement.assigned_to.as_deref());
    let tags = requirement.tags.join(", ");
    field(
        &mut text,
        "Tags",
        (!tags.is_empty()).then_some(tags.as_str()),
    );
    body(&mut text, requirement.content.as_deref());
    if !requirement.tasks.is_empty() {
        text.push_str("\nTasks:\n");
        for task in &requirement.tasks {
            let _ = writeln!(text, "- {}", task_line(task));
        }
    }
    text.trim_end().to_owned()
}

pub(super) fn task(task: &Task) -> String {
    let mut text = format!("# {}\n", task_line(task));
    field(&mut text, "URL", task.url.as_deref());
    field(&mut text, "External id", task.external_id.as_deref());
    field(&mut text, "Assigned to", task.assigned_to.as_deref());
    body(&mut text, task.content.as_deref());
    text.trim_end().to_owned()
}

pub(super) fn profile(profile: &Profile) -> String {
    let mut text = String::new();
    field(
        &mut text,
        "User",
        profile.name.as_deref().or(profile.id.as_deref()),
    );
    field(&mut text, "E-mail", profile.email.as_deref());
    field(
        &mut text,
        "Organization",
        profile.organization_name.as_deref(),
    );
    field(
        &mut text,
        "Organization id",
        profile.organization_id.as_deref(),
    );
    text.trim_end().to_owned()
}

fn field(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = writeln!(text, "{name}: {}", one_line(value));
    }
}

/// The markdown itself, as it is.
fn body(text: &mut String, content: Option<&str>) {
    if let Some(content) = content.filter(|content| !content.trim().is_empty()) {
        let _ = write!(text, "\n{}\n", content.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: usize, has_more: Option<bool>, total: Option<u64>) -> Page<u8> {
        Page {
            items: vec![0; items],
            has_more,
            total,
        }
    }

    const PAGING: Paging = Paging { page: 2, limit: 20 };

    #[test]
    fn list_that_was_cut_short_says_so() {
        let rest = |page| remainder(&page, more(&page, PAGING), PAGING);
        let cut = "Cut short: 20 of 99 shown. Next: page=3.";
        assert_eq!(rest(page(20, Some(true), Some(99))).as_deref(), Some(cut));
        let perhaps = "20 shown; there may be more: page=3.";
        assert_eq!(rest(page(20, None, None)).as_deref(), Some(perhaps));
        assert_eq!(rest(page(20, None, Some(40))), None);
        assert_eq!(rest(page(3, None, None)), None);
        let none = page(0, None, None);
        let text = list(&none, more(&none, PAGING), PAGING, "things", |_| "x".into());
        assert_eq!(text, "No things on this page.");
    }
}
