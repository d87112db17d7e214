//! Settings of tenants on several instances: news, what was missed, who was faster, an emptied store,
//! rotation, and what another version of the program wrote.

use std::{sync::Arc, time::Duration};

use mcp_fleet::{TenantError, TenantNews, TenantRecord, Tenants};
use mcp_session::{
    FactStore, Keyring, MemoryFacts, MemoryStore, RedisConfig, RedisStore, SharedStore, StoreError,
};
use mcp_test_support::RedisServer;
use serde_json::{Value, json};

use crate::world::Way;

const PATIENCE: Duration = Duration::from_secs(2);

/// A key that repeats no byte.
fn hex(number: u8) -> String {
    format!("{number:02x}").repeat(31) + "ff"
}

fn keyring(current: u8, previous: &[u8]) -> Arc<Keyring> {
    let previous: Vec<_> = previous.iter().map(|it| hex(*it)).collect();
    let previous: Vec<_> = previous.iter().map(String::as_str).collect();
    Arc::new(Keyring::from_hex(&hex(current), &previous).unwrap())
}

/// What is asked for with each call: the word in the settings.
#[derive(Debug, PartialEq, Eq)]
struct Word(String);

fn make(_: &str, settings: &Value) -> Result<Word, String> {
    match settings["word"].as_str() {
        Some(word) if word != "newer" => Ok(Word(word.to_owned())),
        _ => Err("there is no word".to_owned()),
    }
}

fn word(tenants: &Tenants<Word>, tenant: &str) -> Option<String> {
    tenants.get(tenant).map(|word| word.0.clone())
}

/// What instances share, each with its own way there.
#[derive(Default)]
struct Shared {
    store: Arc<MemoryFacts>,
    news: Arc<MemoryStore>,
}

struct Instance {
    tenants: Tenants<Word>,
    way: Arc<Way>,
    _news: TenantNews,
}

impl Shared {
    async fn with(&self, keyring: Arc<Keyring>, way: Arc<Way>) -> Instance {
        let news = Arc::clone(&self.news) as Arc<dyn SharedStore>;
        let facts = Arc::clone(&way) as Arc<dyn FactStore>;
        let tenants = Tenants::shared(facts, news, keyring, make);
        let news = tenants.listen(PATIENCE).await;
        Instance {
            tenants,
            way,
            _news: news,
        }
    }

    async fn instance(&self) -> Instance {
        self.with(keyring(7, &[]), Way::to(&self.store)).await
    }
}

impl Instance {
    async fn put(&self, seen: u64, word: &str) -> Result<TenantRecord, TenantError> {
        self.tenants
            .put("org_1", seen, Some(json!({"word": word})))
            .await
    }

    /// Waits, on paused time, until it knows this word.
    async fn knows(&self, expected: Option<&str>) {
        let known = async {
            while word(&self.tenants, "org_1").as_deref() != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let known = tokio::time::timeout(Duration::from_mins(3), known).await;
        let found = word(&self.tenants, "org_1");
        assert!(known.is_ok(), "it knows {found:?} and not {expected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_holds_at_once_here_and_at_all_others_who_hear_of_it() {
    let shared = Shared::default();
    let (one, other) = (shared.instance().await, shared.instance().await);
    assert_eq!(word(&one.tenants, "org_1"), None);
    let record = one.put(0, "a").await.unwrap();
    assert_eq!(record.version, 1);
    assert_eq!(word(&one.tenants, "org_1").as_deref(), Some("a"));
    other.knows(Some("a")).await;
    assert_eq!(other.tenants.record("org_1"), Some(record));
    // Of another nothing was said.
    assert_eq!(word(&other.tenants, "org_2"), None);
    let record = other.put(1, "b").await.unwrap();
    assert_eq!(record.version, 2);
    one.knows(Some("b")).await;
    // Taken back, it is as if nothing had been said, but for the version.
    one.tenants.put("org_1", 2, None).await.unwrap();
    other.knows(None).await;
    assert_eq!(other.tenants.record("org_1").unwrap().version, 3);
    assert_eq!(
        other.put(0, "c").await.unwrap_err().to_string(),
        "the settings were changed meanwhile: their version is 3"
    );
    assert_eq!(other.put(3, "c").await.unwrap().version, 4);
    let all = other.tenants.all();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].1.settings.as_deref(), Some(&json!({"word": "c"})));
}

#[tokio::test(start_paused = true)]
async fn of_two_who_saw_the_same_one_looks_again() {
    let shared = Shared::default();
    let (one, other) = (shared.instance().await, shared.instance().await);
    let (first, second) = tokio::join!(one.put(0, "a"), other.put(0, "b"));
    let (won, lost) = match (first, second) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        both => panic!("{both:?}"),
    };
    assert_eq!(lost, TenantError::Changed(Some(won.clone())));
    // Whoever lost knows it now, without having heard of it.
    assert_eq!(one.tenants.record("org_1"), Some(won.clone()));
    assert_eq!(other.tenants.record("org_1"), Some(won));
}

#[tokio::test(start_paused = true)]
async fn many_changes_at_once_are_all_kept() {
    let shared = Shared::default();
    let instances = [shared.instance().await, shared.instance().await];
    let changes = (0..300).map(|number: usize| {
        let tenants = instances[number % 2].tenants.clone();
        async move {
            let settings = json!({"word": number.to_string()});
            tenants
                .put(&format!("org_{number}"), 0, Some(settings))
                .await
        }
    });
    for changed in futures::future::join_all(changes).await {
        assert_eq!(changed.unwrap().version, 1);
    }
    let third = shared.instance().await;
    for number in 0..300 {
        let known = word(&third.tenants, &format!("org_{number}"));
        assert_eq!(known, Some(number.to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_store_what_was_known_holds_and_nothing_is_changed() {
    let shared = Shared::default();
    let (one, other) = (shared.instance().await, shared.instance().await);
    one.put(0, "a").await.unwrap();
    other.knows(Some("a")).await;
    one.way.cut();
    let refused = one.put(1, "b").await.unwrap_err();
    assert_eq!(refused, TenantError::Store(StoreError::Timeout));
    assert_eq!(word(&one.tenants, "org_1").as_deref(), Some("a"));
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(word(&one.tenants, "org_1").as_deref(), Some("a"));
    // Who begins without it waits a moment for it, and goes on without.
    let way = Way::to(&shared.store);
    way.cut();
    let late = shared.with(keyring(7, &[]), way).await;
    assert_eq!(word(&late.tenants, "org_1"), None);
    late.way.mend();
    late.knows(Some("a")).await;
}

#[tokio::test(start_paused = true)]
async fn news_that_nobody_heard_are_read() {
    let shared = Shared::default();
    let one = shared.instance().await;
    // Another deaf one, with a channel of its own.
    let deaf = Shared {
        store: Arc::clone(&shared.store),
        news: Arc::default(),
    };
    let other = deaf.instance().await;
    one.put(0, "a").await.unwrap();
    other.knows(Some("a")).await;
}

#[tokio::test(start_paused = true)]
async fn an_emptied_store_changes_nothing_and_is_filled_again() {
    let shared = Shared::default();
    let one = shared.instance().await;
    one.put(0, "a").await.unwrap();
    one.put(1, "b").await.unwrap();
    for number in 0..128 {
        for name in keyring(7, &[]).names("tenants", &[number.to_string().as_bytes()]) {
            shared.store.take(&name).await.unwrap();
        }
    }
    let new = shared.instance().await;
    assert_eq!(
        word(&new.tenants, "org_1"),
        None,
        "there is nothing in the store"
    );
    new.knows(Some("b")).await;
    drop(one);
    let third = shared.instance().await;
    assert_eq!(word(&third.tenants, "org_1").as_deref(), Some("b"));
    assert_eq!(third.put(2, "c").await.unwrap().version, 3);
}

#[tokio::test(start_paused = true)]
async fn keys_may_be_turned_under_it() {
    let shared = Shared::default();
    let before = shared.instance().await;
    before.put(0, "a").await.unwrap();
    let way = || Way::to(&shared.store);
    let after = shared.with(keyring(8, &[7]), way()).await;
    assert_eq!(word(&after.tenants, "org_1").as_deref(), Some("a"));
    after.put(1, "b").await.unwrap();
    // Instances of before read it under the new key only when they are replaced; then the old key may go.
    let last = shared.with(keyring(8, &[]), way()).await;
    assert_eq!(word(&last.tenants, "org_1").as_deref(), Some("b"));
    let strange = shared.with(keyring(9, &[]), way()).await;
    assert_eq!(word(&strange.tenants, "org_1"), None, "another deployment");
}

#[tokio::test(start_paused = true)]
async fn what_another_version_wrote_is_kept_and_what_means_nothing_changes_nothing() {
    let shared = Shared::default();
    let (one, other) = (shared.instance().await, shared.instance().await);
    let settings = json!({"word": "a", "of_tomorrow": [1, {"x": null}]});
    one.tenants
        .put("org_1", 0, Some(settings.clone()))
        .await
        .unwrap();
    other.knows(Some("a")).await;
    // Another tenant of the same bucket is changed by one who does not know all of it.
    let same = (2..).map(|number| format!("org_{number}"));
    for tenant in same.take(300) {
        other
            .tenants
            .put(&tenant, 0, Some(json!({"word": "x"})))
            .await
            .unwrap();
    }
    let third = shared.instance().await;
    assert_eq!(
        third.tenants.record("org_1").unwrap().settings.as_deref(),
        Some(&settings)
    );

    let refused = one.put(1, "newer").await.unwrap_err();
    assert_eq!(refused, TenantError::Refused("there is no word".to_owned()));
    let long = one.put(1, &"a".repeat(5_000)).await.unwrap_err();
    assert!(long.to_string().contains("4096 bytes"), "{long}");
    // As an instance of tomorrow may write it.
    let facts = Arc::clone(&shared.store) as Arc<dyn FactStore>;
    let news = Arc::clone(&shared.news) as Arc<dyn SharedStore>;
    let newer = Tenants::shared(facts, news, keyring(7, &[]), |_, _| Ok(()));
    let _heard = newer.listen(PATIENCE).await;
    newer
        .put("org_1", 1, Some(json!({"word": "newer"})))
        .await
        .unwrap();
    while one.tenants.record("org_1").unwrap().version < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        word(&one.tenants, "org_1").as_deref(),
        Some("a"),
        "what was known goes on"
    );
}

#[tokio::test]
async fn over_redis_news_are_heard_and_nothing_stands_there_in_the_clear() {
    let redis = RedisServer::start().await.unwrap();
    let instance = async || {
        let store = RedisStore::new(RedisConfig::parse(&redis.url()).unwrap()).unwrap();
        let facts = Arc::new(store.clone()) as Arc<dyn FactStore>;
        let tenants = Tenants::shared(facts, Arc::new(store), keyring(7, &[]), make);
        let news = tenants.listen(PATIENCE).await;
        (tenants, news)
    };
    let ((one, _one), (other, _other)) = (instance().await, instance().await);
    let settings = json!({"word": "sesame"});
    one.put("org_secret", 0, Some(settings)).await.unwrap();
    let heard = async {
        while word(&other, "org_secret").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard)
        .await
        .unwrap();
    let kept = redis.keys_and_values().await.unwrap();
    assert!(!kept.is_empty());
    for (key, value) in &kept {
        let all = format!("{key}{}", String::from_utf8_lossy(value));
        assert!(
            !all.contains("sesame") && !all.contains("org_secret"),
            "{all}"
        );
    }
    // What is known costs nothing to ask for.
    redis.reset_stats().await.unwrap();
    for _ in 0..1_000 {
        assert_eq!(word(&other, "org_secret").as_deref(), Some("sesame"));
    }
    assert!(redis.commandstats().await.unwrap().is_empty());
}
