//! `install` and `uninstall`: this server in the configuration of an MCP client.
//!
//! What would change is shown, and done after a yes. `clients` knows the clients and their files,
//! `format` how an entry gets into a file and out of it, `file` how a file is replaced.

mod clients;
mod entry;
mod file;
mod folders;
mod format;
mod json;
mod server;
mod survey;
mod toml;

use std::fmt::Display;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use similar::TextDiff;

use crate::cli::exit;
use crate::config::{Flags, Surroundings};
use crate::tenants::AddressArgs;
use crate::{print, program, report};
use clients::{Client, Description, Scope};
use entry::{Entry, Place, Value};
use file::ClientFile;
use folders::{Folders, System};
pub(crate) use survey::{Condition, Survey, survey};

/// What this server is called in a client, unless somebody chose otherwise.
const NAME: &str = "braingrid";

/// `braingrid-mcp install`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Use the hosted server at this URL instead of starting this program
    #[arg(long, value_name = "URL", value_parser = server::parse_url)]
    remote: Option<String>,
    #[command(flatten)]
    address: AddressArgs,
    /// Change the file without asking
    #[arg(long, conflicts_with = "print")]
    yes: bool,
    /// Print what belongs into the file, and change nothing
    #[arg(long)]
    print: bool,
}

/// `braingrid-mcp uninstall`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UninstallArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Change the file without asking
    #[arg(long)]
    yes: bool,
}

/// Which entry in which file.
#[derive(Debug, Clone, Args)]
struct PlaceArgs {
    /// The client to set up
    client: Client,
    /// Where it counts
    #[arg(long, value_enum, default_value_t = Scope::User)]
    scope: Scope,
    /// The server's name in the client
    #[arg(long, default_value = NAME, value_parser = server::parse_name)]
    name: String,
}

impl PlaceArgs {
    fn about(&self) -> &'static Description {
        self.client.about()
    }

    fn place(&self) -> Place<'_> {
        Place {
            container: self.about().container,
            name: &self.name,
        }
    }

    fn path(&self, around: &Surroundings) -> Result<PathBuf, u8> {
        let path = self.client.file(self.scope, &folders(around));
        path.map_err(report(exit::USAGE))
    }
}

/// Sets a client up.
pub(crate) fn install(args: &InstallArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let (about, place) = (args.place.about(), args.place.place());
    let remote = server::at(args.remote.as_deref(), &args.address).map_err(report(exit::USAGE))?;
    let server = server::chosen(remote.clone(), flags, around, args.place.scope)
        .map_err(report(exit::USAGE))?;
    let Some(entry) = args.place.client.entry(&server) else {
        let hint = format!(
            "{} keeps hosted servers with your account, not in a file: open its settings, choose \
             Connectors, Add custom connector, and enter {}",
            about.title,
            remote.as_deref().unwrap_or_default(),
        );
        return Err(report(exit::USAGE)(hint));
    };
    let path = args.place.path(around)?;
    if args.print {
        let snippet = about.format.set("", place, &entry);
        let _ = report(0)(format!("this belongs into {}:", path.display()));
        return print(&snippet.map_err(report(exit::INTERNAL))?);
    }
    let old = ClientFile::read(&path, args.place.scope).map_err(untouched(about, &path))?;
    let there = about.format.find(old.text(), place);
    let there = there.map_err(untouched(about, &path))?.is_some();
    let new = about.format.set(old.text(), place, &entry);
    let new = new.map_err(untouched(about, &path))?;
    if new == old.text() {
        let path = path.display();
        return print(&format!("{} is set up already in {path}\n", about.title));
    }
    show(about, &path, old.text(), &new)?;
    agree(args.yes)?;
    // The first backup is the file before us; a later change of our own entry must not replace it.
    let backup = if there && old.before().is_some() {
        None
    } else {
        old.back_up().map_err(untouched(about, &path))?
    };
    old.replace(&new).map_err(untouched(about, &path))?;
    done(backup.as_deref())?;
    if args.place.scope == Scope::Project && args.remote.is_none() {
        let others = server::for_the_others(around);
        print(&format!("Note: {others}\n"))?;
    }
    let next = match &args.remote {
        Some(_) => about.login.replace("NAME", place.name),
        None if cfg!(feature = "login") => {
            format!(
                "run `{}` if you have not, and {}",
                program::run("login"),
                about.then
            )
        }
        None => about.then.to_owned(),
    };
    print(&format!("Next: {next}\n"))
}

/// Takes what [`install`] did back.
pub(crate) fn uninstall(args: &UninstallArgs, around: &Surroundings) -> Result<(), u8> {
    let (about, place) = (args.place.about(), args.place.place());
    let path = args.place.path(around)?;
    let old = ClientFile::read(&path, args.place.scope).map_err(untouched(about, &path))?;
    let rest = about.format.remove(old.text(), place);
    let Some(rest) = rest.map_err(untouched(about, &path))? else {
        let (path, name) = (path.display(), place.name);
        return print(&format!("{} has no {name} in {path}\n", about.title));
    };
    match original(about, place, &old, &rest) {
        Original::NoFile => {
            show(about, &path, old.text(), "")?;
            agree(args.yes)?;
            old.delete().map_err(untouched(about, &path))?;
            old.forget_backup();
            done(None)
        }
        Original::Text(new) => {
            show(about, &path, old.text(), &new)?;
            agree(args.yes)?;
            old.replace(&new).map_err(untouched(about, &path))?;
            old.forget_backup();
            done(None)
        }
        Original::Changed => {
            show(about, &path, old.text(), &rest)?;
            agree(args.yes)?;
            let backup = old.back_up().map_err(untouched(about, &path))?;
            old.replace(&rest).map_err(untouched(about, &path))?;
            done(backup.as_deref())
        }
    }
}

/// What was there before this server was.
enum Original {
    NoFile,
    Text(String),
    /// Somebody changed other parts of the file since.
    Changed,
}

/// Without our entry, the file and the original must leave the same `rest`.
fn original(about: &Description, place: Place<'_>, old: &ClientFile, rest: &str) -> Original {
    let entry = Entry {
        fields: vec![("command", Value::text("any"))],
        defaults: Vec::new(),
    };
    let rest_of = |text: &str| {
        let with = about.format.set(text, place, &entry).ok()?;
        about.format.remove(&with, place).ok()?
    };
    let before = old.before();
    // A backup that has the entry is of a later change, or of one that somebody made by hand.
    let before = before.filter(|text| matches!(about.format.find(text, place), Ok(None)));
    match before {
        Some(before) if rest_of(&before).as_deref() == Some(rest) => Original::Text(before),
        None if rest_of("").as_deref() == Some(rest) => Original::NoFile,
        _ => Original::Changed,
    }
}

/// The folders and variables that say where clients keep their files.
fn folders(around: &Surroundings) -> Folders {
    Folders {
        system: System::here(),
        variables: around.paths(Folders::VARIABLES),
        directory: std::path::absolute(around.directory()).unwrap_or_default(),
    }
}

/// Shows the lines that would change. Little around them: other servers' secrets may stand there.
fn show(about: &Description, path: &Path, old: &str, new: &str) -> Result<(), u8> {
    let diff = TextDiff::from_lines(old, new);
    let mut diff = diff.unified_diff();
    let diff = diff.context_radius(1).header("as it is", "as it will be");
    print(&format!("{}: {}\n\n{diff}\n", about.title, path.display()))
}

/// Asks, unless the answer was given.
fn agree(yes: bool) -> Result<(), u8> {
    if yes {
        return Ok(());
    }
    let (input, mut output) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !output.is_terminal() {
        let hint = "nothing was changed: there is no terminal to ask on; add --yes";
        return Err(report(exit::USAGE)(hint));
    }
    let asked = output.write_all(b"Change this file? [y/N] ");
    let mut answer = String::new();
    let read = asked.and_then(|()| input.lock().read_line(&mut answer));
    read.map_err(report(exit::INTERNAL))?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(report(exit::NO)("nothing was changed"))
}

fn done(backup: Option<&Path>) -> Result<(), u8> {
    match backup {
        Some(backup) => print(&format!("Done. As it was: {}\n", backup.display())),
        None => print("Done.\n"),
    }
}

/// Says why a client's file was left alone.
fn untouched<E: Display>(about: &Description, path: &Path) -> impl FnOnce(E) -> u8 {
    move |error| {
        let (title, path) = (about.title, path.display());
        report(exit::CLIENT_FILE)(format!(
            "{path}, the file of {title}, is left as it is: {error:#}"
        ))
    }
}
