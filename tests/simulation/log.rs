//! A log of one partition with everything in it that a sender, a network and a foreign producer can do.

use aggregator::counter::Record;
use domain::event::{Body, Event, PageView, Transaction};
use domain::rules::{Book, Rules};
use domain::source::{EventId, Log, ServiceNumber, Source, partition_of};
use domain::time::HOUR_MS;
use domain::vocabulary::{Channel, Reason, Stage};
use proto::Stamp;
use rand::Rng as _;
use rand::rngs::StdRng;

/// The one source of the simulation.
pub(crate) const SOURCE: Source = Source { log: Log::Events, epoch: 4, partition: 2 };
const RECORDS: usize = 140;
/// 2026-10-24, the day before the clocks go back.
pub(crate) const BEGIN_MS: i64 = 1_792_800_000_000;

/// Short ones, so that a log of a few hours reaches all of them.
pub(crate) fn rules() -> Rules {
    Rules {
        version: 1,
        future_ms: 60_000,
        late_ms: 3 * HOUR_MS,
        window_ms: 4 * HOUR_MS,
        partitions: 4,
        wide_spread: 4,
        wide_services: vec![ServiceNumber(9)],
        keep_minute_days: 1,
        keep_hour_days: 2,
    }
}

/// The same from offset 0 on.
pub(crate) fn book() -> Book {
    Book::new(vec![(0, rules())]).expect("begins at 0")
}

/// A log.
pub(crate) fn make(rng: &mut StdRng) -> Vec<Record> {
    let mut appended_at_ms = BEGIN_MS;
    let mut sent: Vec<(Event, Stamp)> = Vec::new();
    (0..RECORDS as u64)
        .map(|offset| {
            appended_at_ms += match rng.random_range(0..20) {
                0 => rng.random_range(0..2 * HOUR_MS),
                1 => -rng.random_range(0..2_000),
                _ => rng.random_range(0..6 * 60_000),
            };
            let content = match rng.random_range(0..100) {
                0..=34 if !sent.is_empty() => Some(again(rng, &sent)),
                35 => None,
                _ => {
                    let mut content = fresh(rng, appended_at_ms, offset);
                    if let Some((twin, _)) = sent.get(sent.len().saturating_sub(rng.random_range(0..60))) {
                        // Late company for a cell that may be forgotten by now, and must be read again.
                        if rng.random_bool(0.3) && content.0.service == twin.service {
                            content.0.occurred_at_ms = twin.occurred_at_ms;
                            content.0.channel = twin.channel;
                        }
                    }
                    Some(content)
                }
            };
            sent.extend(content.clone());
            Record { offset, appended_at_ms, content }
        })
        .collect()
}

/// Two services at home in this partition, and a wide one.
pub(crate) fn services() -> [ServiceNumber; 3] {
    let is_home = |n: &u16| partition_of(ServiceNumber(*n), EventId(0), 1, rules().partitions) == SOURCE.partition;
    let mut homes = (1..).filter(is_home).filter(|n| *n != 9);
    [0, 1, 2].map(|at| ServiceNumber(if at == 2 { 9 } else { homes.next().unwrap_or(9) }))
}

fn again(rng: &mut StdRng, sent: &[(Event, Stamp)]) -> (Event, Stamp) {
    let recent = sent.len().saturating_sub(if rng.random_bool(0.7) { 12 } else { sent.len() });
    let mut copy = sent[rng.random_range(recent..sent.len())].clone();
    if rng.random_bool(0.05) {
        copy.0.content ^= 1;
    }
    copy
}

/// An event that was never sent before.
pub(crate) fn fresh(rng: &mut StdRng, appended_at_ms: i64, offset: u64) -> (Event, Stamp) {
    let age_ms = match rng.random_range(0..10) {
        0 => rng.random_range(-70_000..0),
        1 => rng.random_range(0..4 * HOUR_MS),
        2 => rng.random_range(2 * HOUR_MS..3 * HOUR_MS),
        _ => rng.random_range(0..90_000),
    };
    let service = services()[rng.random_range(0..3)];
    let misrouted = rng.random_bool(0.02);
    let id = (0..)
        .map(|salt: u32| EventId::new(service, format!("{offset}-{salt}-{}", rng.random::<u16>()).as_bytes()))
        .take(64)
        .find(|id| {
            let rules = rules();
            (partition_of(service, *id, rules.spread(service), rules.partitions) == SOURCE.partition) != misrouted
        })
        .unwrap_or(EventId(u128::from(offset)));
    let body = body(rng);
    let event = Event {
        service,
        id,
        occurred_at_ms: appended_at_ms - age_ms,
        content: rng.random(),
        channel: Some(Channel::ALL[rng.random_range(0..2)]),
        body,
        attributes: Vec::new(),
    };
    let epoch = if rng.random_bool(0.01) { 3 } else { SOURCE.epoch };
    (event, Stamp { epoch, boot: 1, received_at_ms: appended_at_ms - 5 })
}

fn body(rng: &mut StdRng) -> Body {
    match rng.random_range(0..10) {
        0..=1 => Body::Rating(rng.random_range(1..=5)),
        2..=3 => Body::PageView(PageView {
            page: rng.random_range(1..4),
            visitor: rng.random(),
            path: "/x".into(),
            visitor_id: "v".into(),
        }),
        _ => {
            let stage = Stage::ALL[rng.random_range(0..4)];
            let ends = matches!(stage, Stage::Failed | Stage::Abandoned);
            Body::Transaction(Transaction {
                stage,
                step: rng.random_bool(0.3).then(|| rng.random_range(1..4)),
                reason: (ends && rng.random_bool(0.5)).then_some(Reason::Payment),
                duration_ms: rng.random_bool(0.5).then(|| rng.random_range(0..90_000)),
                value_pence: rng.random_bool(0.2).then(|| rng.random_range(0..5_000)),
            })
        }
    }
}
