//! The equation, looked at all along: for each source as many outcomes as applied records, at every moment.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tests::sql::Sql;

const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Looks at the books all along; dropping it ends that.
pub(crate) struct Auditor {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    looks: AtomicU64,
    found: Mutex<Vec<String>>,
}

impl Auditor {
    /// Of a stack's databases; a server that is away is no difference.
    pub(crate) fn start(sql: Sql) -> Self {
        let seen = Arc::new(Seen::default());
        let thread = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || seen.watch(&sql)
        });
        Self { seen, thread: Some(thread) }
    }

    /// How often the books were read.
    pub(crate) fn looks(&self) -> u64 {
        self.seen.looks.load(Ordering::Acquire)
    }

    /// When they did not balance.
    pub(crate) fn found(&self) -> Vec<String> {
        self.seen.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Seen {
    fn watch(&self, sql: &Sql) {
        while !self.stop.load(Ordering::Acquire) {
            std::thread::sleep(LOOK_EVERY);
            let question = "SELECT p, difference FROM {figures}.books WHERE difference != 0";
            let Ok(rows) = sql.try_rows::<(u16, i64)>(question) else { continue };
            self.looks.fetch_add(1, Ordering::AcqRel);
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.len() < 20 {
                found.extend(rows.iter().map(|(p, n)| format!("the books of partition {p} were off by {n}")));
            }
        }
    }
}
