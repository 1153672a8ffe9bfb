//! The only place that reads the clock of the day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in unix milliseconds.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A number for this run of a process, other than that of any run before: the nanosecond at which it was asked for.
#[must_use]
pub fn boot_id() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 ^ (u64::from(std::process::id()) << 48)
}
