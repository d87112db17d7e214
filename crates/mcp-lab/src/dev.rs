//! `dev`: the stand-ins, the real server, one call that shows the way through it, and how to log in
//! with a client of one's own.

mod demonstration;
mod folder;
mod identity;
mod print;
mod world;

use std::path::PathBuf;

use clap::Args;

use self::world::World;

/// What to start.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Options {
    /// The server's binary
    #[arg(long, hide = true)]
    server: PathBuf,
    /// End after the demonstration; the exit code says whether it worked
    #[arg(long)]
    once: bool,
    /// Print one line of JSON on standard output once everything is ready
    #[arg(long)]
    json: bool,
    /// Share sessions through a real Redis
    #[arg(long)]
    redis: bool,
    /// Start so many servers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=32))]
    replicas: u16,
    /// Port of the first server; 0 takes any free one, as further servers always do. Default: 8080, or
    /// the next that is free
    #[arg(long)]
    port: Option<u16>,
    /// Without a login: tokens of a stand-in issuer, which exchanges them for those of the API
    #[arg(long)]
    exchange: bool,
    /// Where the key, a token and the logs are kept; without it they go with this run
    #[arg(long, hide = true)]
    state: Option<PathBuf>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let stopped = crate::until_stopped();
    tokio::pin!(stopped);
    let mut world = tokio::select! {
        world = World::start(options) => world?,
        // Stopped during the start: what was started ends with this.
        stop = &mut stopped => return stop,
    };
    if !options.json {
        print::started(&world);
    }
    let shown = tokio::select! {
        shown = demonstration::run(&world) => shown,
        stop = &mut stopped => { world.stop().await; return stop }
    };
    match shown {
        Ok(calls) if options.json => {
            drop(calls);
            print::json(&world);
        }
        Ok(calls) => {
            print::demonstration(&calls);
            if !options.once {
                print::summary(&world);
            }
        }
        Err(error) => {
            eprintln!("what the servers wrote:\n{}", world.server_output());
            world.stop().await;
            return Err(error);
        }
    }
    if !options.once {
        world.stay_up(stopped).await?;
    }
    world.stop().await;
    Ok(())
}
