//! One call of a tenant: sent to an instance, repeated once on another, judged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    fleet::{Cuts, INSTANCES},
    record::{Recorder, count},
    tenant::{Login, Tenant},
};
use mcp_test_support::client::{Generation, RawAnswer, RawHttp, RawRequest};

/// Nothing may take longer.
const LIMIT: Duration = Duration::from_secs(15);
/// But a write whose first request we cut off: an instance that had it counts as gone when it was silent
/// for 15 s, and only then somebody else looks for what it did.
const LIMIT_OF_CUT_WRITES: Duration = Duration::from_secs(25);
/// Of one call, those included that were cut off while they were under way.
const ATTEMPTS: usize = 5;
/// Stops that a write may meet while it waits for a killed instance's: a rotation has two rounds over all
/// instances, and another outage of that kind may follow.
const STOPS: usize = 4 * INSTANCES;
/// Between two calls of a tenant.
const PAUSE: Duration = Duration::from_millis(150);

/// What all tenants share.
pub(super) struct Callers {
    pub(super) login: Login,
    pub(super) recorder: Arc<Recorder>,
    /// One client per instance.
    pub(super) instances: Vec<RawHttp>,
    pub(super) cuts: Arc<Cuts>,
    /// The instance of the next call.
    pub(super) turn: AtomicUsize,
    pub(super) at_work: watch::Sender<bool>,
    pub(super) under_way: watch::Sender<usize>,
    pub(super) over: AtomicBool,
}

/// How an attempt ended.
enum Outcome {
    Answered,
    /// 401, and in which words.
    Refused(String),
    /// A write was told to be unknown, and how to find out.
    Unknown(String),
    /// The instance stopped before it had done anything, and says to repeat the call.
    Stopped(String),
    /// Repeated on another instance.
    Failed(String),
}

/// Calls until the run is over.
pub(super) async fn work(tenant: Arc<Tenant>, callers: Arc<Callers>) {
    let mut at_work = callers.at_work.subscribe();
    while !callers.over.load(Ordering::Relaxed) {
        if at_work.wait_for(|at_work| *at_work).await.is_err() {
            return;
        }
        callers.under_way.send_modify(|calls| *calls += 1);
        // Those who stop the work look at the one, then at the other: in this order, none is missed.
        if *at_work.borrow() {
            callers.call(&tenant).await;
        }
        callers.under_way.send_modify(|calls| *calls -= 1);
        tokio::time::sleep(PAUSE).await;
    }
}

impl Callers {
    /// One call, to whichever instance is next.
    async fn call(&self, tenant: &Tenant) {
        let instance = self.turn.fetch_add(1, Ordering::Relaxed) % INSTANCES;
        let number = tenant.next();
        let generation = Generation::BOTH[usize::from(number.is_multiple_of(2))];
        self.call_on(instance, tenant, generation, number / 2).await;
    }

    /// One call, which `number` decides, to this instance and once more to the next one.
    pub(super) async fn call_on(
        &self,
        instance: usize,
        tenant: &Tenant,
        generation: Generation,
        number: u64,
    ) {
        let phase = self.recorder.phase();
        count(&phase.calls);
        let token = tenant.token(&self.login);
        let begun = Instant::now();
        let (mut failures, mut attempts, mut instance) = (Vec::new(), 0, instance);
        let (mut was_cut, mut stops) = (false, 0);
        while attempts < 2 && failures.len() - stops < ATTEMPTS && stops < STOPS {
            if !failures.is_empty() {
                count(&phase.retried);
            }
            let cuts = self.cuts.of(instance);
            let request = request(&self.instances[instance], tenant, generation, number);
            let limit = if was_cut && is_write(number) {
                LIMIT_OF_CUT_WRITES
            } else {
                LIMIT
            };
            let request = request.bearer(&token.text);
            let outcome = self.attempt(tenant, request, limit).await;
            // It waited for what became of a write that a killed instance had begun, and that takes
            // longer than the pause between two outages.
            let waited = was_cut && is_write(number) && matches!(outcome, Outcome::Stopped(_));
            match outcome {
                Outcome::Answered => return phase.answered(begun.elapsed()),
                Outcome::Refused(_) if !self.login.is_good(&token) => {
                    return count(&phase.withdrawn);
                }
                Outcome::Refused(why) => {
                    count(&phase.refused);
                    return self
                        .recorder
                        .complain(&format!("instance {instance}: {why}"));
                }
                // Whoever cut it off cannot know either.
                Outcome::Unknown(_) if was_cut => return count(&phase.unknown),
                Outcome::Unknown(why) | Outcome::Stopped(why) | Outcome::Failed(why) => {
                    failures.push(format!("instance {instance}: {why}"));
                }
            }
            // An attempt that was cut off is nobody's fault but ours.
            let cut = cuts != self.cuts.of(instance);
            was_cut |= cut;
            stops += usize::from(waited);
            attempts += usize::from(!cut && !waited);
            instance = (instance + 1) % INSTANCES;
        }
        count(&phase.failed);
        self.recorder.complain(&failures.join("; then "));
    }

    async fn attempt(&self, tenant: &Tenant, request: RawRequest, limit: Duration) -> Outcome {
        let answer = match tokio::time::timeout(limit, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Outcome::Failed(format!("{error:#}")),
            Err(_) => return Outcome::Failed(format!("no answer in {limit:?}")),
        };
        for owner in owners(&answer.body) {
            if owner != number_of(&tenant.subject) {
                count(&self.recorder.phase().misplaced);
                let subject = &tenant.subject;
                self.recorder
                    .complain(&format!("{subject} was told of {owner}: {}", answer.body));
            }
        }
        judge(tenant, &answer)
    }
}

fn is_write(number: u64) -> bool {
    number % 8 < 2
}

/// A quarter writes; of the rest, half ask who they are and half what there is.
fn request(to: &RawHttp, tenant: &Tenant, generation: Generation, number: u64) -> RawRequest {
    let project = json!({ "project_id": "PROJ-1" });
    match number % 8 {
        _ if is_write(number) => {
            let message = format!("{} wants number {number}", tenant.subject);
            let idea = json!({ "message": message, "project_id": "PROJ-1" });
            to.call(generation, "create_requirement", &idea)
        }
        2 | 3 => to.call(generation, "list_project_requirements", &project),
        4 => to.request(generation, "tools/list", json!({})),
        _ => to.call(generation, "auth_status", &json!({})),
    }
}

fn judge(tenant: &Tenant, answer: &RawAnswer) -> Outcome {
    let body = || answer.body.chars().take(300).collect::<String>();
    if answer.status == 401 {
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        return Outcome::Refused(format!("401 {challenge} {}", body()));
    }
    let Some(result) = answer.result().filter(|_| answer.status == 200) else {
        return Outcome::Failed(format!("{} {}", answer.status, body()));
    };
    if result.get("isError") == Some(&json!(true)) {
        let why = format!("tool error: {}", body());
        let text = result.pointer("/content/0/text").and_then(Value::as_str);
        let begins = |with: &str| text.is_some_and(|text| text.starts_with(with));
        return if begins("Outcome unknown") {
            Outcome::Unknown(why)
        } else if begins("Not finished: this server stopped") {
            Outcome::Stopped(why)
        } else {
            Outcome::Failed(why)
        };
    }
    let profile = |name: &str| result.pointer(&format!("/structuredContent/profile/{name}"));
    if let (Some(id), Some(organization)) = (profile("id"), profile("organization_id"))
        && (*id != *tenant.subject || *organization != *tenant.organization)
    {
        return Outcome::Failed(format!("somebody else's profile: {}", body()));
    }
    if result.pointer("/structuredContent/authenticated") == Some(&json!(false)) {
        return Outcome::Refused(format!("the API refused the token: {}", body()));
    }
    Outcome::Answered
}

/// The numbers of the tenants whose names are in a text.
pub(super) fn owners(text: &str) -> impl Iterator<Item = &str> {
    let named = ["user-", "org-"]
        .into_iter()
        .flat_map(|prefix| text.match_indices(prefix));
    named.filter_map(|(at, prefix)| {
        let number = text.get(at + prefix.len()..at + prefix.len() + 3)?;
        number
            .bytes()
            .all(|digit| digit.is_ascii_digit())
            .then_some(number)
    })
}

/// `003` of `user-003`.
pub(super) fn number_of(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_found_in_any_text() {
        let text = r#"{"name":"user-007 wants","org":"org-012","agent":"user-agent"}"#;
        assert_eq!(owners(text).collect::<Vec<_>>(), ["007", "012"]);
        assert_eq!(number_of("org-012"), "012");
    }
}
