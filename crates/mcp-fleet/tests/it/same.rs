//! What is the same write, and what it is told when it comes again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mcp_fleet::{Begun, Journal, JournalConfig, WithoutStore, Write};
use mcp_session::{FactStore, Keyring, RedisConfig, RedisStore};
use mcp_test_support::RedisServer;
use tokio::{task::JoinSet, time};

use crate::world::{ADA, Fleet, IDEA, change, get, idea, kept, read_back, replay, send, two};

#[tokio::test(start_paused = true)]
async fn the_same_again_gets_the_first_answer_on_any_instance_until_the_window_is_over() {
    let (one, other) = two();
    send(&one, &idea()).await.done(Some("REQ-1"), true).await;
    for journal in [&one, &other] {
        let replay = replay(journal, &idea()).await;
        assert_eq!(replay.kept.as_deref(), Some("REQ-1"));
        assert!(!replay.joined);
    }
    assert_eq!(
        (get(&one.stats().replayed), get(&one.stats().joined)),
        (1, 0)
    );
    time::advance(Duration::from_mins(15)).await;
    send(&other, &idea()).await;
}

#[tokio::test]
async fn another_caller_tool_or_argument_is_another_write() {
    let (one, _) = two();
    send(&one, &idea()).await.done(None, true).await;
    let (bob, org) = (
        ["https://issuer.test", "bob", "org_1"],
        ["https://issuer.test", "ada", "org_2"],
    );
    // No two lists of parts run into one.
    let glued = ["https://issuer.test", "adaorg_1", ""];
    for write in [
        Write::new(&bob, "create", IDEA),
        Write::new(&org, "create", IDEA),
        Write::new(&glued, "create", IDEA),
        Write::new(ADA, "capture", IDEA),
        Write::new(ADA, "create", b"{}"),
    ] {
        send(&one, &write).await;
    }
}

#[tokio::test]
async fn a_change_there_and_back_is_as_many_changes() {
    let (one, other) = two();
    send(&one, &change()).await.done(Some("B"), true).await;
    send(&other, &change())
        .await
        .done(Some("B again"), true)
        .await;
    // Unless the client says that it means the same one.
    let keyed = Write {
        key: Some("k-1"),
        ..change()
    };
    send(&one, &keyed).await.done(Some("B"), true).await;
    assert_eq!(replay(&other, &keyed).await.kept.as_deref(), Some("B"));
}

#[tokio::test]
async fn a_key_stands_for_one_write_of_one_caller() {
    let (one, other) = two();
    let keyed = Write {
        key: Some("k-1"),
        ..idea()
    };
    send(&one, &keyed).await.done(Some("REQ-1"), true).await;
    for write in [
        Write {
            arguments: b"{}",
            ..keyed
        },
        Write {
            tool: "capture",
            ..keyed
        },
    ] {
        let begun = other.begin(&write).await.unwrap();
        assert!(matches!(begun, Begun::KeyReused), "{begun:?}");
    }
    let bob = ["https://issuer.test", "bob", "org_1"];
    send(
        &other,
        &Write {
            caller: &bob,
            ..keyed
        },
    )
    .await;
    send(
        &other,
        &Write {
            key: Some("k-2"),
            ..keyed
        },
    )
    .await;
}

#[tokio::test]
async fn what_was_surely_not_done_may_be_tried_again_at_once() {
    let (one, other) = two();
    send(&one, &idea()).await.release().await;
    send(&other, &idea()).await;
}

#[tokio::test]
async fn of_many_one_sends() {
    let server = RedisServer::start().await.unwrap();
    let keyring = Arc::new(Keyring::random());
    let sent = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let config = RedisConfig::parse(&server.url()).unwrap();
        let store: Arc<dyn FactStore> = Arc::new(RedisStore::new(config).unwrap());
        let journal = Journal::shared(store, Arc::clone(&keyring), JournalConfig::default());
        for _ in 0..4 {
            let (journal, sent) = (journal.clone(), Arc::clone(&sent));
            all.spawn(async move {
                match journal.begin(&idea()).await.unwrap() {
                    Begun::Send(intent) => {
                        sent.fetch_add(1, Ordering::SeqCst);
                        intent.done(Some("REQ-1"), true).await;
                    }
                    Begun::Replay(replay) => assert_eq!(replay.kept.as_deref(), Some("REQ-1")),
                    other => panic!("{other:?}"),
                }
            });
        }
    }
    all.join_all().await;
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    let kept = server.keys_and_values().await.unwrap();
    assert_eq!(kept.len(), 1);
    for (name, value) in kept {
        let shown = format!("{name} {}", String::from_utf8_lossy(&value));
        assert!(
            !shown.contains("REQ-1") && !shown.contains("ada"),
            "sealed, under a keyed name"
        );
    }
}

#[tokio::test]
async fn a_journalled_write_takes_two_commands_of_the_store() {
    let server = RedisServer::start().await.unwrap();
    let config = RedisConfig::parse(&server.url()).unwrap();
    let store: Arc<dyn FactStore> = Arc::new(RedisStore::new(config).unwrap());
    let journal = Journal::shared(store, Arc::new(Keyring::random()), JournalConfig::default());
    send(&journal, &idea())
        .await
        .done(Some("REQ-1"), true)
        .await;
    let sent = server.commandstats().await.unwrap();
    assert_eq!(sent.get("eval"), Some(&2), "{sent:?}");
}

#[tokio::test]
async fn a_long_answer_is_not_kept_but_that_it_was_done_is() {
    let (one, _) = two();
    // The second one is long where it is kept.
    for (n, long) in ["x".repeat(9_000), "\"".repeat(5_000)].iter().enumerate() {
        let arguments = n.to_string();
        let write = Write::new(ADA, "create", arguments.as_bytes());
        send(&one, &write).await.done(Some(long), true).await;
        assert_eq!(replay(&one, &write).await.kept, None);
    }
}

#[tokio::test]
async fn a_key_and_arguments_that_are_the_same_text_are_two_writes() {
    let (one, _) = two();
    let keyed = Write {
        caller: &["i", "s", "same"],
        key: Some("k"),
        arguments: b"k",
        ..idea()
    };
    send(&one, &keyed).await.done(Some("keyed"), true).await;
    let same = Write {
        caller: &["i", "s"],
        tool: "key",
        key: None,
        ..keyed
    };
    send(&one, &same).await;
}

#[tokio::test]
async fn an_empty_key_is_none() {
    let (one, other) = two();
    let empty = Write {
        key: Some(""),
        ..idea()
    };
    send(&one, &empty).await.done(Some("REQ-1"), true).await;
    assert_eq!(kept(&other, &idea()).await, "REQ-1");
    let another = Write {
        arguments: b"{}",
        ..empty
    };
    send(&other, &another).await;
}

#[tokio::test]
async fn a_change_whose_client_was_gone_is_read_back_before_it_is_done_again() {
    let (one, other) = two();
    send(&one, &change()).await.done(Some("B"), false).await;
    let found = read_back(&other, &change()).await;
    assert!(found.settled, "it was done");
    assert!(!found.intent.may_send());
    // Nobody could look.
    found.intent.release().await;
    let mut found = read_back(&one, &change()).await;
    assert!(found.settled);
    assert!(found.intent.send_again().await);
    assert!(found.intent.may_send());
    found.intent.done(Some("B again"), false).await;
    read_back(&other, &change())
        .await
        .intent
        .resolved(Some("B"), true)
        .await;
    send(&one, &change()).await;
}

#[tokio::test]
async fn what_was_undone_is_made_anew_unless_it_was_made_anew_before() {
    let (one, other) = two();
    send(&one, &idea()).await.done(Some("REQ-1"), true).await;
    let old = replay(&other, &idea()).await.version;
    other.forget(&idea(), old).await;
    send(&one, &idea()).await.done(Some("REQ-2"), true).await;
    other.forget(&idea(), old).await;
    assert_eq!(kept(&other, &idea()).await, "REQ-2");
}

#[tokio::test]
async fn what_is_shown_of_a_write_has_nothing_of_its_caller_or_content() {
    let (one, _) = two();
    let write = Write {
        key: Some("s3cret"),
        ..idea()
    };
    send(&one, &write).await.done(Some("REQ-1"), true).await;
    let shown = format!("{write:?} {:?} {one:?}", one.begin(&write).await);
    for hidden in ["ada", "an idea", "s3cret", "REQ-1"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_remembered_for_who_waited_only_unless_its_client_was_gone() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let (one, way) = fleet.instance();
    for (answered, is_kept) in [(true, false), (false, true)] {
        send(&one, &change()).await.done(Some("B"), answered).await;
        time::advance(Duration::from_secs(61)).await;
        let fact = fleet.store.read(&way.last_name()).await.unwrap();
        assert_eq!(fact.is_some(), is_kept);
    }
}

#[tokio::test(start_paused = true)]
async fn settings_of_nothing_and_of_ages_do_no_harm() {
    for far in [Duration::ZERO, Duration::MAX] {
        let mut config = JournalConfig::default();
        (config.window, config.beat, config.skew) = (far, far, far);
        let journal = Journal::in_process(Arc::new(Keyring::random()), config);
        let write = Write {
            timeout: far,
            ..idea()
        };
        send(&journal, &write).await.unclear().await;
        let found = read_back(&journal, &write).await;
        found.intent.done(None, true).await;
    }
}
