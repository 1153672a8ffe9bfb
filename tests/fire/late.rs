//! The late doors under fire: events of weeks ago, and retractions of events that were sent, or never were.
//!
//! Invariant: what is sent here is among what was sent, and in the bounds of the screens, before any byte of it leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::source::Log;
use proto::v1::{self, backfill_response::Answer as Told};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use runtime::clock::now_ms;
use tests::events::Mix;
use tests::sender::{Answer, Senders, answer};

use crate::traffic::{Oracle, key};

const PACE: Duration = Duration::from_millis(250);
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1_440 * MINUTE_MS;
/// Old events and retractions in a round.
const FRESH: usize = 12;

/// A sender at the late doors.
pub(crate) struct Late {
    oracle: Arc<Oracle>,
    senders: Vec<Senders>,
    rng: StdRng,
    mix: Mix,
    batch: String,
    next: i64,
    /// Not yet acknowledged.
    old_left: Vec<v1::Event>,
    wrong_left: Vec<v1::Retraction>,
    /// Those that are, to be sent once more.
    old_done: Vec<v1::Event>,
    wrong_done: Vec<v1::Retraction>,
}

/// What is left of a round, and what is acknowledged.
struct Sorted<T> {
    left: Vec<T>,
    done: Vec<T>,
}

impl Late {
    pub(crate) fn new(oracle: Arc<Oracle>, seed: u64, name: &str, senders: Vec<Senders>) -> Self {
        let batch = format!("{name}-old");
        let mix = Mix::new(seed ^ 0x01d, &batch).recent(55);
        let rng = StdRng::seed_from_u64(seed ^ 0x1a7e);
        let (old_left, wrong_left, old_done, wrong_done) = Default::default();
        Self { oracle, senders, rng, mix, batch, next: 0, old_left, wrong_left, old_done, wrong_done }
    }

    /// Sends until the oracle stops.
    pub(crate) fn send(&mut self) {
        while !self.oracle.is_stopped() {
            let (old, wrong) = (self.old_events(), self.retractions());
            self.oracle.set_late_left(old.len() + wrong.len());
            let senders = self.senders.choose(&mut self.rng).expect("there are collectors").clone();
            let old = self.backfill(&senders, old);
            let wrong = self.retract(&senders, wrong);
            self.oracle.set_late_left(old.left.len() + wrong.left.len());
            (self.old_left, self.wrong_left) = (old.left, wrong.left);
            self.old_done.extend(old.done);
            self.wrong_done.extend(wrong.done);
            std::thread::sleep(PACE);
        }
    }

    /// What is left, new ones of 8 to 53 days ago, and sometimes one again, as it was or with other content.
    fn old_events(&mut self) -> Vec<v1::Event> {
        let mut events = std::mem::take(&mut self.old_left);
        if !self.oracle.is_open() {
            return events;
        }
        let mut fresh = self.mix.fresh(FRESH);
        for event in &mut fresh {
            self.next += 1;
            event.occurred_at_ms -= (8 + self.next % 46) * DAY_MS + MINUTE_MS;
        }
        if let Some(event) = self.old_done.choose(&mut self.rng) {
            let attributes = vec![v1::Attribute { name: "other".into(), value: "content".into() }];
            let has_other = self.rng.random_bool(0.3) && event.attributes.is_empty();
            fresh.push(if has_other { v1::Event { attributes, ..event.clone() } } else { event.clone() });
        }
        let parsed = |event: &v1::Event| key(&self.oracle.parser().parsed(event));
        self.oracle.of(Log::Backfill).sent.extend(fresh.iter().map(|event| (parsed(event), event.clone())));
        events.extend(fresh);
        events
    }

    /// What is left, new ones of either log, sometimes one again, and one of an event that never was.
    fn retractions(&mut self) -> Vec<v1::Retraction> {
        let mut retractions = std::mem::take(&mut self.wrong_left);
        if !self.oracle.is_open() {
            return retractions;
        }
        let mut events: Vec<_> = (0..3).filter_map(|_| self.oracle.some_event(&mut self.rng)).collect();
        self.oracle.bounds.lower(&events);
        events.extend(self.old_done.choose(&mut self.rng).cloned());
        if let Some(event) = events.first().filter(|_| self.rng.random_bool(0.3)) {
            events.push(v1::Event { occurred_at_ms: event.occurred_at_ms - 1, ..event.clone() });
        }
        let retraction = |event: &v1::Event| v1::Retraction {
            event_id: event.event_id.clone(),
            service_id: event.service_id.clone(),
            occurred_at_ms: event.occurred_at_ms,
            reason: "sent by mistake".into(),
        };
        let fresh: Vec<_> = events.iter().map(retraction).collect();
        let parsed = |it: &v1::Retraction| key(&self.oracle.parser().retraction(it));
        self.oracle.of(Log::Corrections).sent.extend(fresh.iter().map(parsed).zip(events));
        retractions.extend(fresh);
        retractions.extend(self.wrong_done.choose(&mut self.rng).cloned());
        retractions
    }

    fn backfill(&self, senders: &Senders, events: Vec<v1::Event>) -> Sorted<v1::Event> {
        let (from_ms, to_ms) = (now_ms() - 90 * DAY_MS, now_ms() - 7 * DAY_MS);
        let mut sorted = Sorted { left: Vec::new(), done: Vec::new() };
        for (department, events) in by_department(senders, events, |event| &event.service_id) {
            let expected_events = events.len() as u64;
            let manifest = v1::Manifest { batch: self.batch.clone(), expected_events, from_ms, to_ms, dry_run: false };
            let chunk = v1::Chunk { chunk: 0, events: events.clone() };
            let (told, _) = senders.backfill(&department, manifest, &[chunk]);
            let taken = told.into_iter().find_map(|told| match told.answer {
                Some(Told::Chunk(taken)) => Some(taken.results),
                _ => None,
            });
            let answers = taken.into_iter().flatten().map(answer).collect();
            self.sort(Log::Backfill, events, answers, |event| self.oracle.parser().parsed(event), &mut sorted);
        }
        sorted
    }

    fn retract(&self, senders: &Senders, retractions: Vec<v1::Retraction>) -> Sorted<v1::Retraction> {
        let mut sorted = Sorted { left: Vec::new(), done: Vec::new() };
        for (department, retractions) in by_department(senders, retractions, |it| &it.service_id) {
            let answers = senders.retract(&department, retractions.clone(), false).unwrap_or_default();
            self.sort(Log::Corrections, retractions, answers, |it| self.oracle.parser().retraction(it), &mut sorted);
        }
        sorted
    }

    /// Notes what was acknowledged; what has no answer is left.
    fn sort<T: std::fmt::Debug>(
        &self,
        log: Log,
        items: Vec<T>,
        answers: Vec<Answer>,
        parsed: impl Fn(&T) -> domain::event::Event,
        sorted: &mut Sorted<T>,
    ) {
        let mut answers = answers.into_iter();
        for item in items {
            match answers.next() {
                Some(Answer::Accepted(_)) => {
                    self.oracle.of(log).acknowledged.insert(key(&parsed(&item)));
                    sorted.done.push(item);
                }
                Some(Answer::Rejected(code)) => self.oracle.complain(format!("{item:?} was rejected: {code}")),
                Some(Answer::Retry | Answer::Refused(_)) | None => sorted.left.push(item),
            }
        }
    }
}

fn by_department<T>(senders: &Senders, items: Vec<T>, service: impl Fn(&T) -> &str) -> BTreeMap<String, Vec<T>> {
    let mut by_department: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for item in items {
        by_department.entry(senders.department(service(&item)).to_owned()).or_default().push(item);
    }
    by_department
}
