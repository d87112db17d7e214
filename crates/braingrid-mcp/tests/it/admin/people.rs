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
