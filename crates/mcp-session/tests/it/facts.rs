//! Facts: the same model holds for a process of its own and for Redis.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use mcp_session::{
    Fact, FactStore, MAX_FACT, MemoryFacts, Put, Rate, RedisStore, SharedStore as _, StoreError,
    Swap,
};
use mcp_test_support::RedisServer;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};

use crate::{redis::config, world::eventually};

const HOUR: Duration = Duration::from_hours(1);

/// A day's: one comes back in a quarter of an hour.
const BUDGET: u64 = 96;

/// What may be done to one of a few keys.
#[derive(Debug, Clone)]
enum Step {
    Read,
    Put(Vec<u8>),
    /// With the version that is there, plus so many.
    Swap(u64, Vec<u8>),
    Delete(u64),
    Take,
    /// Owed, and wanted.
    Spend(u64, u64),
    Insert(u8),
    Remove(u8),
}

fn steps() -> impl Strategy<Value = Vec<(u8, Step)>> {
    let value = || prop::collection::vec(any::<u8>(), 0..40);
    let step = prop_oneof![
        Just(Step::Read),
        value().prop_map(Step::Put),
        (0_u64..2, value()).prop_map(|(off, value)| Step::Swap(off, value)),
        (0_u64..2).prop_map(Step::Delete),
        Just(Step::Take),
        (0_u64..40, 0_u64..40).prop_map(|(owed, wanted)| Step::Spend(owed, wanted)),
        (0_u8..5).prop_map(Step::Insert),
        (0_u8..5).prop_map(Step::Remove),
    ];
    prop::collection::vec((0_u8..3, step), 1..40)
}

#[derive(Default)]
struct Model {
    facts: BTreeMap<u8, Fact>,
    spent: BTreeMap<u8, u64>,
    sets: BTreeMap<u8, BTreeSet<u8>>,
}

impl Model {
    /// Takes one step in the store and in the model, which must agree.
    async fn step(&mut self, store: &dyn FactStore, prefix: &str, name: u8, step: &Step) {
        let key = format!("{prefix}{name}");
        let (budget, set) = (format!("{prefix}b{name}"), format!("{prefix}s{name}"));
        let held = self.facts.get(&name).cloned();
        let version = held.as_ref().map_or(0, |fact| fact.version);
        match step {
            Step::Read => assert_eq!(store.read(&key).await, Ok(held)),
            Step::Put(value) => {
                let put = store
                    .put_if_absent(&key, value.clone(), HOUR)
                    .await
                    .unwrap();
                match (put, held) {
                    (Put::Created(version), None) => {
                        let value = value.clone();
                        self.facts.insert(name, Fact { version, value });
                    }
                    (put, held) => assert_eq!(Some(put), held.map(Put::Exists)),
                }
            }
            Step::Swap(off, value) => {
                let old = version + off;
                let swap = store.compare_and_set(&key, old, value.clone(), HOUR).await;
                if held.is_some() && *off == 0 {
                    assert_eq!(swap, Ok(Swap::Done));
                    let version = old + 1;
                    self.facts.insert(
                        name,
                        Fact {
                            version,
                            value: value.clone(),
                        },
                    );
                } else {
                    assert_eq!(swap, Ok(Swap::Lost(held)));
                }
            }
            Step::Delete(off) => {
                let same = held.is_some() && *off == 0;
                assert_eq!(
                    store.compare_and_delete(&key, version + off).await,
                    Ok(same)
                );
                if same {
                    self.facts.remove(&name);
                }
            }
            Step::Take => {
                assert_eq!(store.take(&key).await, Ok(held));
                self.facts.remove(&name);
            }
            Step::Spend(owed, wanted) => {
                // Nothing comes back within a test.
                let spent = self.spent.entry(name).or_default();
                let used = (*spent + owed).min(2 * BUDGET);
                let granted = (*wanted).min(BUDGET.saturating_sub(used));
                *spent = used + granted;
                let rate = Rate::new(BUDGET, Rate::LONGEST);
                let answer = store.spend(&budget, rate, *owed, *wanted).await.unwrap();
                assert_eq!(answer.granted, granted);
                let full_in = rate.every() * u32::try_from(*spent).unwrap();
                assert!(answer.full_in <= full_in);
                assert!(answer.full_in + rate.every() > full_in);
            }
            Step::Insert(member) => {
                store.insert(&set, vec![*member; 9], HOUR).await.unwrap();
                self.sets.entry(name).or_default().insert(*member);
            }
            Step::Remove(member) => {
                store.remove(&set, &[*member; 9]).await.unwrap();
                self.sets.entry(name).or_default().remove(member);
            }
        }
        let members = store.members(&set).await.unwrap();
        assert!(
            members
                .iter()
                .all(|(_, left)| *left <= HOUR && *left > HOUR / 2)
        );
        let members: BTreeSet<_> = members.into_iter().map(|(member, _)| member).collect();
        let expected = self.sets.get(&name).into_iter().flatten();
        assert_eq!(members, expected.map(|member| vec![*member; 9]).collect());
    }
}

/// Any sequence of steps does to the store what it does to the model.
fn obeys_the_model(runtime: &tokio::runtime::Runtime, store: &dyn FactStore, cases: u32) {
    static RUN: AtomicU64 = AtomicU64::new(0);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..Default::default()
    };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        let prefix = format!("mcp:fact:v1:{}:", RUN.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async {
            let mut model = Model::default();
            for (name, step) in &steps {
                model.step(store, &prefix, *name, step).await;
            }
        });
        Ok(())
    });
    result.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn memory_obeys_the_model() {
    obeys_the_model(&runtime(), &MemoryFacts::default(), 256);
}

#[test]
fn redis_obeys_the_model() {
    let runtime = runtime();
    let (_server, store) = runtime.block_on(redis());
    obeys_the_model(&runtime, &store, 64);
}

pub(crate) async fn redis() -> (RedisServer, RedisStore) {
    let server = RedisServer::start().await.unwrap();
    let store = RedisStore::new(config(&server.url())).unwrap();
    (server, store)
}

/// Of many who want the same, one gets it; of many changes, none is lost.
pub(crate) async fn one_wins(store: Arc<dyn FactStore>) {
    let put = |n: u8| {
        let store = Arc::clone(&store);
        async move {
            store
                .put_if_absent("mcp:fact:v1:race", vec![n], HOUR)
                .await
                .unwrap()
        }
    };
    let puts = join_all((0..20).map(put)).await;
    let created = puts.iter().filter_map(|it| match it {
        Put::Created(version) => Some(*version),
        Put::Exists(_) => None,
    });
    let created: Vec<_> = created.collect();
    assert_eq!(created.len(), 1);
    let seen = puts.iter().filter_map(|it| match it {
        Put::Exists(fact) => Some(fact.value.clone()),
        Put::Created(_) => None,
    });
    assert_eq!(
        seen.collect::<BTreeSet<_>>().len(),
        1,
        "all others see the same"
    );

    let add = |_| {
        let store = Arc::clone(&store);
        async move {
            let mut fact = store.read("mcp:fact:v1:race").await.unwrap().unwrap();
            loop {
                let value = (fact.version + 1).to_be_bytes().to_vec();
                let swap = store.compare_and_set("mcp:fact:v1:race", fact.version, value, HOUR);
                match swap.await.unwrap() {
                    Swap::Done => return,
                    Swap::Lost(now) => fact = now.unwrap(),
                }
            }
        }
    };
    join_all((0..20).map(add)).await;
    let take = |_| store.take("mcp:fact:v1:race");
    let all = join_all((0..20).map(take)).await;
    let taken: Vec<_> = all.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].version, created[0] + 20);
    assert_eq!(taken[0].value, (created[0] + 20).to_be_bytes());
}

/// Of many who spend at once, no more is given out than there is.
pub(crate) async fn no_more_is_spent_than_there_is(store: Arc<dyn FactStore>) {
    let rate = Rate::new(100, Rate::LONGEST);
    let spends = join_all((0..60).map(|_| store.spend("mcp:fact:v1:budget", rate, 0, 2))).await;
    let granted = spends.into_iter().map(|it| it.unwrap().granted);
    assert_eq!(granted.sum::<u64>(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_the_same_one_gets_it() {
    no_more_is_spent_than_there_is(Arc::new(MemoryFacts::default())).await;
    let (_server, store) = redis().await;
    no_more_is_spent_than_there_is(Arc::new(store)).await;
    one_wins(Arc::new(MemoryFacts::default())).await;
    let (_server, store) = redis().await;
    one_wins(Arc::new(store)).await;
}

#[tokio::test]
async fn what_is_over_is_gone_from_redis_by_its_own_clock() {
    let (server, store) = redis().await;
    let short = Duration::from_millis(40);
    let version = put(&store, "k").await;
    assert_eq!(
        store.compare_and_set("k", version, vec![2], short).await,
        Ok(Swap::Done)
    );
    let rate = Rate::new(4, short);
    let spent = store.spend("b", rate, 0, 5).await.unwrap();
    assert_eq!(spent.granted, 4);
    store.insert("s", vec![1], short).await.unwrap();
    store.insert("s", vec![2], HOUR).await.unwrap();
    store.insert("s", vec![2], short).await.unwrap();
    assert!((3_590..=3_600).contains(&server.ttl("s").await.unwrap()));
    eventually("all is over", async || {
        let members = store.members("s").await.unwrap();
        store.read("k").await.unwrap().is_none()
            && members.len() == 1
            && store
                .spend("b", rate, 0, 0)
                .await
                .unwrap()
                .full_in
                .is_zero()
    })
    .await;
    assert_eq!(store.members("s").await.unwrap()[0].0, [2]);
}

#[tokio::test]
async fn a_set_of_any_size_is_read_whole() {
    let (_server, store) = redis().await;
    let insert = |n: u32| {
        let mut member = vec![0; 200];
        member[..4].copy_from_slice(&n.to_be_bytes());
        store.insert("s", member, HOUR)
    };
    for chunk in (0..3_000).collect::<Vec<_>>().chunks(500) {
        let inserted = join_all(chunk.iter().copied().map(insert)).await;
        assert!(inserted.into_iter().all(|it| it.is_ok()));
    }
    let members = store.members("s").await.unwrap();
    let distinct: BTreeSet<_> = members.iter().map(|(member, _)| member).collect();
    assert_eq!((members.len(), distinct.len()), (3_000, 3_000));
}

#[tokio::test]
async fn redis_without_room_refuses_new_facts_and_keeps_those_it_has() {
    let (server, store) = redis().await;
    server
        .command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await
        .unwrap();
    put(&store, "first").await;
    server
        .command(&["CONFIG", "SET", "maxmemory", "1"])
        .await
        .unwrap();
    assert_eq!(
        store.put_if_absent("k", vec![1], HOUR).await,
        Err(StoreError::Full)
    );
    assert_eq!(
        store.insert("s", vec![1], HOUR).await,
        Err(StoreError::Full)
    );
    assert!(!store.is_circuit_open(), "it answers");
    assert_eq!(store.read("first").await.unwrap().unwrap().value, [1]);
    let long = vec![0; MAX_FACT];
    assert_eq!(
        store.put_if_absent("k", long, HOUR).await,
        Err(StoreError::Full)
    );
}

/// Puts a fact where none is; the version it has then.
async fn put(store: &RedisStore, key: &str) -> u64 {
    match store.put_if_absent(key, vec![1], HOUR).await.unwrap() {
        Put::Created(version) => version,
        Put::Exists(fact) => unreachable!("{fact:?} is there"),
    }
}

/// A way to Redis that loses the next answer, with its connection, when told to.
async fn lossy_way(port: u16) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (own, loses) = (
        listener.local_addr().unwrap().port(),
        Arc::new(AtomicBool::new(false)),
    );
    let flag = Arc::clone(&loses);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let flag = Arc::clone(&flag);
            tokio::spawn(async move {
                let ((mut asks, mut hears), (mut answers, mut told)) =
                    (client.into_split(), server.into_split());
                let asking = tokio::spawn(async move { copy(&mut asks, &mut told).await });
                let mut buffer = vec![0; 8192];
                while let Ok(length @ 1..) = answers.read(&mut buffer).await {
                    if flag.swap(false, Ordering::SeqCst) {
                        break;
                    }
                    if hears.write_all(&buffer[..length]).await.is_err() {
                        break;
                    }
                }
                asking.abort();
            });
        }
    });
    (own, loses)
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_happens_once_and_is_known_to_have_happened() {
    let server = RedisServer::start().await.unwrap();
    let (port, loses) = lossy_way(server.port()).await;
    let store = RedisStore::new(config(&format!("redis://127.0.0.1:{port}"))).unwrap();
    store.ping().await.unwrap();
    let lose = || loses.store(true, Ordering::SeqCst);

    lose();
    let version = put(&store, "k").await;
    assert!(!loses.load(Ordering::SeqCst), "the answer was lost");
    lose();
    assert_eq!(
        store.compare_and_set("k", version, vec![2], HOUR).await,
        Ok(Swap::Done)
    );
    let fact = store.read("k").await.unwrap().unwrap();
    assert_eq!(fact.version, version + 1);

    // What is not the same when it is done twice is not done again.
    lose();
    let rate = Rate::new(9, HOUR);
    store.spend("b", rate, 0, 1).await.unwrap_err();
    assert_eq!(store.spend("b", rate, 0, 9).await.unwrap().granted, 8);
    lose();
    store.take("k").await.unwrap_err();
    assert_eq!(store.read("k").await, Ok(None));
}

#[tokio::test]
async fn a_removal_that_is_sent_again_leaves_what_another_put_there_in_between() {
    let (_server, store) = redis().await;
    let removed = put(&store, "k").await;
    assert_eq!(store.compare_and_delete("k", removed).await, Ok(true));
    let new = put(&store, "k").await;
    // The answer was lost, and the command comes twice.
    assert_eq!(store.compare_and_delete("k", removed).await, Ok(false));
    assert_eq!(store.read("k").await.unwrap().unwrap().version, new);
}
