//! Short ids in paths. That BrainGrid takes them there is an assumption: should it know things by
//! UUID only, the UUIDs are looked up in the lists, and asked for from then on.

use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;

use super::decode::{Fields, Page};
use crate::{error::ApiError, ids::is_short};

/// What is known about short ids in paths.
#[derive(Debug, Default)]
pub(super) struct ShortIds(AtomicU8);

const ACCEPTED: u8 = 1;
const REFUSED: u8 = 2;

impl ShortIds {
    /// Notes that a path with short ids worked.
    pub(super) fn accepted(&self) {
        self.0.store(ACCEPTED, Ordering::Relaxed);
    }

    /// Notes that a path worked with UUIDs that did not with short ids.
    pub(super) fn refused(&self) {
        self.0.store(REFUSED, Ordering::Relaxed);
    }

    pub(super) fn are_refused(&self) -> bool {
        self.0.load(Ordering::Relaxed) == REFUSED
    }

    /// Whether this may be because of short ids. It is not once any of them was accepted.
    pub(super) fn explain(&self, error: &ApiError) -> bool {
        let fits = matches!(
            error,
            ApiError::NotFound(_) | ApiError::Invalid { status: 400, .. }
        );
        fits && self.0.load(Ordering::Relaxed) != ACCEPTED
    }
}

pub(super) fn are_in(path: &str) -> bool {
    path.split('/').any(is_short)
}

/// A thing in a list, by both of its ids.
pub(super) struct Ids {
    short: String,
    uuid: String,
}

impl Ids {
    pub(super) fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let uuid = fields.text(&["id", "uuid"])?;
        let short = fields.text(&["short_id"]).or_else(|| {
            let number = fields.text(&["number"])?;
            Some(format!("TASK-{number}"))
        })?;
        Some(Self { short, uuid })
    }
}

/// Where UUIDs are looked up.
#[async_trait]
pub(super) trait Lists: Sync {
    /// A page of the `nouns` at a path; `None` when it cannot be had.
    async fn page(&self, path: &str, nouns: &str, number: u32) -> Option<Page<Ids>>;
}

/// How far lists are searched.
const PAGES: u32 = 20;

/// The path with UUIDs in the places of short ids; `None` when one of them is not found.
pub(super) async fn replaced(path: &str, lists: &impl Lists) -> Option<String> {
    let mut done = String::new();
    let mut collection = "";
    for segment in path.split('/') {
        if !done.is_empty() {
            done.push('/');
        }
        if is_short(segment) {
            let at = done.trim_end_matches('/').to_owned();
            done += &find(&at, collection, segment, lists).await?;
        } else {
            done += segment;
        }
        collection = segment;
    }
    Some(done)
}

async fn find(path: &str, collection: &str, short: &str, lists: &impl Lists) -> Option<String> {
    for number in 1..=PAGES {
        let page = lists.page(path, collection, number).await?;
        let last = page.items.is_empty() || page.has_more == Some(false);
        let found = page.items.into_iter().find(|ids| ids.short == short);
        if let Some(ids) = found {
            return Some(ids.uuid);
        }
        if last {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shelf;

    #[async_trait]
    impl Lists for Shelf {
        async fn page(&self, path: &str, nouns: &str, number: u32) -> Option<Page<Ids>> {
            let items = match (path, number) {
                ("projects", 2) => vec![("PROJ-7", "p")],
                ("projects/p/requirements", 1) => vec![("REQ-1", "x"), ("REQ-2", "r")],
                ("projects/p/requirements/r/tasks", 1) => vec![("TASK-3", "t")],
                _ => vec![("PROJ-1", "q")],
            };
            assert!(path.ends_with(nouns));
            let items = items.into_iter().map(|(short, uuid)| Ids {
                short: short.to_owned(),
                uuid: uuid.to_owned(),
            });
            Some(Page {
                items: items.collect(),
                has_more: Some(path == "projects" && number < 3),
                total: None,
            })
        }
    }

    #[tokio::test]
    async fn every_short_id_is_looked_up_below_the_one_before() {
        let path = |path| replaced(path, &Shelf);
        assert_eq!(
            path("projects/PROJ-7/requirements/REQ-2/tasks/TASK-3").await,
            Some("projects/p/requirements/r/tasks/t".to_owned())
        );
        assert_eq!(
            path("projects/PROJ-7/requirements/specify").await,
            Some("projects/p/requirements/specify".to_owned())
        );
        assert_eq!(path("projects/PROJ-9").await, None);
    }
}
