//! A year of the real catalogue in the store, written by SQL into the real tables: day rows of a year, hour rows of nine
//! weeks, minute rows of eight days, with the volumes that were published and the simulator's rates of everything else.
//!
//! Invariant: a count is drawn from its rate by a hash of its key, so that every fill of a day is the same; hours are the
//! sums of their minutes and days of their hours wherever those are kept. The rows are of an old generation of the events
//! topic, so that a running aggregator takes none of them for its own.

use std::collections::BTreeMap;

use domain::catalogue::Catalogue;
use domain::cell::Dimension;
use domain::pages::Pages;
use domain::rules::Rules;
use domain::source::{EventId, ServiceNumber, partition_of};
use domain::vocabulary::Stage;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use simulator::journey::What;
use simulator::plan::{Begins, Plan};

use crate::figures::{Progress, setting};
use crate::rig::Rig;

/// Generation of the rows.
const EPOCH: u16 = 9;
/// Days with minutes, with hours, with days.
const MINUTE_DAYS: u32 = 8;
const HOUR_DAYS: u32 = 63;
const DAYS: u32 = 365;
/// Minutes that are written at a time.
const PIECE: u32 = 240;
/// Days with views of pages.
const PAGE_DAYS: u32 = 58;
/// Days of these that nothing can touch any more, at the least.
pub const CLOSED_DAYS: u64 = 350;
/// Users who are sent through a service, so that the rates of its steps are known.
const WALKS: u32 = 300;
/// Records of raw, for look-ups of single events, unless `BENCH_RAW_ROWS` says another number; written so many at a time.
const RAW_ROWS: u64 = 3_000_000;
const RAW_PIECE: u64 = 5_000_000;
/// So many of them are looked at to find some that stand where their ids belong.
const LOOKED_AT: u64 = 20_000;

/// Started, completed, failed, abandoned, rated: a second.
type Rates = [f64; 5];

/// Fills the tables of cells.
///
/// # Panics
/// When a statement is refused.
pub fn fill(rig: &mut Rig, plan: &Plan, rules: &Rules) {
    let Happens { counts, parts } = Happens::of(plan);
    let mut rows = Vec::new();
    for ((service, channel), rates) in &counts {
        let spread = rules.spread(ServiceNumber(*service));
        for p in partitions(*service, spread, rules.partitions) {
            let rates = rates.map(|rate| (rate / f64::from(spread)).to_string());
            rows.push(format!("({service}, {channel}, {p}, {})", rates.join(", ")));
        }
    }
    rig.sql(
        "CREATE TABLE {cells}.bench_rates (service UInt16, channel UInt8, p UInt16, started Float64, completed Float64, \
         failed Float64, abandoned Float64, rated Float64) ENGINE = Memory",
    );
    rig.sql(&format!("INSERT INTO {{cells}}.bench_rates VALUES {}", rows.join(", ")));
    let parts = parts.iter().map(|((service, channel, dimension, member, stage), rate)| {
        format!("({service}, {channel}, {dimension}, {member}, {stage}, {}, {rate})", service % rules.partitions)
    });
    let parts: Vec<_> = parts.collect();
    rig.sql(
        "CREATE TABLE {cells}.bench_parts (service UInt16, channel UInt8, dimension UInt8, member UInt8, stage UInt8, \
         p UInt16, n Float64) ENGINE = Memory",
    );
    rig.sql(&format!("INSERT INTO {{cells}}.bench_parts VALUES {}", parts.join(", ")));
    let progress = Progress::of("year");
    transactions(rig, &progress);
    breakdown(rig, &progress);
    pages(rig, rules.partitions, &progress);
    // A store with tables that nobody knows is refused.
    for table in ["bench_rates", "bench_parts", "bench_pages"] {
        rig.sql(&format!("DROP TABLE {{cells}}.{table}"));
    }
}

/// The books by hour of 31 days, and records of raw: what an audit reads.
///
/// # Panics
/// When a statement is refused.
pub fn fill_books(rig: &mut Rig, partitions: u16) {
    let records = "toUInt64(sum(started + completed + failed + abandoned + arraySum(mapValues(ratings))))";
    let of = "FROM {cells}.unmerged_hour WHERE t >= now() - INTERVAL 31 DAY AND t <= now()";
    rig.sql(&format!(
        "INSERT INTO {{cells}}.unmerged_ledger_hour (t, service, outcome, log, epoch, p, n, applied_offset) \
         SELECT t, service, 1, log, epoch, p, {records}, max(applied_offset) {of} GROUP BY t, service, log, epoch, p"
    ));
    rig.sql(&format!(
        "INSERT INTO {{cells}}.unmerged_accepted_hour (t, service, log, boot, accepted, given_up) \
         SELECT t, service, log, 1, {records}, 0 {of} GROUP BY t, service, log"
    ));
    rig.sql("INSERT INTO {cells}.unmerged_boots VALUES (1, now64(3) - INTERVAL 31 DAY, now64(3), 1, 0)");
    let (rows, progress) = (setting("BENCH_RAW_ROWS", RAW_ROWS), Progress::of("records"));
    for first in (0..rows).step_by(RAW_PIECE as usize) {
        let n = RAW_PIECE.min(rows - first);
        rig.sql(&format!(
            "INSERT INTO {{cells}}.raw (log, epoch, p, offset, appended_at, received_at, occurred_at, outcome, service, \
             id, kind, stage, channel) SELECT 'events', {EPOCH}, number % {partitions}, intDiv(number, {partitions}) AS o, \
             now64(3) - INTERVAL 8 DAY + toIntervalMillisecond(toUInt64(number * 691200000. / {rows})) AS at, at, at, 1, \
             cityHash64(number) % 820 + 1, generateUUIDv4(), 1, 2, 1 FROM numbers({first}, {n})"
        ));
        progress.done(&format!("{} of {rows} written", first + n));
    }
}

/// Services and ids of records that stand in the partition that their ids demand, as parameters of an address.
///
/// # Panics
/// When the store has none.
pub fn there(rig: &mut Rig, rules: &Rules, catalogue: &Catalogue) -> Vec<String> {
    let rows = rig.sql(&format!(
        "SELECT service, lower(replaceAll(toString(raw.id), '-', '')), p FROM {{cells}}.raw WHERE epoch = {EPOCH} ORDER BY \
         cityHash64(offset, p) LIMIT {LOOKED_AT} FORMAT TSV"
    ));
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let service = ServiceNumber(cells.next()?.parse().ok()?);
        let (id, p) = (cells.next()?, cells.next()?.parse::<u16>().ok()?);
        let number = EventId(u128::from_str_radix(id, 16).ok()?);
        let home = partition_of(service, number, rules.spread(service), rules.partitions);
        let service = &catalogue.service(service)?.id;
        (home == p).then(|| format!("service={service}&id={id}"))
    };
    let there: Vec<_> = rows.lines().filter_map(row).collect();
    assert!(!there.is_empty(), "some records stand where their ids belong");
    there
}

/// The partitions that hold a service.
fn partitions(service: u16, spread: u16, all: u16) -> impl Iterator<Item = u16> {
    (0..spread).map(move |nth| (service + nth) % all)
}

type OfPart = (u16, u8, u8, u8, u8);

/// What happens a second.
#[derive(Default)]
struct Happens {
    /// By service and channel.
    counts: BTreeMap<(u16, u8), Rates>,
    /// By service, channel, dimension, member and stage.
    parts: BTreeMap<OfPart, f64>,
}

impl Happens {
    fn of(plan: &Plan) -> Self {
        let (mut all, mut dice) = (Self::default(), Pcg64Mcg::seed_from_u64(1));
        for class in &plan.classes {
            for (template, rate) in class.templates.iter().zip(&class.weights) {
                let actor = &plan.actors[usize::from(template.actor)];
                let service = actor.number.0;
                match template.begins {
                    Begins::Single(what) => all.add(service, what, *rate),
                    Begins::Journey(channel) => {
                        for _ in 0..WALKS {
                            let rate = rate / f64::from(WALKS);
                            actor.journey.walk(channel, &mut dice, |what| all.add(service, what, rate));
                        }
                    }
                }
            }
        }
        all
    }

    fn add(&mut self, service: u16, what: What, rate: f64) {
        match what {
            What::Step { stage, channel, step, reason } => {
                let channel = channel.number();
                let part =
                    |dimension: Dimension, member: u8| (service, channel, dimension as u8, member, stage.number());
                if step == 0 || matches!(stage, Stage::Failed | Stage::Abandoned) {
                    self.counts.entry((service, channel)).or_default()[usize::from(stage.number()) - 1] += rate;
                }
                if step > 0 {
                    *self.parts.entry(part(Dimension::Step, step)).or_default() += rate;
                }
                if let Some(reason) = reason {
                    *self.parts.entry(part(Dimension::Reason, reason.number())).or_default() += rate;
                }
            }
            What::Rating(channel) => {
                let channel = channel.map_or(1, domain::vocabulary::Channel::number);
                self.counts.entry((service, channel)).or_default()[4] += rate;
            }
            What::PageView => {}
        }
    }
}

/// A whole number whose mean is `rate` × `of`, drawn by the key of the row.
fn drawn(rate: &str, of: &str, key: &str) -> String {
    let mean = format!("({rate} * {of})");
    format!(
        "toUInt64(floor({mean}) + (cityHash64(at, service, p, {key}) / 18446744073709551616. < {mean} - floor({mean})))"
    )
}

/// `count` instants or dates called `at`, and the load of each beside the mean (`load`), in seconds.
fn instants(from: &str, count: u32, step_s: u32) -> String {
    if step_s == 86_400 {
        return format!("(SELECT toDate({from}) + toIntervalDay(number) AS at, 86400. AS load FROM numbers({count}))");
    }
    format!(
        "(SELECT toDateTime({from}, 'UTC') + toIntervalSecond(number * {step_s}) AS at, \
         {step_s} * (0.25 + 1.5 * pow(sin(pi() * (toHour(at) * 60 + toMinute(at)) / 1440), 2)) AS load FROM \
         numbers({count}))"
    )
}

/// The beginning of the London day so many days ago.
fn ago(days: u32) -> String {
    format!("toStartOfDay(now('Europe/London') - toIntervalDay({days}))")
}

fn transactions(rig: &mut Rig, progress: &Progress) {
    let table = |rig: &mut Rig, table: &str, column: &str, instants: &str| {
        let draw = |name: &str| drawn(name, "load", &format!("channel, '{name}'"));
        rig.sql(&format!(
            "INSERT INTO {{cells}}.{table} ({column}, service, channel, log, epoch, p, started, completed, failed, \
             abandoned, duration_ms, value_pence, durations, ratings, applied_offset) SELECT at, service, channel, 'events', \
             {EPOCH}, p, s, c, f, a, c * (30000 + service * 10), c * (service % 7) * 900, \
             mapFilter((k, n) -> n > 0, map(toUInt8(28 + service % 9), c - intDiv(c, 3), toUInt8(30 + service % 9), \
             intDiv(c, 3) - intDiv(c, 9), toUInt8(34 + service % 9), intDiv(c, 9))), \
             mapFilter((k, n) -> n > 0, map(toUInt8(5), r - intDiv(r, 3), toUInt8(4), intDiv(r, 3) - intDiv(r, 8), \
             toUInt8(1), intDiv(r, 8))), toUnixTimestamp(at) FROM (SELECT at, service, channel, p, {} AS s, {} AS c, {} AS f, \
             {} AS a, {} AS r FROM {{cells}}.bench_rates CROSS JOIN {instants} AS instants) WHERE s + c + f + a + r > 0",
            draw("started"),
            draw("completed"),
            draw("failed"),
            draw("abandoned"),
            draw("rated"),
        ));
    };
    let sums = "sum(started), sum(completed), sum(failed), sum(abandoned), sum(duration_ms), sum(value_pence), \
                sumMap(durations), sumMap(ratings), max(applied_offset)";
    let roll_up = |rig: &mut Rig, from: &str, to: &str, column: &str, start: &str, only: &str| {
        rig.sql(&format!(
            "INSERT INTO {{cells}}.{to} ({column}, service, channel, log, epoch, p, started, completed, failed, abandoned, \
             duration_ms, value_pence, durations, ratings, applied_offset) SELECT {start} AS at, service, channel, log, epoch, \
             p, {sums} FROM {{cells}}.{from} WHERE {only} GROUP BY at, service, channel, log, epoch, p"
        ));
    };
    // Piece by piece: no statement takes long on a busy machine.
    for day in (0..MINUTE_DAYS).rev() {
        let minutes = format!("least(1440, intDiv(dateDiff('second', {}, now()), 60))", ago(day));
        let minutes = u32::try_from(rig.number(&format!("SELECT {minutes}"))).expect("a day has 1,440");
        for first in (0..minutes).step_by(PIECE as usize) {
            let from = format!("{} + toIntervalMinute({first})", ago(day));
            table(rig, "unmerged_minute", "t", &instants(&from, PIECE.min(minutes - first), 60));
        }
        let only = format!("t >= {} AND t < {} + toIntervalDay(1)", ago(day), ago(day));
        roll_up(rig, "unmerged_minute", "unmerged_hour", "t", "toStartOfHour(t)", &only);
        progress.done(&format!("minutes of the day {day} days ago"));
    }
    for day in (MINUTE_DAYS..HOUR_DAYS).rev() {
        table(rig, "unmerged_hour", "t", &instants(&ago(day), 24, 3_600));
    }
    progress.done("hours");
    table(rig, "unmerged_day", "d", &instants(&ago(DAYS), DAYS + 1 - HOUR_DAYS, 86_400));
    roll_up(rig, "unmerged_hour", "unmerged_day", "d", "toDate(t, 'Europe/London')", "1");
    progress.done("days");
}

fn breakdown(rig: &mut Rig, progress: &Progress) {
    let mut parts =
        vec![("minute", "t", instants(&ago(0), 24 * 60, 60)), ("day", "d", instants(&ago(DAYS), DAYS, 86_400))];
    parts.extend((0..HOUR_DAYS).map(|day| ("hour", "t", instants(&ago(day), 24, 3_600))));
    for (table, column, instants) in parts {
        let n = drawn("n", "load", "channel, dimension, member, stage");
        rig.sql(&format!(
            "INSERT INTO {{cells}}.unmerged_breakdown_{table} ({column}, service, channel, dimension, member, stage, log, epoch, \
             p, n, applied_offset) SELECT at, service, channel, dimension, member, stage, 'events', {EPOCH}, p, drawn, \
             toUnixTimestamp(at) FROM (SELECT at, service, channel, dimension, member, stage, p, {n} AS drawn FROM \
             {{cells}}.bench_parts CROSS JOIN {instants} AS instants WHERE at <= now()) WHERE drawn > 0"
        ));
    }
    progress.done("steps and reasons");
}

/// Views of the pages of GOV.UK, whose visitors raise registers; 0 stands for all pages, 1 for those without a name.
fn pages(rig: &mut Rig, partitions: u16, progress: &Progress) {
    let pages = Pages::embedded();
    let week_s = 7.0 * 86_400.0;
    let named = pages.all().iter().map(|page| (page.number, page.entries as f64 / week_s));
    let other = pages.other_entries() as f64 / week_s;
    let all = other + named.clone().map(|(_, rate)| rate).sum::<f64>();
    let rows = [(0, all), (1, other)].into_iter().chain(named);
    let rows: Vec<_> = rows.map(|(page, rate)| format!("({page}, {})", rate / f64::from(partitions))).collect();
    rig.sql("CREATE TABLE {cells}.bench_pages (page UInt32, n Float64) ENGINE = Memory");
    rig.sql(&format!("INSERT INTO {{cells}}.bench_pages VALUES {}", rows.join(", ")));
    let site = gateway::govuk::site_of(&domain::catalogue::Catalogue::embedded()).0;
    // Piece by piece: no statement takes long on a busy machine.
    let since = |hours: u32| format!("{} + toIntervalHour({hours})", ago(0));
    let minutes = |nth: u32| ("minute", "t", instants(&since(4 * nth), PIECE, 60), "1");
    let mut pieces: Vec<_> = (0..6).map(minutes).collect();
    for day in (0..PAGE_DAYS).rev() {
        // Nobody asks for hours of single pages before today.
        pieces.push(("hour", "t", instants(&ago(day), 24, 3_600), if day == 0 { "1" } else { "page = 0" }));
        pieces.push(("day", "d", instants(&ago(day), 1, 86_400), "1"));
    }
    for (table, column, instants, only) in pieces {
        let n = drawn("n", "load", "page");
        rig.sql(&format!(
            "INSERT INTO {{cells}}.unmerged_page_{table} ({column}, service, page, log, epoch, p, views, registers, \
             applied_offset) SELECT at, {site}, page, 'events', {EPOCH}, p, views, \
             mapFromArrays(places, arrayMap(k -> toUInt8(1 + cityHash64(k, at) % 7), places)), toUnixTimestamp(at) FROM \
             (SELECT at, page, p, {n} AS views, arrayDistinct(arrayMap(i -> toUInt16(cityHash64(page, p, at, i) % {}), \
             range(least(views, 400)))) AS places FROM (SELECT page, n, p, {site} AS service FROM {{cells}}.bench_pages \
             CROSS JOIN (SELECT toUInt16(number) AS p FROM numbers({partitions})) AS of_partitions) AS pages CROSS JOIN {instants} AS instants \
             WHERE at <= now() AND {only}) WHERE views > 0 SETTINGS max_block_size = 2048",
            domain::visitors::REGISTERS,
        ));
    }
    progress.done("page views");
}
