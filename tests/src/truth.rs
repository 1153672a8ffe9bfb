//! The truth: a plain recount of what was accepted, by hand and in memory, that shares no counting code with the
//! platform. London days come from the time zone database, buckets and registers from their definitions.

use std::collections::{BTreeMap, HashMap};

use domain::catalogue::Catalogue;
use domain::pages::Pages;
use domain::time::Period;
use jiff::{Timestamp, tz::TimeZone};
use proto::v1::{self, event::Kind};
use runtime::clock::now_ms;
use xxhash_rust::xxh3::xxh3_64;

/// What is counted of the transactions and ratings of one channel of a service in one period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Started, completed, failed, abandoned.
    pub stages: [i64; 4],
    /// Of completed ones.
    pub duration_ms: i64,
    /// Of completed ones.
    pub value_pence: i64,
    /// Of completed ones by bucket.
    pub durations: BTreeMap<u8, i64>,
    /// By rating.
    pub ratings: BTreeMap<u8, i64>,
}

/// Views and registers of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Views {
    /// Times shown.
    pub views: i64,
    /// Highest rank by register.
    pub registers: BTreeMap<u16, u8>,
}

/// Period start (seconds, or days since 1970), service, channel.
pub type CountsKey = (i64, u16, u8);
/// Period start, service, channel, dimension, member, stage.
pub type BreakdownKey = (i64, u16, u8, u8, u8, u8);
/// Period start, service, page.
pub type PageKey = (i64, u16, u32);

/// Everything of one length of period.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Transactions and ratings.
    pub counts: BTreeMap<CountsKey, Counts>,
    /// Steps (1) and reasons (2).
    pub breakdown: BTreeMap<BreakdownKey, i64>,
    /// Page views.
    pub pages: BTreeMap<PageKey, Views>,
}

/// What must be shown, no more and no less.
pub struct Truth {
    numbers: HashMap<String, u16>,
    departments: HashMap<u16, String>,
    ids: HashMap<u16, String>,
    pages: Pages,
    london: TimeZone,
    seen: HashMap<(u16, String), v1::Event>,
    outcomes: BTreeMap<(u16, u8), i64>,
    figures: BTreeMap<Period, Figures>,
}

/// Numbers of outcomes in tables.
pub const ACCEPTED: u8 = 1;
/// The same event again.
pub const DUPLICATE: u8 = 2;
/// The same id with another content.
pub const CONFLICT: u8 = 3;
/// A retraction of an event that is not there.
pub const UNKNOWN: u8 = 12;
/// A retraction of an event that is gone.
pub const REPEAT: u8 = 13;
/// A retraction that took effect.
pub const RETRACTED: u8 = 14;

impl Default for Truth {
    fn default() -> Self {
        let catalogue = Catalogue::embedded();
        let all = || catalogue.services().iter().chain(catalogue.sandboxes());
        let department = |number| catalogue.department(number).expect("every owner exists").id.clone();
        Self {
            numbers: all().map(|service| (service.id.clone(), service.number.0)).collect(),
            departments: all().map(|service| (service.number.0, department(service.department))).collect(),
            ids: all().map(|service| (service.number.0, service.id.clone())).collect(),
            pages: Pages::embedded(),
            london: TimeZone::get("Europe/London").expect("bundled"),
            seen: HashMap::new(),
            outcomes: BTreeMap::new(),
            figures: BTreeMap::new(),
        }
    }
}

impl Truth {
    /// Takes events that stand in the log, in any order: copies of one count once.
    pub fn take(&mut self, events: &[v1::Event]) {
        for event in events {
            let service = self.numbers[&event.service_id];
            let key = (service, event.event_id.clone());
            let outcome = match self.seen.get(&key) {
                Some(first) if first == event => DUPLICATE,
                Some(_) => CONFLICT,
                None => ACCEPTED,
            };
            *self.outcomes.entry((service, outcome)).or_default() += 1;
            if outcome == ACCEPTED {
                self.add(service, event, 1);
                self.seen.insert(key, event.clone());
            }
        }
    }

    /// Takes away events that were taken before; their visitors stay.
    pub fn retract(&mut self, events: &[v1::Event]) {
        for event in events {
            let service = self.numbers[&event.service_id];
            *self.outcomes.entry((service, RETRACTED)).or_default() += 1;
            self.add(service, event, -1);
        }
    }

    /// Forgets everything that was taken.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.outcomes.clear();
        self.figures.clear();
    }

    /// Takes records that stand in the log and must not be counted.
    pub fn take_others(&mut self, service: u16, outcome: u8, records: i64) {
        *self.outcomes.entry((service, outcome)).or_default() += records;
    }

    /// Records in the log.
    #[must_use]
    pub fn records(&self) -> i64 {
        self.outcomes.values().sum()
    }

    /// Events that must be counted.
    #[must_use]
    pub fn accepted(&self) -> i64 {
        self.outcomes.iter().filter(|((_, outcome), _)| *outcome == ACCEPTED).map(|(_, n)| n).sum()
    }

    /// Records by service and outcome.
    #[must_use]
    pub const fn outcomes(&self) -> &BTreeMap<(u16, u8), i64> {
        &self.outcomes
    }

    /// All figures of a length of period.
    #[must_use]
    pub fn figures(&self, period: Period) -> Figures {
        self.figures.get(&period).cloned().unwrap_or_default()
    }

    /// The slug of a service.
    #[must_use]
    pub fn id(&self, service: u16) -> &str {
        &self.ids[&service]
    }

    /// The number of a service.
    #[must_use]
    pub fn number(&self, id: &str) -> u16 {
        self.numbers[id]
    }

    /// The department of a service.
    #[must_use]
    pub fn department(&self, service: u16) -> &str {
        &self.departments[&service]
    }

    /// The London date of an instant, as days since 1970 and as people write it.
    #[must_use]
    pub fn day(&self, unix_ms: i64) -> (i64, String) {
        let instant = Timestamp::from_millisecond(unix_ms).expect("a time of this century");
        let date = instant.to_zoned(self.london.clone()).date();
        let epoch = jiff::civil::date(1970, 1, 1);
        let days = epoch.until((jiff::Unit::Day, date)).expect("a date of this century").get_days();
        (days.into(), date.to_string())
    }

    fn start(&self, period: Period, unix_ms: i64) -> i64 {
        match period {
            Period::Minute => unix_ms / 60_000 * 60,
            Period::Hour => unix_ms / 3_600_000 * 3_600,
            Period::Day => self.day(unix_ms).0,
        }
    }

    fn add(&mut self, service: u16, event: &v1::Event, n: i64) {
        let age_days = (now_ms() - event.occurred_at_ms) / 86_400_000;
        for period in Period::ALL {
            // Minutes of long ago have no table any more.
            if period == Period::Minute && age_days >= 9 {
                continue;
            }
            let start = self.start(period, event.occurred_at_ms);
            let figures = self.figures.entry(period).or_default();
            match event.kind.as_ref().expect("an accepted event has a kind") {
                Kind::Transaction(step) => count_transaction(figures, (start, service), step, n),
                Kind::Satisfaction(s) => {
                    let counts = figures.counts.entry((start, service, s.channel as u8)).or_default();
                    *counts.ratings.entry(s.rating as u8).or_default() += n;
                }
                Kind::PageView(view) => {
                    let known = self.pages.number(&view.path).unwrap_or(1);
                    for page in [0, known] {
                        let views = figures.pages.entry((start, service, page)).or_default();
                        views.views += n;
                        let (register, rank) = register(&view.visitor_id);
                        let highest = views.registers.entry(register).or_default();
                        *highest = rank.max(*highest);
                    }
                }
            }
        }
    }
}

fn count_transaction(figures: &mut Figures, (start, service): (i64, u16), t: &v1::TransactionStep, n: i64) {
    let (channel, stage) = (t.channel as u8, t.stage as u8);
    // A start or a completion of one step is not one of the whole.
    if t.step == 0 || stage > 2 {
        let counts = figures.counts.entry((start, service, channel)).or_default();
        counts.stages[usize::from(stage) - 1] += n;
        if stage == 2 {
            counts.value_pence += n * t.value_pence.unwrap_or(0).cast_signed();
            if let Some(ms) = t.duration_ms {
                counts.duration_ms += n * ms.cast_signed();
                *counts.durations.entry(bucket(ms)).or_default() += n;
            }
        }
    }
    for (dimension, member) in [(1, t.step as u8), (2, t.reason as u8)] {
        if member > 0 {
            *figures.breakdown.entry((start, service, channel, dimension, member, stage)).or_default() += n;
        }
    }
}

/// Four buckets to the octave of milliseconds, exact below 4.
fn bucket(ms: u64) -> u8 {
    if ms < 4 {
        return ms as u8;
    }
    let octave = (ms as f64).log2().floor();
    let quarter = ((ms as f64 / octave.exp2() - 1.0) * 4.0).floor();
    (octave as u8 - 1) * 4 + quarter as u8
}

/// `HyperLogLog` with 2^12 registers.
fn register(visitor_id: &str) -> (u16, u8) {
    let hash = xxh3_64(visitor_id.as_bytes());
    let rest = format!("{:052b}", hash & ((1 << 52) - 1));
    let zeros = rest.find('1').unwrap_or(52);
    ((hash >> 52) as u16, zeros as u8 + 1)
}
