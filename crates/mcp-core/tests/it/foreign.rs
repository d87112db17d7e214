//! Answers that are not BrainGrid's, or not what their status says: pages of proxies and firewalls,
//! errors under a status of success, nothing at all.

use std::sync::Arc;

use mcp_core::{
    BrainGridClient, BrainGridConfig, Caller, Credential, Organization, ToolOptions, ToolSet,
};
use rmcp::{RoleClient, model::CallToolResult, service::RunningService};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Client, ORGANIZATION, Tokens, connect, params, text, token};

const PAGE: &str = "<!DOCTYPE html><html><title>Request blocked</title>ask an admin</html>";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Answers every request alike.
async fn always(status: u16, content_type: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status} Some Words\r\ncontent-type: {content_type}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer.clone()));
        }
    });
    url
}

async fn serve(mut stream: TcpStream, answer: String) {
    let mut read = Vec::new();
    while stream
        .read_buf(&mut read)
        .await
        .is_ok_and(|count| count > 0)
    {
        let sent = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = sent.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.to_ascii_lowercase().lines().find_map(|line| {
            let value = line.strip_prefix("content-length:")?;
            value.trim().parse().ok()
        });
        if body.len() >= length.unwrap_or(0) {
            let _ = stream.write_all(answer.as_bytes()).await;
            return;
        }
    }
}

async fn client(url: &str, credential: Arc<dyn Credential>) -> RunningService<RoleClient, Client> {
    mcp_test_support::install_tls_provider();
    let config = BrainGridConfig::new(url.parse().unwrap());
    let organization = Organization::known(ORGANIZATION.parse().unwrap());
    let caller = Caller::new(None, organization, Vec::new(), credential);
    let client = BrainGridClient::new(config).unwrap();
    let tools = ToolSet::new(client, ToolOptions::default()).with_caller(caller);
    connect(tools, true).await.0
}

/// A read and three writes, as a model calls them.
fn calls() -> [(&'static str, Value); 4] {
    let task = json!({"project_id": 1, "requirement_id": 1, "task_id": 2, "confirm": true});
    let change = json!({"project_id": 1, "requirement_id": 1, "status": "REVIEW"});
    let idea = json!({"project_id": 1, "message": "Let shoppers pay by invoice."});
    [
        ("list_projects", json!({})),
        ("delete_project_task", task),
        ("update_project_requirement", change),
        ("create_requirement", idea),
    ]
}

async fn answers(
    status: u16,
    content_type: &'static str,
    body: &'static str,
) -> Vec<CallToolResult> {
    let url = always(status, content_type, body).await;
    let credential = Tokens::new([token(), token()]);
    let client = client(&url, credential.clone()).await;
    let mut answers = Vec::new();
    for (tool, arguments) in calls() {
        answers.push(client.call_tool(params(tool, arguments)).await.unwrap());
    }
    if body == PAGE {
        assert_eq!(credential.rejections(), 0, "{status}");
    }
    answers
}

#[tokio::test]
async fn page_is_never_read_as_braingrids_word() {
    let of_braingrid = [
        "admin",
        "redits",
        "og in again",
        "There is no",
        "BrainGrid refused",
    ];
    for status in [
        200, 201, 302, 400, 401, 402, 403, 404, 405, 407, 409, 410, 422, 451, 500, 501, 511, 520,
        525, 526, 530,
    ] {
        // The body decides: what is called JSON may be a page.
        for content_type in [HTML, JSON] {
            for answer in answers(status, content_type, PAGE).await {
                let said = text(&answer);
                assert_eq!(answer.is_error, Some(true), "{status}: {said}");
                let talks = of_braingrid.iter().find(|word| said.contains(**word));
                assert_eq!(talks, None, "{status}: {said}");
                let names = said.contains("proxy") || status >= 500;
                assert!(names, "{status}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn page_under_a_status_of_success_leaves_a_write_unknown() {
    let answers = answers(200, HTML, PAGE).await;
    let said: Vec<_> = answers.iter().map(text).collect();
    assert!(said[0].contains("a page came in place") && !said[0].contains("try again in a moment"));
    for said in &said[1..] {
        assert!(said.starts_with("Outcome unknown"), "{said}");
    }
}

/// Every status with a page, with nothing and with somebody else's JSON.
#[tokio::test]
async fn what_a_gateway_says_is_an_error_whose_cause_is_told() {
    let aws = r#"{"message":"Missing Authentication Token"}"#;
    let cloudflare = r#"{"success":false,"errors":[{"code":7003,"message":"no route"}]}"#;
    let nothing_of_ours = r#"{"projects":[null,{}]}"#;
    for status in [200, 401, 403, 404, 409, 501, 511, 525, 526, 530] {
        for body in [PAGE, "", aws, cloudflare, nothing_of_ours] {
            if status == 200 && body != nothing_of_ours {
                continue;
            }
            let answers = answers(status, JSON, body).await;
            let said: Vec<_> = answers.iter().map(text).collect();
            let about = format!("{status} {body}: {said:#?}");
            // The read is refused in any case; a write that says nothing of itself may be accepted.
            let refused = |answer: &CallToolResult| answer.is_error == Some(true);
            assert!(refused(&answers[0]), "{about}");
            assert!(status == 200 || answers.iter().all(refused), "{about}");
            let foreign = [PAGE, aws, cloudflare].contains(&body);
            match status {
                // An address that leads elsewhere, or something in front of the right one.
                200 | 404 => assert!(said[0].contains("BRAINGRID_API_URL"), "{about}"),
                501.. => assert!(said[0].contains("trying again may not help"), "{about}"),
                _ => {
                    let told = said
                        .iter()
                        .all(|said| said.contains("Not BrainGrid answered"));
                    assert_eq!(told, foreign, "{about}");
                }
            }
        }
    }
}

#[tokio::test]
async fn error_under_a_status_of_success_is_one() {
    for body in [
        r#"{"error":{"code":"quota_exceeded","message":"too many requirements"}}"#,
        r#"{"success":false,"message":"too many requirements"}"#,
        r#"{"status":"error","errorMessage":"too many requirements"}"#,
        "\u{feff}{\"errors\":[{\"message\":\"too many requirements\"}]}",
    ] {
        let answers = answers(200, JSON, body).await;
        for (answer, (tool, _)) in answers.iter().zip(calls()) {
            let said = text(answer);
            assert_eq!(answer.is_error, Some(true), "{tool}: {said}");
            assert!(said.contains("too many requirements"), "{tool}: {said}");
            assert_eq!(
                said.starts_with("Outcome unknown"),
                tool != "list_projects",
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn answers_that_are_cut_or_say_nothing_are_no_result_of_a_read() {
    for body in [
        "",
        "{\"projects\": [{\"id\": 1",
        "null",
        "\"ok\"",
        "7",
        "{}",
        "{\"status\":\"ok\"}",
    ] {
        let url = always(200, JSON, body).await;
        let client = client(&url, Tokens::new([token()])).await;
        let answer = client
            .call_tool(params("list_projects", json!({})))
            .await
            .unwrap();
        assert_eq!(answer.is_error, Some(true), "{body}: {}", text(&answer));
    }
}

#[tokio::test]
async fn write_that_is_answered_with_nothing_says_that_it_was_only_accepted() {
    for (status, body) in [
        (200, ""),
        (202, "{}"),
        (204, ""),
        (200, "null"),
        (200, "\"ok\""),
    ] {
        let url = always(status, JSON, body).await;
        let client = client(&url, Tokens::new([token()])).await;
        for (tool, arguments) in [
            (
                "create_requirement",
                json!({"project_id": 1, "message": "Let shoppers pay by invoice."}),
            ),
            (
                "capture_project_requirement",
                json!({"project_id": 1, "name": "Invoices", "content": "# Spec"}),
            ),
            (
                "create_project_task",
                json!({"project_id": 1, "requirement_id": 1, "title": "Invoices"}),
            ),
        ] {
            let answer = client.call_tool(params(tool, arguments)).await.unwrap();
            let said = text(&answer);
            assert_ne!(
                answer.is_error,
                Some(true),
                "{tool} {status} {body}: {said}"
            );
            assert!(
                said.contains("did not show it"),
                "{tool} {status} {body}: {said}"
            );
            assert!(!said.contains('?'), "{tool}: {said}");
        }
    }
}

#[tokio::test]
async fn byte_order_mark_and_a_wrong_content_type_hide_no_answer() {
    let body = "\u{feff}{\"data\":{\"projects\":[{\"shortId\":\"PROJ-7\",\"name\":\"Marked\"}],\"hasMore\":false}}";
    for content_type in [JSON, HTML] {
        let url = always(200, content_type, body).await;
        let client = client(&url, Tokens::new([token()])).await;
        let answer = client
            .call_tool(params("list_projects", json!({})))
            .await
            .unwrap();
        assert!(text(&answer).contains("PROJ-7 Marked"), "{}", text(&answer));
    }
}
