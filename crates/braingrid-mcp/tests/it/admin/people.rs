//! Who is connected, who is signed out and suspended.

use mcp_test_support::{
    Gate, ServerProcess,
    api::{Fault, Times},
    client::Generation,
};
use serde_json::{Value, json};

use super::{Operators, WRITE};
use crate::background::{self, User};
use crate::world::{World, client_of};

const SESSIONS: &str = "/admin/v1/sessions";
const REVOCATIONS: &str = "/admin/v1/revocations";
const TASKS: &str = "/admin/v1/tasks";

async fn status(server: &ServerProcess, token: &str) -> u16 {
    let call = client_of(server).call(Generation::Modern, "list_projects", &json!({}));
    call.bearer(token).send().await.unwrap().status.as_u16()
}

fn subjects(answer: &Value) -> Vec<&str> {
    let sessions = answer["sessions"].as_array().unwrap();
    sessions
        .iter()
        .map(|session| session["subject"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn who_is_connected_is_listed_a_part_at_a_time_and_never_a_token() {
    let world = World::small().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let mut tokens = Vec::new();
    for user in ["ada", "bob", "cyd"] {
        let token = world.issuer.token().subject(user).organization("org_1");
        tokens.push(token.claim("client_id", "claude").mint());
    }
    tokens.push(world.token("dan", "org_2"));
    for token in &tokens {
        assert_eq!(status(&server, token).await, 200);
    }
    let all = operators.read(SESSIONS).await;
    assert!(
        tokens
            .iter()
            .all(|token| !all.text.contains(token.as_str()))
    );
    let all = all.json();
    assert_eq!(
        (&all["of"], &all["total"]),
        (&json!("this instance"), &json!(4))
    );
    assert_eq!(subjects(&all), ["ada", "bob", "cyd", "dan"]);
    let ada = &all["sessions"][0];
    assert_eq!(ada["issuer"], world.issuer.url());
    assert_eq!(
        (&ada["organization"], &ada["client"]),
        (&json!("org_1"), &json!("claude"))
    );
    let time = |name: &str| {
        ada[name]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert!(time("since") < time("expires"));

    let part = operators
        .read(&format!("{SESSIONS}?offset=1&limit=2"))
        .await
        .json();
    assert_eq!(
        (subjects(&part), &part["total"]),
        (vec!["bob", "cyd"], &json!(4))
    );
    let of_one = operators
        .read(&format!("{SESSIONS}?organization=org_2"))
        .await
        .json();
    assert_eq!(subjects(&of_one), ["dan"]);
    let of_user = operators
        .read(&format!("{SESSIONS}?subject=bob&client=claude"))
        .await
        .json();
    assert_eq!(subjects(&of_user), ["bob"]);
    for (wrong, told) in [
        (
            "organisation=org_2",
            "there is issuer, subject, organization",
        ),
        ("limit=0", "limit is 1 to 1000"),
        ("offset=x", "offset is no whole number"),
        ("subject=a&subject=b", "there twice"),
    ] {
        let answer = operators.read(&format!("{SESSIONS}?{wrong}")).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains(told), "{wrong}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_an_instance_works_on_is_listed_and_cancelled() {
    let world = World::shared().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let (_other, others) = Operators::start(&world, world.command()).await;
    let gate = Gate::closed();
    let held = Fault::Held(gate.clone());
    world.api.inject(background::SLOW, held, Times::Next(1));
    let user = User::of(&world, &server, "user_ada");
    let id = user.begin("Let shoppers pay by invoice.").await;
    background::is_there(&world, 1).await;

    let listed = operators.read(TASKS).await.json();
    let told = (&listed["of"], &listed["total"]);
    assert_eq!(told, (&json!("this instance"), &json!(1)));
    let task = &listed["tasks"][0];
    assert_eq!(
        (&task["id"], &task["tool"]),
        (&json!(id), &json!("create_requirement"))
    );
    assert_eq!(
        (&task["subject"], &task["organization"]),
        (&json!("user_ada"), &json!("org_ada"))
    );
    assert_eq!(task["issuer"], world.issuer.url());
    assert_eq!(others.read(TASKS).await.json()["total"], 0);

    let cancel = async |operators: &Operators, id: &str| {
        let request = operators.request("DELETE", &format!("{TASKS}/{id}"));
        operators.send(request.bearer_auth(WRITE)).await
    };
    assert_eq!(cancel(&others, &id).await.status, 404, "another instance's");
    let cancelled = cancel(&operators, &id).await;
    assert_eq!(
        (cancelled.status, &cancelled.json()["state"]),
        (200, &json!("cancelled"))
    );
    assert_eq!(user.settled(&id).await["status"], "cancelled");
    gate.open();
}

#[tokio::test]
async fn a_user_is_signed_out_on_every_instance_and_may_log_in_again() {
    let world = World::shared().await;
    let (one, operators) = Operators::start(&world, world.command()).await;
    let (two, others) = Operators::start(&world, world.command()).await;
    let (old, bystander) = (world.token("ada", "org_1"), world.token("bob", "org_1"));
    for server in [&one, &two] {
        assert_eq!(status(server, &old).await, 200);
        assert_eq!(status(server, &bystander).await, 200);
    }
    let whom = json!({"kind": "user", "subject": "ada"});
    let done = operators
        .post("/admin/v1/revoke", &json!({"whom": whom}))
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    let done = done.json();
    let issuer = world.issuer.url();
    assert_eq!(
        done["whom"],
        json!({"kind": "user", "issuer": issuer, "subject": "ada"})
    );
    let told = (&done["state"], &done["everywhere"], &done["sessions_here"]);
    assert_eq!(told, (&json!("signed_out"), &json!(true), &json!(1)));
    assert_eq!(status(&one, &old).await, 401);
    until(async || status(&two, &old).await == 401).await;
    for server in [&one, &two] {
        assert_eq!(status(server, &bystander).await, 200);
    }
    assert_eq!(subjects(&operators.read(SESSIONS).await.json()), ["bob"]);
    let listed = others.read(REVOCATIONS).await.json();
    assert_eq!(listed["total"], 1);
    let listed = &listed["revocations"][0];
    assert_eq!(
        (&listed["whom"], &listed["cause"]),
        (&done["whom"], &json!("operator"))
    );
    assert_eq!(listed["issued_before"], done["issued_before"]);

    let later = jiff::Timestamp::now().as_second() + 2;
    let new = world.issuer.token().subject("ada").organization("org_1");
    let new = new.claim("iat", later).mint();
    assert_eq!(status(&one, &new).await, 200, "a new login is welcome");
}

#[tokio::test]
async fn who_is_suspended_stays_out_until_resumed() {
    let world = World::small().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let token = world.token("ada", "org_1");
    let whom = |whom: Value| json!({ "whom": whom });
    for about in [
        json!({"kind": "organization", "organization": "org_1"}),
        json!({"kind": "member", "subject": "ada", "organization": "org_1"}),
        json!({"kind": "user", "subject": "ada"}),
        json!({"kind": "issuer"}),
    ] {
        assert_eq!(status(&server, &token).await, 200);
        let nobody = operators
            .post("/admin/v1/resume", &whom(about.clone()))
            .await;
        assert_eq!(nobody.status, 404, "{}", nobody.text);
        let done = operators
            .post("/admin/v1/suspend", &whom(about.clone()))
            .await;
        assert_eq!(
            (done.status, &done.json()["state"]),
            (200, &json!("suspended"))
        );
        assert_eq!(status(&server, &token).await, 401, "{about}");
        assert_eq!(operators.read(REVOCATIONS).await.json()["total"], 1);
        let done = operators
            .post("/admin/v1/resume", &whom(about.clone()))
            .await;
        assert_eq!(
            (done.status, &done.json()["state"]),
            (200, &json!("resumed"))
        );
        assert_eq!(operators.read(REVOCATIONS).await.json()["total"], 0);
    }
    assert_eq!(status(&server, &token).await, 200);
}

#[tokio::test]
async fn what_would_deny_nobody_is_refused() {
    let world = World::small().await;
    let (_server, operators) = Operators::start(&world, world.command()).await;
    for (body, told) in [
        (json!({"whom": {"kind": "user"}}), "subject"),
        (
            json!({"whom": {"kind": "user", "subject": ""}}),
            "subject is empty",
        ),
        (
            json!({"whom": {"kind": "user", "subject": "a", "issuer": "https://b.test"}}),
            "this server",
        ),
        (
            json!({"whom": {"kind": "user", "subject": "a", "organisation": "o"}}),
            "organisation",
        ),
        (
            json!({"whom": {"kind": "everybody"}}),
            "expected one of `user`",
        ),
        (
            json!({"whom": {"kind": "user", "subject": "a"}, "issued_before": "2999-01-01T00:00:00Z"}),
            "in the future",
        ),
        (json!("ada"), "cannot be read"),
    ] {
        let answer = operators.post("/admin/v1/revoke", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text.contains(told), "{body}: {}", answer.text);
    }
    assert_eq!(operators.read(REVOCATIONS).await.json()["total"], 0);
}

#[tokio::test]
async fn without_the_store_a_denial_holds_here_and_says_so() {
    let world = World::shared().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let token = world.token("ada", "org_1");
    assert_eq!(status(&server, &token).await, 200);
    world.redis().pause().unwrap();
    let body = json!({"whom": {"kind": "user", "subject": "ada"}});
    let done = operators.post("/admin/v1/revoke", &body).await;
    assert_eq!(
        (done.status, &done.json()["everywhere"]),
        (202, &json!(false))
    );
    assert_eq!(status(&server, &token).await, 401);
}

/// Polls until it holds; the test's own limit ends it.
async fn until(holds: impl AsyncFn() -> bool) {
    tokio::time::timeout(crate::world::LIMIT, async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
