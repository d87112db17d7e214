//! What must hold for any answer, for the fuzz target and for the replay of its seeds.

use super::{
    decode::{Fields, Page, entity, json, list},
    error_body::error_message,
    json::Json,
    model::{Profile, Project, Requirement, Task},
    short_ids::Ids,
};

/// An answer is decoded or not, whatever it is; an error text is fit to be shown.
pub fn answer(data: &[u8]) {
    if let Some(message) = error_message(data) {
        assert!(!message.is_empty() && message.chars().count() <= 300);
        assert!(!message.chars().any(char::is_control));
    }
    for body in [false, true]
        .iter()
        .filter_map(|stream| json(data, *stream))
    {
        every_model(&body);
    }
}

fn every_model(body: &Json<'_>) {
    both(body, "project", "projects", Project::decode);
    both(body, "requirement", "requirements", Requirement::decode);
    both(body, "task", "tasks", Task::decode);
    both(body, "profile", "profiles", Profile::decode);
    both(body, "project", "projects", Ids::decode);
}

fn both<T>(body: &Json<'_>, noun: &str, nouns: &str, decode: fn(Fields<'_>) -> Option<T>) {
    let _: Option<T> = entity(body.clone(), noun).and_then(decode);
    let _: Option<Page<T>> = list(body.clone(), nouns, decode);
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn answers_of_the_fuzz_seeds_are_decoded_or_not() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/answer");
        let mut seeds = 0;
        for file in fs::read_dir(folder).unwrap() {
            super::answer(&fs::read(file.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "no seeds");
    }
}
