//! What `dev` tells: a person in a screenful, a script in one line.

use mcp_test_support::{RedisServer, ServerProcess};
use serde_json::json;

use super::{
    demonstration::{Call, Calls},
    identity::Identity,
    world::World,
};

pub(super) fn started(world: &World) {
    println!("braingrid-mcp (the real binary)");
    for server in &world.servers {
        println!(
            "  MCP endpoint     {}   pid {}",
            server.mcp_url(),
            server.pid()
        );
    }
    match &world.redis {
        Some(redis) => println!("  sessions         {} (a real Redis)", redis.url()),
        None => println!("  sessions         in memory (--redis for a real Redis)"),
    }
    println!("Stand-ins, for this machine only");
    match &world.identity {
        Identity::Login(provider) => println!(
            "  identity         {}   a provider as enterprises have it: the server's own",
            provider.url()
        ),
        Identity::Exchange { issuer, .. } => println!(
            "  OAuth issuer     {}   signs whatever it is asked to",
            issuer.url()
        ),
    }
    println!(
        "  BrainGrid API    {}   our ASSUMPTIONS about an API",
        world.api.url()
    );
    println!("                   whose specification is not public");
}

pub(super) fn demonstration(calls: &Calls) {
    println!("\ncreate_requirement, called by rmcp's client as user_ada of org_ada:\n");
    for line in calls.cold.answer.lines() {
        println!("  | {line}");
    }
    println!("\nThe way it took (session: where the server knew the caller from)\n");
    way("first connection", &calls.cold);
    way("second connection", &calls.warm);
}

fn way(title: &str, call: &Call) {
    let mut title = title;
    for step in &call.steps {
        let millis = step.in_server.as_secs_f64() * 1e3;
        println!(
            "  {title:<18} {:<16} session: {:<13} {millis:>7.1} ms",
            step.method, step.tier
        );
        title = "";
    }
    println!(
        "  {:<18} the client waited {:.1} ms for the tool; meanwhile whoever logs people in was asked {}x, the API {}x",
        "",
        call.round_trip.as_secs_f64() * 1e3,
        call.identity_requests,
        call.api_requests,
    );
}

/// Where things are and what to type: the last of it, as it stays on the screen.
pub(super) fn summary(world: &World) {
    let url = world.mcp_url();
    let token = format!("$(cat {})", world.token_file.display());
    println!("\nConnect a client\n");
    println!("  MCP endpoint     {url}");
    if let Identity::Login(_) = world.identity {
        let vs_code = json!({ "name": "braingrid", "type": "http", "url": url });
        println!("  Claude Code      claude mcp add --transport http braingrid {url}");
        println!("                   claude mcp login braingrid   (or in it: /mcp, Authenticate)");
        println!("  Codex            codex mcp add braingrid --url {url}");
        println!("                   codex mcp login braingrid");
        println!("  VS Code          code --add-mcp '{vs_code}'");
        println!("  in the browser   Allow, then Sign in; you are user_ada of org_ada");
    } else {
        println!(
            "  Claude Code      claude mcp add --transport http braingrid {url} \
             --header \"Authorization: Bearer {token}\""
        );
    }
    println!("  a script         {}", curl(&url, &token));
    println!("                   a token of user_ada, good for 12 hours");
    for log in &world.logs {
        println!("  log              {}", log.display());
    }
    println!("\nEverything stays up until Ctrl-C.");
}

fn curl(url: &str, token: &str) -> String {
    let message = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "list_projects", "arguments": {} },
    });
    format!(
        "curl -s {url} -H 'Content-Type: application/json' \
         -H 'MCP-Protocol-Version: 2025-11-25' -d '{message}' -H \"Authorization: Bearer {token}\""
    )
}

/// One line; `mcp_url` is the first of `mcp_urls`, `pids` are the servers' in the same order.
pub(super) fn json(world: &World) {
    let urls: Vec<_> = world.servers.iter().map(ServerProcess::mcp_url).collect();
    let pids: Vec<_> = world.servers.iter().map(ServerProcess::pid).collect();
    let redis = world.redis.as_ref();
    let (provider, issuer) = match &world.identity {
        Identity::Login(provider) => (Some(provider.url()), None),
        Identity::Exchange { issuer, .. } => (None, Some(issuer.url())),
    };
    let line = json!({
        "mcp_url": world.mcp_url(), "mcp_urls": urls, "pids": pids,
        "tokens": world.tokens, "token_file": world.token_file, "logs": world.logs,
        "provider": provider, "issuer": issuer, "api_url": world.api.url(),
        "redis_url": redis.map(RedisServer::url), "redis_pid": redis.map(RedisServer::pid),
        "stand_ins": ["provider", "issuer", "api_url"],
    });
    println!("{line}");
}
