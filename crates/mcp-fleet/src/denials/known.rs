//! What an instance knows of denials, in memory.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use super::{Asked, Cause, Denial, Denies, Refusal, Whom};

/// What is denied of somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    before: Option<Said>,
    /// Suspended or not, and when that was said.
    suspended: Option<(bool, Said)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    /// What was issued until then; or when it was said.
    at: SystemTime,
    when: SystemTime,
    cause: Cause,
}

/// By what names somebody, and within it by issuer and id: looked up without making anything.
#[derive(Debug, Default)]
pub(super) struct Known {
    users: HashMap<String, HashMap<String, Held>>,
    members: HashMap<String, HashMap<String, HashMap<String, Held>>>,
    organizations: HashMap<String, Held>,
    clients: HashMap<String, HashMap<String, Held>>,
    tokens: HashMap<String, HashMap<String, Held>>,
    issuers: HashMap<String, Held>,
}

impl Known {
    /// Takes a denial in; whether it says anything new.
    pub(super) fn learn(&mut self, denial: &Denial) -> bool {
        let held = self.entry(&denial.whom);
        let said = |at| Said {
            at,
            when: denial.said_at,
            cause: denial.cause,
        };
        match denial.denies {
            Denies::Before(at) => {
                let news = held.before.is_none_or(|known| known.at < at);
                if news {
                    held.before = Some(said(at));
                }
                news
            }
            Denies::UntilLifted | Denies::Nothing => {
                let denied = denial.denies == Denies::UntilLifted;
                let news = held.suspended.is_none_or(|(was, known)| {
                    known.at < denial.said_at
                        // Of what was said at the same moment, the safe one counts.
                        || (known.at == denial.said_at && denied && !was)
                });
                if news {
                    held.suspended = Some((denied, said(denial.said_at)));
                }
                news
            }
        }
    }

    pub(super) fn check(&self, asked: &Asked<'_>) -> Option<Refusal> {
        let of = |map: &HashMap<String, HashMap<String, Held>>, id: Option<&str>| {
            map.get(asked.issuer)?.get(id?).copied()
        };
        let member = || {
            let of_issuer = self.members.get(asked.issuer)?;
            of_issuer
                .get(asked.subject)?
                .get(asked.organization?)
                .copied()
        };
        let organization = || self.organizations.get(asked.organization?).copied();
        let all = [
            of(&self.users, Some(asked.subject)),
            member(),
            organization(),
            of(&self.clients, asked.client),
            of(&self.tokens, asked.token_id),
            self.issuers.get(asked.issuer).copied(),
        ];
        let refusals = all
            .into_iter()
            .flatten()
            .filter_map(|held| held.refuses(asked));
        // What is certain counts more than what is not, and then what was denied last.
        refusals.max_by_key(|refusal| {
            let until = refusal.unclear_until;
            (until.is_none(), until)
        })
    }

    pub(super) fn all(&self) -> Vec<Denial> {
        let mut all = Vec::new();
        self.each(&mut |whom, held| {
            let denial = |denies, said: Said| Denial {
                whom: whom.clone(),
                denies,
                cause: said.cause,
                said_at: said.when,
            };
            all.extend(
                held.before
                    .map(|said| denial(Denies::Before(said.at), said)),
            );
            all.extend(held.suspended.map(|(denied, said)| {
                let denies = if denied {
                    Denies::UntilLifted
                } else {
                    Denies::Nothing
                };
                denial(denies, said)
            }));
        });
        all
    }

    /// What is known here and was not found.
    pub(super) fn missing_in<'d>(&self, found: impl Iterator<Item = &'d Denial>) -> Vec<Denial> {
        let mut theirs = Self::default();
        for denial in found {
            theirs.learn(denial);
        }
        let mut missing = self.all();
        missing.retain(|denial| theirs.learn(denial));
        missing
    }

    pub(super) fn len(&self) -> usize {
        let mut count = 0;
        self.each(&mut |_, held| {
            count += usize::from(held.before.is_some());
            count += usize::from(held.suspended.is_some_and(|(denied, _)| denied));
        });
        count
    }

    /// Whether nothing was ever said that still counts.
    pub(super) fn is_empty(&self) -> bool {
        let pairs = [&self.users, &self.clients, &self.tokens];
        pairs.iter().all(|map| map.is_empty())
            && self.members.is_empty()
            && self.organizations.is_empty()
            && self.issuers.is_empty()
    }

    /// When it was last said whether they are suspended.
    pub(super) fn settled_at(&self, whom: &Whom) -> Option<SystemTime> {
        self.get(whom)?.suspended.map(|(_, said)| said.at)
    }

    /// Whether something was said later about the same that counts in its place.
    pub(super) fn is_superseded(&self, denial: &Denial) -> bool {
        let Some(held) = self.get(&denial.whom) else {
            return false;
        };
        match denial.denies {
            Denies::Before(at) => held.before.is_some_and(|said| said.at > at),
            Denies::UntilLifted | Denies::Nothing => {
                let settled = held.suspended;
                settled.is_some_and(|(_, said)| said.at > denial.said_at)
            }
        }
    }

    fn get(&self, whom: &Whom) -> Option<&Held> {
        match whom {
            Whom::User { issuer, subject } => self.users.get(issuer)?.get(subject),
            Whom::Member {
                issuer,
                subject,
                organization,
            } => self.members.get(issuer)?.get(subject)?.get(organization),
            Whom::Organization(organization) => self.organizations.get(organization),
            Whom::Client { issuer, client } => self.clients.get(issuer)?.get(client),
            Whom::Token { issuer, id } => self.tokens.get(issuer)?.get(id),
            Whom::Issuer(issuer) => self.issuers.get(issuer),
        }
    }

    /// Forgets what no token can be about any more: sign-outs of before `oldest`, and that something
    /// was lifted before.
    pub(super) fn forget_before(&mut self, oldest: SystemTime) {
        let keep = |held: &mut Held| {
            held.before = held
                .before
                .filter(|said| said.at + Duration::from_mins(1) > oldest);
            held.suspended = held
                .suspended
                .filter(|(denied, said)| *denied || said.at > oldest);
            *held != Held::default()
        };
        let nested = |map: &mut HashMap<String, HashMap<String, Held>>| {
            map.retain(|_, inside| {
                inside.retain(|_, held| keep(held));
                !inside.is_empty()
            });
        };
        nested(&mut self.users);
        nested(&mut self.clients);
        nested(&mut self.tokens);
        self.members.retain(|_, inside| {
            nested(inside);
            !inside.is_empty()
        });
        self.organizations.retain(|_, held| keep(held));
        self.issuers.retain(|_, held| keep(held));
    }

    fn entry(&mut self, whom: &Whom) -> &mut Held {
        match whom {
            Whom::User { issuer, subject } => within(&mut self.users, issuer, subject),
            Whom::Member {
                issuer,
                subject,
                organization,
            } => {
                let of_issuer = self.members.entry(issuer.clone()).or_default();
                within(of_issuer, subject, organization)
            }
            Whom::Organization(organization) => {
                self.organizations.entry(organization.clone()).or_default()
            }
            Whom::Client { issuer, client } => within(&mut self.clients, issuer, client),
            Whom::Token { issuer, id } => within(&mut self.tokens, issuer, id),
            Whom::Issuer(issuer) => self.issuers.entry(issuer.clone()).or_default(),
        }
    }

    fn each(&self, see: &mut dyn FnMut(Whom, &Held)) {
        for (issuer, subject, held) in flat(&self.users) {
            let (issuer, subject) = (issuer.clone(), subject.clone());
            see(Whom::User { issuer, subject }, held);
        }
        for (issuer, inside) in &self.members {
            for (subject, organization, held) in flat(inside) {
                let whom = Whom::Member {
                    issuer: issuer.clone(),
                    subject: subject.clone(),
                    organization: organization.clone(),
                };
                see(whom, held);
            }
        }
        for (organization, held) in &self.organizations {
            see(Whom::Organization(organization.clone()), held);
        }
        for (issuer, client, held) in flat(&self.clients) {
            let (issuer, client) = (issuer.clone(), client.clone());
            see(Whom::Client { issuer, client }, held);
        }
        for (issuer, id, held) in flat(&self.tokens) {
            let (issuer, id) = (issuer.clone(), id.clone());
            see(Whom::Token { issuer, id }, held);
        }
        for (issuer, held) in &self.issuers {
            see(Whom::Issuer(issuer.clone()), held);
        }
    }
}

fn within<'m>(
    map: &'m mut HashMap<String, HashMap<String, Held>>,
    one: &str,
    two: &str,
) -> &'m mut Held {
    let inside = map.entry(one.to_owned()).or_default();
    inside.entry(two.to_owned()).or_default()
}

fn flat(
    map: &HashMap<String, HashMap<String, Held>>,
) -> impl Iterator<Item = (&String, &String, &Held)> {
    map.iter()
        .flat_map(|(one, inside)| inside.iter().map(move |(two, held)| (one, two, held)))
}

impl Held {
    fn refuses(self, asked: &Asked<'_>) -> Option<Refusal> {
        if let Some((true, said)) = self.suspended {
            return Some(Refusal {
                cause: said.cause,
                unclear_until: None,
            });
        }
        let said = self.before?;
        let unclear_until = match asked.issued_at {
            Some(at) if at > said.at => return None,
            Some(_) => None,
            None => Some(said.at),
        };
        Some(Refusal {
            cause: said.cause,
            unclear_until,
        })
    }
}
