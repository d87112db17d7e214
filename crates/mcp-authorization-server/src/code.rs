//! Authorization codes: good once, for a minute. What one stands for is in the store, sealed for the code
//! itself, so that nobody who reads the store can use it.

use std::time::Duration;

use mcp_session::{Put, StoreError, Swap};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    callback::CODE_LIVES,
    keys::{Kind, random},
    provider::Login,
    request::AuthorizationRequest,
    server::Inner,
};

/// For how long it is known that a code was used.
const REMEMBERED: Duration = Duration::from_mins(10);

/// A login that a client may have tokens for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) request: AuthorizationRequest,
    pub(crate) login: Login,
    /// Seconds since the epoch.
    pub(crate) logged_in_at: u64,
}

/// What is kept under a code's name.
#[derive(Serialize, Deserialize)]
enum Kept {
    Good(Box<Code>),
    /// It was used, for this request, and this family of tokens came of it.
    Used(AuthorizationRequest, String),
}

/// What came of a login.
pub(crate) enum Issued {
    /// A code for the client.
    Code(Zeroizing<String>),
    /// There was one for this login already.
    Before,
}

/// What a code that a client presents is worth.
pub(crate) enum Redeemed {
    /// It is used now; the tokens that come of it are of this family.
    Good(Box<Code>, String),
    /// It was used before, and the family that came of it is not to be trusted.
    Again(String),
    /// Nobody knows it.
    Unknown,
}

const PREFIX: &str = "mcp:as-code:v1:";

impl Inner {
    /// One code for each `state` of the provider, however often its answer comes.
    pub(crate) async fn issue(&self, state: &str, code: &Code) -> Result<Issued, StoreError> {
        let name = self.keys.place(Kind::Code, &[state]);
        let Ok(secret) = random::<32>() else {
            return Err(StoreError::Full);
        };
        let Some(place) = name.strip_prefix(PREFIX) else {
            return Err(StoreError::Full);
        };
        let value = Zeroizing::new(format!("{place}.{secret}"));
        let sealed = self.seal_kept(&value, &KeptRef::Good(code))?;
        match self.facts.put_if_absent(&name, sealed, CODE_LIVES).await? {
            Put::Created(_) => Ok(Issued::Code(value)),
            Put::Exists(_) => Ok(Issued::Before),
        }
    }

    /// What a code stands for, or stood for before it was used.
    pub(crate) async fn peek(
        &self,
        value: &str,
    ) -> Result<Option<AuthorizationRequest>, StoreError> {
        let Some(name) = name_of(value) else {
            return Ok(None);
        };
        let fact = self.facts.read(&name).await?;
        let opened =
            fact.and_then(|fact| self.keys.open_bytes(Kind::Code, value, &fact.value).ok());
        let kept = opened.and_then(|plain| serde_json::from_slice(&plain).ok());
        Ok(kept.map(|kept| match kept {
            Kept::Good(code) => code.request,
            Kept::Used(request, _) => request,
        }))
    }

    /// Uses a code up, if `check` takes what it stands for.
    pub(crate) async fn redeem<E>(
        &self,
        value: &str,
        check: impl Fn(&AuthorizationRequest) -> Result<(), E>,
    ) -> Result<Result<Redeemed, E>, StoreError> {
        let Some(name) = name_of(value) else {
            return Ok(Ok(Redeemed::Unknown));
        };
        let Some(fact) = self.facts.read(&name).await? else {
            return Ok(Ok(Redeemed::Unknown));
        };
        let opened = self.keys.open_bytes(Kind::Code, value, &fact.value);
        let Some(kept) = opened
            .ok()
            .and_then(|plain| serde_json::from_slice(&plain).ok())
        else {
            return Ok(Ok(Redeemed::Unknown));
        };
        let code = match kept {
            Kept::Good(code) => code,
            // In other hands it says nothing: whoever saw the code ends nothing by it.
            Kept::Used(request, family) => {
                return Ok(check(&request).map(|()| Redeemed::Again(family)));
            }
        };
        if let Err(refused) = check(&code.request) {
            return Ok(Err(refused));
        }
        let Ok(family) = random::<16>() else {
            return Err(StoreError::Full);
        };
        let used = self.seal_kept(value, &KeptRef::Used(&code.request, &family))?;
        let swap = self
            .facts
            .compare_and_set(&name, fact.version, used, REMEMBERED);
        Ok(Ok(match swap.await? {
            Swap::Done => Redeemed::Good(code, family),
            // Whoever was faster has the tokens: two who know one code are one too many.
            Swap::Lost(found) => {
                let opened = found
                    .and_then(|fact| self.keys.open_bytes(Kind::Code, value, &fact.value).ok());
                match opened.and_then(|plain| serde_json::from_slice(&plain).ok()) {
                    Some(Kept::Used(_, family)) => Redeemed::Again(family),
                    _ => Redeemed::Unknown,
                }
            }
        }))
    }

    fn seal_kept(&self, value: &str, kept: &KeptRef<'_>) -> Result<Vec<u8>, StoreError> {
        let plain = serde_json::to_vec(kept).map_err(|_| StoreError::Full)?;
        let plain = Zeroizing::new(plain);
        let sealed = self.keys.seal_bytes(Kind::Code, value, &plain);
        sealed.map_err(|_| StoreError::Full)
    }
}

/// [`Kept`], borrowed.
#[derive(Serialize)]
enum KeptRef<'a> {
    Good(&'a Code),
    Used(&'a AuthorizationRequest, &'a str),
}

/// Where it is kept what a code stands for: the first part of the code says it, for no other code has
/// been sealed for that place with the second part.
fn name_of(value: &str) -> Option<String> {
    let (place, secret) = value.split_once('.')?;
    let plain = |text: &str| {
        text.len() == 43
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    (plain(place) && plain(secret)).then(|| format!("{PREFIX}{place}"))
}
