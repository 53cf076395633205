//! Limits in Redis, shared by all daemons. While it is unavailable every daemon grants its share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use kgrca_core::model::Time;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::limits::of_day;
use kgrca_core::storage::{Error, ErrorKind, Limits, Result, Taken, Window};
use kgrca_core::tenancy::TenantId;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, FromRedisValue, RedisResult, Script, ScriptInvocation};

use crate::telemetry;

/// Time limit for an answer, because a caller waits for it.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long Redis is not asked after a failure, in microseconds.
const REST: i64 = 500_000;

/// The generic cell rate algorithm, see [`kgrca_core::storage::limits::gcra`], as one atomic
/// script. Times are microseconds; doubles hold them exactly until the year 2255.
const GCRA: &str = "
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
local now, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local room, n = tonumber(ARGV[3]), tonumber(ARGV[4])
local before = math.max(full, now)
local after = before + n * interval
if after - now > room then return {0, string.format('%.0f', before)} end
local expires = math.ceil((after - now) / 1000) + 60000
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', expires)
return {1, string.format('%.0f', after)}
";

/// Returns tokens, where any were taken.
const GCRA_GIVE_BACK: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECRBY', KEYS[1], ARGV[1]) end
return 0
";

/// Takes from a day's quota as long as any is left.
const DAY_QUOTA: &str = "
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used >= tonumber(ARGV[2]) then return {0, used} end
used = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], 172800)
return {1, used}
";

/// Returns quota; usage never falls below zero.
const GIVE_BACK: &str = "
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
redis.call('SET', KEYS[1], math.max(used - tonumber(ARGV[1]), 0), 'EX', 172800)
return 0
";

/// Raises usage to at least a value.
const AT_LEAST: &str = "
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1], 'EX', 172800) end
return 0
";

/// Counters in Redis, and local ones for when it is unavailable.
pub struct RedisLimits {
    connection: ConnectionManager,
    local: MemoryLimits,
    /// When Redis is asked again after a failure, in microseconds.
    again: AtomicI64,
    /// How many daemons share the limits of the local counters.
    daemons: Arc<AtomicU64>,
    gcra: Script,
    gcra_give_back: Script,
    day_quota: Script,
    give_back: Script,
    at_least: Script,
}

/// Connects to Redis.
///
/// # Errors
/// When it does not answer, or the URL is invalid.
pub async fn open(url: &str, daemons: Arc<AtomicU64>) -> Result<RedisLimits> {
    let client = redis::Client::open(url).map_err(|e| {
        failed(&e).hint("expected redis://:password@host:6379/0, or rediss:// for TLS")
    })?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(PATIENCE))
        .set_number_of_retries(1);
    let connection = client
        .get_connection_manager_with_config(config)
        .await
        .map_err(|e| failed(&e))?;
    Ok(RedisLimits {
        connection,
        local: MemoryLimits::default(),
        again: AtomicI64::new(0),
        daemons,
        gcra: Script::new(GCRA),
        gcra_give_back: Script::new(GCRA_GIVE_BACK),
        day_quota: Script::new(DAY_QUOTA),
        give_back: Script::new(GIVE_BACK),
        at_least: Script::new(AT_LEAST),
    })
}

fn failed(error: &redis::RedisError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("limits: Redis: {error}"))
}

fn window_key(tenant: &TenantId, window: Window) -> String {
    format!("kgrca:{{{tenant}}}:{}", window.name)
}

fn day_key(tenant: &TenantId, now: Time) -> String {
    format!("kgrca:{{{tenant}}}:events/day:{}", now.0.div_euclid(DAY))
}

impl RedisLimits {
    /// The answer of Redis; `None` while it is unavailable, which is counted. After a failure it is
    /// not asked for a moment, so that callers do not wait.
    async fn asked<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Option<T> {
        let at = crate::clock::now().0;
        if at < self.again.load(Ordering::Relaxed) {
            telemetry::LimitsChecked {
                error: Some("not asked again yet after a failure".into()),
            }
            .emit();
            return None;
        }
        let answer: RedisResult<T> = call.invoke_async(&mut self.connection.clone()).await;
        if answer.is_err() {
            self.again.store(at + REST, Ordering::Relaxed);
        }
        telemetry::LimitsChecked {
            error: answer.as_ref().err().map(ToString::to_string),
        }
        .emit();
        answer.ok()
    }

    /// This daemon's share of a limit.
    fn share(&self, limit: u64) -> u64 {
        limit.div_ceil(self.daemons.load(Ordering::Relaxed).max(1))
    }

    fn share_of(&self, window: Window) -> Window {
        Window {
            limit: self.share(window.limit),
            ..window
        }
    }
}

#[async_trait::async_trait]
impl Limits for RedisLimits {
    async fn take(&self, tenant: &TenantId, window: Window, n: u64, now: Time) -> Result<Taken> {
        let interval = window.interval();
        let mut call = self.gcra.key(window_key(tenant, window));
        call.arg(now.0)
            .arg(interval)
            .arg(window.limit as i64 * interval)
            .arg(n);
        if let Some((allowed, full)) = self.asked::<(i64, i64)>(&call).await {
            return Ok(window.taken(allowed == 1, Time(full), n, now));
        }
        let window = self.share_of(window);
        self.local.take(tenant, window, n, now).await
    }

    async fn give_back(&self, tenant: &TenantId, window: Window, n: u64, now: Time) -> Result<()> {
        let mut call = self.gcra_give_back.key(window_key(tenant, window));
        call.arg(window.tokens(n));
        if self.asked::<i64>(&call).await.is_some() {
            return Ok(());
        }
        let window = self.share_of(window);
        self.local.give_back(tenant, window, n, now).await
    }

    async fn take_day(&self, tenant: &TenantId, n: u64, limit: u64, now: Time) -> Result<Taken> {
        let mut call = self.day_quota.key(day_key(tenant, now));
        call.arg(n).arg(limit);
        match self.asked::<(i64, u64)>(&call).await {
            Some((allowed, used)) => Ok(of_day(allowed == 1, limit, used, now)),
            None => self.local.take_day(tenant, n, self.share(limit), now).await,
        }
    }

    async fn give_back_day(&self, tenant: &TenantId, n: u64, now: Time) -> Result<()> {
        let mut call = self.give_back.key(day_key(tenant, now));
        call.arg(n);
        match self.asked::<i64>(&call).await {
            Some(_) => Ok(()),
            None => self.local.give_back_day(tenant, n, now).await,
        }
    }

    async fn preload_day(&self, tenant: &TenantId, used: u64, now: Time) -> Result<()> {
        let mut call = self.at_least.key(day_key(tenant, now));
        call.arg(used);
        self.asked::<i64>(&call).await;
        // Also locally, in case Redis becomes unavailable: this daemon's share of what was used.
        self.local
            .preload_day(
                tenant,
                used / self.daemons.load(Ordering::Relaxed).max(1),
                now,
            )
            .await
    }

    async fn check(&self) -> Result<String> {
        let mut connection = self.connection.clone();
        let info: String = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut connection)
            .await
            .map_err(|e| failed(&e))?;
        let version = info
            .lines()
            .find_map(|l| l.strip_prefix("redis_version:"))
            .unwrap_or("of unknown version")
            .trim();
        let _: () = connection
            .set_ex("kgrca:check", 1, 10)
            .await
            .map_err(|e| failed(&e))?;
        Ok(format!("Redis {version}"))
    }
}
