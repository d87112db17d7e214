//! Facts in Redis: each operation is one script on one key, so it works in a cluster too.
//!
//! A value is kept as version (8 bytes, big-endian) ‖ nonce (8, random) ‖ value. The first version is
//! random and the nonce tells this write from any other, so that a command whose answer was lost can be
//! sent again.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use redis::{Cmd, FromRedisValue, Value, cmd};

use super::RedisStore;
use crate::{
    facts::{Fact, FactStore, MAX_FACT, MAX_MEMBER, Put, Rate, Spent, Swap, first_version},
    store::StoreError,
};

const HEADER: usize = 16;

/// Members in one answer, roughly: so many of the longest ([`MAX_MEMBER`]) fit.
const PAGE: usize = 16;

/// What is there, unless it is this very write: then 1, as after writing it.
const PUT_IF_ABSENT: &str = "\
local v = redis.call('GET', KEYS[1])
if v and v ~= ARGV[1] then return v end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

const COMPARE_AND_SET: &str = "\
local v = redis.call('GET', KEYS[1])
if v ~= ARGV[2] and (not v or string.sub(v, 1, 8) ~= ARGV[1]) then return v end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

const COMPARE_AND_DELETE: &str = "\
local v = redis.call('GET', KEYS[1])
if not v or string.sub(v, 1, 8) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

const TAKE: &str = "\
local v = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return v";

/// What is kept is when the budget will be full, in microseconds since 1970: the "theoretical arrival time"
/// of GCRA. One window of debts at most.
const SPEND: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local every, whole = tonumber(ARGV[1]), ARGV[1] * ARGV[2]
local full = tonumber(redis.call('GET', KEYS[1]) or '') or now
full = math.min(math.max(full, now) + ARGV[3] * every, now + 2 * whole)
local free = math.floor((now + whole - full) / every)
local granted = math.max(0, math.min(tonumber(ARGV[4]), free))
full = full + granted * every
local left = full - now
if left > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', string.format('%.0f', math.ceil(left / 1000)))
end
return {granted, left}";

/// A member's score is when it is over; the set ends with its last member.
const INSERT: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local till = now + tonumber(ARGV[2])
local had = redis.call('ZSCORE', KEYS[1], ARGV[1])
if had and tonumber(had) > till then till = tonumber(had) end
redis.call('ZADD', KEYS[1], till, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if last[2] then redis.call('PEXPIREAT', KEYS[1], last[2]) end
return 1";

const EXPIRE: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return now";

fn script(text: &str, key: &str) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(text).arg(1).arg(key);
    command
}

fn millis(ttl: Duration) -> u64 {
    // Zero would be an error to Redis.
    u64::try_from(ttl.as_millis())
        .unwrap_or(u64::MAX >> 12)
        .max(1)
}

fn kept(version: u64, value: &[u8]) -> Result<Vec<u8>, StoreError> {
    if value.len() > MAX_FACT - HEADER {
        return Err(StoreError::Full);
    }
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(|_| StoreError::Unreachable("no randomness"))?;
    Ok([version.to_be_bytes().as_slice(), &nonce, value].concat())
}

fn fact(kept: &[u8]) -> Result<Fact, StoreError> {
    let (header, value) = kept
        .split_first_chunk::<HEADER>()
        .ok_or(StoreError::Unreachable("what is kept there is no fact"))?;
    let (version, _) = header.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    Ok(Fact {
        version: u64::from_be_bytes(*version),
        value: value.to_vec(),
    })
}

/// What is there. Anything but a value or nothing is no answer to build on.
fn there(value: &Value) -> Result<Option<Fact>, StoreError> {
    match value {
        Value::BulkString(kept) => fact(kept).map(Some),
        Value::Nil => Ok(None),
        _ => Err(STRANGE),
    }
}

const STRANGE: StoreError = StoreError::Unreachable("its answer is none");

impl RedisStore {
    async fn eval<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        full(self.run(name, command).await)
    }

    /// For what must not be done twice: a lost answer is an error.
    async fn eval_once<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        full(self.run_once(name, command).await)
    }
}

/// A server that evicts nothing says `OOM`.
fn full<T>(result: Result<T, StoreError>) -> Result<T, StoreError> {
    result.map_err(|error| match error {
        StoreError::Refused(code) if code == "OOM" => StoreError::Full,
        error => error,
    })
}

#[async_trait]
impl FactStore for RedisStore {
    async fn read(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        there(&self.eval("GET", cmd("GET").arg(key)).await?)
    }

    async fn put_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Put, StoreError> {
        let mut command = script(PUT_IF_ABSENT, key);
        let version = first_version()?;
        command.arg(kept(version, &value)?).arg(millis(ttl));
        match self.eval("put_if_absent", &command).await? {
            Value::Int(1) => Ok(Put::Created(version)),
            found => there(&found)?.map(Put::Exists).ok_or(STRANGE),
        }
    }

    async fn compare_and_set(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Swap, StoreError> {
        let mut command = script(COMPARE_AND_SET, key);
        command.arg(version.to_be_bytes().as_slice());
        command
            .arg(kept(version.wrapping_add(1), &value)?)
            .arg(millis(ttl));
        match self.eval("compare_and_set", &command).await? {
            Value::Int(1) => Ok(Swap::Done),
            found => Ok(Swap::Lost(there(&found)?)),
        }
    }

    async fn compare_and_delete(&self, key: &str, version: u64) -> Result<bool, StoreError> {
        let mut command = script(COMPARE_AND_DELETE, key);
        command.arg(version.to_be_bytes().as_slice());
        self.eval("compare_and_delete", &command).await
    }

    async fn take(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        there(&self.eval_once("take", &script(TAKE, key)).await?)
    }

    async fn spend(
        &self,
        key: &str,
        rate: Rate,
        owed: u64,
        wanted: u64,
    ) -> Result<Spent, StoreError> {
        let mut command = script(SPEND, key);
        let every = u64::try_from(rate.every().as_micros()).unwrap_or(u64::MAX);
        // More is not remembered, and would not be exact in a script.
        let owed = owed.min(rate.limit().saturating_mul(2));
        command.arg(every).arg(rate.limit()).arg(owed).arg(wanted);
        let (granted, left): (u64, u64) = self.eval_once("spend", &command).await?;
        Ok(Spent {
            granted,
            full_in: Duration::from_micros(left),
        })
    }

    async fn insert(&self, key: &str, member: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        if member.len() > MAX_MEMBER {
            return Err(StoreError::Full);
        }
        let mut command = script(INSERT, key);
        command.arg(member).arg(millis(ttl));
        self.eval("insert", &command).await
    }

    async fn remove(&self, key: &str, member: &[u8]) -> Result<(), StoreError> {
        self.eval("remove", cmd("ZREM").arg(key).arg(member)).await
    }

    async fn members(&self, key: &str) -> Result<Vec<(Vec<u8>, Duration)>, StoreError> {
        let now: u64 = self.eval("members", &script(EXPIRE, key)).await?;
        let (mut members, mut cursor) = (HashMap::new(), 0_u64);
        loop {
            let mut command = cmd("ZSCAN");
            command.arg(key).arg(cursor).arg("COUNT").arg(PAGE);
            // A member may come twice.
            let (next, page): (u64, Vec<(Vec<u8>, f64)>) = self.eval("members", &command).await?;
            members.extend(page);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let left = members.into_iter().map(|(member, till)| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "milliseconds since 1970, below 2^53"
            )]
            let left = (till as u64).saturating_sub(now);
            (member, Duration::from_millis(left))
        });
        Ok(left.filter(|(_, left)| !left.is_zero()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_or_nothing_is_an_answer() {
        let kept = kept(7, b"v").unwrap();
        let found = there(&Value::BulkString(kept)).unwrap().unwrap();
        assert_eq!((found.version, found.value), (7, b"v".to_vec()));
        assert_eq!(there(&Value::Nil), Ok(None));
        for strange in [Value::Okay, Value::Int(0), Value::Array(Vec::new())] {
            assert_eq!(there(&strange), Err(STRANGE));
        }
        there(&Value::BulkString(vec![0; 3])).unwrap_err();
    }
}
