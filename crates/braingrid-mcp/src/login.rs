//! `login`, `logout`, `status` and `whoami`: the user's own login on this machine.

mod callers;
mod obtain;
mod show;

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;
use mcp_login::{CredentialStore, Keeping, LoginError, LoginRequest, Revocation, log_out};

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

/// Which login to refresh.
#[derive(Debug, Clone, Args)]
pub(crate) struct RefreshArgs {
    /// Its stamp
    stamp: String,
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
pub(crate) fn logout(flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let local = Local::load(flags, around)?;
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
        let outcome = mcp_login::refresh(&store, &args.stamp, args.wait).await;
        crate::print(&mcp_login::report(&outcome))
    })
}

impl Local {
    /// The settings of the local server, whatever transport is configured.
    fn load(flags: &Flags, around: &Surroundings) -> Result<Self, u8> {
        let config = config::load_local(flags, around).map_err(fail(exit::CONFIGURATION))?;
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
    let store = CredentialStore::new(directory, keeping);
    if !login.own_directory {
        return Some(store);
    }
    let service = format!("{} {}", CredentialStore::SERVICE, directory.display());
    Some(store.with_service(service))
}

/// Ends the login.
async fn end(local: Local) -> Result<(), u8> {
    let ended = log_out(&local.store()?).await;
    let Some(revoked) = ended.map_err(fail(exit::INTERNAL))? else {
        local.mention_token();
        return crate::print("There was no login.\n");
    };
    let told = match revoked {
        Ok(Revocation::Revoked) => "Logged out; the issuer has revoked the login.".to_owned(),
        Ok(Revocation::NotOffered) => {
            "Logged out here. The token itself is good until it ends: its issuer takes none back."
                .to_owned()
        }
        Err(error) => format!(
            "Logged out here. The login itself could not be revoked ({error}): end it at the \
             issuer if somebody else may have it."
        ),
    };
    local.mention_token();
    crate::print(&format!("{told}\n"))
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
    crate::complain(code)
}
