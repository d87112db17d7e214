//! Tenants as clients of the server's own authorization server: each logged in once, and is two processes
//! that share what they hold, and refresh at the same moment.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use mcp_test_support::{IdentityProvider, ProviderUser, http_client, lock};
use reqwest::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use url::Url;

use super::{
    identity::Identity,
    record::{Recorder, count},
    tenant::{Tenant, Token},
    world::API,
};
use crate::dev_login;

const PROCESSES: usize = 2;
/// Of an access token of ours, in seconds: longer than the longest outage, with the margin in which no
/// client uses it any more.
const LIFETIME: u64 = 60;
/// Of the provider's, which outlives ours.
const PROVIDER_LIFETIME: i64 = 180;
/// What refreshes does so this long after the last time, at most.
const RENEWED_WITHIN: Duration = Duration::from_secs(8);
/// As providers have it that take a refresh token twice.
const GRACE: Duration = Duration::from_secs(30);
/// After a refresh that nobody could do just then.
const PAUSE: Duration = Duration::from_millis(200);
/// Longer than an instance waits for another one that refreshes.
const LIMIT: Duration = Duration::from_secs(30);
/// For all to have refreshed once.
const LIMIT_OF_ROUND: Duration = Duration::from_mins(1);

/// The name of this server's client at the provider.
const CLIENT: &str = "chaos";

/// What came of all logins.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Logins {
    /// Times that somebody was sent to the provider's login again.
    pub new: u64,
    /// Refreshes that were refused: that process has lost its login.
    pub ended: u64,
    /// Refreshes that were done.
    pub refreshes: u64,
    /// Answers to refreshes that their client lost, and then asked for again.
    pub lost_answers: u64,
    /// Attempts to refresh that came to nothing while something was away, and were repeated.
    pub put_off: u64,
}

/// All clients.
pub(super) struct Clients {
    shared: Arc<Shared>,
    provider: IdentityProvider,
    tenants: usize,
    processes: JoinSet<()>,
}

/// What their processes share.
struct Shared {
    http: reqwest::Client,
    /// Of each instance.
    token_endpoints: Vec<Url>,
    turn: AtomicUsize,
    recorder: Arc<Recorder>,
    /// Goes up when everybody is to refresh.
    round: watch::Sender<u64>,
    /// How many processes did.
    done: watch::Sender<usize>,
    over: AtomicBool,
    ended: AtomicU64,
    refreshes: AtomicU64,
    lost_answers: AtomicU64,
    put_off: AtomicU64,
}

/// One client, whose processes share what it keeps.
struct Client {
    tenant: Arc<Tenant>,
    id: String,
    kept: Mutex<Kept>,
}

struct Kept {
    refresh_token: String,
    renew_at: Instant,
}

/// What a refresh came to.
enum Refreshed {
    Done {
        token: Token,
        refresh_token: String,
    },
    /// It was refused, and why.
    Ended(String),
    /// Nobody could do it just then.
    PutOff,
}

/// A stand-in provider, and the settings of a server that it stands behind.
pub(super) async fn provider(
    folder: &TempDir,
    public_url: &str,
) -> anyhow::Result<(Identity, PathBuf)> {
    let provider = dev_login::provider(public_url, CLIENT).await?;
    provider.give_tokens_for(API);
    provider.set_lifetime(Some(PROVIDER_LIFETIME));
    let file = folder.path().join("settings.toml");
    let text = format!(
        "{}access_token_lifetime = \"{LIFETIME}s\"\nclient_id_metadata_documents = false\n",
        dev_login::settings(&provider, CLIENT),
    );
    std::fs::write(&file, text)?;
    Ok((Identity::Provider(provider), file))
}

impl Clients {
    /// Lets each tenant log in, once.
    pub(super) async fn log_in(
        provider: IdentityProvider,
        tenants: usize,
        mcp_url: &str,
        instances: &[String],
        recorder: Arc<Recorder>,
    ) -> anyhow::Result<(Self, Vec<Arc<Tenant>>)> {
        let endpoint = |url: &String| format!("{url}/token").parse::<Url>();
        let shared = Arc::new(Shared {
            http: http_client(),
            token_endpoints: instances.iter().map(endpoint).collect::<Result<_, _>>()?,
            turn: AtomicUsize::new(0),
            recorder,
            round: watch::Sender::new(0),
            done: watch::Sender::new(0),
            over: AtomicBool::new(false),
            ended: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
            lost_answers: AtomicU64::new(0),
            put_off: AtomicU64::new(0),
        });
        let (mut processes, mut logged_in) = (JoinSet::new(), Vec::new());
        for number in 0..tenants {
            let client = Arc::new(log_in(&provider, mcp_url, number).await?);
            logged_in.push(Arc::clone(&client.tenant));
            for process in 0..PROCESSES {
                let shared = Arc::clone(&shared);
                let seed = u64::try_from(number * PROCESSES + process)?;
                let random = fastrand::Rng::with_seed(seed);
                processes.spawn(run(Arc::clone(&client), shared, random));
            }
        }
        let clients = Self {
            shared,
            provider,
            tenants,
            processes,
        };
        Ok((clients, logged_in))
    }

    /// Whether the provider takes a used refresh token once more, for a moment: where it does not, whoever
    /// dies between its answer and the store takes a login along.
    pub(super) fn set_lenient(&self, lenient: bool) {
        let grace = if lenient { GRACE } else { Duration::ZERO };
        self.provider.set_refresh_grace(grace);
    }

    /// Does what it is asked, and nobody hears of it.
    pub(super) fn lose_answers(&self) {
        let lost = mcp_test_support::ProviderFault::LosesAnswers(u32::MAX);
        self.provider.break_path(IdentityProvider::TOKEN_PATH, lost);
    }

    pub(super) fn heal(&self) {
        self.provider.heal();
    }

    /// Every process refreshes now, the two of a client at once.
    ///
    /// # Errors
    ///
    /// When one cannot: nobody comes back from what went before.
    pub(super) async fn all_refresh(&self) -> anyhow::Result<()> {
        let mut done = self.shared.done.subscribe();
        self.shared.done.send_replace(0);
        self.shared.round.send_modify(|round| *round += 1);
        let all = |done: &usize| {
            let ended = usize::try_from(self.shared.ended.load(Ordering::SeqCst));
            done + ended.unwrap_or_default() >= self.tenants * PROCESSES
        };
        match tokio::time::timeout(LIMIT_OF_ROUND, done.wait_for(all)).await {
            Ok(_) => Ok(()),
            Err(_) => bail!("after {LIMIT_OF_ROUND:?} not everybody could refresh"),
        }
    }

    pub(super) fn logins(&self) -> Logins {
        let of = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let logins = self.provider.count(IdentityProvider::AUTHORIZE_PATH);
        Logins {
            new: u64::try_from(logins.saturating_sub(self.tenants)).unwrap_or(u64::MAX),
            ended: of(&self.shared.ended),
            refreshes: of(&self.shared.refreshes),
            lost_answers: of(&self.shared.lost_answers),
            put_off: of(&self.shared.put_off),
        }
    }

    pub(super) async fn stop(mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.round.send_modify(|round| *round += 1);
        while self.processes.join_next().await.is_some() {}
    }
}

/// A tenant's only login: in a browser, with the consent page.
async fn log_in(
    provider: &IdentityProvider,
    mcp_url: &str,
    number: usize,
) -> anyhow::Result<Client> {
    let (subject, organization) = Tenant::names(number);
    let user = ProviderUser::new(&subject);
    provider.set_user(user.claim("org_id", organization.as_str()));
    let asked_at = std::time::Instant::now();
    let login = dev_login::log_in(mcp_url, "A chaotic client", &["Allow"]).await;
    let login = login.with_context(|| format!("the login of {subject}"))?;
    let token = Token::lasting(login.access_token, asked_at, LIFETIME);
    Ok(Client {
        tenant: Arc::new(Tenant::holding(number, token)),
        id: login.client_id,
        kept: Mutex::new(Kept {
            refresh_token: login.refresh_token,
            renew_at: Instant::now() + RENEWED_WITHIN,
        }),
    })
}

/// One process: refreshes when it is told to, and when it is time.
async fn run(client: Arc<Client>, shared: Arc<Shared>, mut random: fastrand::Rng) {
    let mut round = shared.round.subscribe();
    loop {
        let renew_at = lock(&client.kept).renew_at;
        let told = tokio::select! {
            changed = round.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(renew_at) => false,
        };
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        // The other process may have been here in time.
        let due = told || lock(&client.kept).renew_at <= Instant::now();
        if due && !client.refresh(&shared, &mut random).await {
            return;
        }
        if told {
            shared.done.send_modify(|done| *done += 1);
        }
    }
}

impl Client {
    /// Gets the next tokens, however long it takes. Whether there still is a login.
    async fn refresh(&self, shared: &Shared, random: &mut fastrand::Rng) -> bool {
        let used = lock(&self.kept).refresh_token.clone();
        while !shared.over.load(Ordering::SeqCst) {
            let asking = self.ask(shared, &used);
            // Some go away in the middle, or lose what they were told: then they ask again.
            let patience = match random.u8(..8) {
                0 => Duration::from_millis(random.u64(1..20)),
                _ => LIMIT,
            };
            match tokio::time::timeout(patience, asking).await {
                Err(_) => count(&shared.lost_answers),
                Ok(Refreshed::Done { .. }) if random.u8(..4) == 0 => count(&shared.lost_answers),
                Ok(Refreshed::Done {
                    token,
                    refresh_token,
                }) => {
                    count(&shared.refreshes);
                    self.keep(&used, token, refresh_token, random);
                    return true;
                }
                Ok(Refreshed::PutOff) => {
                    count(&shared.put_off);
                    tokio::time::sleep(PAUSE).await;
                    // The other process may have had more luck.
                    if lock(&self.kept).refresh_token != used {
                        return true;
                    }
                }
                Ok(Refreshed::Ended(why)) => {
                    self.ended(shared, &why);
                    return false;
                }
            }
        }
        true
    }

    fn ended(&self, shared: &Shared, why: &str) {
        let subject = &self.tenant.subject;
        let complaint = format!("{subject} has to log in again: {why}");
        shared.recorder.complain(&complaint);
        count(&shared.ended);
        // For whoever waits for all.
        shared.done.send_modify(|_| {});
    }

    fn keep(&self, used: &str, token: Token, refresh_token: String, random: &mut fastrand::Rng) {
        self.tenant.take(token);
        let spread = RENEWED_WITHIN.mul_f64(random.f64().max(0.2));
        let mut kept = lock(&self.kept);
        // Who is late does not put an older one in the place of a newer one.
        if kept.refresh_token == used {
            *kept = Kept {
                refresh_token,
                renew_at: Instant::now() + spread,
            };
        }
    }

    /// Asks the next instance.
    async fn ask(&self, shared: &Shared, refresh_token: &str) -> Refreshed {
        let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
        let instance = turn % shared.token_endpoints.len();
        let endpoint = &shared.token_endpoints[instance];
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", self.id.as_str()),
        ];
        let asked_at = std::time::Instant::now();
        let Ok((status, answer)) = dev_login::answer(&shared.http, endpoint, &form).await else {
            return Refreshed::PutOff;
        };
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        match (status, text("access_token"), text("refresh_token")) {
            (StatusCode::OK, Some(access_token), Some(refresh_token)) => {
                let lives = answer.get("expires_in").and_then(Value::as_u64);
                Refreshed::Done {
                    token: Token::lasting(access_token, asked_at, lives.unwrap_or_default()),
                    refresh_token,
                }
            }
            (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED, ..) => {
                let (error, why) = (text("error"), text("error_description"));
                Refreshed::Ended(format!("instance {instance}: {status} {error:?} {why:?}"))
            }
            _ => Refreshed::PutOff,
        }
    }
}
