//! Changed cells on their way to the gateways: absolute, packed by source and tick, published without waiting for the
//! store.
//!
//! Invariant: cells reach the store only after the live topic has them (`acked`), so whatever a restarted aggregator
//! finds stored, the gateways have heard of. A pack that the client gives back is sent again until a broker has it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::cell::Measures;
use domain::source::Source;
use proto::{Pack, encode_pack};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use crate::counter::Cell;

/// A pack is closed at this many bytes: half of what a broker takes by default.
const PACK_BYTES_MAX: usize = 512 * 1024;
/// Packs that came back are sent again so often.
const AGAIN_EVERY: Duration = Duration::from_millis(200);

/// How far a source has come, as the gateways are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Where the packs of the last tick ended.
    pub published_end: u64,
    /// One past the last applied record.
    pub applied_end: u64,
    /// One past the last record in the log, as far as known.
    pub log_end: u64,
    /// Append time of the last applied record, unix milliseconds.
    pub appended_at_ms: i64,
    /// Receive time of the last applied record, unix milliseconds.
    pub received_at_ms: i64,
}

/// The packs of one source for one tick; at least one, so that a quiet source is heard of too. Only the last one
/// claims the new end, since the cells up to it are spread over all of them.
#[must_use]
pub fn packs(source: Source, progress: Progress, stalled: &str, cells: Vec<Cell>) -> Vec<Vec<u8>> {
    let pack = |part: usize, cells: Vec<Cell>, applied_end: u64| {
        encode_pack(&Pack {
            source,
            applied_end,
            log_end: progress.log_end.max(progress.applied_end),
            appended_at_ms: progress.appended_at_ms,
            received_at_ms: progress.received_at_ms,
            stalled: stalled.to_owned(),
            cells,
            previous_end: progress.published_end,
            part: u32::try_from(part).expect("fewer parts than cells"),
        })
    };
    let mut packs = Vec::new();
    let (mut waiting, mut bytes) = (Vec::new(), 0);
    for cell in cells {
        bytes += bytes_at_most(&cell.measures);
        waiting.push(cell);
        if bytes >= PACK_BYTES_MAX {
            packs.push(pack(packs.len(), std::mem::take(&mut waiting), progress.published_end));
            bytes = 0;
        }
    }
    packs.push(pack(packs.len(), waiting, progress.applied_end));
    packs
}

/// A bound on the encoded size of a cell.
fn bytes_at_most(measures: &Measures) -> usize {
    match measures {
        Measures::Counts(counts) => 128 + counts.durations.len() * 12,
        Measures::Number(_) => 64,
        Measures::Views(views) => 64 + views.visitors.iter().count() * 4,
    }
}

/// What became of the packs that were sent. They are numbered from 1 on.
#[derive(Debug, Default)]
struct Deliveries {
    /// All packs up to this one are with the brokers.
    acked: u64,
    /// Those beyond that are, too.
    beyond: BTreeSet<u64>,
    /// Packs that the client gave back, as it does while a topic that was deleted is not there again.
    returned: Vec<(u64, Vec<u8>)>,
}

impl Deliveries {
    fn delivered(&mut self, number: u64) {
        self.beyond.insert(number);
        while self.beyond.remove(&(self.acked + 1)) {
            self.acked += 1;
        }
    }
}

/// Hears from the client.
#[derive(Debug, Default)]
struct Acks(Arc<Mutex<Deliveries>>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let mut deliveries = locked(&self.0);
        match result {
            Ok(_) => deliveries.delivered(number as u64),
            Err((error, message)) => {
                if deliveries.returned.is_empty() {
                    tracing::warn!(%error, "live packs were not delivered; they will be sent again");
                }
                deliveries.returned.push((number as u64, message.payload().unwrap_or_default().to_vec()));
            }
        }
    }
}

fn locked(deliveries: &Mutex<Deliveries>) -> MutexGuard<'_, Deliveries> {
    deliveries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends packs, and those again that come back.
struct Sender {
    producer: ThreadedProducer<Acks>,
    topic: String,
    /// The generation of the cells, as it stands in the key of every pack; empty before the first rebuild.
    generation: String,
    deliveries: Arc<Mutex<Deliveries>>,
    sent_again: Mutex<Instant>,
}

impl Sender {
    /// Whether there was room for it.
    fn send(&self, number: u64, pack: &[u8]) -> bool {
        let number = usize::try_from(number).expect("packs are numbered by what a machine can count");
        let record = BaseRecord::<str, [u8], usize>::with_opaque_to(&self.topic, number).payload(pack).partition(0);
        let record = if self.generation.is_empty() { record } else { record.key(&self.generation) };
        match self.producer.send(record) {
            Ok(()) => true,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => false,
            Err((error, _)) => {
                tracing::debug!(%error, "a live pack cannot be sent; trying again");
                false
            }
        }
    }

    /// Sends again what came back, a few times a second. That a pack comes late then is no harm: cells are absolute.
    fn send_again(&self) {
        let mut sent_again = self.sent_again.lock().unwrap_or_else(PoisonError::into_inner);
        if sent_again.elapsed() < AGAIN_EVERY {
            return;
        }
        *sent_again = Instant::now();
        let mut returned = std::mem::take(&mut locked(&self.deliveries).returned);
        returned.retain(|(number, pack)| !self.send(*number, pack));
        locked(&self.deliveries).returned.extend(returned);
    }
}

/// Publishes packs, in order as long as none comes back.
pub struct Publisher {
    sender: Arc<Sender>,
    queue: VecDeque<Vec<u8>>,
    sent: u64,
}

/// Tells how far the live topic has come.
#[derive(Clone)]
pub struct Acked(Arc<Sender>);

impl Acked {
    /// Returns when the brokers have taken the first `packs` packs of this process.
    pub async fn reached(&self, packs: u64) {
        while locked(&self.0.deliveries).acked < packs {
            self.0.send_again();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Publisher {
    /// Connects, to publish cells of a generation.
    ///
    /// # Errors
    /// If the settings make no producer.
    pub fn new(kafka: &runtime::kafka::Config, topic: &str, generation: u32) -> Result<Self, KafkaError> {
        let acks = Acks::default();
        let deliveries = Arc::clone(&acks.0);
        let mut settings = kafka.producer("aggregator-live", 0);
        settings.set("linger.ms", "1").set("message.max.bytes", "1000000");
        let producer = settings.create_with_context(acks)?;
        let generation = if generation == 0 { String::new() } else { generation.to_string() };
        let sent_again = Mutex::new(Instant::now());
        let sender = Sender { producer, topic: topic.to_owned(), generation, deliveries, sent_again };
        Ok(Self { sender: Arc::new(sender), queue: VecDeque::new(), sent: 0 })
    }

    /// A handle on the acknowledgements.
    #[must_use]
    pub fn acked(&self) -> Acked {
        Acked(Arc::clone(&self.sender))
    }

    /// Whether packs wait for room; nothing more should be taken from the counters until they are gone.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes packs and sends what there is room for. Returns the number of packs handed over so far, with those that
    /// wait.
    pub fn publish(&mut self, packs: impl IntoIterator<Item = Vec<u8>>) -> u64 {
        self.sender.send_again();
        self.queue.extend(packs);
        while let Some(pack) = self.queue.front() {
            if !self.sender.send(self.sent + 1, pack) {
                break;
            }
            self.queue.pop_front();
            self.sent += 1;
        }
        self.sent + self.queue.len() as u64
    }

    /// Waits until everything is taken, or the time is over.
    pub fn flush(&self, limit: Duration) {
        if let Err(error) = self.sender.producer.flush(limit) {
            tracing::warn!(%error, "live packs were left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::cell::{CellKey, Slice};
    use domain::source::{Log, ServiceNumber};
    use domain::time::Period;
    use proto::decode_pack;

    const SOURCE: Source = Source { log: Log::Events, epoch: 1, partition: 3 };

    fn progress() -> Progress {
        Progress { published_end: 5, applied_end: 9, log_end: 12, appended_at_ms: 1_000, received_at_ms: 900 }
    }

    fn cell(n: u16) -> Cell {
        let slice = Slice::Counts { channel: 1 };
        let durations = (0..100).map(|bucket| (bucket, u64::MAX)).collect();
        let measures = Measures::Counts(domain::cell::Counts { durations, ..Default::default() });
        let key = CellKey { period: Period::Minute, index: 1, service: ServiceNumber(n), slice };
        Cell { key, measures, applied_offset: 8 }
    }

    #[test]
    fn packs_are_acknowledged_up_to_the_first_that_is_not() {
        let mut deliveries = Deliveries::default();
        let acked = [1, 3, 4, 2, 6].map(|number| {
            deliveries.delivered(number);
            deliveries.acked
        });
        assert_eq!(acked, [1, 1, 1, 4, 4], "a pack that came back is waited for, whatever came after it");
    }

    #[test]
    fn a_quiet_source_is_heard_of() {
        let packs = packs(SOURCE, progress(), "", Vec::new());
        let pack = decode_pack(&packs[0]).expect("a pack");
        assert_eq!((packs.len(), pack.applied_end, pack.log_end, pack.source), (1, 9, 12, SOURCE));
        assert_eq!((pack.previous_end, pack.part), (5, 0));
    }

    #[test]
    fn large_ticks_are_split_and_only_the_last_pack_claims_the_end() {
        let cells: Vec<_> = (1..2_000).map(cell).collect();
        let encoded = packs(SOURCE, progress(), "", cells.clone());
        assert!(encoded.iter().all(|pack| pack.len() <= PACK_BYTES_MAX + 2_000));
        let packs: Vec<_> = encoded.iter().map(|pack| decode_pack(pack).expect("a pack")).collect();
        let (last, others) = packs.split_last().expect("packs");
        assert!(others.len() > 1);
        assert_eq!(last.applied_end, 9);
        assert!(others.iter().all(|pack| pack.applied_end == 5));
        assert!(packs.iter().zip(0..).all(|(pack, part)| (pack.previous_end, pack.part) == (5, part)));
        let all: Vec<_> = packs.iter().flat_map(|pack| pack.cells.clone()).collect();
        assert_eq!(all, cells);
    }
}
