//! The ids of the window at the start of a source: read from raw as they come, into memory up to its bound and into runs
//! beyond it.
//!
//! Raw is read in the order of the log, so that each run is of a short time and goes as a whole.

use std::sync::{Arc, Mutex, PoisonError};

use clickhouse::Row;
use domain::rules::Rules;
use domain::source::{EventId, Log, ServiceNumber, Source, partition_of};
use domain::time::HOUR_MS;
use runtime::clickhouse::Store;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::ids::{Folder, Ids, Seen};
use crate::store::{self, Error};

/// How ids are kept, and how far those that are being read have come; shared by all sources.
#[derive(Debug, Clone)]
pub struct Seed {
    /// Where runs are written.
    pub folder: Arc<Folder>,
    /// The bound of one source.
    pub in_memory_max: usize,
    /// How far it has come.
    pub progress: Progress,
    /// So many sources are read at a time: each costs the store memory.
    pub turns: Arc<Semaphore>,
}

/// Sources whose ids are read at a time.
pub const AT_ONCE: usize = 2;

/// An accepted event in raw.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Accepted {
    id: [u8; 16],
    appended_at_ms: i64,
    content: u64,
    offset: u64,
}

/// An accepted event in raw of an older generation of the log.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Older {
    id: [u8; 16],
    appended_at_ms: i64,
    content: u64,
    service: u16,
}

/// Records of raw of which the ids were read.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// Those that were appended then or later, unix milliseconds.
    pub from_ms: i64,
    /// How many.
    pub records: u64,
}

/// Progress is told after so many ids.
const TELL_EVERY: u64 = 65_536;
/// The ids that older generations of a log accepted.
const OLDER: &str = "FROM {cells}.raw WHERE log = ? AND epoch < ? AND outcome = 1";
/// Which ids: the ones that a source accepted below an offset, appended at an instant or later.
const WHICH: &str = "FROM {cells}.raw WHERE log = ? AND epoch = ? AND p = ? AND offset < ? AND outcome = 1 AND appended_at \
                     >= fromUnixTimestamp64Milli(?)";

impl Seed {
    /// No ids, for a source that has none yet.
    #[must_use]
    pub fn none(&self) -> Ids {
        Ids::bounded(self.in_memory_max)
    }

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("the semaphore is never closed")
    }

    /// The ids that older generations of the log accepted, of the window before the first record of this one, and that
    /// belong to this source now; and of which records they are, of any source. The older ones are settled before a new one
    /// begins, so this is the same at every start.
    ///
    /// # Errors
    /// ClickHouse, or ids that cannot be written.
    pub async fn older(
        &self,
        store: &Store,
        source: Source,
        rules: Option<&Rules>,
        from_ms: i64,
    ) -> Result<(Ids, Option<Read>), Error> {
        let ids = self.none();
        let Some(rules) = rules.filter(|_| source.log == Log::Events) else { return Ok((ids, None)) };
        let bound = |sql: String| store.query(&sql).bind(source.log as u8).bind(source.epoch);
        let last = format!("SELECT toUnixTimestamp64Milli(max(appended_at)) {OLDER}");
        let last = store.rows::<i64>("looking for older generations", bound(last)).await?.first().copied().unwrap_or(0);
        // A broker's clock may be behind that of another; what is too old for a record does it no harm.
        let from_ms = ((last - rules.window_ms).max(from_ms) - HOUR_MS).max(0);
        let mut read = Read { from_ms, records: 0 };
        if last == 0 || from_ms > last {
            return Ok((ids, Some(read)));
        }
        let sql = format!(
            "SELECT UUIDToNum(raw.id) AS id, toUnixTimestamp64Milli(appended_at) AS appended_at_ms, content, service {OLDER} \
             AND appended_at >= fromUnixTimestamp64Milli(?) ORDER BY appended_at"
        );
        let mut filling = Filling { ids, folder: &self.folder, failed: None };
        let take = |row: Older| {
            read.records += 1;
            let (id, service) = (EventId(u128::from_be_bytes(row.id)), ServiceNumber(row.service));
            if partition_of(service, id, rules.spread(service), rules.partitions) == source.partition {
                filling.take(id, Seen { appended_at_ms: row.appended_at_ms, content: row.content });
            }
        };
        let _turn = self.turn().await;
        store.each("reading ids of older generations", bound(sql).bind(from_ms), take).await?;
        Ok((filling.end()?, Some(read)))
    }

    /// Whether there are more of older generations by now than were read: a backup may have been restored meanwhile.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn has_more_older(store: &Store, source: Source, read: Read) -> Result<bool, Error> {
        let sql = format!("SELECT count() {OLDER} AND appended_at >= fromUnixTimestamp64Milli(?)");
        let query = store.query(&sql).bind(source.log as u8).bind(source.epoch).bind(read.from_ms);
        let found = store.rows::<u64>("making sure that all older ids were read", query).await?;
        Ok(found.first().is_some_and(|records| *records > read.records))
    }

    /// Adds the ids that a source accepted below `start`, appended at `from_ms` or later; says of which records.
    ///
    /// # Errors
    /// ClickHouse, or ids that cannot be written.
    pub async fn read(
        &self,
        store: &Store,
        source: Source,
        start: u64,
        from_ms: i64,
        ids: Ids,
    ) -> Result<(Ids, Read), Error> {
        let from_ms = from_ms.max(0);
        let bound = |sql: &str| store::bound(store, sql, source).bind(start).bind(from_ms);
        let counted = store.rows::<u64>("counting accepted ids", bound(&format!("SELECT count() {WHICH}"))).await?;
        let mut part = self.progress.begin(counted.first().copied().unwrap_or(0));
        let sql = format!(
            "SELECT UUIDToNum(raw.id) AS id, toUnixTimestamp64Milli(appended_at) AS appended_at_ms, content, offset {WHICH} \
             ORDER BY log, epoch, p, offset"
        );
        let mut filling = Filling { ids, folder: &self.folder, failed: None };
        let (mut records, mut last) = (0, None);
        let take = |row: Accepted| {
            // A record that was written twice stands there twice.
            records += u64::from(last.replace(row.offset) != Some(row.offset));
            let seen = Seen { appended_at_ms: row.appended_at_ms, content: row.content };
            filling.take(EventId(u128::from_be_bytes(row.id)), seen);
            part.more();
        };
        let _turn = self.turn().await;
        store.each("reading accepted ids", bound(&sql), take).await?;
        Ok((filling.end()?, Read { from_ms, records }))
    }
}

/// Ids that are being read; what is beyond their memory goes into files.
struct Filling<'a> {
    ids: Ids,
    folder: &'a Folder,
    failed: Option<std::io::Error>,
}

impl Filling<'_> {
    /// After a failure nothing more is taken.
    fn take(&mut self, id: EventId, seen: Seen) {
        if self.failed.is_some() {
            return;
        }
        self.ids.load(id, seen);
        if self.ids.lacks_room() {
            self.failed = tokio::task::block_in_place(|| self.ids.make_room(self.folder)).err();
        }
    }

    fn end(self) -> Result<Ids, Error> {
        self.failed.map_or(Ok(self.ids), |error| Err(Error::Ids(error)))
    }
}

/// How many ids are read, of how many; 0 of 0 when none are being read. Cloning gives another handle.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Sums>>);

#[derive(Debug, Default)]
struct Sums {
    parts: usize,
    read: u64,
    of: u64,
}

impl Progress {
    /// Ids read, and to be read, of all sources that are being read.
    #[must_use]
    pub fn get(&self) -> (u64, u64) {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (sums.read, sums.of)
    }

    fn change(&self, change: impl FnOnce(&mut Sums)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn begin(&self, of: u64) -> Part {
        self.change(|sums| (sums.parts, sums.of) = (sums.parts + 1, sums.of + of));
        Part { progress: self.clone(), read: 0, of }
    }
}

/// One source's part, until it is dropped; what was not read by then is read in another try.
struct Part {
    progress: Progress,
    read: u64,
    of: u64,
}

impl Part {
    fn more(&mut self) {
        self.read += 1;
        if self.read.is_multiple_of(TELL_EVERY) {
            self.progress.change(|sums| sums.read += TELL_EVERY);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.progress.change(|sums| {
            sums.read += self.read % TELL_EVERY;
            sums.parts -= 1;
            if self.read < self.of {
                sums.read -= self.read;
                sums.of -= self.of;
            }
            if sums.parts == 0 {
                *sums = Sums::default();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_of_all_sources_until_the_last_is_read() {
        let progress = Progress::default();
        let (mut one, other) = (progress.begin(2 * TELL_EVERY + 1), progress.begin(5));
        assert_eq!(progress.get(), (0, 2 * TELL_EVERY + 6));
        (0..=TELL_EVERY).for_each(|_| one.more());
        assert_eq!(progress.get().0, TELL_EVERY);
        (0..TELL_EVERY).for_each(|_| one.more());
        drop(one);
        assert_eq!(progress.get(), (2 * TELL_EVERY + 1, 2 * TELL_EVERY + 6));
        drop(other);
        assert_eq!(progress.get(), (0, 0));
    }

    #[test]
    fn a_try_that_failed_is_taken_back() {
        let progress = Progress::default();
        let (mut failed, other) = (progress.begin(100), progress.begin(7));
        failed.more();
        drop(failed);
        assert_eq!(progress.get(), (0, 7));
        drop(other);
    }
}
