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

/// Asks, or sets the log level.
pub(crate) fn admin(args: &AdminArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    match &args.asked {
        Asked::Sessions(args) => {
            let asked = [
                ("subject", args.user.clone()),
                ("organization", args.organization.clone()),
                ("client", args.client.clone()),
                ("issuer", args.issuer.clone()),
            ];
            let path = args.list.path("/admin/v1/sessions", asked);
            let show = show::sessions;
            exchange(
                flags,
                around,
                args.list.output,
                show,
                Method::GET,
                &path,
                None,
            )
        }
        Asked::Revocations(args) => {
            let path = args.path("/admin/v1/revocations", []);
            let show = show::revocations;
            exchange(flags, around, args.output, show, Method::GET, &path, None)
        }
        Asked::Tasks(args) => match &args.cancel {
            Some(id) => {
                let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
                let path = format!("/admin/v1/tasks/{id}");
                let (show, output) = (show::task, args.list.output);
                exchange(flags, around, output, show, Method::DELETE, &path, None)
            }
            None => {
                let path = args.list.path("/admin/v1/tasks", []);
                let show = show::tasks;
                exchange(
                    flags,
                    around,
                    args.list.output,
                    show,
                    Method::GET,
                    &path,
                    None,
                )
            }
        },
        Asked::LogLevel(args) => {
            let body = args.level.as_ref().map(|level| json!({ "level": level }));
            let method = body.as_ref().map_or(Method::GET, |_| Method::PUT);
            let show = show::log_level;
            exchange(flags, around, args.output, show, method, "/log-level", body)
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
    let path = "/admin/v1/revoke";
    exchange(
        flags,
        around,
        args.output,
        show::done,
        Method::POST,
        path,
        Some(body),
    )
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
    let (path, body) = (format!("/admin/v1/{verb}"), json!({ "whom": whom }));
    exchange(
        flags,
        around,
        args.output,
        show::done,
        Method::POST,
        &path,
        Some(body),
    )
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
    flags: &Flags,
    around: &Surroundings,
    output: Output,
    show: fn(&Value) -> String,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<(), u8> {
    let settings = config::operator(flags, around).map_err(report(exit::CONFIGURATION))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(report(exit::INTERNAL))?;
    let answer = runtime.block_on(async {
        let client = Client::new(settings)?;
        client.ask(method, path, body).await
    });
    let answer = answer.map_err(|failure| report(failure.exit_code())(&failure))?;
    if output.json {
        print(&format!("{answer:#}\n"))
    } else {
        print(&show(&answer))
    }
}
