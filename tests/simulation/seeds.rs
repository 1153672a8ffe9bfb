//! Many seeds on all cores.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two lines of progress.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Which schedules to run: those of the suite, or what the environment asks for.
///
/// `SIMULATE_SCHEDULES` is how many, `SIMULATE_FROM` the first seed.
pub(crate) fn asked(in_suite: u64) -> Range<u64> {
    let number = |name: &str, or: u64| {
        std::env::var(name).map_or(or, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
    };
    let from = number("SIMULATE_FROM", 0);
    from..from + number("SIMULATE_SCHEDULES", in_suite)
}

/// Runs every seed and returns those that panicked, ascending.
pub(crate) fn wrong(name: &str, seeds: Range<u64>, run: impl Fn(u64) + Sync) -> Vec<u64> {
    let (next, done) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let wrong = Mutex::new(BTreeSet::new());
    let (began, all) = (Instant::now(), seeds.end - seeds.start);
    let last = Mutex::new(began);
    let told = |done: u64| {
        let wrong = wrong.lock().expect("not held by one that panicked");
        let rate = done as f64 / began.elapsed().as_secs_f64();
        println!("{name}: {done} of {all} schedules from seed {}, {rate:.0} a second, wrong: {wrong:?}", seeds.start);
    };
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            if catch_unwind(AssertUnwindSafe(|| run(seed))).is_err() {
                wrong.lock().expect("not held by one that panicked").insert(seed);
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            let mut last = last.lock().expect("not held by one that panicked");
            if done == all || last.elapsed() >= TOLD_EVERY {
                *last = Instant::now();
                told(done);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    wrong.into_inner().expect("not held by one that panicked").into_iter().collect()
}

/// The first seed that catches each mistake, of those that can make it: each `step`-th one; panics with the mistakes that
/// none of so many seeds catches.
pub(crate) fn catch_each<F>(faults: &[F], schedules: u64, step: impl Fn(F) -> u64 + Sync, run: impl Fn(u64, F) + Sync)
where
    F: Copy + Sync + Send + std::fmt::Debug,
{
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (run, step) = (&run, &step);
    println!("each mistake with the first seed that catches it:");
    let caught = |fault: F| {
        let mut seeds = (0..schedules).map(|n| n * step(fault));
        let seed = seeds.find(|seed| catch_unwind(AssertUnwindSafe(|| run(*seed, fault))).is_err());
        println!("  {fault:?}: {seed:?}");
        seed
    };
    let seeds: Vec<(F, Option<u64>)> = std::thread::scope(|scope| {
        let each = |fault: &F| {
            let fault = *fault;
            scope.spawn(move || (fault, caught(fault)))
        };
        let threads: Vec<_> = faults.iter().map(each).collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are caught")).collect()
    });
    std::panic::set_hook(quiet);
    let missed: Vec<_> = seeds.iter().filter(|(_, seed)| seed.is_none()).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
