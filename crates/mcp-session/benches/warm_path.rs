//! What authentication costs on a warm instance, beside plain `jsonwebtoken`, in one run:
//! `cargo bench -p mcp-session --bench warm_path --profile ci`
//!
//! The candidates take turns in short batches and the medians of the batches are compared, so that
//! a busy neighbour slows all of them. Read the ratios.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops where something is not as it should be"
)]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Instant, SystemTime},
};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use mcp_auth::{AccessToken, IssuerConfig, SameAudience, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers, Tier};
use mcp_test_support::{Issuer, http_client};
use tokio::runtime::Runtime;

const RESOURCE: &str = "https://mcp.example.com/mcp";
const BATCH: u32 = 200;
const ROUNDS: usize = 100;

fn main() {
    let runtime = Runtime::new().unwrap();
    let issuer = runtime.block_on(Issuer::start()).unwrap();
    issuer.set_audience([RESOURCE]);
    let text = issuer
        .token()
        .subject("user_ada")
        .organization("org_ada")
        .mint();
    let header = format!("Bearer {text}");
    let token = AccessToken::parse(&header).unwrap();

    let trusted = IssuerConfig::new(issuer.url(), [RESOURCE]);
    let verifier =
        TokenVerifier::new(vec![trusted], http_client(), VerifierConfig::default()).unwrap();
    runtime.block_on(verifier.warm_up());
    let probe = Keyring::random();
    let key = probe.session_key(&token).to_string();
    let sealed = probe.seal(&key, &[7; 400]).unwrap();
    let fresh = || {
        let store = Arc::new(MemoryStore::default());
        SessionTiers::builder(verifier.clone(), Keyring::random(), store)
            .upstream(issuer.url(), SameAudience::new(RESOURCE))
            .build()
    };
    let sessions = fresh();
    runtime.block_on(sessions.resolve(&token)).unwrap();
    let mut new = NewTokens::of(&issuer);

    let (decoding_key, validation) = plain(&runtime, &issuer);
    let now = SystemTime::now();
    let mut candidates: Vec<Candidate> = vec![
        Candidate::new("jsonwebtoken::decode, RS256 (the measure)", || {
            let claims =
                jsonwebtoken::decode::<serde_json::Value>(&text, &decoding_key, &validation);
            black_box(claims.unwrap());
        }),
        Candidate::new("TokenVerifier::verify, keys warm", || {
            black_box(runtime.block_on(verifier.verify(&token, now)).unwrap());
        }),
        Candidate::new("SessionTiers::resolve, memory tier", || {
            let resolved = runtime.block_on(sessions.resolve(&token)).unwrap();
            assert_eq!(resolved.tier, Tier::Memory);
            black_box(resolved);
        }),
        Candidate::new("SessionTiers::resolve, new token", || {
            let (sessions, header) = new.next(fresh);
            let token = AccessToken::parse(header).unwrap();
            let resolved = runtime.block_on(sessions.resolve(&token)).unwrap();
            assert_eq!(resolved.tier, Tier::Verification);
            black_box(resolved);
        }),
        Candidate::new("block_on alone (part of the three above)", || {
            runtime.block_on(async { black_box(()) });
        }),
        Candidate::new("AccessToken::parse", || {
            black_box(AccessToken::parse(&header).unwrap());
        }),
        Candidate::new("Keyring::session_key", || {
            black_box(probe.session_key(&token));
        }),
        Candidate::new("Keyring::seal, 400 bytes", || {
            black_box(probe.seal(&key, &[7; 400]).unwrap());
        }),
        Candidate::new("Keyring::open, 400 bytes", || {
            black_box(probe.open(&key, &sealed).unwrap());
        }),
    ];

    for _ in 0..ROUNDS {
        for candidate in &mut candidates {
            candidate.round();
        }
    }
    let measure = candidates.first_mut().map_or(1.0, Candidate::median);
    println!("{:<44} {:>10} {:>8}", "step", "ns", "ratio");
    for candidate in &mut candidates {
        let median = candidate.median();
        println!(
            "{:<44} {median:>10.0} {:>8.3}",
            candidate.name,
            median / measure
        );
    }
}

/// The same check by the library alone: signature, issuer, audience, expiry.
fn plain(runtime: &Runtime, issuer: &Issuer) -> (DecodingKey, Validation) {
    let keys = runtime.block_on(async {
        let answer = http_client().get(issuer.jwks_url()).send().await.unwrap();
        answer.json::<JwkSet>().await.unwrap()
    });
    let kid = issuer
        .key(mcp_test_support::Algorithm::Rs256)
        .kid()
        .to_owned();
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer.url()]);
    validation.set_audience(&[RESOURCE]);
    (key, validation)
}

/// A batch of tokens, new to each instance that sees them.
struct NewTokens {
    headers: Vec<String>,
    instance: Option<SessionTiers>,
    shown: usize,
}

impl NewTokens {
    fn of(issuer: &Issuer) -> Self {
        let token = |number| {
            let token = issuer.token().subject(&format!("user_{number}"));
            format!("Bearer {}", token.organization("org_ada").mint())
        };
        Self {
            headers: (0..BATCH).map(token).collect(),
            instance: None,
            shown: 0,
        }
    }

    /// The next one, and an instance that has not seen it.
    fn next(&mut self, instance: impl FnOnce() -> SessionTiers) -> (&SessionTiers, &str) {
        let at = self.shown % self.headers.len();
        if at == 0 {
            self.instance = None;
        }
        self.shown += 1;
        (
            self.instance.get_or_insert_with(instance),
            self.headers.get(at).unwrap(),
        )
    }
}

struct Candidate<'a> {
    name: &'static str,
    step: Box<dyn FnMut() + 'a>,
    batches: Vec<f64>,
}

impl<'a> Candidate<'a> {
    fn new(name: &'static str, step: impl FnMut() + 'a) -> Self {
        Self {
            name,
            step: Box::new(step),
            batches: Vec::with_capacity(ROUNDS),
        }
    }

    fn round(&mut self) {
        let start = Instant::now();
        for _ in 0..BATCH {
            (self.step)();
        }
        self.batches
            .push(start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }

    fn median(&mut self) -> f64 {
        self.batches.sort_unstable_by(f64::total_cmp);
        self.batches.get(ROUNDS / 2).copied().unwrap_or_default()
    }
}
