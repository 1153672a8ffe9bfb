//! Departments that send without a pause, and the oracle: what was ever sent, and what was acknowledged, log by log.
//!
//! Invariant: an event is among what was sent and in the bounds of the screens before any byte of it leaves.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::event::Event;
use domain::source::Log;
use proto::v1;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tests::events::Mix;
use tests::log::Parser;
use tests::sender::{Answer, Senders};

use crate::late::Late;
use crate::screens::Bounds;

/// An event with its content: the same id with other content is another one.
pub(crate) type Key = (u128, u64);

/// Of an event or a retraction as it stands in a log.
pub(crate) const fn key(event: &Event) -> Key {
    (event.id.0, event.content)
}

/// Fresh events in a batch, and those that are sent again.
const FRESH: usize = 40;
const AGAIN: usize = 160;
const THREADS: u64 = 3;
const PACE: Duration = Duration::from_millis(110);
/// One in so many events is given up by its sender when it gets no answer: nobody knows what became of it.
const GIVEN_UP: usize = 20;

struct Desk {
    mix: Mix,
    rng: StdRng,
    /// Not yet acknowledged.
    left: Vec<v1::Event>,
    /// Some that are, to be sent once more.
    done: Vec<v1::Event>,
}

/// What is known of one log.
#[derive(Default)]
pub(crate) struct Known {
    /// Everything sent; of a retraction the event that it names.
    pub(crate) sent: HashMap<Key, v1::Event>,
    pub(crate) acknowledged: HashSet<Key>,
}

/// What the senders share.
pub(crate) struct Oracle {
    desk: Mutex<Desk>,
    parser: Parser,
    logs: [Mutex<Known>; 3],
    late_left: AtomicUsize,
    complaints: Mutex<Vec<String>>,
    /// What screens may show at most.
    pub(crate) bounds: Bounds,
    clock_ms: AtomicI64,
    given_up: AtomicU64,
    open: AtomicBool,
    stop: AtomicBool,
}

/// Senders at work; dropping it stops them.
pub(crate) struct Traffic {
    pub(crate) oracle: Arc<Oracle>,
    threads: Vec<JoinHandle<()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traffic {
    /// Begins to send through any of these.
    pub(crate) fn start(seed: u64, name: &str, senders: &[Senders]) -> Self {
        let rng = StdRng::seed_from_u64(seed ^ 0x7a);
        let desk = Desk { mix: Mix::new(seed, name), rng, left: Vec::new(), done: Vec::new() };
        let oracle = Arc::new(Oracle {
            desk: Mutex::new(desk),
            parser: Parser::default(),
            logs: Default::default(),
            late_left: AtomicUsize::new(0),
            complaints: Mutex::default(),
            bounds: Bounds::default(),
            clock_ms: AtomicI64::new(0),
            given_up: AtomicU64::new(0),
            open: AtomicBool::new(true),
            stop: AtomicBool::new(false),
        });
        let threads = (0..THREADS).map(|n| {
            let (oracle, senders) = (Arc::clone(&oracle), senders.to_vec());
            let rng = StdRng::seed_from_u64(seed ^ (n << 32));
            std::thread::spawn(move || oracle.send(&senders, rng))
        });
        let mut threads: Vec<_> = threads.collect();
        let mut late = Late::new(Arc::clone(&oracle), seed, name, senders.to_vec());
        threads.push(std::thread::spawn(move || late.send()));
        Self { threads, oracle }
    }
}

fn is_given_up(event: &v1::Event) -> bool {
    event.event_id.bytes().map(usize::from).sum::<usize>().is_multiple_of(GIVEN_UP)
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.oracle.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Oracle {
    /// No more fresh events; what is not acknowledged is still sent again.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// The senders' clocks are off by so much from now on.
    pub(crate) fn set_clock(&self, ms: i64) {
        self.clock_ms.store(ms, Ordering::Release);
    }

    /// What waits to be acknowledged, at all doors.
    pub(crate) fn left(&self) -> usize {
        locked(&self.desk).left.len() + self.late_left.load(Ordering::Acquire)
    }

    /// The same at the late doors.
    pub(crate) fn set_late_left(&self, count: usize) {
        self.late_left.store(count, Ordering::Release);
    }

    /// What was sent to a log, and what was acknowledged.
    pub(crate) fn of(&self, log: Log) -> MutexGuard<'_, Known> {
        locked(&self.logs[log as usize - 1])
    }

    /// Whether there may be anything new.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Some event of the live path: one that is acknowledged or, once in a while, one that is not yet.
    pub(crate) fn some_event(&self, rng: &mut StdRng) -> Option<v1::Event> {
        let desk = locked(&self.desk);
        let from = if rng.random_ratio(1, 6) { &desk.left } else { &desk.done };
        from.choose(rng).filter(|event| event.attributes.is_empty()).cloned()
    }

    /// An answer that no sender should get.
    pub(crate) fn complain(&self, what: String) {
        locked(&self.complaints).push(what);
    }

    /// Events of which nobody knows what became.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Acquire)
    }

    /// Answers that no sender should get.
    pub(crate) fn complaints(&self) -> Vec<String> {
        locked(&self.complaints).clone()
    }

    /// The reader of what is sent.
    pub(crate) const fn parser(&self) -> &Parser {
        &self.parser
    }

    fn send(&self, senders: &[Senders], mut rng: StdRng) {
        while !self.is_stopped() {
            let batch = self.next_batch();
            if batch.is_empty() {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            let answers = senders.choose(&mut rng).expect("there are collectors").send(&batch);
            let failed = answers.iter().filter(|answer| !answer.is_accepted()).count();
            self.take(batch, answers);
            std::thread::sleep(if failed > 0 { PACE * 2 } else { PACE });
        }
    }

    fn next_batch(&self) -> Vec<v1::Event> {
        let mut desk = locked(&self.desk);
        let desk = &mut *desk;
        let again = desk.left.len().min(AGAIN);
        let mut batch: Vec<_> = desk.left.drain(..again).collect();
        if self.is_open() && again < AGAIN {
            let clock_ms = self.clock_ms.load(Ordering::Acquire);
            let mut fresh = desk.mix.fresh(FRESH);
            for event in &mut fresh {
                event.occurred_at_ms += clock_ms;
            }
            self.bounds.raise(&fresh);
            for _ in 0..desk.rng.random_range(0..6) {
                let Some(copy) = desk.done.choose(&mut desk.rng) else { break };
                fresh.push(copy.clone());
            }
            // A sender with a bug: another event under an id that is taken.
            if let Some(other) = desk.done.choose(&mut desk.rng).filter(|_| desk.rng.random_ratio(1, 8)) {
                let attributes = vec![v1::Attribute { name: "other".into(), value: "content".into() }];
                fresh.push(v1::Event { attributes, ..other.clone() });
            }
            let keyed = fresh.iter().map(|event| (key(&self.parser.parsed(event)), event.clone()));
            self.of(Log::Events).sent.extend(keyed);
            batch.extend(fresh);
        }
        batch
    }

    fn take(&self, batch: Vec<v1::Event>, answers: Vec<Answer>) {
        let mut desk = locked(&self.desk);
        for (event, answer) in batch.into_iter().zip(answers) {
            match answer {
                Answer::Accepted(_) => {
                    self.of(Log::Events).acknowledged.insert(key(&self.parser.parsed(&event)));
                    if event.attributes.is_empty() && desk.done.len() < 4_000 {
                        desk.done.push(event);
                    }
                }
                Answer::Rejected(code) => {
                    self.complain(format!("{} was rejected: {code}", event.event_id));
                }
                // Its conflict is only sent once it stands in the log, so it may be given up like any other.
                Answer::Retry | Answer::Refused(_) if is_given_up(&event) => {
                    self.given_up.fetch_add(1, Ordering::AcqRel);
                }
                Answer::Retry | Answer::Refused(_) => desk.left.push(event),
            }
        }
    }
}
