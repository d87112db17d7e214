//! An answer that takes long is begun before it is known: signs of life, then what would have come.

mod world;

use std::{sync::atomic::Ordering, time::Duration};

use mcp_test_support::client::{Generation, RawHttp};
use mcp_transport_http::Phase;
use serde_json::{Value, json};
use tokio::time::timeout;

use world::{Begun, LIMIT, World};

const BOTH: &str = "application/json, text/event-stream";

#[tokio::test]
async fn a_late_answer_is_an_event_after_signs_of_life() {
    for direct in [true, false] {
        let world = World::start(direct).await.unwrap();
        for generation in Generation::BOTH {
            for accept in [BOTH, "text/event-stream", "*/*"] {
                let call = world.call(generation, "wait").header("accept", accept);
                let mut begun = Begun::of(call).await;
                assert_eq!(begun.response.status(), 200);
                assert_eq!(begun.header("content-type"), "text/event-stream");
                assert_eq!(begun.header("cache-control"), "no-cache, no-transform");
                assert_eq!(begun.header("x-accel-buffering"), "no");
                assert_eq!(begun.header("x-request-id").len(), 36);
                begun.until(": waiting\n\n", 3).await;
                assert_eq!(world.status.in_flight(), 1);
                assert!(world.observed.lock().unwrap().is_empty());
                world.state.go_on.notify_one();
                let message = begun.message().await;
                assert_eq!(message["id"], 1);
                assert_eq!(message["result"]["content"][0]["text"], "waited");
                world.nothing_in_flight().await;
                let observed = std::mem::take(&mut *world.observed.lock().unwrap());
                assert_eq!(observed, [200]);
            }
        }
    }
}

#[tokio::test]
async fn a_client_without_events_gets_blanks_before_its_json() {
    for direct in [true, false] {
        let world = World::start(direct).await.unwrap();
        for generation in Generation::BOTH {
            for progress in [false, true] {
                let mut message =
                    generation.message(1, "tools/call", json!({"name": "wait", "arguments": {}}));
                if progress {
                    message["params"]["_meta"]["progressToken"] = "p".into();
                }
                let call = world.call(generation, "wait").body(message.to_string());
                let mut begun = Begun::of(call.header("accept", "application/json")).await;
                assert_eq!(begun.response.status(), 200);
                assert_eq!(begun.header("content-type"), "application/json");
                begun.until("\n", 3).await;
                world.state.go_on.notify_one();
                let answer: Value = serde_json::from_str(&begun.end().await).unwrap();
                assert_eq!(answer["result"]["content"][0]["text"], "waited");
            }
        }
    }
}

#[tokio::test]
async fn progress_that_begins_late_is_told_on_the_same_stream() {
    let world = World::start(true).await.unwrap();
    for generation in Generation::BOTH {
        let params = json!({"name": "wait", "arguments": {}, "_meta": {"progressToken": "p"}});
        let call = world.http.request(generation, "tools/call", params);
        let mut begun = Begun::of(call.bearer(&world.token)).await;
        begun.until(": waiting\n\n", 2).await;
        world.state.go_on.notify_one();
        let text = begun.end().await;
        let messages: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
            .collect();
        assert_eq!(messages.len(), 2, "{text}");
        assert_eq!(messages[0]["method"], "notifications/progress");
        assert_eq!(messages[1]["id"], 1);
    }
}

#[tokio::test]
async fn what_fails_late_is_an_error_in_the_stream_with_the_id_of_its_request() {
    for direct in [true, false] {
        let world = World::start(direct).await.unwrap();
        for generation in Generation::BOTH {
            for (tool, code) in [("refuse", -32602), ("lack", -32021), ("panic", -32603)] {
                // The SDK never answers a call whose handler panics.
                if tool == "panic" && !direct {
                    continue;
                }
                let mut begun = Begun::of(world.call(generation, tool)).await;
                begun.until(": waiting\n\n", 1).await;
                assert_eq!(begun.response.status(), 200);
                let id = begun.header("x-request-id").to_owned();
                world.state.go_on.notify_one();
                let message = begun.message().await;
                assert_eq!(message["error"]["code"], code, "{message:#}");
                assert_eq!(message["error"]["data"]["request_id"], id, "{message:#}");
                assert_eq!(message["id"], 1);
            }
        }
    }
}

#[tokio::test]
async fn hanging_up_a_begun_answer_cancels_in_the_modern_revision_and_in_no_older_one() {
    for direct in [true, false] {
        let world = World::start(direct).await.unwrap();
        for generation in Generation::BOTH {
            let mut begun = Begun::of(world.call(generation, "wait")).await;
            begun.until(": waiting\n\n", 1).await;
            drop(begun);
            world.nothing_in_flight().await;
            if generation == Generation::Legacy {
                world.state.go_on.notify_one();
            }
            world.state.ended.notified().await;
            let cancelled = world.state.was_cancelled.load(Ordering::SeqCst);
            assert_eq!(cancelled, generation == Generation::Modern);
        }
    }
}

#[tokio::test]
async fn hanging_up_after_progress_cancels_in_the_modern_revision_and_in_no_older_one() {
    let params = json!({"name": "tell", "arguments": {}, "_meta": {"progressToken": "p"}});
    for quiet in [0, 60].map(Duration::from_secs) {
        let world = World::quiet_for(quiet, true).await.unwrap();
        for generation in Generation::BOTH {
            for is_shown in [true, false] {
                let call = world.http.request(generation, "tools/call", params.clone());
                let call = call.bearer(&world.token);
                if is_shown {
                    let mut begun = Begun::of(call).await;
                    begun.until("notifications/progress", 1).await;
                    world.state.told.notified().await;
                } else {
                    let call = call.header("accept", "application/json");
                    let asking = tokio::spawn(async { Begun::of(call).await.end().await });
                    world.state.told.notified().await;
                    asking.abort();
                }
                world.no_connection().await;
                if generation == Generation::Legacy {
                    world.state.go_on.notify_one();
                }
                timeout(LIMIT, world.state.ended.notified()).await.unwrap();
                let cancelled = world.state.was_cancelled.load(Ordering::SeqCst);
                assert_eq!(cancelled, generation == Generation::Modern);
                // What it tells at its end is for nobody.
                if !cancelled {
                    timeout(LIMIT, world.state.told.notified()).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn a_stopping_server_ends_begun_answers_with_what_is_known() {
    for direct in [true, false] {
        let world = World::start(direct).await.unwrap();
        let mut calls = Vec::new();
        for generation in Generation::BOTH {
            let mut begun = Begun::of(world.call(generation, "wait")).await;
            begun.until(": waiting\n\n", 1).await;
            calls.push(begun);
        }
        world.phase.send(Phase::Answering).unwrap();
        for call in calls {
            let message = call.message().await;
            let text = message["error"]["message"].as_str().unwrap();
            assert!(text.starts_with("outcome unknown"), "{text}");
            assert_eq!(message["id"], 1);
        }
    }
}

/// Whose client wants the end alone is waiting for a stream to end.
#[tokio::test]
async fn a_stopping_server_ends_calls_that_have_told_of_their_progress() {
    let params = json!({"name": "tell", "arguments": {}, "_meta": {"progressToken": "p"}});
    for quiet in [Duration::ZERO, Duration::from_millis(200)] {
        let world = World::quiet_for(quiet, true).await.unwrap();
        let mut calls = Vec::new();
        for (version, is_batch) in [("2025-11-25", false), ("2025-03-26", true)] {
            let message = Generation::Legacy.message(1, "tools/call", params.clone());
            let body = if is_batch { json!([message]) } else { message };
            let call = world.call(Generation::Legacy, "tell");
            let call = call.header("mcp-protocol-version", version);
            let call = call.header("accept", "application/json");
            calls.push(Begun::of(call.body(body.to_string())).await);
            timeout(LIMIT, world.state.told.notified()).await.unwrap();
        }
        world.phase.send(Phase::Answering).unwrap();
        for call in calls {
            let answer: Value = serde_json::from_str(&call.end().await).unwrap();
            let answer = answer.get(0).unwrap_or(&answer);
            let text = answer["error"]["message"].as_str().unwrap();
            assert!(text.starts_with("outcome unknown"), "{text}");
            assert_eq!(answer["id"], 1);
        }
    }
}

#[tokio::test]
async fn a_begun_answer_is_finished_over_http_2_too() {
    let world = World::start(true).await.unwrap();
    // With prior knowledge: HTTP/2 without TLS.
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let url = format!("{}/mcp", world.url);
    let http = RawHttp::with_client(client.build().unwrap(), url);
    for generation in Generation::BOTH {
        let call = http.call(generation, "wait", &json!({}));
        let mut begun = Begun::of(call.bearer(&world.token)).await;
        assert_eq!(begun.response.version(), http::Version::HTTP_2);
        begun.until(": waiting\n\n", 2).await;
        world.state.go_on.notify_one();
        assert_eq!(begun.message().await["id"], 1);
        let mut left = Begun::of(
            http.call(generation, "wait", &json!({}))
                .bearer(&world.token),
        )
        .await;
        left.until(": waiting\n\n", 1).await;
        drop(left);
        world.nothing_in_flight().await;
        // A handler of an older revision still waits.
        world.state.go_on.notify_one();
        world.state.ended.notified().await;
    }
}

#[tokio::test]
async fn a_call_ends_although_its_client_reads_nothing_and_the_server_stops() {
    for direct in [true, false] {
        for generation in Generation::BOTH {
            let world = World::start(direct).await.unwrap();
            let client = reqwest::Client::builder().http2_prior_knowledge();
            // Not one byte of a body may be sent to it.
            let client = client.http2_initial_stream_window_size(0).build().unwrap();
            let http = RawHttp::with_client(client, format!("{}/mcp", world.url));
            let call = http.call(generation, "wait", &json!({}));
            let unread = Begun::of(call.bearer(&world.token)).await;
            world.state.go_on.notify_one();
            timeout(LIMIT, world.state.ended.notified()).await.unwrap();
            assert!(!world.state.was_cancelled.load(Ordering::SeqCst));
            assert_eq!(world.status.in_flight(), 1);
            for phase in [Phase::Draining, Phase::Answering, Phase::Closing] {
                world.phase.send(phase).unwrap();
            }
            let served = timeout(LIMIT, world.serving).await.unwrap();
            served.unwrap().unwrap();
            drop(unread);
        }
    }
}

#[tokio::test]
async fn a_late_batch_is_one_event_with_all_its_answers() {
    let world = World::start(true).await.unwrap();
    let call = |id: u64| {
        let params = json!({"name": "wait", "arguments": {}});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    };
    let batch = world.call(Generation::Legacy, "wait");
    let batch = batch.header("mcp-protocol-version", "2025-03-26");
    let batch = batch.body(json!([call(1), call(2)]).to_string());
    let mut begun = Begun::of(batch).await;
    for _ in 0..2 {
        let seen = begun.text.matches(": waiting\n\n").count();
        begun.until(": waiting\n\n", seen + 1).await;
        world.state.go_on.notify_one();
        world.state.ended.notified().await;
    }
    let answers = begun.message().await;
    assert_eq!(answers[0]["id"], 1);
    assert_eq!(answers[1]["result"]["content"][0]["text"], "waited");
}

#[tokio::test]
async fn the_body_of_a_request_is_counted_until_the_work_ends_that_its_client_has_left() {
    // Charged in steps, for three copies.
    const CHARGE: usize = 3 * 64 * 1024;
    let text = "x".repeat(20_000);
    for (direct, quiet) in [(true, 0), (true, 60), (false, 0), (false, 60)] {
        let quiet = Duration::from_secs(quiet);
        let world = World::quiet_for(quiet, direct).await.unwrap();
        let call = world
            .http
            .call(Generation::Legacy, "wait", &json!({"text": text}));
        let asking = tokio::spawn(call.bearer(&world.token).open());
        timeout(LIMIT, world.state.begun.notified()).await.unwrap();
        if quiet.is_zero() {
            drop(asking.await.unwrap().unwrap());
        } else {
            asking.abort();
        }
        world.no_connection().await;
        assert_eq!(world.status.memory().used, CHARGE);
        world.state.go_on.notify_one();
        let given_back = async {
            while world.status.memory().used > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, given_back).await.unwrap();
    }
}
