//! CPU time, which a busy machine distorts less than the time on the wall.

use std::fs;

/// CPU seconds that the calling thread has used, to the nanosecond.
///
/// # Panics
/// Without Linux's `/proc`.
#[must_use]
pub fn of_this_thread() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread its time");
    let nanoseconds: u64 = text.split(' ').next().and_then(|n| n.parse().ok()).expect("the first field is a number");
    nanoseconds as f64 / 1e9
}

/// CPU seconds that a process has used with all its threads, to a hundredth; what has ended used nothing.
#[must_use]
pub fn of_process(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold anything; the fields count from behind it: 14 and 15 are user and system.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    // 100 ticks a second on every Linux that there is.
    (ticks(11) + ticks(12)) / 100.0
}

/// CPU seconds of some processes since a moment.
#[derive(Debug, Clone)]
pub struct Since {
    processes: Vec<(u32, f64)>,
}

impl Since {
    /// The moment is now.
    #[must_use]
    pub fn now(pids: &[u32]) -> Self {
        Self { processes: pids.iter().map(|pid| (*pid, of_process(*pid))).collect() }
    }

    /// Of each process, in the order given.
    #[must_use]
    pub fn each(&self) -> Vec<f64> {
        self.processes.iter().map(|(pid, before)| of_process(*pid) - before).collect()
    }
}
