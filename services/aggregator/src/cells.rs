//! The cells that ClickHouse has, read for several sources at once: the tables are in the order of time, so that reading
//! one source costs nearly as much as reading all.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use clickhouse::Row;
use domain::cell::{CellKey, Counts, Dimension, Measures, Slice, Views};
use domain::outcome::Outcome;
use domain::source::{ServiceNumber, Source};
use domain::time::Period;
use domain::visitors::Registers;
use runtime::clickhouse::{Error, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::counter::{Cell, Resident};
use crate::rows;

/// Cells by source.
pub type BySource = BTreeMap<Source, Vec<Cell>>;

/// Which cells of a source.
#[derive(Debug, Clone)]
enum Asked {
    Recent(Resident),
    Named(Vec<CellKey>),
}

/// Who waits for cells of a source.
struct Waiting {
    source: Source,
    asked: Asked,
    tell: oneshot::Sender<Vec<Cell>>,
}

/// Reads cells for all who ask: those who come while a read is under way are answered by the next one, together.
#[derive(Default)]
pub struct Reader {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

impl Reader {
    /// The stored cells of a source that are to be in memory.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn recent(&self, store: &Store, source: Source, resident: Resident) -> Result<Vec<Cell>, Error> {
        self.read(store, source, Asked::Recent(resident)).await
    }

    /// The stored versions of these keys of a source, perhaps among others; a key that is not there has none.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn named(&self, store: &Store, source: Source, keys: Vec<CellKey>) -> Result<Vec<Cell>, Error> {
        self.read(store, source, Asked::Named(keys)).await
    }

    /// As they are after the call, or later.
    async fn read(&self, store: &Store, source: Source, asked: Asked) -> Result<Vec<Cell>, Error> {
        loop {
            let (tell, told) = oneshot::channel();
            self.waiting().push(Waiting { source, asked: asked.clone(), tell });
            tokio::select! {
                biased;
                // Without an answer whoever was reading has given up.
                answer = told => if let Ok(cells) = answer { return Ok(cells) },
                _turn = self.turn.lock() => {
                    let all = std::mem::take(&mut *self.waiting());
                    return answer(store, all, source, &asked).await;
                }
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what all of them ask for, tells it to each, and returns what this source asked for.
async fn answer(store: &Store, all: Vec<Waiting>, source: Source, asked: &Asked) -> Result<Vec<Cell>, Error> {
    let (mut residents, mut keys) = (Vec::new(), Vec::new());
    for waiting in &all {
        match &waiting.asked {
            Asked::Recent(resident) => residents.push((waiting.source, *resident)),
            Asked::Named(some) => keys.push((waiting.source, some.clone())),
        }
    }
    let (residents, named) = (recent(store, &residents).await?, named(store, &keys).await?);
    // The same source may be asked for more than once, by who had it before and by who has it now.
    let of = |source: Source, asked: &Asked| {
        let found = match asked {
            Asked::Recent(_) => &residents,
            Asked::Named(_) => &named,
        };
        found.get(&source).cloned().unwrap_or_default()
    };
    for waiting in all {
        // Nobody listens where a call was given up, or is the one that reads.
        let _ = waiting.tell.send(of(waiting.source, &waiting.asked));
    }
    Ok(of(source, asked))
}

/// What belongs together, by a key.
fn groups<K: Ord, T>(of: &[T], key: impl Fn(&T) -> K) -> BTreeMap<K, Vec<&T>> {
    let mut groups: BTreeMap<K, Vec<&T>> = BTreeMap::new();
    for one in of {
        groups.entry(key(one)).or_default().push(one);
    }
    groups
}

fn partitions<T>(of: &[&(Source, T)]) -> String {
    let all: BTreeSet<_> = of.iter().map(|(source, _)| source.partition).collect();
    all.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

async fn recent(store: &Store, of: &[(Source, Resident)]) -> Result<BySource, Error> {
    let mut cells = BySource::new();
    // A source to which nothing has come for long needs much older ones than the others.
    let groups = groups(of, |(source, resident)| (source.log, source.epoch, resident.hour));
    for ((log, epoch, _), group) in groups {
        let partitions = partitions(&group);
        for family in &FAMILIES {
            for period in Period::ALL.into_iter().filter(|period| family.has(*period)) {
                let least = group.iter().map(|(_, resident)| resident.of(period)).min().unwrap_or(0);
                let time = since(period, least);
                let query = store.query(&family.sql(period, &format!("p IN ({partitions}) AND {time}")));
                for row in store.rows::<Stored>("reading recent cells", query.bind(log as u8).bind(epoch)).await? {
                    let source = Source { log, epoch, partition: row.p };
                    let is_recent = group.iter().any(|(of, from)| *of == source && row.at >= from.of(period));
                    if let Some(cell) = row.into_cell(family, period).filter(|_| is_recent) {
                        cells.entry(source).or_default().push(cell);
                    }
                }
            }
        }
    }
    Ok(cells)
}

fn since(period: Period, index: u32) -> String {
    let seconds = period.start_ms(index) / 1_000;
    match period {
        Period::Minute => format!("t >= fromUnixTimestamp({seconds})"),
        Period::Hour => {
            format!("t >= fromUnixTimestamp({seconds}) AND toDate(t) >= toDate(fromUnixTimestamp({seconds}))")
        }
        Period::Day => format!("d >= toDate({index})"),
    }
}

/// The stored versions of these keys of each source; a key that is not among them has none.
///
/// # Errors
/// ClickHouse.
pub async fn named(store: &Store, of: &[(Source, Vec<CellKey>)]) -> Result<BySource, Error> {
    let mut cells = BySource::new();
    for ((log, epoch), group) in groups(of, |(source, _)| (source.log, source.epoch)) {
        let wanted: HashSet<(u16, &CellKey)> =
            group.iter().flat_map(|(source, keys)| keys.iter().map(|key| (source.partition, key))).collect();
        let mut by_table: BTreeMap<(&str, Period), BTreeSet<(u32, u16)>> = BTreeMap::new();
        for (_, key) in &wanted {
            by_table.entry((rows::table_of(key), key.period)).or_default().insert((key.index, key.service.0));
        }
        let partitions = partitions(&group);
        for ((table, period), places) in by_table {
            let name = table.trim_start_matches("unmerged_");
            let found = FAMILIES.iter().find(|f| name.starts_with(f.table) && !f.table.is_empty());
            let family = found.unwrap_or(&FAMILIES[0]);
            let places: Vec<_> = places.into_iter().collect();
            for places in places.chunks(PLACES_MAX) {
                let among = among(period, places);
                let query = store.query(&family.sql(period, &format!("p IN ({partitions}) AND {among}")));
                for row in store.rows::<Stored>("reading older cells", query.bind(log as u8).bind(epoch)).await? {
                    let partition = row.p;
                    let cell = row.into_cell(family, period);
                    if let Some(cell) = cell.filter(|cell| wanted.contains(&(partition, &cell.key))) {
                        cells.entry(Source { log, epoch, partition }).or_default().push(cell);
                    }
                }
            }
        }
    }
    Ok(cells)
}

/// The families of tables that hold cells: name, key columns, measures as arrays.
const FAMILIES: [Family; 4] = [
    Family {
        table: "",
        part: "[channel]",
        numbers: "[started, completed, failed, abandoned, duration_ms, value_pence]",
        durations: "durations",
        ratings: "ratings",
        registers: "map()",
    },
    Family {
        table: "breakdown_",
        part: "[toUInt32(channel), toUInt32(dimension), member, stage]",
        numbers: "[n]",
        durations: "map()",
        ratings: "map()",
        registers: "map()",
    },
    Family {
        table: "page_",
        part: "[page]",
        numbers: "[views]",
        durations: "map()",
        ratings: "map()",
        registers: "registers",
    },
    Family {
        table: "ledger_",
        part: "[outcome]",
        numbers: "[n]",
        durations: "map()",
        ratings: "map()",
        registers: "map()",
    },
];

struct Family {
    table: &'static str,
    part: &'static str,
    numbers: &'static str,
    durations: &'static str,
    ratings: &'static str,
    registers: &'static str,
}

impl Family {
    fn has(&self, period: Period) -> bool {
        self.table != "ledger_" || period == Period::Hour
    }

    /// A query of this family's cells of one period; `condition` narrows them further than log and generation.
    fn sql(&self, period: Period, condition: &str) -> String {
        let (length, index) = match period {
            Period::Minute => ("minute", "toUInt32(intDiv(toUnixTimestamp(t), 60))"),
            Period::Hour => ("hour", "toUInt32(intDiv(toUnixTimestamp(t), 3600))"),
            Period::Day => ("day", "toUInt32(toUInt16(d))"),
        };
        let Self { table, part, numbers, durations, ratings, registers } = self;
        format!(
            "SELECT p, {index} AS at, service, CAST({part}, 'Array(UInt32)') AS part, CAST({numbers}, 'Array(UInt64)') AS \
             numbers, CAST({durations}, 'Map(UInt8, UInt64)') AS stored_durations, CAST({ratings}, 'Map(UInt8, UInt64)') \
             AS stored_ratings, CAST({registers}, 'Map(UInt16, UInt8)') AS stored_registers, applied_offset FROM \
             {{cells}}.unmerged_{table}{length} FINAL WHERE log = ? AND epoch = ? AND {condition}"
        )
    }

    fn slice(&self, part: &[u32]) -> Option<Slice> {
        let at = |n: usize| part.get(n).copied();
        let byte = |n: usize| at(n).and_then(|value| u8::try_from(value).ok());
        Some(match self.table {
            "" => Slice::Counts { channel: byte(0)? },
            "breakdown_" => Slice::Breakdown {
                channel: byte(0)?,
                dimension: Dimension::from_number(at(1)?)?,
                member: byte(2)?,
                stage: byte(3)?,
            },
            "page_" => Slice::Page { page: at(0)? },
            _ => Slice::Ledger { outcome: Outcome::from_number(byte(0)?)? },
        })
    }
}

/// A cell of any family.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Stored {
    p: u16,
    at: u32,
    service: u16,
    part: Vec<u32>,
    numbers: Vec<u64>,
    stored_durations: Vec<(u8, u64)>,
    stored_ratings: Vec<(u8, u64)>,
    stored_registers: Vec<(u16, u8)>,
    applied_offset: u64,
}

impl Stored {
    fn into_cell(self, family: &Family, period: Period) -> Option<Cell> {
        let slice = family.slice(&self.part)?;
        let number = |n: usize| self.numbers.get(n).copied().unwrap_or(0);
        let measures = match slice {
            Slice::Counts { .. } => {
                let mut ratings = [0; 5];
                for (rating, n) in &self.stored_ratings {
                    *ratings.get_mut(usize::from(*rating).checked_sub(1)?)? = *n;
                }
                let mut durations = self.stored_durations;
                durations.sort_unstable();
                let stages = [number(0), number(1), number(2), number(3)];
                let (duration_ms, value_pence) =
                    (self.numbers.get(4).copied().unwrap_or(0), self.numbers.get(5).copied().unwrap_or(0));
                Measures::Counts(Counts { stages, duration_ms, value_pence, durations, ratings })
            }
            Slice::Page { .. } => {
                let mut visitors = Registers::default();
                for (register, rank) in self.stored_registers {
                    visitors.raise(register, rank);
                }
                Measures::Views(Views { views: self.numbers.first().copied().unwrap_or(0), visitors })
            }
            Slice::Breakdown { .. } | Slice::Ledger { .. } => Measures::Number(number(0)),
        };
        let key = CellKey { period, index: self.at, service: ServiceNumber(self.service), slice };
        Some(Cell { key, measures, applied_offset: self.applied_offset })
    }
}

/// A query names at most so many periods of services: ClickHouse takes 256 KiB of text.
const PLACES_MAX: usize = 4_000;

fn among(period: Period, places: &[(u32, u16)]) -> String {
    let pairs: Vec<String> = places
        .iter()
        .map(|(index, service)| match period {
            Period::Day => format!("({index},{service})"),
            _ => format!("({},{service})", period.start_ms(*index) / 1_000),
        })
        .collect();
    let time = if period == Period::Day { "d" } else { "t" };
    format!("({time}, service) IN ({})", pairs.join(","))
}
