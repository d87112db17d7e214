//! The end of a server that has calls under way: each is answered with what is known of it.

use std::sync::Arc;

use tokio::sync::watch;

use super::error::ToolError;

/// Whether the calls that are under way are to be answered now.
#[derive(Clone)]
pub(super) struct Cut(Arc<watch::Sender<bool>>);

impl Default for Cut {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Cut {
    pub(super) fn now(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when no call may go on.
    pub(super) async fn over(self) {
        // The other end is held here.
        let _ = self.0.subscribe().wait_for(|over| *over).await;
    }
}

/// The answer to a call that is not finished any more. `sent` is whether a write may have reached
/// BrainGrid.
pub(super) fn stopped(tool: &str, sent: bool) -> ToolError {
    let text = if sent {
        let check = match check_of(tool) {
            Some(check) => format!("Check with {check}"),
            None => "Check in BrainGrid".to_owned(),
        };
        format!(
            "Outcome unknown: this server stopped while {tool} was under way, and it may have been \
             done. {check} before you repeat it."
        )
    } else {
        format!(
            "Not finished: this server stopped before {tool} was done. Nothing was changed: repeat \
             the call."
        )
    };
    ToolError::Stopped { sent, text }
}

/// The answer for a task whose answer another process has, while the same call is not done twice.
pub(super) fn begun_elsewhere(tool: &str) -> ToolError {
    let text = format!(
        "This task was begun by another process of this server, and its answer is not here. Make the \
         same {tool} call again: what was done is shown, and not done twice."
    );
    ToolError::Stopped { sent: true, text }
}

/// The tool that shows whether this one did its work.
pub(super) fn check_of(tool: &str) -> Option<&'static str> {
    Some(match tool {
        "create_requirement" | "capture_project_requirement" => "list_project_requirements",
        "update_project_requirement" | "add_requirement_tag" => "get_project_requirement",
        "breakdown_project_requirement" | "create_project_task" | "delete_project_task" => {
            "list_project_tasks"
        }
        "update_project_task" => "get_project_task",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::registry;
    use super::*;

    #[test]
    fn what_was_sent_is_to_be_checked_and_the_rest_repeated() {
        let all = registry::all();
        for tool in &all {
            let text = stopped(tool.name, true).text();
            assert!(text.contains("before you repeat"), "{text}");
            if let Some(check) = check_of(tool.name) {
                assert!(text.contains(check), "{text}");
                let check = all.iter().find(|tool| tool.name == check);
                assert!(
                    check.is_some_and(|it| !it.effect.changes_something()),
                    "{text}"
                );
                assert!(tool.effect.changes_something(), "{text}");
            } else {
                // Routes that nobody documented: nothing is known to show what they did.
                let shown = !tool.effect.changes_something() || tool.experimental;
                assert!(shown, "{}: which tool shows it?", tool.name);
            }
            let text = stopped(tool.name, false).text();
            assert!(text.contains("Nothing was changed: repeat"), "{text}");
        }
    }
}
