//! The commands of operators, run as a child process against a running server.

use mcp_test_support::{ServerCommand, ServerProcess, client::Generation};
use serde_json::{Value, json};

use super::{Operators, READ, WRITE};
use crate::world::{BINARY, LIMIT, World, client_of};

/// What a command said, and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

async fn run(operators: &Operators, token: &str, words: &[&str]) -> Said {
    let file = operators.tokens.path().join("mine");
    std::fs::write(&file, token).unwrap();
    let command = ServerCommand::new(BINARY)
        .env("ADMIN_URL", &operators.base)
        .env("ADMIN_TOKEN_FILE", &file);
    run_command(command, words).await
}

async fn run_command(command: ServerCommand, words: &[&str]) -> Said {
    let command = words
        .iter()
        .fold(command, |command, word| command.arg(*word));
    let mut command = command.command();
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

async fn status(server: &ServerProcess, token: &str) -> u16 {
    let call = client_of(server).call(Generation::Modern, "list_projects", &json!({}));
    call.bearer(token).send().await.unwrap().status.as_u16()
}

#[tokio::test]
async fn at_three_in_the_morning_somebody_is_signed_out_and_an_organization_suspended() {
    let world = World::small().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let (ada, bob) = (world.token("ada", "org_1"), world.token("bob", "org_2"));
    for token in [&ada, &bob] {
        assert_eq!(status(&server, token).await, 200);
    }
    let say = async |words: &[&str]| run(&operators, WRITE, words).await;
    let sessions = say(&["admin", "sessions"]).await;
    assert!(
        sessions.out.starts_with("ORGANIZATION  USER"),
        "{}",
        sessions.out
    );
    assert!(
        sessions.out.ends_with("2 sessions of this instance\n"),
        "{}",
        sessions.out
    );
    let one = say(&["admin", "sessions", "--user", "ada", "--json"]).await;
    let one: Value = serde_json::from_str(&one.out).unwrap();
    assert_eq!(
        (&one["total"], &one["sessions"][0]["subject"]),
        (&json!(1), &json!("ada"))
    );

    let done = say(&["revoke", "--user", "ada"]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out.starts_with("signed out: user ada ("),
        "{}",
        done.out
    );
    assert!(
        done.out
            .contains("1 session in the memory of this instance was theirs"),
        "{}",
        done.out
    );
    assert_eq!(status(&server, &ada).await, 401);

    let done = say(&["suspend", "--organization", "org_2"]).await;
    assert!(
        done.out.starts_with("suspended: organization org_2\n"),
        "{}",
        done.out
    );
    assert_eq!(status(&server, &bob).await, 401);
    let listed = say(&["admin", "revocations"]).await;
    assert!(
        listed.out.contains("suspended   organization org_2"),
        "{}",
        listed.out
    );
    assert!(
        listed.out.ends_with("2 revocations, on all instances\n"),
        "{}",
        listed.out
    );
    assert_eq!(say(&["resume", "--organization", "org_2"]).await.code, 0);
    assert_eq!(status(&server, &bob).await, 200);

    let now = jiff::Timestamp::now().to_string();
    let everybody = say(&["revoke", "--issued-before", &now]).await;
    assert!(
        everybody.out.starts_with("signed out: everybody of http"),
        "{}",
        everybody.out
    );
    assert_eq!(status(&server, &bob).await, 401);

    assert_eq!(say(&["admin", "log-level", "debug"]).await.out, "debug\n");
    assert_eq!(say(&["admin", "log-level"]).await.out, "debug\n");
}

#[tokio::test]
async fn a_command_that_cannot_be_done_says_what_to_do() {
    let world = World::small().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let failed = |said: Said, code: i32, told: &str| {
        assert_eq!(said.code, code, "{}", said.err);
        assert!(said.err.contains(told), "{told}: {}", said.err);
        assert!(
            said.out.is_empty() && !said.err.contains(READ),
            "{}",
            said.out
        );
    };
    let reader = run(&operators, READ, &["revoke", "--user", "ada"]).await;
    failed(reader, 77, "may only read");
    failed(
        run(&operators, "sesame", &["admin", "sessions"]).await,
        77,
        "none of ADMIN_TOKENS_FILE",
    );
    failed(
        run(&operators, WRITE, &["revoke"]).await,
        64,
        "--organization",
    );
    failed(
        run(&operators, WRITE, &["suspend", "--issuer", "x"]).await,
        64,
        "name whom",
    );
    failed(
        run(&operators, WRITE, &["resume", "--user", "ada"]).await,
        1,
        "not suspended",
    );
    let other = ["revoke", "--user", "ada", "--issuer", "https://other.test"];
    failed(run(&operators, WRITE, &other).await, 1, &world.issuer.url());
    let at = |url: String| ServerCommand::new(BINARY).env("ADMIN_URL", url);
    let tokenless = run_command(at(operators.base.clone()), &["admin", "sessions"]).await;
    failed(tokenless, 77, "ADMIN_TOKEN_FILE");
    let strange = run_command(at(server.base_url()), &["admin", "sessions"]).await;
    failed(strange, 69, "no listener for operators");
    let nobody = mcp_test_support::free_port().unwrap();
    let nobody = run_command(
        at(format!("http://127.0.0.1:{nobody}")),
        &["admin", "sessions"],
    )
    .await;
    failed(nobody, 69, "ADMIN_BIND");
}
