//! What `dev` tells: a person in a screenful, a script in one line.

use mcp_test_support::{RedisServer, ServerProcess};
use serde_json::{Value, json};

use super::{
    demonstration::{Call, Calls},
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
    println!(
        "  OAuth issuer     {}   signs whatever it is asked to",
        world.issuer.url()
    );
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
        "  {:<18} the client waited {:.1} ms for the tool; meanwhile the issuer was asked {}x, the API {}x",
        "",
        call.round_trip.as_secs_f64() * 1e3,
        call.issuer_requests,
        call.api_requests,
    );
}

pub(super) fn setups(world: &World) {
    let url = world.mcp_url();
    let Some(user) = world.tokens.first() else {
        return;
    };
    let headers = json!({ "Authorization": format!("Bearer {}", user.token) });
    println!("\nClaude Code:\n");
    println!(
        "claude mcp add --transport http braingrid-dev {url} --header \"Authorization: Bearer {}\"",
        user.token
    );
    println!("\nCursor, .cursor/mcp.json:\n");
    println!(
        "{:#}",
        json!({ "mcpServers": { "braingrid-dev": { "url": url, "headers": headers } } })
    );
    println!("\nVS Code, .vscode/mcp.json:\n");
    let server = json!({ "type": "http", "url": url, "headers": headers });
    println!("{:#}", json!({ "servers": { "braingrid-dev": server } }));
    for user in &world.tokens {
        println!("\ncurl, as {} of {}:\n", user.subject, user.organization);
        println!("{}", curl(&url, &user.token));
    }
}

fn curl(url: &str, token: &str) -> String {
    let message = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "list_projects", "arguments": {} },
    });
    format!(
        "curl -s {url} -H 'Content-Type: application/json' \
         -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2025-11-25' \
         -d '{message}' -H 'Authorization: Bearer {token}'"
    )
}

/// One line; `mcp_url` is the first of `mcp_urls`, `pids` are the servers' in the same order.
pub(super) fn json(world: &World) {
    let urls: Vec<_> = world.servers.iter().map(ServerProcess::mcp_url).collect();
    let pids: Vec<_> = world.servers.iter().map(ServerProcess::pid).collect();
    let redis = world.redis.as_ref();
    let line: Value = json!({
        "mcp_url": world.mcp_url(), "mcp_urls": urls, "pids": pids,
        "tokens": world.tokens, "expired_token": world.expired_token,
        "issuer": world.issuer.url(), "api_url": world.api.url(),
        "redis_url": redis.map(RedisServer::url), "redis_pid": redis.map(RedisServer::pid),
        "stand_ins": ["issuer", "api_url"],
    });
    println!("{line}");
}
