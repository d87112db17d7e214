//! What an instance knows of tenants' settings, in memory.

use std::{collections::HashMap, sync::Arc};

use super::{TenantRecord, buckets::Buckets};

pub(super) struct Known<E> {
    tenants: HashMap<String, One<E>>,
}

struct One<E> {
    record: TenantRecord,
    made: Option<Arc<E>>,
}

impl<E> Default for Known<E> {
    fn default() -> Self {
        Self {
            tenants: HashMap::new(),
        }
    }
}

impl<E> Known<E> {
    /// Takes in what is newer than what was known.
    pub(super) fn learn(&mut self, tenant: &str, record: &TenantRecord, made: Option<Arc<E>>) {
        if self.is_news(tenant, record) {
            let record = record.clone();
            self.tenants.insert(tenant.to_owned(), One { record, made });
        }
    }

    /// The same, of which nothing can be made: what was made before stays.
    pub(super) fn learn_unread(&mut self, tenant: &str, record: &TenantRecord) {
        let made = self.made(tenant);
        self.learn(tenant, record, made);
    }

    fn is_news(&self, tenant: &str, record: &TenantRecord) -> bool {
        let known = self.tenants.get(tenant);
        known.is_none_or(|known| record.is_after(&known.record))
    }

    pub(super) fn made(&self, tenant: &str) -> Option<Arc<E>> {
        self.tenants.get(tenant)?.made.clone()
    }

    pub(super) fn record(&self, tenant: &str) -> Option<TenantRecord> {
        Some(self.tenants.get(tenant)?.record.clone())
    }

    pub(super) fn all(&self) -> Vec<(String, TenantRecord)> {
        let all = self.tenants.iter();
        let mut all: Vec<_> = all
            .map(|(tenant, one)| (tenant.clone(), one.record.clone()))
            .collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// All of one bucket.
    pub(super) fn of_bucket(&self, number: usize) -> HashMap<String, TenantRecord> {
        let here = self.tenants.iter();
        here.filter(|(tenant, _)| Buckets::of(tenant) == number)
            .map(|(tenant, one)| (tenant.clone(), one.record.clone()))
            .collect()
    }

    /// Whether no tenant has settings.
    pub(super) fn is_empty(&self) -> bool {
        self.tenants.values().all(|one| one.made.is_none())
    }
}
