//! The command line. Flags that stand for settings come from the table of settings.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use strum::VariantArray as _;

use crate::config::{Flags, Group, Kind, Spec, settings};
use crate::doctor::DoctorArgs;
use crate::install::{InstallArgs, UninstallArgs};
#[cfg(feature = "login")]
use crate::login::{LoginArgs, LogoutArgs, RefreshArgs, ShowArgs};
use crate::operate::{AdminArgs, RevokeArgs, SuspendArgs};

/// BrainGrid's MCP server: requirements and tasks for AI coding assistants.
#[derive(Debug, Parser)]
#[command(
    name = "braingrid-mcp",
    about,
    disable_version_flag = true,
    after_help = "All settings: braingrid-mcp config --docs. Secrets have variables only."
)]
pub(crate) struct Cli {
    /// What to do; without it, the server runs.
    #[command(subcommand)]
    pub(crate) command: Option<Action>,
    /// Print version
    #[arg(short = 'V', short_alias = 'v', long)]
    pub(crate) version: bool,
    /// With --version: all about the build, as JSON
    #[arg(long, requires = "version")]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    settings: SettingFlags,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Action {
    /// Show the settings in effect, secrets redacted
    Config {
        /// Print the documentation of all settings (Markdown)
        #[arg(long, conflicts_with = "json")]
        docs: bool,
        /// Print the settings in effect as JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask the server on this machine whether it is ready
    Healthcheck,
    /// Say what is right, and what to do about the rest
    Doctor(DoctorArgs),
    /// Set an MCP client up to use this server
    Install(InstallArgs),
    /// Take that back
    Uninstall(UninstallArgs),
    /// Log in to BrainGrid, for the server on this machine
    #[cfg(feature = "login")]
    Login(LoginArgs),
    /// Refresh the login, for a server that needs it
    #[cfg(feature = "login")]
    #[command(hide = true)]
    RefreshLogin(RefreshArgs),
    /// Log out, here and at the issuer
    #[cfg(feature = "login")]
    Logout(LogoutArgs),
    /// Show the login as it is known here
    #[cfg(feature = "login")]
    Status(ShowArgs),
    /// Ask BrainGrid who you are
    #[cfg(feature = "login")]
    Whoami(ShowArgs),
    /// Ask a running server: users, revocations, tasks, its log level
    Admin(AdminArgs),
    /// Sign a user, an organization or a client out, on all instances
    Revoke(RevokeArgs),
    /// Keep a user, an organization or a client out until resumed
    Suspend(SuspendArgs),
    /// Let somebody in again who was suspended
    Resume(SuspendArgs),
    /// Print version
    #[command(hide = true)]
    Version {
        /// All about the build, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what a shell needs to complete this command line
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Exit codes, after `sysexits.h`. `docs/configuration.md` lists them.
pub(crate) mod exit {
    /// The answer is no: not ready, or not wanted.
    pub(crate) const NO: u8 = 1;
    /// The command line is wrong.
    pub(crate) const USAGE: u8 = 64;
    /// The file of a client cannot be read, understood or written.
    pub(crate) const CLIENT_FILE: u8 = 65;
    /// The issuer, BrainGrid or the listener for operators cannot be reached: try again.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// The server could not start or failed.
    pub(crate) const INTERNAL: u8 = 70;
    /// There is no login, or it was refused.
    #[cfg(feature = "login")]
    pub(crate) const NOT_LOGGED_IN: u8 = 77;
    /// An operator's token is missing, or may not do it.
    pub(crate) const NO_RIGHT: u8 = 77;
    /// The configuration is wrong.
    pub(crate) const CONFIGURATION: u8 = 78;
}

impl Cli {
    /// Parses a command line. On failure or for `--help` the text is printed and the exit code
    /// is returned.
    pub(crate) fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, u8> {
        Self::try_parse_from(line).map_err(|error| {
            // Nothing is left to tell where the text goes when even this fails.
            let _ = error.print();
            if error.use_stderr() { exit::USAGE } else { 0 }
        })
    }

    /// The settings that were given as flags.
    pub(crate) fn flags(&self) -> &Flags {
        &self.settings.0
    }
}

/// One flag for each setting that has one.
#[derive(Debug)]
struct SettingFlags(Flags);

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let order = |group: Group| Group::VARIANTS.iter().position(|other| *other == group);
        let mut settings = settings::all().collect::<Vec<_>>();
        settings.sort_by_key(|setting| order(setting.group));
        settings
            .into_iter()
            .filter_map(flag)
            .fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The flag of a setting; its help names the variable.
fn flag(setting: &'static Spec) -> Option<Arg> {
    let arg = Arg::new(setting.key)
        .long(setting.flag?)
        .help(format!("{} [{}]", setting.summary, setting.name()))
        .help_heading(setting.group.title())
        .global(true);
    Some(match setting.kind {
        Kind::Switch => arg.action(ArgAction::SetTrue),
        _ => arg.value_name(setting.placeholder).action(ArgAction::Set),
    })
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = settings::all().filter(|setting| setting.flag.is_some());
        Ok(Self(
            given
                .filter_map(|setting| Some((setting.key, given_value(setting, matches)?)))
                .collect(),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn given_value(setting: &Spec, matches: &ArgMatches) -> Option<String> {
    if setting.kind == Kind::Switch {
        return matches.get_flag(setting.key).then(|| "true".to_owned());
    }
    matches.get_one::<String>(setting.key).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &[&str]) -> Cli {
        let line = std::iter::once("braingrid-mcp").chain(line.iter().copied());
        Cli::try_parse_from(line).unwrap()
    }

    #[test]
    fn help_fits_a_screen_and_names_each_variable() {
        let help = Cli::command().term_width(80).render_help().to_string();
        assert!(
            help.lines().count() <= 66,
            "{} lines:\n{help}",
            help.lines().count()
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
        for setting in settings::all().filter(|setting| setting.flag.is_some()) {
            let named = format!("[{}]", setting.name());
            let flag = format!("--{}", setting.flag.unwrap());
            let shown = |line: &str| line.contains(&flag) && line.contains(&named);
            assert!(help.lines().any(shown), "{flag} {named} in\n{help}");
        }
    }

    #[test]
    fn no_secret_has_a_flag() {
        assert!(settings::all().all(|setting| !(setting.secret && setting.flag.is_some())));
    }

    #[test]
    fn flags_stand_before_or_after_the_command() {
        for line in [
            ["--port", "9000", "healthcheck"],
            ["healthcheck", "--port", "9000"],
        ] {
            let cli = parse(&line);
            assert!(matches!(cli.command, Some(Action::Healthcheck)));
            assert_eq!(cli.flags().get("port").map(String::as_str), Some("9000"));
        }
    }

    #[test]
    fn a_flag_that_is_not_given_says_nothing() {
        let cli = parse(&["--read-only"]);
        assert_eq!(
            cli.flags().iter().collect::<Vec<_>>(),
            [(&"read_only", &"true".to_owned())]
        );
    }

    #[test]
    fn a_wrong_command_line_is_exit_code_64() {
        let line = ["braingrid-mcp", "--no-such-flag"].map(OsString::from);
        assert_eq!(Cli::read(line).err(), Some(exit::USAGE));
    }

    #[test]
    fn help_and_version_are_understood_however_they_are_asked_for() {
        let line = |words: &[&str]| {
            let words = std::iter::once("braingrid-mcp").chain(words.iter().copied());
            words.map(OsString::from).collect::<Vec<_>>()
        };
        for words in [
            &["help"][..],
            &["help", "config"],
            &["-h"],
            &["config", "--help"],
        ] {
            let ended = Cli::read(line(words)).err();
            assert_eq!(ended, Some(0), "{words:?}");
        }
        for words in [&["-v"][..], &["-V"], &["--version"], &["-v", "--json"]] {
            assert!(parse(words).version, "{words:?}");
        }
        for (words, all) in [(&["version"][..], false), (&["version", "--json"], true)] {
            let command = parse(words).command;
            let fits = matches!(command, Some(Action::Version { json }) if json == all);
            assert!(fits, "{words:?}");
        }
    }

    #[test]
    fn clap_finds_no_fault() {
        Cli::command().debug_assert();
    }
}
