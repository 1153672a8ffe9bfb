//! Waiting for a condition, with a deadline and the last reason why it was not met.

use std::time::{Duration, Instant};

/// Long enough for anything on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is an answer.
///
/// # Panics
/// When the time is over, with the last reason.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(reason) => assert!(began.elapsed() < limit, "{what}: not within {limit:?}: {reason}"),
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Looks again and again until it is so.
///
/// # Panics
/// When the time is over.
pub fn until_so(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    until(what, limit, || if is_so() { Ok(()) } else { Err("still not so".into()) });
}
