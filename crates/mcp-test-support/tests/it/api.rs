//! The stand-in API: its flows, its owners and its faults.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use mcp_test_support::{
    Algorithm, Api, Gate, SigningKey, TokenBuilder,
    api::{Fault, Operation, SEEDED_REPOSITORY, Times},
    http_client,
};
use serde_json::{Value, json};

/// One user of the API.
struct User {
    client: reqwest::Client,
    base: String,
    token: String,
    organization: &'static str,
}

impl User {
    fn of(api: &Api, subject: &str, organization: &'static str) -> Self {
        let key = Arc::new(SigningKey::generate(Algorithm::EdDsa));
        let token = TokenBuilder::new("https://issuer.example", &[], key);
        let token = token.subject(subject).organization(organization).mint();
        Self {
            client: http_client(),
            base: format!("{}/api/v1", api.url()),
            token,
            organization,
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        request
            .bearer_auth(&self.token)
            .header("x-organization-id", self.organization)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(method, path).json(&body)).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn project_of_a_repository_is_found() {
    let api = Api::start().await.unwrap();
    let ada = User::of(&api, "user_ada", "org_ada");
    assert_eq!(
        api.add_project("org_ada", "Service", Some("acme/api")),
        "PROJ-2"
    );
    let (_, all) = ada.get("/projects").await;
    assert_eq!(all["pagination"]["total"], 2);
    let (_, found) = ada
        .get(&format!("/projects?repository={SEEDED_REPOSITORY}"))
        .await;
    assert_eq!(found["total_count"], 1);
    assert_eq!(found["projects"][0]["short_id"], "PROJ-1");
    let (_, repositories) = ada.get("/repositories?owner=acme&name=api").await;
    assert_eq!(repositories["repositories"][0]["full_name"], "acme/api");
}

#[tokio::test]
async fn requirement_lives_from_idea_to_branch() {
    let api = Api::start().await.unwrap();
    let ada = User::of(&api, "user_ada", "org_ada");
    let requirements = "/projects/proj-1/requirements";
    let idea = json!({ "prompt": "Let shoppers pay with one click", "tags": ["shop"] });
    let (status, made) = ada
        .send(Method::POST, &format!("{requirements}/specify"), idea)
        .await;
    assert_eq!(status, 201);
    assert_eq!(
        (&made["status"], &made["created_by"]),
        (&json!("IDEA"), &json!("user_ada"))
    );
    let one = format!("{requirements}/{}", made["short_id"].as_str().unwrap());

    let (_, plan) = ada
        .send(Method::POST, &format!("{one}/breakdown"), json!({}))
        .await;
    assert_eq!(plan["tasks"].as_array().unwrap().len(), 3);
    let again = ada
        .send(Method::POST, &format!("{one}/breakdown"), json!({}))
        .await;
    assert_eq!(again.0, 409);

    let done = json!({ "status": "COMPLETED" });
    let (_, task) = ada
        .send(Method::PATCH, &format!("{one}/tasks/TASK-1"), done)
        .await;
    assert_eq!(task["status"], "COMPLETED");
    let (_, whole) = ada.get(&one).await;
    assert_eq!(whole["task_progress"]["completed"], 1);
    let (_, open) = ada
        .get(&format!("{one}/tasks?status=PLANNED&limit=1"))
        .await;
    assert_eq!(open["pagination"]["has_more"], true);

    let branch = json!({ "name": "ada/pay" });
    assert_eq!(
        ada.send(Method::POST, &format!("{one}/create-branch"), branch)
            .await
            .0,
        200
    );
    assert_eq!(ada.get(&one).await.1["branch"], "ada/pay");
    let review = ada
        .request(Method::POST, &format!("{one}/review"))
        .send()
        .await
        .unwrap();
    assert_eq!(review.headers()["content-type"], "text/event-stream");
    assert_eq!(ada.send(Method::DELETE, &one, json!({})).await.0, 204);
    assert_eq!(ada.get(&one).await.0, 404);
}

#[tokio::test]
async fn bad_input_is_refused_with_reasons() {
    let api = Api::start().await.unwrap();
    let ada = User::of(&api, "user_ada", "org_ada");
    let requirements = "/projects/PROJ-1/requirements";
    let specify = format!("{requirements}/specify");
    let (status, body) = ada
        .send(Method::POST, &specify, json!({"prompt":"x"}))
        .await;
    assert_eq!(status, 422);
    assert!(body["errors"].is_string());
    let one = format!("{requirements}/REQ-1");
    let (status, body) = ada
        .send(Method::PATCH, &one, json!({"status":"PAUSED"}))
        .await;
    assert_eq!(status, 422);
    assert!(body["errors"].is_array());
    assert_eq!(ada.get(&format!("{requirements}/EPIC-1")).await.0, 400);
    assert_eq!(ada.get("/nowhere").await.0, 404);
    assert_eq!(api.writes().count(|_| true), 0);
}

#[tokio::test]
async fn owner_comes_from_the_credential_and_must_fit_the_organization() {
    let api = Api::start().await.unwrap();
    let ada = User::of(&api, "user_ada", "org_ada");
    let mixed = User {
        organization: "org_bob",
        ..User::of(&api, "user_ada", "org_ada")
    };
    let default = User {
        organization: "default",
        ..User::of(&api, "user_ada", "org_ada")
    };
    let opaque = User {
        token: "opaque".into(),
        ..User::of(&api, "user_ada", "org_ada")
    };
    assert_eq!(ada.get("/projects").await.0, 200);
    assert_eq!(mixed.get("/projects").await.0, 403);
    assert_eq!(default.get("/projects").await.0, 400);
    assert_eq!(opaque.get("/projects").await.0, 401);
    let unnamed = || {
        ada.client
            .get(format!("{}/profile", ada.base))
            .bearer_auth(&ada.token)
    };
    assert_eq!(answer(unnamed()).await.1["organization_id"], "org_ada");

    let seen = api.requests().entries();
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[1].subject.as_deref(), Some("user_ada"));
    assert_eq!(seen[1].organization.as_deref(), Some("org_bob"));
    assert_eq!(seen[0].token(), Some(ada.token.as_str()));
    assert!(
        !format!("{seen:?}").contains(&ada.token),
        "debug output has no token"
    );
}

#[tokio::test]
async fn organizations_do_not_see_each_other() {
    let api = Api::start().await.unwrap();
    let (ada, bob) = (
        User::of(&api, "ada", "org_ada"),
        User::of(&api, "bob", "org_bob"),
    );
    let draft = json!({ "name": "Hers", "content": "…" });
    let made = ada
        .send(Method::POST, "/projects/PROJ-1/requirements", draft)
        .await
        .1;
    let path = format!(
        "/projects/PROJ-1/requirements/{}",
        made["id"].as_str().unwrap()
    );
    assert_eq!(ada.get(&path).await.0, 200);
    assert_eq!(bob.get(&path).await.0, 404);
}

#[tokio::test]
async fn faults_are_met_in_order_and_used_up() {
    let api = Api::start().await.unwrap();
    let ada = User::of(&api, "user_ada", "org_ada");
    api.inject(Operation::ListProjects, Fault::Status(402), Times::Next(1));
    api.inject(
        Operation::ListProjects,
        Fault::RetryAfter(429, 7),
        Times::Next(1),
    );
    assert_eq!(ada.get("/projects").await.0, 402);
    let slow_down = ada.request(Method::GET, "/projects").send().await.unwrap();
    assert_eq!(
        (
            slow_down.status().as_u16(),
            &slow_down.headers()["retry-after"]
        ),
        (429, &"7".parse().unwrap())
    );
    assert_eq!(ada.get("/projects").await.0, 200);

    api.inject(Operation::ListProjects, Fault::Garbage, Times::Always);
    assert_eq!(ada.get("/projects").await, (StatusCode::OK, Value::Null));
    api.clear_faults();
    assert_eq!(ada.get("/projects").await.0, 200);
}

#[tokio::test]
async fn connection_closed_after_a_write_leaves_the_write_done() {
    let api = Api::start().await.unwrap();
    let ada = User::of(&api, "user_ada", "org_ada");
    api.inject(
        Operation::CreateProject,
        Fault::CloseAfterWrite,
        Times::Next(1),
    );
    let lost = ada
        .request(Method::POST, "/projects")
        .json(&json!({ "name": "Lost" }))
        .send()
        .await;
    assert!(lost.is_err());
    assert_eq!(api.writes().entries(), [Operation::CreateProject]);
    assert_eq!(ada.get("/projects/PROJ-2").await.1["name"], "Lost");
}

#[tokio::test]
async fn held_request_goes_on_when_the_gate_opens() {
    let api = Api::start().await.unwrap();
    let ada = User::of(&api, "user_ada", "org_ada");
    let gate = Gate::closed();
    api.inject(
        Operation::GetProfile,
        Fault::Held(gate.clone()),
        Times::Next(1),
    );
    let held = tokio::spawn(ada.request(Method::GET, "/profile").send());
    assert!(
        api.requests()
            .wait_until(|seen| seen.len() == 1, Duration::from_secs(5))
            .await
    );
    assert!(!held.is_finished());
    gate.open();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn stopped_api_refuses_connections_and_keeps_its_state() {
    let api = Api::start().await.unwrap();
    let ada = User::of(&api, "user_ada", "org_ada");
    ada.send(Method::POST, "/projects", json!({ "name": "Kept" }))
        .await;
    api.stop().await;
    assert!(
        ada.request(Method::GET, "/projects")
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    api.come_back().await.unwrap();
    assert_eq!(ada.get("/projects/PROJ-2").await.1["name"], "Kept");
}
