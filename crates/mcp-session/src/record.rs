//! The stored form of a session: private, versioned, sealed before it leaves the process.

use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mcp_auth::{Actor, Principal, PrincipalRecord, Upstream, UpstreamToken};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::session::Session;

const VERSION: u8 = 1;

/// The plaintext of a session; wiped when dropped.
pub(crate) fn encode(session: &Session) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    let record = Record {
        version: VERSION,
        principal: session.principal().to_record(),
        upstream: session.exchanged().map(UpstreamRecord::of),
        established_at: seconds(session.established_at()),
        expires_at: seconds(session.expires_at()),
    };
    plaintext_of(&record)
}

/// The plaintext of an upstream token alone; wiped when dropped.
pub(crate) fn encode_upstream(token: &UpstreamToken) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    plaintext_of(&UpstreamRecord::of(token))
}

/// The upstream token of such a plaintext.
pub(crate) fn decode_upstream(plaintext: &[u8]) -> Result<UpstreamToken, RecordError> {
    let record: UpstreamRecord = serde_json::from_slice(plaintext).map_err(|_| RecordError)?;
    Ok(record.into_token())
}

fn plaintext_of(record: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    // Measured first: a vector that grows would leave unwiped copies behind.
    let mut length = Length(0);
    serde_json::to_writer(&mut length, record).map_err(|_| RecordError)?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *plaintext, record).map_err(|_| RecordError)?;
    Ok(plaintext)
}

/// A session from the plaintext of a record that opened.
pub(crate) fn decode(plaintext: &[u8], max_lifetime: Duration) -> Result<Session, RecordError> {
    let record: Record = serde_json::from_slice(plaintext).map_err(|_| RecordError)?;
    if record.version != VERSION {
        return Err(RecordError);
    }
    let upstream = record.upstream.map(UpstreamRecord::into_token);
    let upstream = upstream.map(Upstream::Exchanged);
    Ok(Session::restore(
        Principal::from_record(record.principal),
        upstream,
        time(record.established_at),
        time(record.expires_at),
        max_lifetime,
    ))
}

/// Plaintext that is no session of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session record of this version")]
pub(crate) struct RecordError;

#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(rename = "v")]
    version: u8,
    #[serde(rename = "p")]
    principal: PrincipalRecord,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    upstream: Option<UpstreamRecord>,
    #[serde(rename = "b")]
    established_at: u64,
    #[serde(rename = "x")]
    expires_at: u64,
}

#[derive(Serialize, Deserialize)]
struct UpstreamRecord {
    #[serde(rename = "t", with = "secret")]
    secret: Zeroizing<String>,
    #[serde(rename = "r", default)]
    renew_at: u64,
    #[serde(rename = "x")]
    expires_at: u64,
    #[serde(rename = "g", default)]
    target: u64,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    actor: Option<Actor>,
}

impl UpstreamRecord {
    fn of(token: &UpstreamToken) -> Self {
        Self {
            secret: Zeroizing::new(token.expose().to_owned()),
            renew_at: seconds(token.renew_at()),
            expires_at: seconds(token.expires_at()),
            target: token.target(),
            actor: token.actor().cloned(),
        }
    }

    fn into_token(self) -> UpstreamToken {
        let (renew_at, expires_at) = (time(self.renew_at), time(self.expires_at));
        let token = UpstreamToken::new(self.secret, renew_at, expires_at);
        token.for_target(self.target).acted_by(self.actor)
    }
}

/// The upstream token as text: only here, only on its way into the seal and out of it.
mod secret {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        secret: &Zeroizing<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

/// Counts the bytes that would be written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        seal::OVERHEAD,
        testing::{principal, upstream},
    };

    fn session() -> Session {
        let established_at = UNIX_EPOCH + Duration::from_secs(1_000);
        let upstream = upstream("upstream-s3cret", 4_000);
        Session::new(
            principal("ada", 5_000),
            Some(upstream),
            established_at,
            Duration::MAX,
        )
    }

    #[test]
    fn a_session_comes_back_as_it_was() {
        let plaintext = encode(&session()).unwrap();
        assert_eq!(decode(&plaintext, Duration::MAX).unwrap(), session());
        assert_eq!(
            plaintext.capacity(),
            plaintext.len(),
            "grew, and left copies behind"
        );
    }

    #[test]
    fn whoever_acts_for_the_subject_comes_back_and_a_record_without_still_opens() {
        let actor = |name: &str| Actor {
            subject: Some(name.to_owned()),
            ..Actor::default()
        };
        let mut principal = principal("ada", 5_000).to_record();
        principal.actor = Some(actor("agent"));
        let Upstream::Exchanged(token) = upstream("upstream-s3cret", 4_000) else {
            unreachable!();
        };
        let token = token.acted_by(Some(actor("mcp")));
        let session = Session::new(
            Principal::from_record(principal),
            Some(Upstream::Exchanged(token)),
            UNIX_EPOCH + Duration::from_secs(1_000),
            Duration::MAX,
        );
        let plaintext = encode(&session).unwrap();
        let back = decode(&plaintext, Duration::MAX).unwrap();
        assert_eq!(back, session);
        assert_eq!(back.actor(), Some(&actor("mcp")));
        assert_eq!(back.client_actor(), Some(&actor("agent")));
        let text = String::from_utf8(plaintext.to_vec()).unwrap();
        let old = text.replace(r#","a":{"s":"mcp"}"#, "");
        let old = old.replace(r#","d":{"s":"agent"}"#, "");
        assert_eq!(old.len() + 34, text.len(), "{text}");
        let old = decode(old.as_bytes(), Duration::MAX).unwrap();
        assert_eq!((old.actor(), old.client_actor()), (None, None));
        assert_eq!(old.principal().subject(), "ada");
    }

    #[test]
    fn a_shorter_configured_lifetime_shortens_stored_sessions() {
        let plaintext = encode(&session()).unwrap();
        let session = decode(&plaintext, Duration::from_mins(1)).unwrap();
        assert_eq!(
            session.expires_at(),
            UNIX_EPOCH + Duration::from_secs(1_060)
        );
    }

    #[test]
    fn other_versions_and_garbage_are_no_records() {
        let plaintext = encode(&session()).unwrap();
        let text = String::from_utf8(plaintext.to_vec()).unwrap();
        let newer = text.replace("\"v\":1", "\"v\":2");
        assert_ne!(newer, text);
        for bytes in [newer.as_bytes(), b"{}", b"", b"\xff"] {
            assert_eq!(decode(bytes, Duration::MAX), Err(RecordError));
        }
    }

    #[test]
    fn a_typical_record_stays_under_one_kibibyte() {
        let session = Session::new(
            principal("user_01JZ7Q3V5W8X9Y0Z1A2B3C4D5E", 5_000),
            None,
            UNIX_EPOCH,
            Duration::MAX,
        );
        let plaintext = encode(&session).unwrap();
        assert!(
            plaintext.len() + OVERHEAD <= 1024,
            "{}",
            plaintext.len() + OVERHEAD
        );
    }
}
