//! `login`, `logout`, `status` and `whoami`: the user's own login on this machine.

mod callers;
mod obtain;
mod show;

pub(crate) use obtain::in_a_browser;
use std::fmt::{Display, Write as _};
use std::path::PathBuf;

use clap::Args;
use mcp_login::{CredentialStore, Keeping, LoginError, LoginRequest, Purpose, Revocation, log_out};
use url::Url;

pub(crate) use callers::callers;

use crate::cli::exit;
use crate::config::{
    self, ApiSettings, Flags, LoginSettings, LoginStore, Serve, StdioSettings, Surroundings,
};

/// How to log in.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoginArgs {
    /// Log in on another device, with a code: for SSH and containers
    #[arg(long, conflicts_with_all = ["token", "no_browser"])]
    device: bool,
    /// Keep a token you have; it is read from FILE or standard input
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", conflicts_with = "no_browser")]
    token: Option<PathBuf>,
    /// Print the address of the login instead of opening it
    #[arg(long)]
    no_browser: bool,
}

/// How to show something.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Which login to end.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogoutArgs {
    /// End every login that is kept here, also those for other addresses
    #[arg(long)]
    all: bool,
}

/// Which login to refresh.
#[derive(Debug, Clone, Args)]
pub(crate) struct RefreshArgs {
    /// Its stamp
    stamp: String,
    /// Its place
    #[arg(default_value = "login")]
    slot: String,
    /// Wait for another process that is at it
    #[arg(long)]
    wait: bool,
}

/// What the commands work with.
struct Local {
    stdio: StdioSettings,
    api: ApiSettings,
}

/// `braingrid-mcp login`.
pub(crate) fn login(args: &LoginArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let local = Local::load(flags, around)?;
    block_on(obtain::login(args, local))
}

/// `braingrid-mcp logout`.
pub(crate) fn logout(args: &LogoutArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let local = Local::load(flags, around)?;
    if args.all {
        return block_on(end_all(local));
    }
    block_on(end(local))
}

/// `braingrid-mcp status`.
pub(crate) fn status(args: &ShowArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let local = Local::load(flags, around)?;
    show::status(&local, args.json)
}

/// `braingrid-mcp whoami`.
pub(crate) fn whoami(args: &ShowArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let local = Local::load(flags, around)?;
    block_on(show::whoami(local, args.json))
}

/// `braingrid-mcp refresh-login`: started by a server that needs a fresh token, and outlives it.
pub(crate) fn refresh(args: &RefreshArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let store = Local::load(flags, around)?.store()?;
    block_on(async {
        let outcome = mcp_login::refresh(&store, &args.slot, &args.stamp, args.wait).await;
        crate::print(&mcp_login::report(&outcome))
    })
}

impl Local {
    /// The settings of the local server, whatever transport is configured.
    fn load(flags: &Flags, around: &Surroundings) -> Result<Self, u8> {
        let config = config::load_local(flags, around).map_err(fail(exit::CONFIGURATION))?;
        for warning in &config.warnings {
            tell(&format!("Note: {warning}."));
        }
        match config.serve {
            Serve::Stdio(stdio) => Ok(Self {
                stdio,
                api: config.api,
            }),
            Serve::Http(_) => Err(exit::INTERNAL),
        }
    }

    fn store(&self) -> Result<CredentialStore, u8> {
        store(&self.stdio.login).ok_or_else(|| {
            fail(exit::CONFIGURATION)(
                "there is no home folder to keep a login in: set BRAINGRID_LOGIN_DIR",
            )
        })
    }

    fn request(&self) -> LoginRequest {
        let login = &self.stdio.login;
        LoginRequest {
            issuer: login.issuer.clone(),
            client_id: login.client_id.clone(),
            resource: login.resource.clone(),
            scopes: login.scopes.clone(),
        }
    }

    /// Says when a login has no effect.
    fn mention_token(&self) {
        if self.stdio.token.is_some() {
            tell("Note: BRAINGRID_API_TOKEN is set, and it wins over a login.");
        }
    }
}

/// Where the login is kept; `None` where the user has no home.
pub(crate) fn store(login: &LoginSettings) -> Option<CredentialStore> {
    let directory = login.directory.as_ref()?;
    let keeping = match login.store {
        LoginStore::Auto => Keeping::Auto,
        LoginStore::Keychain => Keeping::Keychain,
        LoginStore::File => Keeping::File,
    };
    let purpose = Purpose {
        issuer: login.issuer.clone(),
        api: login.api.as_ref().map(origin)?,
        organization: login.organization.clone(),
    };
    let mut store =
        CredentialStore::new(directory, keeping, purpose).with_command(login_command(login));
    if let Some(api) = default_api() {
        store = store.with_default_api(origin(&api));
    }
    if !login.own_directory {
        return Some(store);
    }
    let service = format!("{} {}", CredentialStore::SERVICE, directory.display());
    Some(store.with_service(service))
}

/// The command that logs in for these settings, wherever they come from.
fn login_command(login: &LoginSettings) -> String {
    let mut command = crate::program::run("login");
    if let Some(api) = login
        .api
        .as_ref()
        .filter(|api| Some(*api) != default_api().as_ref())
    {
        let _ = write!(command, " --api-url {}", api.as_str().trim_end_matches('/'));
    }
    if let Some(organization) = &login.organization {
        let _ = write!(command, " --organization-id {organization}");
    }
    if config::OAUTH_ISSUER.default != Some(login.issuer.as_str()) {
        command = format!("OAUTH_ISSUER={} {command}", login.issuer);
    }
    command
}

fn default_api() -> Option<Url> {
    config::API_URL.default?.parse().ok()
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Ends the login.
async fn end(local: Local) -> Result<(), u8> {
    let store = local.store()?;
    let ended = log_out(&store).await.map_err(fail(exit::INTERNAL))?;
    let told = match ended {
        None => "There was no login.".to_owned(),
        Some(revoked) => how_it_ended(revoked),
    };
    if let Ok(rest @ 1..) = store.all().map(|rest| rest.len()) {
        tell(&format!(
            "Note: logins for other addresses are kept here: {rest}. `{}` shows them, `{}` ends them.",
            crate::program::run("status"),
            crate::program::run("logout --all")
        ));
    }
    local.mention_token();
    crate::print(&format!("{told}\n"))
}

/// Ends every login.
async fn end_all(local: Local) -> Result<(), u8> {
    let ended = mcp_login::log_out_everywhere(&local.store()?).await;
    let ended = ended.map_err(fail(exit::INTERNAL))?;
    local.mention_token();
    if ended.is_empty() {
        return crate::print("There was no login.\n");
    }
    let told = ended
        .into_iter()
        .map(|revoked| how_it_ended(revoked) + "\n");
    crate::print(&told.collect::<String>())
}

fn how_it_ended(revoked: Result<Revocation, LoginError>) -> String {
    match revoked {
        Ok(Revocation::Revoked) => "Logged out; the issuer has revoked the login.".to_owned(),
        Ok(Revocation::NotOffered) => {
            "Logged out here. The token itself is good until it ends: its issuer takes none back."
                .to_owned()
        }
        Err(error) => format!(
            "Logged out here. The login itself could not be revoked ({error}): end it at the \
             issuer if somebody else may have it."
        ),
    }
}

/// The exit code that tells a script who must act.
fn code(error: &LoginError) -> u8 {
    match error {
        LoginError::Unreachable { .. } | LoginError::Unusable { .. } => exit::UNAVAILABLE,
        LoginError::Unsupported(_) => exit::CONFIGURATION,
        LoginError::Local(_) | LoginError::Store(_) | LoginError::Told { .. } => exit::INTERNAL,
        _ => exit::NOT_LOGGED_IN,
    }
}

fn block_on(work: impl Future<Output = Result<(), u8>>) -> Result<(), u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(fail(exit::INTERNAL))?;
    let outcome = runtime.block_on(work);
    // A pending read of standard input cannot be cancelled: do not wait for it.
    runtime.shutdown_background();
    outcome
}

/// For the person at the terminal, beside what scripts read.
fn tell(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn fail<E: Display>(code: u8) -> impl FnOnce(E) -> u8 {
    crate::report(code)
}
