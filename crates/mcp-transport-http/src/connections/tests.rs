use std::time::Duration;

use super::*;

const ISSUER: &str = "https://issuer.test";

const LONG: Duration = Duration::from_hours(1);

fn connections(limit: usize, per_address: Option<usize>, memory: usize) -> Arc<Connections> {
    let mut config = HttpConfig::new("https://mcp.test", ["https://a.test"]).unwrap();
    config.max_connections = limit;
    config.max_strangers_per_address = per_address;
    config.memory = MemoryBudget::new(2 * memory);
    Arc::new(Connections::new(&config))
}

fn admit(connections: &Arc<Connections>, peer: &str) -> Taken {
    let activity = Activity::new(LONG, LONG, LONG);
    let peer: std::net::IpAddr = peer.parse().unwrap();
    connections.admit(Some(peer.into()), activity)
}

async fn is_gone(taken: &Taken) -> bool {
    let gone = taken.place.gone();
    tokio::time::timeout(Duration::ZERO, gone).await.is_ok()
}

#[tokio::test]
async fn the_oldest_stranger_that_waits_for_nothing_gives_up_its_place() {
    let connections = connections(4, None, 1 << 20);
    let [known, busy, oldest, last] = [1, 2, 3, 4].map(|_| admit(&connections, "192.0.2.1"));
    known.place.authenticated(ISSUER, "known");
    let request = busy.place.activity.begin();
    let new = admit(&connections, "192.0.2.1");
    assert_eq!(new.place.kind(), Kind::Usual);
    assert!(is_gone(&oldest).await);
    assert!(!is_gone(&known).await && !is_gone(&busy).await && !is_gone(&last).await);
    assert_eq!(connections.counts().open, 4);
    drop(oldest);
    assert_eq!(connections.counts().open, 4);
    for (place, user) in [(&last, "last"), (&new, "new")] {
        place.place.authenticated(ISSUER, user);
    }
    assert_eq!(admit(&connections, "192.0.2.9").place.kind(), Kind::Full);
    drop(request);
    assert_eq!(admit(&connections, "192.0.2.9").place.kind(), Kind::Usual);
    drop((known, busy, last, new));
    assert_eq!(connections.counts().open, 0);
    assert_eq!(connections.memory.usage().used, 0);
}

#[tokio::test]
async fn in_the_reserve_the_oldest_goes() {
    let connections = connections(1, None, 1 << 20);
    let only = admit(&connections, "192.0.2.1");
    only.place.authenticated(ISSUER, "only");
    let reserve: Vec<_> = (0..=RESERVE)
        .map(|_| admit(&connections, "192.0.2.2"))
        .collect();
    assert!(is_gone(&reserve[0]).await && !is_gone(&reserve[1]).await);
    assert_eq!(connections.counts().open, 1);
}

#[tokio::test]
async fn strangers_of_one_network_displace_each_other_and_nobody_else() {
    let connections = connections(100, Some(2), 1 << 20);
    let other = admit(&connections, "2001:db8::1");
    let first = admit(&connections, "2001:db8:0:1::1");
    let second = admit(&connections, "2001:db8:0:1:ffff::2");
    let third = admit(&connections, "2001:db8:0:1::3");
    assert!(is_gone(&first).await && !is_gone(&second).await && !is_gone(&other).await);
    let requests = [&second, &third].map(|it| it.place.activity.begin());
    let fourth = admit(&connections, "2001:db8:0:1::4");
    assert_eq!(fourth.place.kind(), Kind::TooMany);
    // Who is known does not count.
    second.place.authenticated(ISSUER, "second");
    assert_eq!(
        admit(&connections, "2001:db8:0:1::5").place.kind(),
        Kind::Usual
    );
    drop(requests);
    drop((other, first, second, third, fourth));
    assert!(connections.state().by_group.is_empty());
}

#[tokio::test]
async fn heads_displace_strangers_and_then_find_no_room() {
    let connections = connections(100, None, 4 * BASE);
    let [first, second, third, fourth] = [1, 2, 3, 4].map(|_| admit(&connections, "::1"));
    assert!(fourth.place.grow(3 * BASE));
    assert!(is_gone(&first).await && is_gone(&second).await && !is_gone(&third).await);
    // One more is not enough: it keeps its place.
    assert!(!fourth.place.grow(5 * BASE) && !is_gone(&third).await);
    let request = third.place.activity.begin();
    assert!(!fourth.place.grow(4 * BASE));
    drop((first, second, request));
    assert_eq!(connections.memory.usage().used, 4 * BASE);
    drop((third, fourth));
    assert_eq!(connections.memory.usage().used, 0);
}

#[tokio::test]
async fn nobody_gives_a_place_up_for_one_that_is_sent_away() {
    // The only one that waits for nothing is of another network.
    let connections = connections(3, Some(2), 3 * BASE);
    let [first, second] = [1, 2].map(|_| admit(&connections, "192.0.2.1"));
    let other = admit(&connections, "192.0.2.2");
    let requests = [&first, &second].map(|it| it.place.activity.begin());
    assert_eq!(admit(&connections, "192.0.2.1").place.kind(), Kind::TooMany);
    assert!(!is_gone(&other).await);
    // One that gives up its place gives up its bytes, too: no second one has to.
    drop(requests);
    let new = admit(&connections, "192.0.2.1");
    assert_eq!(new.place.kind(), Kind::Usual);
    assert!(is_gone(&first).await && !is_gone(&second).await && !is_gone(&other).await);
    assert_eq!(connections.counts().displaced, 1);
}

#[tokio::test]
async fn whoever_has_most_makes_room_where_no_stranger_can() {
    let connections = connections(6, None, 1 << 20);
    let greedy = [1, 2, 3, 4].map(|_| admit(&connections, "192.0.2.1"));
    let modest = [1, 2].map(|_| admit(&connections, "192.0.2.2"));
    for taken in &greedy {
        taken.place.authenticated(ISSUER, "greedy");
    }
    for taken in &modest {
        taken.place.authenticated(ISSUER, "modest");
    }
    // The oldest is in use, so the next one goes.
    let request = greedy[0].place.activity.begin();
    let new = admit(&connections, "192.0.2.3");
    assert_eq!(new.place.kind(), Kind::Usual);
    assert!(is_gone(&greedy[1]).await && !is_gone(&greedy[0]).await && !is_gone(&modest[0]).await);
    // A stranger that is busy does not push out another one.
    let busy = new.place.activity.begin();
    assert_eq!(admit(&connections, "192.0.2.3").place.kind(), Kind::Full);
    assert!(!is_gone(&greedy[2]).await);
    drop((busy, request));
    new.place.authenticated(ISSUER, "third");
    // The only connection of a user is nobody else's.
    let mut kept = Vec::new();
    for number in 4..=10 {
        let next = admit(&connections, "192.0.2.4");
        next.place.authenticated(ISSUER, &number.to_string());
        kept.push(next);
    }
    let usual = kept.iter().filter(|it| it.place.kind() == Kind::Usual);
    assert_eq!(usual.count(), 3);
    assert!(!is_gone(&new).await && is_gone(&greedy[0]).await != is_gone(&greedy[3]).await);
    drop((greedy, modest, new, kept));
    assert_eq!(connections.counts().open, 0);
    assert!(connections.state().by_user.is_empty());
}

#[tokio::test]
async fn a_connection_that_waits_for_its_client_gives_way_and_one_at_work_does_not() {
    let connections = connections(5, None, 1 << 20);
    let greedy = [1, 2, 3].map(|_| admit(&connections, "192.0.2.1"));
    let modest = [1, 2].map(|_| admit(&connections, "192.0.2.2"));
    for (taken, user) in [(&greedy[..], "greedy"), (&modest[..], "modest")] {
        for taken in taken {
            taken.place.authenticated(ISSUER, user);
        }
    }
    let at_work = [0, 1, 2].map(|at: usize| greedy[at].place.activity.begin());
    let body = greedy[2].place.activity.reading();
    let new = admit(&connections, "192.0.2.3");
    assert_eq!(new.place.kind(), Kind::Usual);
    assert!(is_gone(&greedy[2]).await && !is_gone(&greedy[0]).await);
    new.place.authenticated(ISSUER, "new");
    // Whoever has most is at work on all of them: the next one gives way.
    let next = admit(&connections, "192.0.2.4");
    assert_eq!(next.place.kind(), Kind::Usual);
    assert!(is_gone(&modest[0]).await && !is_gone(&greedy[0]).await && !is_gone(&new).await);
    drop((at_work, body));
}
