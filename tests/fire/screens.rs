//! What screens show, looked at all along: never more than was sent by then, and never less than a moment before but for
//! what was retracted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use proto::v1;
use tests::expect;
use tests::truth::Truth;
use tests::viewer::{Fold, Viewer};

use crate::traffic::Oracle;

/// Topics that are watched.
pub(crate) const TOPICS: [&str; 5] =
    ["overview", "wall", "department:hmrc", "service:gov-uk", "service:hmrc-stamp-duty-reserve-tax"];
const LOOK_EVERY: Duration = Duration::from_millis(120);

type Values = HashMap<(String, String), i64>;

/// The most that screens may show, and by how much it may become less again.
#[derive(Default)]
pub(crate) struct Bounds {
    /// What was sent so far, each event once.
    sent: Mutex<Sums>,
    /// What was asked to be taken out again.
    retracted: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    truth: Truth,
    by_topic: HashMap<&'static str, Values>,
}

impl Sums {
    fn add(&mut self, events: &[v1::Event]) {
        self.truth.take(events);
        for topic in TOPICS {
            let sums = self.by_topic.entry(topic).or_default();
            for (key, value) in expect::values(&self.truth, topic) {
                *sums.entry(key).or_default() += value;
            }
        }
        self.truth.forget();
    }

    fn of(&self, topic: &str, key: &(String, String)) -> i64 {
        self.by_topic.get(topic).and_then(|sums| sums.get(key)).copied().unwrap_or(0)
    }
}

impl Bounds {
    /// Takes events that are about to be sent for the first time.
    pub(crate) fn raise(&self, events: &[v1::Event]) {
        self.sent().add(events);
    }

    /// Takes events that are about to be retracted for the first time.
    pub(crate) fn lower(&self, events: &[v1::Event]) {
        self.retracted().add(events);
    }

    fn sent(&self) -> MutexGuard<'_, Sums> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retracted(&self) -> MutexGuard<'_, Sums> {
        self.retracted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown and was never sent.
    pub(crate) fn exceeded(&self, topic: &str, fold: &Fold) -> Vec<String> {
        let sent = self.sent();
        let shown = fold.values.iter().filter(|((key, _), _)| is_sum(key));
        shown
            .filter(|(key, value)| **value > sent.of(topic, key))
            .map(|(key, value)| format!("{topic}: {key:?} shows {value} with {} sent", sent.of(topic, key)))
            .collect()
    }

    /// Figures that became smaller by more than was retracted: a cell can be exceeded, never contradicted.
    fn fallen(&self, topic: &str, before: &Fold, now: &Fold) -> Vec<String> {
        if before.epoch != now.epoch || before.today != now.today {
            return Vec::new();
        }
        let retracted = self.retracted();
        let least = |key, before: i64| before - retracted.of(topic, key);
        let sums = before.values.iter().filter(|((key, _), _)| is_sum(key));
        let fell = sums.filter(|(key, was)| now.values.get(*key).is_some_and(|now| *now < least(key, **was)));
        fell.map(|(key, was)| format!("{topic}: {key:?} fell from {was} to {:?}", now.values.get(key))).collect()
    }
}

/// Whether a value is a sum over events; the others are functions of such sums.
fn is_sum(key: &str) -> bool {
    key != "visitors" && !key.ends_with("completed_started")
}

/// Looks at a gateway all along; dropping it ends that.
pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    found: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// At a gateway, which may go away and come back.
    pub(crate) fn start(gateway: SocketAddr, oracle: Arc<Oracle>) -> Self {
        let (stop, looks, found) = (Arc::default(), Arc::default(), Arc::default());
        let mut this = Self { stop, looks, found, thread: None };
        let (stop, looks, found) = (Arc::clone(&this.stop), Arc::clone(&this.looks), Arc::clone(&this.found));
        this.thread = Some(std::thread::spawn(move || watch(gateway, &oracle, &stop, &looks, &found)));
        this
    }

    /// How often it looked.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Acquire)
    }

    /// What it should not have seen.
    pub(crate) fn found(&self) -> Vec<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn watch(gateway: SocketAddr, oracle: &Oracle, stop: &AtomicBool, looks: &AtomicU64, found: &Mutex<Vec<String>>) {
    let note = |more: Vec<String>| {
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        let room = 20_usize.saturating_sub(found.len());
        found.extend(more.into_iter().take(room));
    };
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(LOOK_EVERY);
        let Ok(viewer) = Viewer::try_connect(gateway, &TOPICS) else { continue };
        let mut before: HashMap<&str, Fold> = HashMap::new();
        while !stop.load(Ordering::Acquire) && !viewer.seen().closed {
            for topic in TOPICS {
                // The screen first, what was sent second: so the bound is never too low.
                let fold = viewer.fold(topic);
                note(oracle.bounds.exceeded(topic, &fold));
                if let Some(before) = before.get(topic) {
                    note(oracle.bounds.fallen(topic, before, &fold));
                }
                before.insert(topic, fold);
            }
            looks.fetch_add(1, Ordering::AcqRel);
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
