//! Who may do what: reading and changing are separate rights, and nobody has either by default.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Operators, READ, WRITE};
use crate::audit::parsed;
use crate::world::{LIMIT, World};

const SESSIONS: &str = "/admin/v1/sessions";

#[tokio::test]
async fn reading_and_changing_are_separate_rights_and_both_are_on_record() {
    let world = World::small().await;
    let audit = world.home.path().join("audit");
    let command = world.command().env("AUDIT_LOG", &audit);
    let (mut server, operators) = Operators::start(&world, command).await;
    let ask = async |method: &str, path: &str, token: Option<&str>| {
        let mut request = operators.request(method, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        operators.send(request.body("info")).await
    };
    for (method, path) in [("GET", SESSIONS), ("PUT", "/log-level")] {
        let nobody = ask(method, path, None).await;
        assert_eq!(nobody.status, 401, "{method} {path}");
        assert_eq!(
            nobody.header("www-authenticate"),
            "Bearer realm=\"operators\""
        );
        let wrong = ask(method, path, Some("sesame")).await;
        assert_eq!(wrong.status, 401);
        assert!(wrong.header("www-authenticate").contains("invalid_token"));
    }
    assert_eq!(ask("GET", SESSIONS, Some(READ)).await.status, 200);
    assert_eq!(ask("GET", SESSIONS, Some(WRITE)).await.status, 200);
    let reader = ask("PUT", "/log-level", Some(READ)).await;
    assert_eq!(reader.status, 403);
    assert!(reader.text.contains("may only read"), "{}", reader.text);
    assert_eq!(ask("PUT", "/log-level", Some(WRITE)).await.status, 200);
    let two = operators.request("GET", SESSIONS).bearer_auth(READ);
    assert_eq!(operators.send(two.bearer_auth(READ)).await.status, 401);

    assert!(server.stop(LIMIT).await.unwrap().success());
    let text = std::fs::read_to_string(&audit).unwrap();
    let told: Vec<_> = parsed(&text)
        .into_iter()
        .map(|record| {
            assert_eq!(record["client_address"], "127.0.0.1");
            let names = ["event", "outcome", "action", "operator", "target"];
            names.map(|name| record[name].clone())
        })
        .collect();
    // A wrong token that is said again is no news.
    let expected = [
        [
            json!("refusal"),
            json!("operator_token"),
            json!("sessions"),
            json!(null),
            json!(null),
        ],
        [
            json!("refusal"),
            json!("operator_right"),
            json!("set_log_level"),
            json!("grafana"),
            json!(null),
        ],
        [
            json!("operator_action"),
            json!("ok"),
            json!("set_log_level"),
            json!("ada"),
            json!({"level": "info"}),
        ],
    ];
    assert_eq!(told, expected, "{text}");
    for token in [WRITE, READ, "sesame"] {
        assert!(!text.contains(token) && !server.text().contains(token));
    }
}

#[tokio::test]
async fn without_tokens_nobody_has_a_right_and_the_answer_names_the_setting() {
    let world = World::small().await;
    let tokens = tempfile::tempdir().unwrap();
    let (_server, operators) = Operators::start_with(&world, world.command(), tokens).await;
    for answer in [
        operators.put("/log-level", "debug").await,
        operators.read(SESSIONS).await,
        operators.get(SESSIONS).await,
    ] {
        assert_eq!(answer.status, 403);
        assert!(
            answer.text.contains("ADMIN_TOKENS_FILE is not set"),
            "{}",
            answer.text
        );
    }
    for open in ["/metrics", "/ready", "/build", "/log-level", "/health"] {
        assert_eq!(operators.get(open).await.status, 200, "{open}");
    }
}

#[tokio::test]
async fn numbers_need_a_token_where_that_is_asked_for() {
    let world = World::small().await;
    let command = world.command().env("ADMIN_METRICS", "token");
    let (_server, operators) = Operators::start(&world, command).await;
    for path in ["/metrics", "/ready", "/build", "/log-level"] {
        assert_eq!(operators.get(path).await.status, 401, "{path}");
        assert_eq!(operators.read(path).await.status, 200, "{path}");
    }
    assert_eq!(operators.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_changed_file_of_tokens_holds_at_once_and_a_broken_one_lets_nobody_in() {
    let world = World::small().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let file = operators.tokens_file();
    let status = async || operators.read(SESSIONS).await.status;
    assert_eq!(status().await, 200);
    std::fs::write(&file, format!("ada write {WRITE}")).unwrap();
    assert_eq!(status().await, 401);
    std::fs::write(&file, format!("ada write {WRITE}\ngrafana {READ}")).unwrap();
    assert_eq!(status().await, 503);
    assert!(server.said("ADMIN_TOKENS_FILE: line 2", LIMIT).await);
    std::fs::write(&file, format!("grafana read {READ}")).unwrap();
    assert_eq!(status().await, 200, "said before, and good now");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(status().await, 503);
}

#[tokio::test]
async fn an_address_may_guess_few_tokens_at_a_time() {
    let world = World::small().await;
    let (_server, operators) = Operators::start(&world, world.command()).await;
    let guess = async |number: usize| {
        let token = format!("guess-{number}");
        let request = operators.request("GET", SESSIONS).bearer_auth(token);
        operators.send(request).await
    };
    for number in 0..10 {
        assert_eq!(guess(number).await.status, 401);
    }
    let mut refused = guess(10).await;
    for number in 11..20 {
        // Meanwhile one more may have been allowed.
        if refused.status != 429 {
            refused = guess(number).await;
        }
    }
    assert_eq!(refused.status, 429);
    assert!((1..=7).contains(&refused.header("retry-after").parse().unwrap()));
    assert_eq!(guess(9).await.status, 401, "said before");
    assert_eq!(operators.read(SESSIONS).await.status, 200, "a good one");
    assert_eq!(operators.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn whoever_hangs_up_is_on_record_all_the_same() {
    let world = World::shared().await;
    let audit = world.home.path().join("audit");
    let command = world.command().env("AUDIT_LOG", &audit);
    let (_server, operators) = Operators::start(&world, command).await;
    // The other instances cannot be told, which takes its time.
    world.redis().pause().unwrap();
    let address = operators.base.strip_prefix("http://").unwrap();
    let body = r#"{"whom": {"kind": "user", "subject": "ada"}}"#;
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /admin/v1/revoke HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {WRITE}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    drop(connection);
    let record = async {
        loop {
            let text = std::fs::read_to_string(&audit).unwrap_or_default();
            if let Some(record) = parsed(&text).pop() {
                return record;
            }
            tokio::task::yield_now().await;
        }
    };
    let record = tokio::time::timeout(LIMIT, record).await.unwrap();
    let told = ["action", "outcome", "operator"].map(|name| record[name].clone());
    assert_eq!(told, ["revoke", "ok", "ada"]);
    assert_eq!(record["target"]["subject"], "ada");
}

#[tokio::test]
async fn whoever_connects_and_says_nothing_keeps_no_operator_out() {
    let world = World::small().await;
    let (_server, operators) = Operators::start(&world, world.command()).await;
    let address = operators.base.strip_prefix("http://").unwrap();
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        connection.write_all(b"GET /health HT").await.unwrap();
        silent.push(connection);
    }
    assert_eq!(operators.read(SESSIONS).await.status, 200);
    // The oldest has given its place up, and was not told to wait for it.
    let mut end = Vec::new();
    let ended = silent[0].read_to_end(&mut end);
    let ended = tokio::time::timeout(LIMIT, ended).await.unwrap();
    assert!(ended.is_err() || end.is_empty());
}
