//! What one tenant runs into, and how much it asks for, takes nothing from the others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::join_all};
use mcp_core::{BrainGridClient, BrainGridConfig, OutgoingLimit, ToolOptions, ToolSet};
use mcp_test_support::{
    Api, Gate,
    api::{Fault, Operation, Times},
};
use rmcp::{RoleClient, service::RunningService};
use serde_json::{Value, json};

use crate::support::{Client, caller_of, connect, eventually, params, text};

/// An API, and the tools that everybody shares.
struct Shared {
    api: Api,
    client: BrainGridClient,
    tools: ToolSet,
}

/// One user's connection to the tools.
struct User(RunningService<RoleClient, Client>);

impl Shared {
    async fn new(configure: impl FnOnce(&mut BrainGridConfig)) -> Self {
        mcp_test_support::install_tls_provider();
        let api = Api::start().await.unwrap();
        let mut config = BrainGridConfig::new(api.url().parse().unwrap());
        configure(&mut config);
        let client = BrainGridClient::new(config).unwrap();
        let tools = ToolSet::new(client.clone(), ToolOptions::default());
        Self { api, client, tools }
    }

    async fn user(&self, subject: &str, organization: &str) -> User {
        let caller = caller_of(subject, organization);
        User(
            connect(self.tools.clone().with_caller(caller), true)
                .await
                .0,
        )
    }

    /// One user of each of so many organizations.
    async fn quiet(&self, count: usize) -> Vec<User> {
        let all = (0..count).map(|it| async move {
            let (subject, organization) = (format!("user_{it}"), format!("org_{it}"));
            self.user(&subject, &organization).await
        });
        join_all(all).await
    }
}

impl User {
    async fn call(&self, tool: &str, arguments: Value) -> Result<(), String> {
        let result = self.0.call_tool(params(tool, arguments)).await.unwrap();
        if result.is_error == Some(true) {
            return Err(text(&result));
        }
        Ok(())
    }

    async fn list(&self) -> Result<(), String> {
        self.call("list_projects", json!({})).await
    }

    async fn open(&self) -> Result<(), String> {
        self.call("get_project", json!({"project_id": "PROJ-1"}))
            .await
    }

    async fn create(&self, number: usize) -> Result<(), String> {
        let idea = format!("Let shoppers pay by invoice, as number {number}.");
        let arguments = json!({"project_id": "PROJ-1", "message": idea});
        self.call("create_requirement", arguments).await
    }
}

/// How many of these did not work.
fn failed(answers: &[Result<(), String>]) -> usize {
    answers.iter().filter(|answer| answer.is_err()).count()
}

#[tokio::test]
async fn the_failing_data_of_one_tenant_stop_nobody_else() {
    let world = Shared::new(|config| config.breaker_pause = Duration::from_mins(10)).await;
    let loud = world.user("loud", "org_loud").await;
    let quiet = world.quiet(99).await;
    let (bad, held) = (Operation::GetProject, Fault::Status(502));
    world.api.inject(bad, held, Times::Always);
    for round in quiet.chunks(9) {
        join_all([loud.open(), loud.open()]).await;
        let answers = join_all(round.iter().map(User::list)).await;
        assert_eq!(failed(&answers), 0, "{answers:?}");
    }
    let error = loud.list().await.unwrap_err();
    assert!(error.contains("cannot be reached right now"), "{error}");
    let status = world.client.status();
    assert_eq!(
        (status.is_circuit_open, status.tenants_held_back),
        (false, 1)
    );
    let asked = world.api.count(bad);
    assert!(asked < 22, "it is left alone: {asked}");
}

#[tokio::test]
async fn the_slow_calls_of_one_user_leave_places_for_the_others() {
    const LOUD: usize = 64;
    let world = Shared::new(|_| {}).await;
    let loud = world.user("loud", "org_loud").await;
    let colleague = world.user("colleague", "org_loud").await;
    let quiet = world.quiet(99).await;
    let gate = Gate::closed();
    let operation = Operation::SpecifyRequirement;
    // As many as one user may have of 64.
    let held = Fault::Held(gate.clone());
    world.api.inject(operation, held, Times::Next(21));
    let flood = join_all((0..LOUD).map(|number| loud.create(number)));
    let others = async {
        eventually("the flood has come as far as it can", || {
            world.api.count(operation) == 21 && world.client.status().waiting == LOUD - 21
        })
        .await;
        let mut answers = join_all(quiet.iter().map(|user| user.create(0))).await;
        answers.push(colleague.create(0).await);
        answers.extend(join_all(quiet.iter().map(User::list)).await);
        assert_eq!(failed(&answers), 0, "{answers:?}");
        assert_eq!(world.client.status().waiting, LOUD - 21);
        gate.open();
    };
    let (flooded, ()) = tokio::join!(flood, others);
    assert_eq!(failed(&flooded), 0, "late, and not refused");
    assert_eq!(world.client.status().in_flight, 0);
}

#[tokio::test]
async fn a_tenant_that_is_turned_away_is_told_when_and_the_others_go_on() {
    let world = Shared::new(|_| {}).await;
    let loud = world.user("loud", "org_loud").await;
    let quiet = world.quiet(3).await;
    let (bad, turned_away) = (Operation::GetProject, Fault::RetryAfter(429, 50));
    world.api.inject(bad, turned_away, Times::Always);
    let error = loud.open().await.unwrap_err();
    assert!(error.contains("Try again in 50 seconds"), "{error}");
    world.api.requests().clear();
    let error = loud.list().await.unwrap_err();
    assert!(error.contains("limited in their rate"), "{error}");
    assert!(world.api.requests().entries().is_empty(), "it is not asked");
    assert_eq!(failed(&join_all(quiet.iter().map(User::list)).await), 0);
    // But where it turns everybody away, nobody asks.
    for user in &quiet {
        user.open().await.unwrap_err();
    }
    world.api.requests().clear();
    let newcomer = world.user("new", "org_new").await;
    newcomer.list().await.unwrap_err();
    assert!(world.api.requests().entries().is_empty());
}

#[tokio::test]
async fn what_the_api_takes_of_all_together_is_waited_for_or_told() {
    const BUDGET: u32 = 3;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let take = move || {
        // Each is there at its second asking; after so many there is none for an hour.
        let so_far = count.fetch_add(1, Ordering::SeqCst);
        let wait = match so_far {
            it if it >= 2 * BUDGET => Some(Duration::from_hours(1)),
            it if it % 2 == 0 => Some(Duration::from_millis(1)),
            _ => None,
        };
        async move { wait.map_or(Ok(()), Err) }.boxed()
    };
    let limit = OutgoingLimit {
        every: Duration::from_secs(1),
        take: Arc::new(take),
    };
    let world = Shared::new(|config| config.limit = Some(limit)).await;
    let users = world.quiet(3).await;
    assert_eq!(failed(&join_all(users.iter().map(User::list)).await), 0);
    let error = users[0].list().await.unwrap_err();
    assert!(error.contains("Try again in 3600 seconds"), "{error}");
    assert_eq!(world.api.count(Operation::ListProjects), 3);
}
