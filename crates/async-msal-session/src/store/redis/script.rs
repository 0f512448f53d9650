//! What must be one step in the server. Each script touches one key, or keys of one Cluster slot.

use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue, RedisResult, ServerErrorKind};

/// A script and the name the server gives it.
pub(super) struct Script {
    code: &'static str,
    sha1: String,
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, sha1: redis::Script::new(code).get_hash().to_owned() }
    }

    /// Runs it: by its name, and whole where the server does not know it (any more), which is also how it learns it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        mut connection: impl ConnectionLike,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> RedisResult<T> {
        let known = self.command("EVALSHA", &self.sha1, keys, arguments).query_async(&mut connection).await;
        match known {
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                self.command("EVAL", self.code, keys, arguments).query_async(&mut connection).await
            }
            answer => answer,
        }
    }

    fn command(&self, name: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        command
    }
}

/// All of them.
pub(super) struct Scripts {
    pub(super) compare_and_set: Script,
    pub(super) index_add: Script,
    pub(super) acquire: Script,
    pub(super) extend: Script,
    pub(super) release: Script,
    pub(super) put_once: Script,
    pub(super) replace_once: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            compare_and_set: Script::new(COMPARE_AND_SET),
            index_add: Script::new(INDEX_ADD),
            acquire: Script::new(ACQUIRE),
            extend: Script::new(EXTEND),
            release: Script::new(RELEASE),
            put_once: Script::new(PUT_ONCE),
            replace_once: Script::new(REPLACE_ONCE),
        }
    }
}

/// 0 gone, 1 conflict, 2 saved. Without a third argument the time to live stays.
const COMPARE_AND_SET: &str = "\
local now = redis.call('GET', KEYS[1])
if not now then return 0 end
if now ~= ARGV[1] then return 1 end
if ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
end
return 2";

/// The first time counts, the set lives as long as its longest-lived entry, and it holds the newest so many. An entry
/// twice as old as a session can become points to nothing, unless a Python service signed in again under the same key.
const INDEX_ADD: &str = "\
local now = redis.call('TIME')[1]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - 2 * ARGV[2]))
redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1";

/// The fence, or nil where another holds the lease. The server's time is the least it can be, so that it grows even when the
/// counter was evicted.
const ACQUIRE: &str = "\
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local time = redis.call('TIME')
local fence = math.max(last + 1, time[1] * 1000000 + time[2])
redis.call('SET', KEYS[2], string.format('%.0f', fence), 'EX', ARGV[3])
return fence";

const EXTEND: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('EXPIRE', KEYS[1], ARGV[2])";

const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// What was there, or nil when the mark is the caller's.
const PUT_ONCE: &str = "\
local there = redis.call('GET', KEYS[1])
if there then return there end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return false";

const REPLACE_ONCE: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1";
