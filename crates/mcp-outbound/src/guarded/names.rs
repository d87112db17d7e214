//! Names that strangers choose, looked up by the operating system. It gives a thread to each, and a name
//! server that is slow on purpose keeps that thread long after nobody waits any more.

use std::{
    error::Error,
    fmt, io,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// Threads that look names up at one time. The runtime has 512 for all that blocks.
const PLACES: usize = 16;

/// How long somebody waits for one of them.
const WAIT: Duration = Duration::from_secs(1);

/// Asks the operating system; blocks.
type LookUp = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// What the operating system knows, asked in so many threads at most.
pub(super) struct System {
    look_up: LookUp,
    places: Arc<Semaphore>,
    wait: Duration,
}

impl System {
    pub(super) fn new() -> Self {
        Self::within(by_system, PLACES, WAIT)
    }

    fn within(look_up: LookUp, places: usize, wait: Duration) -> Self {
        Self {
            look_up,
            places: Arc::new(Semaphore::new(places)),
            wait,
        }
    }
}

fn by_system(name: &str) -> io::Result<Vec<SocketAddr>> {
    // The port is that of the URL: reqwest puts it in the place of 0.
    Ok((name, 0).to_socket_addrs()?.collect())
}

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        let (look_up, wait) = (self.look_up, self.wait);
        let places = Arc::clone(&self.places);
        Box::pin(async move {
            let Ok(Ok(place)) = timeout(wait, places.acquire_owned()).await else {
                return Err(Busy.into());
            };
            let looking = spawn_blocking(move || {
                let found = look_up(name.as_str());
                // Not before: whoever asked may have given up, and the thread is taken all the same.
                drop(place);
                found
            });
            let addresses = looking.await??;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Too many names are being looked up.
#[derive(Debug)]
pub(super) struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many names are being looked up")
    }
}

impl Error for Busy {}

#[cfg(test)]
mod tests {
    use std::sync::{
        Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::task::JoinSet;

    use super::*;

    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    static OPEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    /// A name server that answers when it pleases.
    fn slow() -> Vec<SocketAddr> {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        let open = OPEN.0.lock().unwrap();
        let _open = OPEN.1.wait_while(open, |open| !*open).unwrap();
        vec![SocketAddr::from(([192, 0, 2, 1], 0))]
    }

    fn name() -> Name {
        "client.test".parse().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thread_is_taken_until_its_name_server_answers_whoever_waits() {
        let system = System::within(|_| Ok(slow()), 2, Duration::from_millis(20));
        let mut asked = JoinSet::new();
        for _ in 0..2 {
            asked.spawn(system.resolve(name()));
        }
        while BEGUN.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // They give up; their threads do not.
        asked.shutdown().await;
        let refused = system.resolve(name()).await.err().unwrap();
        assert!(refused.is::<Busy>(), "{refused}");
        assert_eq!(BEGUN.load(Ordering::SeqCst), 2, "no third thread");
        *OPEN.0.lock().unwrap() = true;
        OPEN.1.notify_all();
        // Both places are free again, and nobody is refused for good.
        let both = system.places.acquire_many(2).await.unwrap();
        drop(both);
        assert_eq!(system.resolve(name()).await.unwrap().count(), 1);
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = System::new().resolve("localhost".parse().unwrap()).await;
        assert!(found.unwrap().all(|address| address.ip().is_loopback()));
    }
}
