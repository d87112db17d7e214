//! Limits, against the whole server: who reaches one is told when to come again, in the form that models
//! read; everybody else goes on, on however many instances.

use futures::future::join_all;
use mcp_test_support::{
    Exposition, ServerProcess,
    api::Operation,
    client::{Generation, RawAnswer, RawRequest},
    http_client,
    resp::Reply,
};
use serde_json::{Value, json};

use crate::admin::Operators;
use crate::world::{LIMIT, World, client_of, idea};

fn projects(server: &ServerProcess, generation: Generation) -> RawRequest {
    client_of(server).call(generation, "list_projects", &json!({}))
}

async fn send(request: RawRequest, token: &str) -> RawAnswer {
    request.bearer(token).send().await.unwrap()
}

/// What a model reads of a result, if it is an error.
fn refusal(answer: &RawAnswer) -> Option<&str> {
    let result = answer.result()?;
    let is_error = result["isError"].as_bool() == Some(true);
    result["content"][0]["text"].as_str().filter(|_| is_error)
}

/// When to come again: of the three, one comes back in 20 minutes.
fn in_time(text: &str) -> bool {
    let seconds = text
        .rsplit(|c: char| !c.is_ascii_digit())
        .find(|it| !it.is_empty());
    seconds.is_some_and(|seconds| (1_100..=1_200).contains(&seconds.parse().unwrap()))
}

#[tokio::test]
async fn a_call_over_the_limit_is_a_result_that_says_when_to_come_again() {
    for generation in Generation::BOTH {
        let world = World::small().await;
        let server = world
            .start(&world.command().env("LIMIT_USER", "3/1h"))
            .await;
        let ada = world.token("user_ada", "org_ada");
        for _ in 0..3 {
            let answer = send(projects(&server, generation), &ada).await;
            assert_eq!((answer.status.as_u16(), refusal(&answer)), (200, None));
        }
        let asked = world.api.count(Operation::ListProjects);
        let answer = send(projects(&server, generation), &ada).await;
        assert_eq!(
            answer.status, 200,
            "clients hand on results, and no errors of HTTP"
        );
        let text = refusal(&answer).unwrap();
        assert!(
            text.contains("calls of one user may be 3 in 3600 s"),
            "{text}"
        );
        assert!(text.contains("Nothing was done. Try again in "), "{text}");
        assert!(in_time(text), "{text}");
        let complete = answer
            .result()
            .unwrap()
            .get("resultType")
            .and_then(Value::as_str);
        let is_modern = generation == Generation::Modern;
        assert_eq!(complete, is_modern.then_some("complete"));
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"user\";q=3;w=3600")
        );
        let left = answer.header("ratelimit").unwrap();
        assert!(
            left.starts_with("\"user\";r=0;t=") && in_time(left),
            "{left}"
        );
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(world.api.count(Operation::ListProjects), asked);

        // Nobody's model reads these: a status that programs know.
        let list = client_of(&server).request(generation, "tools/list", json!({}));
        let answer = send(list, &ada).await;
        assert_eq!(answer.status, 429);
        assert!(in_time(answer.header("retry-after").unwrap()));
        assert_eq!(answer.error_code(), Some(-32000));
        let message = &answer.json.as_ref().unwrap()["error"]["message"];
        assert!(in_time(message.as_str().unwrap()), "{message}");

        let bob = world.token("user_bob", "org_ada");
        let answer = send(projects(&server, generation), &bob).await;
        assert_eq!((answer.status.as_u16(), refusal(&answer)), (200, None));
        let lines = server.wait_access_log(6, LIMIT).await;
        let outcomes: Vec<_> = lines.iter().map(|line| &line["outcome"]).collect();
        assert_eq!(outcomes, ["ok", "ok", "ok", "limited", "limited", "ok"]);
    }
}

#[tokio::test]
async fn each_kind_of_call_has_a_limit_and_lists_are_left_to_colleagues() {
    let world = World::small().await;
    let command = world.command();
    let command = command
        .env("LIMIT_TENANT", "4/1h")
        .env("LIMIT_EXPENSIVE", "1/1h");
    let (server, operators) = Operators::start(&world, command).await;
    let ada = world.token("user_ada", "org_ada");
    let create = |text: &str| {
        let request =
            client_of(&server).call(Generation::Modern, "create_requirement", &idea(text));
        send(request, &ada)
    };
    assert_eq!(refusal(&create("Pay by invoice").await), None);
    let answer = create("Pay by card").await;
    let text = refusal(&answer).unwrap();
    assert!(
        text.contains("calls of one user that take minutes"),
        "{text}"
    );
    // What was refused is counted nowhere else.
    for _ in 0..3 {
        let answer = send(projects(&server, Generation::Modern), &ada).await;
        assert_eq!(refusal(&answer), None);
    }
    let bob = world.token("user_bob", "org_ada");
    let answer = send(projects(&server, Generation::Modern), &bob).await;
    let text = refusal(&answer).unwrap();
    assert!(text.contains("calls of one organization"), "{text}");
    let list = client_of(&server).request(Generation::Modern, "tools/list", json!({}));
    assert_eq!(send(list, &bob).await.status, 200);
    let eve = world.token("user_eve", "org_eve");
    let answer = send(projects(&server, Generation::Modern), &eve).await;
    assert_eq!(refusal(&answer), None);
    let metrics = operators.get("/metrics").await.text;
    let metrics = Exposition::parse(&metrics).unwrap();
    let limited = |scope| metrics.sum("mcp_server_limited_total", &[("scope", scope)]);
    let counts = ["tenant", "user", "expensive", "write"].map(limited);
    assert_eq!(
        counts.map(f64::to_bits),
        [1.0_f64, 0.0, 1.0, 0.0].map(f64::to_bits)
    );
}

#[tokio::test]
async fn each_message_of_a_batch_is_counted() {
    let world = World::small().await;
    let server = world
        .start(&world.command().env("LIMIT_USER", "2/1h"))
        .await;
    let message = |id: u32| {
        let params = json!({"name": "list_projects", "arguments": {}});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    };
    let batch = Value::Array((1..=4).map(message).collect());
    let request = projects(&server, Generation::Legacy).body(batch.to_string());
    let request = request.without_header("mcp-protocol-version");
    let answer = send(request, &world.token("user_ada", "org_ada")).await;
    let answers = answer.json.unwrap();
    let refused = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["result"]["isError"] == true);
    assert_eq!(refused.collect::<Vec<_>>(), [false, false, true, true]);
}

#[tokio::test]
async fn strangers_of_one_address_are_told_to_wait_and_whoever_is_let_in_is_not() {
    let world = World::small().await;
    let server = world
        .start(&world.command().env("LIMIT_ADDRESS", "6/2h"))
        .await;
    let stranger = || {
        projects(&server, Generation::Modern)
            .without_header("authorization")
            .send()
    };
    for _ in 0..3 {
        assert_eq!(stranger().await.unwrap().status, 401);
        let made_up = send(projects(&server, Generation::Modern), "made-up").await;
        assert_eq!(made_up.status, 401);
    }
    let refused = stranger().await.unwrap();
    assert_eq!(refused.status, 429);
    assert!(in_time(refused.header("retry-after").unwrap()));
    let left = refused.header("ratelimit").unwrap();
    assert!(
        left.starts_with("\"address\";r=0;t=") && in_time(left),
        "{left}"
    );
    assert_eq!(refused.header("www-authenticate"), None);
    let body = refused.json.unwrap();
    assert_eq!(body["error"], "temporarily_unavailable");
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .contains("of one address")
    );
    // What strangers ask beside the endpoint is one with it.
    let mirror = format!(
        "{}/.well-known/oauth-authorization-server",
        server.mcp_url().trim_end_matches("/mcp")
    );
    let mirrored = http_client().get(mirror).send().await.unwrap();
    assert_eq!(mirrored.status(), 429);
    let answer = send(
        projects(&server, Generation::Modern),
        &world.token("user_ada", "org_ada"),
    )
    .await;
    assert_eq!((answer.status.as_u16(), refusal(&answer)), (200, None));
}

/// How many instances have named themselves.
async fn instances(world: &World) -> i64 {
    let kept = world.redis().keys_and_values().await.unwrap();
    let mut keys = kept.iter().map(|(key, _)| key);
    let Some(set) = keys.find(|key| key.starts_with("mcp:limit-instances:")) else {
        return 0;
    };
    match world.redis().command(&["ZCARD", set]).await.unwrap() {
        Reply::Integer(count) => count,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn three_processes_share_one_budget_within_five_percent() {
    const BUDGET: usize = 100;
    let world = World::shared().await;
    let command = || world.command().env("LIMIT_USER", format!("{BUDGET}/1d"));
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(world.start(&command()).await);
    }
    let list = async |server: &ServerProcess, token: &str| {
        let list = client_of(server).request(Generation::Modern, "tools/list", json!({}));
        send(list, token).await.status.as_u16()
    };
    // Each has its way to Redis, and is known there.
    let other = world.token("user_bob", "org_bob");
    for (number, server) in (1..).zip(&servers) {
        assert_eq!(list(server, &other).await, 200);
        let deadline = tokio::time::Instant::now() + LIMIT;
        while instances(&world).await != number {
            let now = tokio::time::Instant::now();
            assert!(now < deadline, "it does not name itself");
            tokio::task::yield_now().await;
        }
    }
    let token = world.token("user_ada", "org_ada");
    let mut answers = Vec::new();
    for _ in 0..10 {
        let calls = servers.iter().flat_map(|server| [server; 5]);
        let calls = calls.map(|server| list(server, &token));
        answers.extend(join_all(calls).await);
    }
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|status| *status == 200);
    assert!(refused.iter().all(|status| *status == 429), "{refused:?}");
    assert!(
        (95..=105).contains(&served.len()),
        "{} were served",
        served.len()
    );
}

#[tokio::test]
async fn limits_refuse_nobody_because_redis_is_away() {
    let mut world = World::shared().await;
    let server = world
        .start(&world.command().env("LIMIT_USER", "40/1h"))
        .await;
    let token = world.token("user_ada", "org_ada");
    let list = || {
        let list = client_of(&server).request(Generation::Modern, "tools/list", json!({}));
        send(list, &token)
    };
    assert_eq!(list().await.status, 200);
    world.redis.as_mut().unwrap().kill();
    for _ in 0..39 {
        assert_eq!(list().await.status, 200);
    }
    assert_eq!(
        list().await.status,
        429,
        "its share is all of it: it is the only one"
    );
}

#[tokio::test]
async fn the_budget_of_the_api_is_told_where_a_call_would_wait_too_long() {
    let world = World::small().await;
    let server = world
        .start(&world.command().env("API_RATE_LIMIT", "2/1h"))
        .await;
    let token = world.token("user_ada", "org_ada");
    for _ in 0..2 {
        let answer = send(projects(&server, Generation::Modern), &token).await;
        assert_eq!(refusal(&answer), None);
    }
    let answer = send(projects(&server, Generation::Modern), &token).await;
    let text = refusal(&answer).unwrap();
    assert!(
        text.contains("limited in their rate; nothing was done"),
        "{text}"
    );
    assert_eq!(world.api.count(Operation::ListProjects), 2);
}
