//! Requirements, their tags and their tasks.

use serde_json::{Value, json};

use super::{
    ids::{self, Fields},
    operation::Operation,
    state::{Asked, ErrorResponse, Payload, Project},
};

const REQUIREMENT_STATUSES: &[&str] = &[
    "IDEA",
    "PLANNED",
    "IN_PROGRESS",
    "REVIEW",
    "COMPLETED",
    "CANCELLED",
];
const TASK_STATUSES: &[&str] = &["PLANNED", "IN_PROGRESS", "COMPLETED", "CANCELLED"];
/// The creator of what is there from the start.
pub(super) const SEED: &str = "seed";
const TASK_FIELDS: &[&str] = &["title", "content", "status", "external_id"];

#[derive(Debug)]
pub(super) struct Requirement {
    fields: Fields,
    tasks: Vec<Fields>,
    next: u32,
}

impl Project {
    /// One requirement with two tasks, so that lists have something to show.
    pub(super) fn seed(&mut self) {
        let content = "## Goal\nShoppers pay with a saved card.\n\n## Acceptance Criteria\n\
                       - **Given** a saved card, paying takes one click\n";
        let requirement = self.add("Pay with a saved card", content, "PLANNED", SEED);
        for (title, status) in [
            ("Store card tokens", "COMPLETED"),
            ("One-click button", "PLANNED"),
        ] {
            requirement.add_task(title, "Write it, test it.", status, SEED);
        }
    }

    pub(super) fn perform(&mut self, asked: &Asked<'_>) -> Result<Payload, ErrorResponse> {
        let subject = &asked.caller.subject;
        let made = match asked.operation {
            Operation::ListRequirements => {
                let all = self.requirements.iter().map(Requirement::summary).collect();
                let all = ids::of_status(all, &asked.query);
                return Ok(Payload::Json(
                    200,
                    ids::page("requirements", &all, &asked.query),
                ));
            }
            Operation::CreateRequirement => {
                let name = ids::required(&asked.body, "name")?;
                let content = asked
                    .body
                    .get("content")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                self.add(name, content, "PLANNED", subject)
            }
            Operation::SpecifyRequirement => {
                let prompt = prompt(&asked.body)?;
                self.add(&headline(prompt), &refined(prompt), "IDEA", subject)
            }
            _ => return self.on_requirement(asked),
        };
        ids::update(&mut made.fields, &asked.body, &["assigned_to"], &[])?;
        for tag in asked
            .body
            .get("tags")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            made.add_tag(tag.as_str().unwrap_or_default(), "#336699")?;
        }
        Ok(Payload::Json(201, made.whole()))
    }

    fn on_requirement(&mut self, asked: &Asked<'_>) -> Result<Payload, ErrorResponse> {
        let id = &asked.target.requirement;
        if id.to_ascii_uppercase().starts_with("EPIC-") {
            return Err(ErrorResponse::new(400, "epics are not requirements"));
        }
        let mut all = self.requirements.iter_mut();
        let requirement = all
            .find(|requirement| ids::is_named(&requirement.fields, id))
            .ok_or_else(|| ErrorResponse::new(404, "requirement not found"))?;
        if asked.operation == Operation::DeleteRequirement {
            self.requirements
                .retain(|requirement| !ids::is_named(&requirement.fields, id));
            return Ok(Payload::Json(204, Value::Null));
        }
        requirement.perform(asked)
    }

    fn add(&mut self, name: &str, content: &str, status: &str, creator: &str) -> &mut Requirement {
        self.next += 1;
        let id = uuid::Uuid::new_v4();
        let fields = json!({
            "id": id.to_string(), "short_id": format!("REQ-{}", self.next),
            "name": name, "content": content, "status": status,
            "url": format!("https://app.braingrid.ai/requirements/overview?id={id}&tab=requirements"),
            "assigned_to": null, "branch": null, "tags": [],
            "complexity": 2, "readiness": 3, "created_by": creator,
            "created_at": made_at(creator), "updated_at": made_at(creator),
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        self.requirements.push(Requirement {
            fields,
            tasks: Vec::new(),
            next: 0,
        });
        self.requirements.last_mut().expect("one was just added")
    }
}

impl Requirement {
    fn perform(&mut self, asked: &Asked<'_>) -> Result<Payload, ErrorResponse> {
        let (body, subject) = (&asked.body, asked.caller.subject.as_str());
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let answer = match asked.operation {
            Operation::GetRequirement => self.whole(),
            Operation::UpdateRequirement => {
                let writable = ["name", "content", "status", "assigned_to"];
                ids::update(&mut self.fields, body, &writable, REQUIREMENT_STATUSES)?;
                self.whole()
            }
            Operation::BreakdownRequirement => self.break_down(subject)?,
            Operation::ListTags => json!({ "tags": self.fields.get("tags") }),
            Operation::AddTag => self.add_tag(
                ids::required(body, "name")?,
                text("color").unwrap_or("#336699"),
            )?,
            Operation::RemoveTag => self.remove_tag(&asked.target.item),
            Operation::CreateBranch => self.create_branch(text("name"), text("base")),
            Operation::ReviewRequirement => return Ok(Payload::Events(self.review())),
            Operation::ListTasks => {
                let all = self.tasks.iter().cloned().map(Value::Object).collect();
                ids::page("tasks", &ids::of_status(all, &asked.query), &asked.query)
            }
            Operation::CreateTask => {
                let title = ids::required(body, "title")?;
                let task = self.add_task(title, text("content").unwrap_or(""), "PLANNED", subject);
                ids::update(task, body, &["external_id"], &[])?;
                return Ok(Payload::Json(201, Value::Object(task.clone())));
            }
            Operation::SpecifyTask => {
                let prompt = prompt(body)?;
                let task = self.add_task(&headline(prompt), &refined(prompt), "PLANNED", subject);
                return Ok(Payload::Json(201, Value::Object(task.clone())));
            }
            _ => return self.on_task(asked),
        };
        Ok(Payload::Json(200, answer))
    }

    fn on_task(&mut self, asked: &Asked<'_>) -> Result<Payload, ErrorResponse> {
        let id = &asked.target.item;
        let task = self.tasks.iter_mut().find(|task| ids::is_named(task, id));
        let task = task.ok_or_else(|| ErrorResponse::new(404, "task not found"))?;
        match asked.operation {
            Operation::UpdateTask => ids::update(task, &asked.body, TASK_FIELDS, TASK_STATUSES)?,
            Operation::DeleteTask => {
                self.tasks.retain(|task| !ids::is_named(task, id));
                return Ok(Payload::Json(204, Value::Null));
            }
            _ => {}
        }
        Ok(Payload::Json(200, Value::Object(task.clone())))
    }

    fn add_task(&mut self, title: &str, content: &str, status: &str, creator: &str) -> &mut Fields {
        self.next += 1;
        let fields = json!({
            "id": uuid::Uuid::new_v4().to_string(), "short_id": format!("TASK-{}", self.next),
            // A string: one observer of the real API saw one, another a number.
            "number": self.next.to_string(),
            "title": title, "content": content, "status": status,
            "external_id": null, "assigned_to": null, "blocked_by": [], "created_by": creator,
            "created_at": made_at(creator),
        });
        self.tasks
            .push(fields.as_object().cloned().unwrap_or_default());
        self.tasks.last_mut().expect("one was just added")
    }

    fn break_down(&mut self, creator: &str) -> Result<Value, ErrorResponse> {
        if !self.tasks.is_empty() {
            return Err(ErrorResponse::new(409, "requirement already has tasks"));
        }
        for step in [
            "Model the data",
            "Build the feature",
            "Test the acceptance criteria",
        ] {
            self.add_task(step, "A prompt for a coding agent.", "PLANNED", creator);
        }
        Ok(json!({ "tasks": self.tasks }))
    }

    fn add_tag(&mut self, name: &str, color: &str) -> Result<Value, ErrorResponse> {
        let tags = self.fields.entry("tags").or_insert_with(|| json!([]));
        let tags = tags
            .as_array_mut()
            .ok_or_else(|| ErrorResponse::new(500, "tags are no list"))?;
        if tags.len() >= 5 {
            return Err(ErrorResponse::invalid("tags: at most 5 per requirement"));
        }
        tags.push(json!({ "name": name, "color": color }));
        Ok(json!({ "tags": tags }))
    }

    fn remove_tag(&mut self, name: &str) -> Value {
        if let Some(tags) = self.fields.get_mut("tags").and_then(Value::as_array_mut) {
            tags.retain(|tag| tag["name"].as_str() != Some(name));
        }
        json!({ "tags": self.fields.get("tags") })
    }

    fn create_branch(&mut self, name: Option<&str>, base: Option<&str>) -> Value {
        let short_id = self
            .fields
            .get("short_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let branch = name.map_or_else(|| format!("user/{short_id}-branch"), str::to_owned);
        self.fields.insert("branch".into(), branch.clone().into());
        json!({ "branch": branch, "base": base.unwrap_or("main") })
    }

    fn review(&self) -> Vec<Value> {
        let id = self.fields.get("short_id");
        vec![
            json!({ "type": "progress", "message": "reading the pull request" }),
            json!({ "type": "progress", "message": "checking acceptance criteria" }),
            json!({ "type": "result", "requirement": id, "passed": true, "findings": [] }),
        ]
    }

    fn summary(&self) -> Value {
        let mut fields = self.fields.clone();
        fields.remove("content");
        fields.insert("task_progress".into(), self.progress());
        Value::Object(fields)
    }

    fn whole(&self) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("task_progress".into(), self.progress());
        fields.insert("tasks".into(), json!(self.tasks));
        Value::Object(fields)
    }

    fn progress(&self) -> Value {
        let total = self.tasks.len();
        let done = self
            .tasks
            .iter()
            .filter(|task| task.get("status") == Some(&"COMPLETED".into()));
        let completed = done.count();
        let percentage = (completed * 100).checked_div(total).unwrap_or(0);
        json!({ "total": total, "completed": completed, "progress_percentage": percentage })
    }
}

/// Now, to the millisecond; what was there from the start is old.
fn made_at(creator: &str) -> String {
    if creator == SEED {
        return "2026-01-01T00:00:00.000Z".to_owned();
    }
    format!("{:.3}", jiff::Timestamp::now())
}

fn prompt(body: &Fields) -> Result<&str, ErrorResponse> {
    let prompt = ids::required(body, "prompt")?;
    if (10..=5000).contains(&prompt.chars().count()) {
        return Ok(prompt);
    }
    // A single string: the real API sends `errors` in both forms.
    let errors = "prompt: must have 10 to 5000 characters";
    Err(ErrorResponse {
        status: 422,
        body: json!({ "message": "validation failed", "errors": errors }),
    })
}

fn headline(prompt: &str) -> String {
    prompt
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(60)
        .collect()
}

fn refined(prompt: &str) -> String {
    format!(
        "## Goal\n{prompt}\n\n## Acceptance Criteria\n\
         - **Given** the feature is built, it does what was asked\n"
    )
}
