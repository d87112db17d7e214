//! `dev`: the stand-ins, the real server, one call that shows the way through it, and the set-ups
//! for clients of one's own.

mod demonstration;
mod print;
mod world;

use std::path::PathBuf;

use clap::Args;

use self::world::World;

/// What to start.
#[derive(Args)]
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
    /// Port of the first server; 0 takes a free one, further servers always do
    #[arg(long, default_value_t = 0)]
    port: u16,
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
            print::setups(&world);
        }
        Err(error) => {
            eprintln!("what the servers wrote:\n{}", world.server_output());
            world.stop().await;
            return Err(error);
        }
    }
    if !options.once {
        if !options.json {
            println!("\nEverything stays up until Ctrl-C.");
        }
        world.stay_up(stopped).await?;
    }
    world.stop().await;
    Ok(())
}
