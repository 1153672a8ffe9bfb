//! Waiting for a condition, with a deadline and the last reason why it was not met.

use std::time::{Duration, Instant};

use domain::time::Day;
use runtime::clock::now_ms;

/// Long enough for anything on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is an answer.
///
/// # Panics
/// When the time is over, with the last reason.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        let looked = Instant::now();
        match look() {
            Ok(found) => return found,
            Err(reason) => assert!(began.elapsed() < limit, "{what}: not within {limit:?}: {reason}"),
        }
        // Those who are waited for need the machine more than those who look.
        std::thread::sleep((looked.elapsed() * 2).clamp(Duration::from_millis(25), Duration::from_millis(500)));
    }
}

/// Looks again and again until it is so.
///
/// # Panics
/// When the time is over.
pub fn until_so(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    until(what, limit, || if is_so() { Ok(()) } else { Err("still not so".into()) });
}

/// "Today" must not change under the tests: shortly before midnight in London they wait for the next day.
pub fn let_the_day_end() {
    let left_ms = || Day::at(now_ms()).next().start_ms() - now_ms();
    if left_ms() < 180_000 {
        eprintln!("the day ends in {} seconds: the tests wait for the next one", left_ms() / 1_000);
        until_so("the next day", Duration::from_secs(200), || left_ms() > 180_000);
    }
}
