//! `admin`, `revoke`, `suspend` and `resume`: what operators do from a shell, through the listener for
//! operators of a running server.

mod client;
mod show;

use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::exit;
use crate::config::{self, Flags, Surroundings};
use crate::whom::{About, Named};
use crate::{print, report};
use client::Client;

/// `braingrid-mcp admin`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    asked: Asked,
}

/// What to ask of the server.
#[derive(Debug, Clone, Subcommand)]
enum Asked {
    /// Show who is connected to this instance
    Sessions(SessionsArgs),
    /// Show who is signed out or suspended, on all instances
    Revocations(ListArgs),
    /// Show what this instance works on; with --cancel, cancel it
    Tasks(TasksArgs),
    /// Show the log level; with one, change it until the process ends
    LogLevel(LogLevelArgs),
}

#[derive(Debug, Clone, Args)]
struct SessionsArgs {
    /// Only this user, as the issuer names them
    #[arg(long, value_name = "SUBJECT")]
    user: Option<String>,
    /// Only this organization
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// Only this OAuth client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Only this issuer
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// Leave out so many at the beginning
    #[arg(long, value_name = "N")]
    offset: Option<usize>,
    /// So many at most, up to 1000
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Args)]
struct TasksArgs {
    /// Cancel this one
    #[arg(long, value_name = "ID", conflicts_with_all = ["offset", "limit"])]
    cancel: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Clone, Args)]
struct LogLevelArgs {
    /// error, warn, info, debug, trace, off, or directives such as `info,mcp_session=debug`
    level: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Args)]
struct Output {
    /// Print what the server answers, as JSON
    #[arg(long)]
    json: bool,
}

/// `braingrid-mcp revoke`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    whom: WhomArgs,
    /// Tokens that were issued until this time (RFC 3339); now unless given. Alone: everybody's
    #[arg(long, value_name = "TIME")]
    issued_before: Option<Timestamp>,
    #[command(flatten)]
    output: Output,
}

/// `braingrid-mcp suspend` and `braingrid-mcp resume`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SuspendArgs {
    #[command(flatten)]
    whom: WhomArgs,
    #[command(flatten)]
    output: Output,
}

/// Whom it is about.
#[derive(Debug, Clone, Args)]
struct WhomArgs {
    /// A user, as the issuer names them; with --organization, in that one alone
    #[arg(long, value_name = "SUBJECT", conflicts_with_all = ["client", "token_id"])]
    user: Option<String>,
    /// An organization
    #[arg(long, value_name = "ID", conflicts_with_all = ["client", "token_id"])]
    organization: Option<String>,
    /// An OAuth client
    #[arg(long, value_name = "ID", conflicts_with = "token_id")]
    client: Option<String>,
    /// One token, by its jti
    #[arg(long, value_name = "ID")]
    token_id: Option<String>,
    /// Of which issuer; may be left out where the server has one
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

impl WhomArgs {
    /// Whom they mean, or everybody with a token of the issuer.
    fn about(&self, everybody: bool) -> Option<About> {
        let issuer = self.issuer.clone();
        let named = Named {
            subject: self.user.clone(),
            organization: self.organization.clone(),
            client: self.client.clone(),
            token_id: self.token_id.clone(),
            issuer: issuer.clone(),
        };
        named
            .about()
            .or_else(|| everybody.then_some(About::Issuer { issuer }))
    }
}

/// What is asked of the listener, and how its answer is shown to people.
struct Question {
    method: Method,
    path: String,
    body: Option<Value>,
    show: fn(&Value) -> String,
}

impl Question {
    fn get(path: String, show: fn(&Value) -> String) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            show,
        }
    }

    /// A change of who is let in.
    fn denial(verb: &str, body: Value) -> Self {
        Self {
            method: Method::POST,
            path: format!("/admin/v1/{verb}"),
            body: Some(body),
            show: show::done,
        }
    }
}

/// Asks, or sets the log level.
pub(crate) fn admin(args: &AdminArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let (question, output) = match &args.asked {
        Asked::Sessions(args) => (args.question(), args.list.output),
        Asked::Revocations(args) => {
            let path = args.path("/admin/v1/revocations", []);
            (Question::get(path, show::revocations), args.output)
        }
        Asked::Tasks(args) => (args.question(), args.list.output),
        Asked::LogLevel(args) => (args.question(), args.output),
    };
    exchange(question, output, flags, around)
}

impl SessionsArgs {
    fn question(&self) -> Question {
        let asked = [
            ("subject", self.user.clone()),
            ("organization", self.organization.clone()),
            ("client", self.client.clone()),
            ("issuer", self.issuer.clone()),
        ];
        let path = self.list.path("/admin/v1/sessions", asked);
        Question::get(path, show::sessions)
    }
}

impl TasksArgs {
    fn question(&self) -> Question {
        let Some(id) = &self.cancel else {
            let path = self.list.path("/admin/v1/tasks", []);
            return Question::get(path, show::tasks);
        };
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        Question {
            method: Method::DELETE,
            ..Question::get(format!("/admin/v1/tasks/{id}"), show::task)
        }
    }
}

impl LogLevelArgs {
    fn question(&self) -> Question {
        let shown = Question::get("/log-level".to_owned(), show::log_level);
        match &self.level {
            None => shown,
            Some(level) => Question {
                method: Method::PUT,
                body: Some(json!({ "level": level })),
                ..shown
            },
        }
    }
}

/// Signs out.
pub(crate) fn revoke(args: &RevokeArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    // Everybody at once has to be meant: the time says so.
    let whom = args.whom.about(args.issued_before.is_some());
    let whom = whom.ok_or_else(|| {
        nobody_named("revoke --user SUBJECT, or for everybody --issued-before TIME")
    })?;
    let body = match args.issued_before {
        Some(time) => json!({ "whom": whom, "issued_before": time.to_string() }),
        None => json!({ "whom": whom }),
    };
    let question = Question::denial("revoke", body);
    exchange(question, args.output, flags, around)
}

/// Keeps somebody out.
pub(crate) fn suspend(args: &SuspendArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    change_suspension(args, "suspend", flags, around)
}

/// Lets somebody in again.
pub(crate) fn resume(args: &SuspendArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    change_suspension(args, "resume", flags, around)
}

fn change_suspension(
    args: &SuspendArgs,
    verb: &str,
    flags: &Flags,
    around: &Surroundings,
) -> Result<(), u8> {
    let whom = args.whom.about(false);
    let whom = whom.ok_or_else(|| nobody_named(&format!("{verb} --user SUBJECT")))?;
    let question = Question::denial(verb, json!({ "whom": whom }));
    exchange(question, args.output, flags, around)
}

fn nobody_named(example: &str) -> u8 {
    let example = crate::program::run(example);
    report(exit::USAGE)(format!(
        "name whom it is about: --user, --organization, --client or --token-id, such as {example}"
    ))
}

impl ListArgs {
    fn path<'a>(
        &self,
        path: &str,
        asked: impl IntoIterator<Item = (&'a str, Option<String>)>,
    ) -> String {
        let number = |number: Option<usize>| number.map(|number| number.to_string());
        let paging = [
            ("offset", number(self.offset)),
            ("limit", number(self.limit)),
        ];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in asked.into_iter().chain(paging) {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }
}

/// One request, and what came of it.
fn exchange(
    question: Question,
    output: Output,
    flags: &Flags,
    around: &Surroundings,
) -> Result<(), u8> {
    let settings = config::operator(flags, around).map_err(report(exit::CONFIGURATION))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(report(exit::INTERNAL))?;
    let Question {
        method,
        path,
        body,
        show,
    } = question;
    let answer = runtime.block_on(async {
        let client = Client::new(settings)?;
        client.ask(method, &path, body).await
    });
    let answer = answer.map_err(|failure| report(failure.exit_code())(&failure))?;
    if output.json {
        print(&format!("{answer:#}\n"))
    } else {
        print(&show(&answer))
    }
}
