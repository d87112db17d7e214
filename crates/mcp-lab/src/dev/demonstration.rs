//! One idea, handed in twice by a real MCP client: the first call shows the long way, the second
//! the short one.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mcp_test_support::{
    ServerProcess,
    api::{Operation, Recorded, SEEDED_REPOSITORY},
    client::{self, Generation, McpClient},
};
use serde_json::{Value, json};

use super::{identity::UserToken, world::World};

const TOOL: &str = "create_requirement";
const IDEA: &str = "Let returning shoppers pay with a saved card in one click";

/// One call and the way it took.
pub(super) struct Call {
    pub(super) answer: String,
    /// The requests it took, the opening of the connection included.
    pub(super) steps: Vec<Step>,
    /// What the client waited for the tool.
    pub(super) round_trip: Duration,
    /// Requests to whoever logs people in, during the call.
    pub(super) identity_requests: usize,
    /// Requests to the API during the call.
    pub(super) api_requests: usize,
}

/// One request, as the server's access log tells it.
pub(super) struct Step {
    pub(super) method: String,
    /// Where the session came from.
    pub(super) tier: String,
    pub(super) in_server: Duration,
}

impl Step {
    fn of(line: &Value) -> Option<Self> {
        Some(Self {
            method: line.get("mcp_method")?.as_str()?.to_owned(),
            tier: line.get("tier")?.as_str()?.to_owned(),
            in_server: Duration::from_micros(line.get("duration_us")?.as_u64()?),
        })
    }
}

/// The two calls of [`run`].
pub(super) struct Calls {
    pub(super) cold: Call,
    pub(super) warm: Call,
}

/// Calls `create_requirement` twice as the first user, each time through rmcp's client.
pub(super) async fn run(world: &World) -> anyhow::Result<Calls> {
    let server = world.servers.first().context("no server")?;
    let user = world.tokens.first().context("no token")?;
    let cold = call(world, server, user).await.context("first call")?;
    let warm = call(world, server, user).await.context("second call")?;
    ensure_owner(world, user)?;
    Ok(Calls { cold, warm })
}

async fn call(world: &World, server: &ServerProcess, user: &UserToken) -> anyhow::Result<Call> {
    let url = server.mcp_url();
    let (asked_before, api_before) = (world.identity.requests(), api_requests(world));
    let log_before = server.access_log().len();
    let mcp = client::connect_http(&url, Some(&user.token), Generation::Modern).await?;
    let started = Instant::now();
    let answer = tool_text(&mcp).await;
    let round_trip = started.elapsed();
    mcp.cancel().await.context("the client does not end")?;
    let answer = answer?;
    let lines = own_lines(server, log_before).await?;
    Ok(Call {
        answer,
        steps: lines.iter().filter_map(Step::of).collect(),
        round_trip,
        identity_requests: world.identity.requests() - asked_before,
        api_requests: api_requests(world) - api_before,
    })
}

async fn tool_text(mcp: &McpClient) -> anyhow::Result<String> {
    let result = client::call(
        mcp,
        TOOL,
        json!({ "message": IDEA, "repositories": SEEDED_REPOSITORY }),
    )
    .await?;
    let result = serde_json::to_value(result)?;
    let text = result
        .pointer("/content/0/text")
        .and_then(Value::as_str)
        .unwrap_or_default();
    ensure!(
        result.get("isError") != Some(&json!(true)),
        "{TOOL} answered an error: {text}"
    );
    Ok(text.to_owned())
}

/// The access log lines of this call: the server writes each when its answer is out.
async fn own_lines(server: &ServerProcess, before: usize) -> anyhow::Result<Vec<Value>> {
    let limit = Duration::from_secs(5);
    let has_call = |lines: &[Value]| lines.iter().any(|line| line["tool"] == TOOL);
    let mut wanted = before + 1;
    loop {
        let all = server.wait_access_log(wanted, limit).await;
        let own: Vec<_> = all
            .iter()
            .skip(before)
            .filter(|line| line["mcp_method"].is_string())
            .cloned()
            .collect();
        if has_call(&own) {
            return Ok(own);
        }
        if all.len() < wanted {
            bail!("the server's access log does not tell of the call");
        }
        wanted = all.len() + 1;
    }
}

fn api_requests(world: &World) -> usize {
    world.api.requests().count(|_| true)
}

/// What arrived at the API belongs to the user who called.
fn ensure_owner(world: &World, user: &UserToken) -> anyhow::Result<()> {
    let made = |request: &Recorded| request.operation == Some(Operation::SpecifyRequirement);
    let requests = world.api.requests().entries();
    let foreign = requests
        .iter()
        .filter(|request| made(request))
        .find(|request| {
            request.subject.as_deref() != Some(user.subject)
                || request.organization.as_deref() != Some(user.organization)
        });
    match foreign {
        Some(request) => bail!("the API was asked on behalf of somebody else: {request:?}"),
        None => Ok(()),
    }
}
