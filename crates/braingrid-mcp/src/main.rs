//! BrainGrid's MCP server: flags, configuration, telemetry, dispatch.

mod admin;
mod assemble;
mod audit;
mod authorization_server;
mod caller;
mod cli;
mod completions;
mod config;
mod doctor;
mod healthcheck;
mod install;
mod journal;
mod limits;
#[cfg(feature = "login")]
mod login;
mod metrics;
mod mirror;
mod operate;
mod operators;
mod owner;
mod program;
mod project_file;
mod provider_events;
mod rates;
mod revocations;
mod roots;
mod shutdown;
mod tasks;
mod telemetry;
mod tenants;
mod terminal;
mod text;
mod token_text;
mod version;
mod whom;

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use audit::Audit;
use cli::{Action, Cli, exit};
use config::{Config, Flags, Serve, Surroundings};
use shutdown::Shutdown;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    telemetry::install_panic_hook();
    // Fails only where a provider is installed already, and nothing runs before this.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = Cli::read(std::env::args_os()).and_then(|cli| {
        let around = Surroundings::of_this_process();
        program::find(&around);
        let flags = cli.flags();
        match &cli.command {
            _ if cli.version && cli.json => print(&format!("{:#}\n", version::json())),
            _ if cli.version => print(&version::text()),
            Some(Action::Version { json: true }) => print(&format!("{:#}\n", version::json())),
            Some(Action::Version { json: false }) => print(&version::text()),
            None => serve(flags, &around),
            Some(Action::Config { docs: true, .. }) => print(&config::documentation()),
            Some(Action::Config { json, .. }) => show(flags, &around, *json),
            Some(Action::Healthcheck) => healthcheck(flags, &around),
            Some(Action::Doctor(args)) => doctor::run(args, flags, &around),
            Some(Action::Install(args)) => install::install(args, flags, &around),
            Some(Action::Uninstall(args)) => install::uninstall(args, &around),
            Some(Action::Admin(args)) => operate::admin(args, flags, &around),
            Some(Action::Revoke(args)) => operate::revoke(args, flags, &around),
            Some(Action::Suspend(args)) => operate::suspend(args, flags, &around),
            Some(Action::Resume(args)) => operate::resume(args, flags, &around),
            #[cfg(feature = "login")]
            Some(Action::Login(args)) => login::login(args, flags, &around),
            #[cfg(feature = "login")]
            Some(Action::RefreshLogin(args)) => login::refresh(args, flags, &around),
            #[cfg(feature = "login")]
            Some(Action::Logout(args)) => login::logout(args, flags, &around),
            #[cfg(feature = "login")]
            Some(Action::Status(args)) => login::status(args, flags, &around),
            #[cfg(feature = "login")]
            Some(Action::Whoami(args)) => login::whoami(args, flags, &around),
            Some(Action::Completions { shell }) => print(&completions::script(*shell)),
        }
    });
    ExitCode::from(outcome.err().unwrap_or_default())
}

/// Runs the server until its input ends or it is asked to stop.
fn serve(flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let config = config::load(flags, around)
        .map_err(report(exit::CONFIGURATION))?
        .config;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(report(exit::INTERNAL))?;
    let outcome = runtime.block_on(run(config));
    // A pending read of standard input cannot be cancelled: do not wait for it.
    runtime.shutdown_background();
    outcome
}

async fn run(config: Config) -> Result<(), u8> {
    let within = match &config.serve {
        Serve::Stdio(_) => mcp_transport_stdio::STOP,
        Serve::Http(http) => http.drain_timeout,
    };
    // First, so that a stop during the start is one, too.
    let shutdown = Shutdown::listen(within).map_err(report(exit::INTERNAL))?;
    let mut telemetry =
        telemetry::start(&config.log, &config.telemetry).map_err(report(exit::INTERNAL))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let audit = config.audit.as_ref();
    let audit = audit.map(|target| Audit::open(target, &config.telemetry.environment));
    let audit = audit
        .transpose()
        .map_err(|error| report(exit::INTERNAL)(format!("{error:#}")))?;
    if let (Some(audit), Some(metrics)) = (&audit, telemetry.metrics()) {
        audit.observed_by(&metrics.observer());
    }
    let (audited, api, tools) = (audit.clone(), config.api, config.tools);
    let writes = config.writes;
    let stop = shutdown.clone();
    let outcome = match config.serve {
        Serve::Stdio(stdio) => {
            assemble::run_stdio(stdio, api, tools, writes, &telemetry, audited, stop).await
        }
        Serve::Http(http) => {
            assemble::run_http(*http, api, tools, writes, &telemetry, audited, stop).await
        }
    };
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "the server failed");
    }
    let left = shutdown.left();
    let finish_audit = async {
        if let Some(audit) = audit {
            audit.finish(left).await;
        }
    };
    tokio::join!(finish_audit, telemetry.finish(left));
    drop(telemetry);
    outcome.map_err(|_| exit::INTERNAL)?;
    shutdown.hurried().map_or(Ok(()), Err)
}

/// Prints the settings in effect.
fn show(flags: &Flags, around: &Surroundings, json: bool) -> Result<(), u8> {
    let loaded = config::load(flags, around).map_err(report(exit::CONFIGURATION))?;
    for warning in &loaded.config.warnings {
        let _ = report(0)(warning);
    }
    if json {
        return print(&format!(
            "{:#}\n",
            config::effective_json(&loaded.effective)
        ));
    }
    print(&config::effective_text(&loaded.effective))
}

fn healthcheck(flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let listen = config::listen_address(flags, around).map_err(report(exit::CONFIGURATION))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(report(exit::INTERNAL))?;
    let answer = runtime.block_on(healthcheck::is_ready(listen));
    answer.map_err(|reason| report(exit::NO)(format!("{listen}: {reason}")))
}

/// Writes to standard output. A reader that went away, as `head` does, is no failure.
fn print(text: &str) -> Result<(), u8> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(exit::INTERNAL),
        _ => Ok(()),
    }
}

/// Tells why on standard error, and gives the exit code back.
fn report<E: Display>(code: u8) -> impl FnOnce(E) -> u8 {
    move |error| {
        // Where standard error is closed, the exit code has to say it alone.
        let _ = writeln!(std::io::stderr(), "braingrid-mcp: {error}");
        code
    }
}
