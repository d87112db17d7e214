//! Who has which place, and whose connection can give way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use super::place::Place;
use crate::client_address::AddressBucket;

#[derive(Default)]
pub(super) struct State {
    pub(super) next: u64,
    /// By age.
    pub(super) strangers: BTreeMap<u64, Arc<Place>>,
    pub(super) by_group: HashMap<AddressBucket, BTreeSet<u64>>,
    /// Those of each user, by age.
    pub(super) by_user: HashMap<u64, BTreeMap<u64, Arc<Place>>>,
    /// Those that were let in for one answer.
    pub(super) reserve: VecDeque<Arc<Place>>,
}

impl State {
    /// Strangers that wait for nothing but their client, the oldest first.
    pub(super) fn idle_strangers(&self, except: u64) -> impl Iterator<Item = &Arc<Place>> {
        let strangers = self.strangers.values();
        strangers.filter(move |it| it.number != except && it.activity.waits_for_client())
    }

    pub(super) fn oldest_idle_of(&self, members: &BTreeSet<u64>) -> Option<Arc<Place>> {
        let mut members = members.iter().filter_map(|it| self.strangers.get(it));
        members
            .find(|it| it.activity.waits_for_client())
            .map(Arc::clone)
    }

    /// The connections of one user that can give way: of whoever has most among those who have one.
    /// Those that wait for nothing come first, then those that wait for their client; the only one is
    /// never among them.
    pub(super) fn idle_of_the_largest(&self, except: u64) -> Vec<Arc<Place>> {
        let gives_way = |place: &Place| place.number != except && place.activity.waits_for_client();
        let mut most: Option<&BTreeMap<u64, Arc<Place>>> = None;
        for places in self.by_user.values() {
            let is_more = places.len() > most.map_or(1, BTreeMap::len);
            if is_more && places.values().any(|place| gives_way(place)) {
                most = Some(places);
            }
        }
        let Some(most) = most else {
            return Vec::new();
        };
        let mut givers: Vec<_> = most.values().filter(|it| gives_way(it)).cloned().collect();
        givers.sort_by_key(|place| !place.activity.is_idle());
        givers.truncate(most.len() - 1);
        givers
    }

    /// No stranger any more, but this user's; unless it was displaced in this moment.
    pub(super) fn recognize(&mut self, number: u64, user: u64) {
        if let Some(place) = self.strangers.get(&number).map(Arc::clone) {
            self.forget(&place);
            if place.user.set(user).is_ok() {
                self.by_user.entry(user).or_default().insert(number, place);
            }
        }
    }

    /// Neither a stranger nor anybody's.
    pub(super) fn forget(&mut self, place: &Place) {
        if let Some(group) = place.group
            && let Some(members) = self.by_group.get_mut(&group)
        {
            members.remove(&place.number);
            if members.is_empty() {
                self.by_group.remove(&group);
            }
        }
        self.strangers.remove(&place.number);
        if let Some(user) = place.user.get()
            && let Some(places) = self.by_user.get_mut(user)
        {
            places.remove(&place.number);
            if places.is_empty() {
                self.by_user.remove(user);
            }
        }
    }
}
