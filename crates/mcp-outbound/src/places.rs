//! [`Places`]: requests in flight, shared by tenants and their users. Whoever has many leaves as many
//! free, so there is one for the next; who waits is served by how little its tenant has.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

/// Whom a place is for, as numbers that tell users and tenants apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Whose {
    /// The tenant.
    pub tenant: u64,
    /// The user; the tenant, where users are not told apart.
    pub user: u64,
}

/// Most that wait of one user.
const LINE: usize = 64;

/// Most lines there are.
const LINES: usize = 4_096;

/// Places for requests in flight. Cheap to clone.
///
/// A tenant may take a place if it leaves as many free as it then has, a user of it half of that; the
/// first is always given.
#[derive(Debug, Clone)]
pub struct Places(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    tenants: HashMap<u64, usize>,
    users: HashMap<Whose, usize>,
    /// In the order in which they are served.
    lines: VecDeque<Line>,
}

/// Of one user; nobody's, for who is not told apart.
#[derive(Debug)]
struct Line {
    whose: Option<Whose>,
    calls: VecDeque<oneshot::Sender<Place>>,
}

/// No place became free in time, or too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no place is free")]
pub struct NoPlace;

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    /// Nothing for one that is given back already.
    places: Option<Places>,
    whose: Option<Whose>,
}

impl Places {
    /// So many places, at least one.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: count.max(1),
            tenants: HashMap::new(),
            users: HashMap::new(),
            lines: VecDeque::new(),
        })))
    }

    /// Waits for a place, for so long. Who is nobody's may take every place.
    ///
    /// # Errors
    /// When there is none.
    pub async fn take(&self, whose: Option<Whose>, patience: Duration) -> Result<Place, NoPlace> {
        let called = {
            let mut state = self.state();
            // Nobody that may have one is passed over: they were called when it became free.
            if state.may_take(whose) {
                state.taken(whose);
                return Ok(self.place(whose));
            }
            state.stand_in_line(whose)?
        };
        match timeout(patience, called).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(NoPlace),
        }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        let state = self.state();
        state.users.values().sum()
    }

    /// How many wait for one.
    pub fn waiting(&self) -> usize {
        let state = self.state();
        let calls = state.lines.iter().flat_map(|line| &line.calls);
        calls.filter(|call| !call.is_closed()).count()
    }

    fn place(&self, whose: Option<Whose>) -> Place {
        Place {
            places: Some(self.clone()),
            whose,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_take(&self, whose: Option<Whose>) -> bool {
        let Some(rest) = self.free.checked_sub(1) else {
            return false;
        };
        let Some(whose) = whose else { return true };
        let of_tenant = self.held_by(whose.tenant) + 1;
        let of_user = self.users.get(&whose).map_or(0, |held| *held) + 1;
        let of_user = if whose.user == whose.tenant {
            0
        } else {
            of_user
        };
        of_tenant == 1 || (of_tenant <= rest && (of_user <= 1 || 2 * of_user <= rest))
    }

    fn held_by(&self, tenant: u64) -> usize {
        self.tenants.get(&tenant).map_or(0, |held| *held)
    }

    fn taken(&mut self, whose: Option<Whose>) {
        self.free -= 1;
        let whose = whose.unwrap_or(NOBODY);
        *self.tenants.entry(whose.tenant).or_default() += 1;
        *self.users.entry(whose).or_default() += 1;
    }

    fn given_back(&mut self, whose: Option<Whose>) {
        self.free += 1;
        let whose = whose.unwrap_or(NOBODY);
        one_less(&mut self.tenants, whose.tenant);
        one_less(&mut self.users, whose);
    }

    fn stand_in_line(&mut self, whose: Option<Whose>) -> Result<oneshot::Receiver<Place>, NoPlace> {
        if self.lines.len() >= LINES {
            self.forget_those_who_left();
        }
        let (call, called) = oneshot::channel();
        if let Some(line) = self.lines.iter_mut().find(|line| line.whose == whose) {
            if line.calls.len() >= LINE && whose.is_some() {
                line.calls.retain(|call| !call.is_closed());
            }
            if line.calls.len() >= LINE && whose.is_some() {
                return Err(NoPlace);
            }
            line.calls.push_back(call);
            return Ok(called);
        }
        if self.lines.len() >= LINES {
            return Err(NoPlace);
        }
        let calls = VecDeque::from([call]);
        self.lines.push_back(Line { whose, calls });
        Ok(called)
    }

    fn forget_those_who_left(&mut self) {
        for line in &mut self.lines {
            line.calls.retain(|call| !call.is_closed());
        }
        self.lines.retain(|line| !line.calls.is_empty());
    }

    /// Of those who may have the place that is free, the first of whom the tenant has least.
    fn next(&mut self) -> Option<(Option<Whose>, oneshot::Sender<Place>)> {
        let lines = self.lines.iter().enumerate();
        let may = lines.filter(|(_, line)| self.may_take(line.whose));
        let (at, _) =
            may.min_by_key(|(_, line)| line.whose.map_or(0, |it| self.held_by(it.tenant)))?;
        let mut line = self.lines.remove(at)?;
        let call = line.calls.pop_front();
        let whose = line.whose;
        // Its next one stands behind the others.
        if !line.calls.is_empty() {
            self.lines.push_back(line);
        }
        Some((whose, call?))
    }
}

/// Whoever is not told apart.
const NOBODY: Whose = Whose { tenant: 0, user: 0 };

fn one_less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(places) = self.places.take() else {
            return;
        };
        places.state().given_back(self.whose);
        loop {
            let next = {
                let mut state = places.state();
                let next = state.next();
                if let Some((whose, _)) = &next {
                    state.taken(*whose);
                }
                next
            };
            let Some((whose, call)) = next else { return };
            // It left: the place that comes back must not be given up a second time.
            if let Err(mut place) = call.send(places.place(whose)) {
                place.places = None;
                places.state().given_back(whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::ZERO;

    const fn whose(tenant: u64, user: u64) -> Whose {
        Whose { tenant, user }
    }

    /// All that one gets.
    async fn all_of(places: &Places, whose: Option<Whose>) -> Vec<Place> {
        let mut held = Vec::new();
        while let Ok(place) = places.take(whose, SOON).await {
            held.push(place);
        }
        held
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_many_leaves_as_many_free() {
        let places = Places::new(64);
        let ada = all_of(&places, Some(whose(1, 11))).await;
        let bob = all_of(&places, Some(whose(1, 12))).await;
        assert_eq!(
            (ada.len(), bob.len()),
            (21, 11),
            "half for her tenant, two thirds of it for her"
        );
        let other = all_of(&places, Some(whose(2, 21))).await;
        assert_eq!(other.len(), 10);
        let mut last = Vec::new();
        for tenant in 3..30 {
            last.extend(places.take(Some(whose(tenant, tenant)), SOON).await);
        }
        assert_eq!(last.len(), 22, "and for newcomers as long as there are any");
        assert_eq!(places.taken(), 64);
        drop((ada, bob, other, last));
        assert_eq!(places.taken(), 0);
        assert!(places.state().tenants.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_not_told_apart_may_have_all() {
        let places = Places::new(3);
        assert_eq!(all_of(&places, None).await.len(), 3);
        let one = Places::new(0);
        assert_eq!(all_of(&one, Some(whose(1, 1))).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_goes_to_whoever_has_least() {
        let places = Places::new(4);
        let patience = Duration::from_mins(1);
        let loud: Vec<_> = [
            places.take(Some(whose(1, 1)), patience).await.unwrap(),
            places.take(Some(whose(1, 1)), patience).await.unwrap(),
        ]
        .into();
        let quiet = [
            places.take(Some(whose(2, 2)), patience).await.unwrap(),
            places.take(Some(whose(3, 3)), patience).await.unwrap(),
        ];
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let stand = |tenant: u64| {
            let (places, told) = (places.clone(), told.clone());
            tokio::spawn(async move {
                let _place = places
                    .take(Some(whose(tenant, tenant)), patience)
                    .await
                    .unwrap();
                told.send(tenant).unwrap();
            })
        };
        for tenant in [1, 1, 1, 4, 5] {
            stand(tenant);
            tokio::task::yield_now().await;
        }
        assert_eq!(places.waiting(), 5);
        drop(quiet);
        drop(loud);
        let mut served = Vec::new();
        for _ in 0..5 {
            served.push(heard.recv().await.unwrap());
        }
        assert_eq!(served, [4, 5, 1, 1, 1]);
        assert_eq!((places.taken(), places.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_takes_no_place_and_a_line_has_an_end() {
        let places = Places::new(1);
        let first = places.take(Some(whose(1, 1)), SOON).await.unwrap();
        for _ in 0..200 {
            assert_eq!(
                places.take(Some(whose(2, 2)), SOON).await.unwrap_err(),
                NoPlace
            );
        }
        let mut standing = Vec::new();
        for _ in 0..LINE {
            let places = places.clone();
            standing.push(tokio::spawn(async move {
                places
                    .take(Some(whose(2, 2)), Duration::from_mins(1))
                    .await
                    .map(drop)
            }));
            tokio::task::yield_now().await;
        }
        let full = places.take(Some(whose(2, 2)), Duration::from_mins(1)).await;
        assert_eq!(full.unwrap_err(), NoPlace, "at once");
        drop(first);
        for one in standing {
            one.await.unwrap().unwrap();
        }
        assert!(places.state().lines.is_empty());
    }
}
