//! Who stands behind a call, in the audit log of a server that exchanges tokens: the user, the client, who
//! acts for the user at the API, and who did so before.

use std::path::Path;

use mcp_test_support::{ExchangeAnswer, ServerProcess, client::Generation};
use serde_json::{Value, json};

use crate::{
    audit::parsed,
    exchange::{CLIENT, command},
    world::{LIMIT, World, client_of, idea},
};

/// A token of this user, got by a client for an agent that acts for the user.
fn token(world: &World, subject: &str) -> String {
    let token = world.issuer.token().subject(subject);
    let token = token.organization("org_ada").claim("azp", "client_claude");
    token.claim("act", json!({"sub": "agent_7"})).mint()
}

async fn server(world: &World, path: &Path) -> ServerProcess {
    world.start(&command(world).env("AUDIT_LOG", path)).await
}

async fn write(server: &ServerProcess, token: &str, title: &str) -> u16 {
    let call = client_of(server).call(Generation::Modern, "create_requirement", &idea(title));
    call.bearer(token).send().await.unwrap().status.as_u16()
}

async fn records(mut server: ServerProcess, path: &Path) -> Vec<Value> {
    assert!(server.stop(LIMIT).await.unwrap().success());
    parsed(&std::fs::read_to_string(path).unwrap())
}

fn assert_named(record: &Value, subject: &str) {
    assert_eq!(record["subject"], subject, "{record}");
    assert_eq!(record["client"], "client_claude", "{record}");
    assert_eq!(record["organization"], "org_ada", "{record}");
}

#[tokio::test]
async fn a_write_names_its_user_its_client_and_who_acts_also_from_a_sealed_record() {
    let world = World::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let token = token(&world, "user_ada");
    for (instance, exchanged_here) in [("one", true), ("two", false)] {
        let path = folder.path().join(instance);
        let server = server(&world, &path).await;
        let title = format!("a rough idea of {instance}");
        assert_eq!(write(&server, &token, &title).await, 200);
        if exchanged_here {
            crate::sessions::stored_sessions(&world, 1).await;
            world.issuer.stop().await;
        }
        let records = records(server, &path).await;
        assert_eq!(records.len(), 2, "an intent and its end: {records:?}");
        for record in &records {
            assert_named(record, "user_ada");
            assert_eq!(record["actor"], json!({ "subject": CLIENT }), "{record}");
            let agent = json!({"subject": "agent_7"});
            assert_eq!(record["client_actor"], agent, "{record}");
        }
        assert!(!format!("{records:?}").contains(&token), "{records:?}");
    }
    assert_eq!(world.issuer.exchanges().entries().len(), 1);
}

#[tokio::test]
async fn whom_the_issuer_lets_go_no_further_is_named_and_a_stranger_is_not() {
    let world = World::small().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let server = server(&world, &path).await;
    let denied = json!({ "error": "access_denied" }).to_string();
    world
        .issuer
        .answer_exchanges(ExchangeAnswer::Fixed(400, denied));
    let good = token(&world, "user_bob");
    let (message, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{message}.c2lnbmF0dXJl");
    for (token, status) in [(&good, 403), (&good, 403), (&forged, 401)] {
        assert_eq!(write(&server, token, "an idea").await, status);
    }
    let records = records(server, &path).await;
    let [first, again, stranger] = records.as_slice() else {
        panic!("{records:?}");
    };
    for record in [first, again] {
        assert_eq!(record["outcome"], "upstream_denied", "{record}");
        assert_named(record, "user_bob");
    }
    assert_eq!(stranger["outcome"], "signature", "{stranger}");
    for name in ["subject", "client", "actor", "client_actor", "organization"] {
        assert!(stranger.get(name).is_none(), "{name}: {stranger}");
    }
}
