//! Denials on several instances: news, what was missed, an emptied store, lifted suspensions, rotation.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use mcp_fleet::{Asked, Cause, Denial, Denials, Denies, Whom};
use mcp_session::{
    FactStore, Heard, Keyring, MemoryFacts, MemoryStore, RedisConfig, RedisStore, SharedStore,
    StoreError,
};
use mcp_test_support::RedisServer;

use crate::world::{Fault, Way};

const ISSUER: &str = "https://issuer.test";
const LONGEST: Duration = Duration::from_hours(31 * 24);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH
        + Duration::from_secs(
            SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        )
}

fn user(subject: &str) -> Whom {
    Whom::User {
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
    }
}

fn denial(whom: Whom, denies: Denies) -> Denial {
    Denial {
        whom,
        denies,
        cause: Cause::Operator,
        said_at: SystemTime::now(),
    }
}

fn token(subject: &str, issued_at: SystemTime) -> Asked<'_> {
    Asked {
        issuer: ISSUER,
        subject,
        organization: Some("org_1"),
        client: Some("client_1"),
        token_id: Some("token_1"),
        issued_at: Some(issued_at),
    }
}

/// A key that repeats no byte.
fn hex(number: u8) -> String {
    format!("{number:02x}").repeat(31) + "ff"
}

fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::from_hex(&hex(7), &[]).unwrap())
}

/// What instances share.
struct Shared {
    facts: Arc<MemoryFacts>,
    news: Arc<MemoryStore>,
}

impl Shared {
    fn new() -> Self {
        Self {
            facts: Arc::default(),
            news: Arc::default(),
        }
    }

    fn instance(&self) -> Denials {
        let facts = Arc::clone(&self.facts) as Arc<dyn FactStore>;
        Denials::shared(facts, Arc::clone(&self.news) as _, keyring(), LONGEST)
    }
}

/// Waits for what is bound to happen; time stands still where it is paused.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not seen: {what}");
}

#[tokio::test]
async fn a_sign_out_refuses_what_was_issued_until_then_and_nothing_else() {
    let denials = Denials::in_process(keyring(), LONGEST);
    let at = now();
    let before = at - Duration::from_mins(1);
    let after = at + Duration::from_secs(1);
    assert_eq!(denials.check(&token("ada", before)), None);
    denials
        .deny(denial(user("ada"), Denies::Before(at)))
        .await
        .unwrap();

    let refusal = denials.check(&token("ada", before)).unwrap();
    assert_eq!(
        (refusal.cause, refusal.unclear_until),
        (Cause::Operator, None)
    );
    assert!(
        denials.check(&token("ada", at)).is_some(),
        "issued at that very moment"
    );
    assert_eq!(denials.check(&token("ada", after)), None, "a new login");
    assert_eq!(denials.check(&token("bob", before)), None, "somebody else");
    let elsewhere = Asked {
        issuer: "https://other.test",
        ..token("ada", before)
    };
    assert_eq!(
        denials.check(&elsewhere),
        None,
        "the same name at another issuer"
    );
    let silent = Asked {
        issued_at: None,
        ..token("ada", before)
    };
    assert_eq!(
        denials.check(&silent).unwrap().unclear_until,
        Some(at),
        "no time of issue"
    );

    // An earlier one takes nothing back.
    denials
        .deny(denial(
            user("ada"),
            Denies::Before(before - Duration::from_secs(9)),
        ))
        .await
        .unwrap();
    assert!(denials.check(&token("ada", before)).is_some());
}

#[tokio::test]
async fn each_kind_of_denial_is_about_just_that() {
    let old = now() - Duration::from_mins(1);
    let member = |organization: &str| Whom::Member {
        issuer: ISSUER.to_owned(),
        subject: "ada".to_owned(),
        organization: organization.to_owned(),
    };
    let client = |client: &str| Whom::Client {
        issuer: ISSUER.to_owned(),
        client: client.to_owned(),
    };
    let id = |id: &str| Whom::Token {
        issuer: ISSUER.to_owned(),
        id: id.to_owned(),
    };
    for (whom, meant) in [
        (user("ada"), true),
        (user("bob"), false),
        (member("org_1"), true),
        (member("org_2"), false),
        (Whom::Organization("org_1".to_owned()), true),
        (Whom::Organization("org_2".to_owned()), false),
        (client("client_1"), true),
        (client("client_2"), false),
        (id("token_1"), true),
        (id("token_2"), false),
        (Whom::Issuer(ISSUER.to_owned()), true),
        (Whom::Issuer("https://other.test".to_owned()), false),
    ] {
        for denies in [Denies::Before(now()), Denies::UntilLifted] {
            let denials = Denials::in_process(keyring(), LONGEST);
            denials.deny(denial(whom.clone(), denies)).await.unwrap();
            let refused = denials.check(&token("ada", old)).is_some();
            assert_eq!(refused, meant, "{whom:?} {denies:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspension_holds_everywhere_until_it_is_lifted_everywhere() {
    let shared = Shared::new();
    let instances = [shared.instance(), shared.instance(), shared.instance()];
    let _listening: Vec<_> = instances.iter().map(Denials::listen).collect();
    until("all have read", || {
        instances.iter().all(|it| it.status().age.is_some())
    })
    .await;
    let new = now() + Duration::from_mins(1);
    let whom = || Whom::Organization("org_1".to_owned());

    instances[0]
        .deny(denial(whom(), Denies::UntilLifted))
        .await
        .unwrap();
    until("all refuse", || {
        instances
            .iter()
            .all(|it| it.check(&token("ada", new)).is_some())
    })
    .await;

    tokio::time::advance(Duration::from_secs(1)).await;
    let mut lifted = denial(whom(), Denies::Nothing);
    lifted.said_at += Duration::from_secs(1);
    instances[1].deny(lifted).await.unwrap();
    until("none refuses", || {
        instances
            .iter()
            .all(|it| it.check(&token("ada", new)).is_none())
    })
    .await;
    assert!(instances.iter().all(|it| it.status().known == 0));

    // Who comes later finds it lifted, too.
    let late = shared.instance();
    let _late = late.listen();
    until("it has read", || late.status().age.is_some()).await;
    assert_eq!(late.check(&token("ada", new)), None);
}

#[tokio::test(start_paused = true)]
async fn emptying_the_store_lets_nobody_in() {
    let mut shared = Shared::new();
    let (one, two) = (shared.instance(), shared.instance());
    let listening = [one.listen(), two.listen()];
    until("both have read", || {
        one.status().age.is_some() && two.status().age.is_some()
    })
    .await;
    let subjects: Vec<String> = (0..1_000).map(|number| format!("user_{number}")).collect();
    let old = now() - Duration::from_mins(1);
    for subject in &subjects {
        one.deny(denial(user(subject), Denies::Before(now())))
            .await
            .unwrap();
    }
    until("the other knows all", || two.status().known == 1_000).await;

    for set in 0..16_u8 {
        let names = keyring().names("denials", &[set.to_string().as_bytes()]);
        for (member, _) in shared.facts.members(&names[0]).await.unwrap() {
            shared.facts.remove(&names[0], &member).await.unwrap();
        }
    }
    let served = |denials: &Denials| {
        subjects
            .iter()
            .filter(|subject| denials.check(&token(subject, old)).is_none())
            .count()
    };
    assert_eq!(
        (served(&one), served(&two)),
        (0, 0),
        "before they have read again"
    );
    // It is written back, so that a new instance knows it too, though these end.
    tokio::time::advance(Duration::from_secs(61)).await;
    let late = shared.instance();
    let _late = late.listen();
    until("a new one knows all", || late.status().known == 1_000).await;
    drop(listening);
    assert_eq!(served(&late), 0);
    shared.news = Arc::default();
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_holds_here_and_is_written_later() {
    let way = Arc::new(Way::default());
    let news = Arc::new(MemoryStore::default());
    let instance = || {
        let facts = Arc::clone(&way) as Arc<dyn FactStore>;
        Denials::shared(facts, Arc::clone(&news) as _, keyring(), LONGEST)
    };
    let one = instance();
    let _one = one.listen();
    until("it has read", || one.status().age.is_some()).await;
    let old = now() - Duration::from_mins(1);
    way.cut();
    one.deny(denial(user("ada"), Denies::Before(now())))
        .await
        .unwrap_err();
    assert!(one.check(&token("ada", old)).is_some());
    way.mend();

    let two = instance();
    let _two = two.listen();
    until("the other knows", || {
        two.check(&token("ada", old)).is_some()
    })
    .await;
}

#[tokio::test]
async fn a_denial_is_known_after_the_keys_were_turned() {
    let shared = Shared::new();
    shared
        .instance()
        .deny(denial(user("ada"), Denies::Before(now())))
        .await
        .unwrap();
    let turned = Arc::new(Keyring::from_hex(&hex(8), &[&hex(7)]).unwrap());
    let facts = Arc::clone(&shared.facts) as Arc<dyn FactStore>;
    let denials = Denials::shared(facts, Arc::clone(&shared.news) as _, turned, LONGEST);
    let _listening = denials.listen();
    let old = now() - Duration::from_mins(1);
    until("it is known", || {
        denials.check(&token("ada", old)).is_some()
    })
    .await;
}

#[tokio::test]
async fn what_was_denied_under_a_previous_key_outlives_that_key() {
    let shared = Shared::new();
    let instance = |keys: (u8, &[u8])| {
        let previous: Vec<_> = keys.1.iter().map(|key| hex(*key)).collect();
        let previous: Vec<_> = previous.iter().map(String::as_str).collect();
        let keyring = Arc::new(Keyring::from_hex(&hex(keys.0), &previous).unwrap());
        let facts = Arc::clone(&shared.facts) as Arc<dyn FactStore>;
        Denials::shared(facts, Arc::clone(&shared.news) as _, keyring, LONGEST)
    };
    let first = instance((7, &[]));
    for (subject, denies) in [
        ("ada", Denies::UntilLifted),
        ("bob", Denies::UntilLifted),
        ("cy", Denies::Before(now())),
    ] {
        first.deny(denial(user(subject), denies)).await.unwrap();
    }
    let turned = instance((8, &[7]));
    turned.read_within(Duration::from_mins(1)).await;
    turned
        .deny(denial(user("bob"), Denies::Nothing))
        .await
        .unwrap();
    // The old key is gone.
    let later = instance((8, &[]));
    later.read_within(Duration::from_mins(1)).await;
    let old = now() - Duration::from_mins(1);
    assert!(later.check(&token("ada", old)).is_some());
    assert_eq!(later.check(&token("bob", old)), None, "lifted");
    assert!(later.check(&token("cy", old)).is_some());
    // It was lifted under every key.
    let before = instance((7, &[]));
    before.read_within(Duration::from_mins(1)).await;
    assert_eq!(before.check(&token("bob", old)), None);
    assert!(before.check(&token("ada", old)).is_some());
}

#[tokio::test]
async fn whoever_is_signed_out_often_does_not_fill_the_index() {
    let shared = Shared::new();
    let one = shared.instance();
    let first = now() - Duration::from_mins(1);
    let mut sizes = Vec::new();
    for second in 0..40 {
        let denies = Denies::Before(first + Duration::from_secs(second));
        one.deny(denial(user("ada"), denies)).await.unwrap();
        sizes.push(shared.facts.bytes());
    }
    assert!(sizes[39] > 20 * sizes[0], "{sizes:?}");
    one.read_within(Duration::from_mins(1)).await;
    assert_eq!(shared.facts.bytes(), sizes[0]);
    let other = shared.instance();
    other.read_within(Duration::from_mins(1)).await;
    let last = first + Duration::from_secs(39);
    assert!(other.check(&token("ada", last)).is_some());
}

#[tokio::test]
async fn of_two_words_of_operators_the_later_counts_whatever_their_clocks() {
    let denials = Denials::in_process(keyring(), LONGEST);
    let ahead = SystemTime::now() + Duration::from_hours(1);
    let said = |denies, said_at| Denial {
        said_at,
        ..denial(user("ada"), denies)
    };
    let old = now() - Duration::from_mins(1);
    denials.deny(said(Denies::Nothing, ahead)).await.unwrap();
    let now = SystemTime::now();
    denials.deny(said(Denies::UntilLifted, now)).await.unwrap();
    assert!(denials.check(&token("ada", old)).is_some());
    denials.deny(said(Denies::Nothing, now)).await.unwrap();
    assert_eq!(denials.check(&token("ada", old)), None);
}

/// Takes everything, and tells nobody while it is mute.
#[derive(Default)]
struct Mute {
    news: MemoryStore,
    is_mute: AtomicBool,
}

#[async_trait]
impl SharedStore for Mute {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.news.get(key).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        self.news.put(key, value, ttl).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.news.delete(key).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.news.ping().await
    }

    async fn publish(&self, channel: &'static str, message: Vec<u8>) -> Result<(), StoreError> {
        if self.is_mute.load(Ordering::Relaxed) {
            return Err(StoreError::Timeout);
        }
        self.news.publish(channel, message).await
    }

    fn listen(&self, channel: &'static str) -> BoxStream<'static, Heard> {
        self.news.listen(channel)
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_others_could_not_be_told_is_told_again_and_not_left_to_their_next_reading() {
    let (way, news) = (Arc::new(Way::default()), Arc::new(Mute::default()));
    let instance = || {
        let facts = Arc::clone(&way) as Arc<dyn FactStore>;
        Denials::shared(facts, Arc::clone(&news) as _, keyring(), LONGEST)
    };
    let (one, two) = (instance(), instance());
    let _listening = [one.listen(), two.listen()];
    until("both have read", || {
        one.status().age.is_some() && two.status().age.is_some()
    })
    .await;
    let old = now() - Duration::from_mins(1);
    let deny = async |subject| {
        let told = one.deny(denial(user(subject), Denies::UntilLifted)).await;
        assert_eq!(told, Err(StoreError::Timeout), "the index has it");
    };
    way.next([Some(Fault::Lose)]);
    deny("ada").await;
    news.is_mute.store(true, Ordering::Relaxed);
    deny("bob").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(two.check(&token("bob", old)), None);
    news.is_mute.store(false, Ordering::Relaxed);
    until("the other heard", || {
        let knows = |subject| two.check(&token(subject, old)).is_some();
        knows("ada") && knows("bob")
    })
    .await;
    // By the paused clock.
    let read_ago = two.status().age.unwrap();
    assert!(
        read_ago > Duration::from_secs(5),
        "it read the index itself"
    );
}

#[tokio::test]
async fn one_that_the_store_cannot_take_keeps_no_other_out_of_it() {
    let shared = Shared::new();
    let one = shared.instance();
    let old = now() - Duration::from_mins(1);
    let huge = "x".repeat(8 * 1024);
    let refused = one.deny(denial(user(&huge), Denies::UntilLifted)).await;
    assert_eq!(refused, Err(StoreError::Full));
    assert!(one.check(&token(&huge, old)).is_some(), "it holds here");
    let long = "y".repeat(1024);
    for subject in ["ada", &long] {
        one.deny(denial(user(subject), Denies::UntilLifted))
            .await
            .unwrap();
    }
    one.read_within(Duration::from_mins(1)).await;
    let other = shared.instance();
    other.read_within(Duration::from_mins(1)).await;
    for subject in ["ada", &long] {
        assert!(other.check(&token(subject, old)).is_some());
    }
}

#[tokio::test]
async fn over_redis_others_hear_of_it_and_a_flush_takes_nothing_back() {
    let mut server = RedisServer::start().await.unwrap();
    let url = server.url();
    let instance = || {
        let store = RedisStore::new(RedisConfig::parse(&url).unwrap()).unwrap();
        let store = Arc::new(store);
        Denials::shared(Arc::clone(&store) as _, store, keyring(), LONGEST)
    };
    let (one, two) = (instance(), instance());
    let _listening = [one.listen(), two.listen()];
    until("both have read", || {
        one.status().age.is_some() && two.status().age.is_some()
    })
    .await;
    let old = now() - Duration::from_mins(1);
    one.deny(denial(user("ada"), Denies::Before(now())))
        .await
        .unwrap();
    until("the other heard", || {
        two.check(&token("ada", old)).is_some()
    })
    .await;

    // One that does not fit keeps no other from being written back.
    let huge = "x".repeat(8 * 1024);
    let refused = one.deny(denial(user(&huge), Denies::UntilLifted)).await;
    assert_eq!(refused, Err(StoreError::Full));

    // News that were missed are in the index, which is read when the subscription is there again.
    server.kill();
    assert!(one.check(&token("ada", old)).is_some());
    server.restart().await.unwrap();
    let late = instance();
    let _late = late.listen();
    until("it was written back", || {
        late.check(&token("ada", old)).is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_file_keeps_denials_when_everything_else_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("denials");
    let keyring = |current: u8, previous: &[u8]| {
        let previous: Vec<_> = previous.iter().map(|number| hex(*number)).collect();
        let previous: Vec<_> = previous.iter().map(String::as_str).collect();
        Arc::new(Keyring::from_hex(&hex(current), &previous).unwrap())
    };
    let alone = |keyring| Denials::in_process(keyring, LONGEST).kept_in(&path);
    let old = now() - Duration::from_mins(1);
    let one = alone(keyring(7, &[])).unwrap();
    let listening = one.listen();
    let written = || std::fs::read_to_string(&path).unwrap();
    let before = written();
    one.deny(denial(user("zoe"), Denies::Before(now())))
        .await
        .unwrap();
    until("it is written", || written() != before).await;
    // No digits of a hexadecimal number.
    assert!(!written().contains("zoe"), "sealed");
    drop((listening, one));

    let turned = alone(keyring(8, &[7])).unwrap();
    assert!(turned.check(&token("zoe", old)).is_some());
    assert_eq!(turned.check(&token("bob", old)), None);
    // It is sealed with the key of today from then on.
    let next = alone(keyring(8, &[])).unwrap();
    assert!(next.check(&token("zoe", old)).is_some());
    let refused = alone(keyring(9, &[])).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
    assert!(alone(keyring(8, &[])).is_ok(), "nothing was taken from it");
}
