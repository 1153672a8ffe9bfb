//! Waits for quiet and compares, id by id and cell by cell.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use domain::event::Event;
use domain::source::Log;
use proto::v1;
use tests::log::Records;
use tests::truth::{ACCEPTED, REPEAT, RETRACTED, Truth, UNKNOWN};
use tests::viewer::Viewer;
use tests::{check, expect};

use crate::platform::Platform;
use crate::rig::Rig;
use crate::screens::TOPICS;
use crate::traffic::{Key, Oracle, key};

/// A look takes work from those who are to converge.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Figures of a schedule that ended well.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) counted: u64,
    /// Of these by backfill, and taken out again.
    pub(crate) backfilled: u64,
    pub(crate) retracted: u64,
    pub(crate) records: u64,
    pub(crate) given_up: u64,
}

/// Compares until nothing differs.
pub(crate) struct Judge<'a> {
    rig: &'a mut Rig,
    platform: &'a mut Platform,
    oracle: &'a Oracle,
    logs: [tests::log::Log; 3],
    /// The truth of the logs as they ended here.
    known: Option<([Vec<u64>; 3], Told)>,
    viewers: BTreeMap<usize, Viewer>,
    /// What was waited for, and since when.
    pub(crate) waited_for: Vec<(Duration, String)>,
}

/// What the logs tell.
#[derive(Default)]
struct Told {
    truth: Truth,
    /// The first copy of each event, by id: it must be counted.
    counted: HashMap<u128, First>,
    backfilled: usize,
    /// Ids of the events that must be taken out again.
    retracted: HashSet<u128>,
    /// What stands in each log.
    present: [HashSet<Key>; 3],
    wrong: Vec<String>,
}

struct First {
    appended_at_ms: i64,
    event: v1::Event,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(rig: &'a mut Rig, platform: &'a mut Platform, oracle: &'a Oracle) -> Self {
        let stack = &platform.stack;
        let of =
            |log: Log| tests::log::Log::new(&stack.address().brokers, &format!("{}-{}", stack.group(), log.name()));
        let logs = Log::ALL.map(of);
        let waited_for = Vec::new();
        Self { rig, platform, oracle, logs, known: None, viewers: BTreeMap::new(), waited_for }
    }

    /// Waits until nothing differs; how long it took since `healed`, or what still differs at the end.
    pub(crate) fn converge(&mut self, healed: Instant, limit: Duration) -> Result<(Duration, Counts), Vec<String>> {
        loop {
            self.platform.supervise(self.rig);
            let began = healed.elapsed();
            let look = catch_unwind(AssertUnwindSafe(|| self.look()));
            match look.unwrap_or_else(|_| Err(vec!["a server did not answer; see above".into()])) {
                Ok(counts) => return Ok((began, counts)),
                Err(found) if began > limit => return Err(found),
                Err(found) => {
                    self.note(began, found.into_iter().next().unwrap_or_default());
                    std::thread::sleep(LOOK_EVERY);
                }
            }
        }
    }

    /// Keeps one line for each kind of thing that is waited for: its numbers are those of the last look.
    fn note(&mut self, at: Duration, reason: String) {
        let kind = |reason: &str| reason.replace(|c: char| c.is_ascii_digit(), "");
        match self.waited_for.last_mut().filter(|(_, last)| kind(last) == kind(&reason)) {
            Some((_, last)) => *last = reason,
            None => self.waited_for.push((at, reason)),
        }
    }

    /// One look at everything, the cheap things first.
    fn look(&mut self) -> Result<Counts, Vec<String>> {
        let one = |reason: String| vec![reason];
        if self.oracle.left() > 0 {
            return Err(one(format!("{} events are not acknowledged", self.oracle.left())));
        }
        connect(&self.platform.services("gateway"), &mut self.viewers);
        if let Some(reason) = self.platform.unready() {
            return Err(one(reason));
        }
        let ends = self.ends().map_err(one)?;
        self.all_booked(&ends).map_err(one)?;
        if self.known.as_ref().is_none_or(|(known, _)| *known != ends) {
            let mut told = Told::default();
            for ((log, place), ends) in Log::ALL.into_iter().zip(&self.logs).zip(&ends) {
                told.take(log, &place.read(ends).map_err(one)?, self.oracle);
            }
            self.known = Some((ends.clone(), told));
        }
        let (_, told) = self.known.as_ref().expect("just read");
        let mut found = told.wrong.clone();
        let (mut sent, mut acknowledged) = (0, 0);
        for (log, present) in Log::ALL.into_iter().zip(&told.present) {
            let known = self.oracle.of(log);
            let lost = known.acknowledged.difference(present).count();
            if lost > 0 {
                found.push(format!("{lost} acknowledged records are not in the log of {}", log.name()));
            }
            (sent, acknowledged) = (sent + known.sent.len(), acknowledged + known.acknowledged.len());
        }
        found.extend(ids(told, &self.platform.stack.sql()));
        found.extend(check::differences(&told.truth, &self.platform.stack.sql()));
        found.extend(on_screens(&self.viewers, &told.truth));
        if self.ends().map_err(one)? != ends {
            found.push("the logs have grown meanwhile".into());
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok(Counts {
            sent: sent as u64,
            acknowledged: acknowledged as u64,
            counted: told.counted.len() as u64,
            backfilled: told.backfilled as u64,
            retracted: told.retracted.len() as u64,
            records: ends.iter().flatten().sum(),
            given_up: self.oracle.given_up(),
        })
    }

    /// Where each partition of each log ends.
    fn ends(&self) -> Result<[Vec<u64>; 3], String> {
        let [events, backfill, corrections] = &self.logs;
        Ok([events.try_ends()?, backfill.try_ends()?, corrections.try_ends()?])
    }

    fn all_booked(&self, ends: &[Vec<u64>; 3]) -> Result<(), String> {
        let sql = "SELECT toString(log), p, toUInt64(applied_end) FROM {figures}.books";
        let books = self.platform.stack.sql().try_rows::<(String, u16, u64)>(sql).map_err(|error| error.to_string())?;
        let books: HashMap<_, _> = books.into_iter().map(|(log, p, end)| ((log, p), end)).collect();
        for (log, ends) in Log::ALL.iter().map(|log| log.name()).zip(ends) {
            for (partition, end) in (0_u16..).zip(ends) {
                let booked = books.get(&(log.to_owned(), partition)).copied().unwrap_or(0);
                if booked != *end {
                    return Err(format!("{log} {partition}: {booked} of {end} records are in the books"));
                }
            }
        }
        Ok(())
    }
}

impl Told {
    /// Takes a log, those of events before that of retractions, by the oracle's own copies of what was sent.
    fn take(&mut self, log: Log, records: &Records, oracle: &Oracle) {
        let known = oracle.of(log);
        for record in records.iter().flatten() {
            let Some((event, _)) = &record.content else {
                self.wrong.push(format!("a record of {} that nobody can decode", log.name()));
                continue;
            };
            let Some(sent) = known.sent.get(&key(event)) else {
                self.wrong.push(format!("{:?} is in the log of {} and was never sent", key(event), log.name()));
                continue;
            };
            self.present[log as usize - 1].insert(key(event));
            if log == Log::Corrections {
                self.retract(event, record.appended_at_ms);
                continue;
            }
            self.truth.take(std::slice::from_ref(sent));
            let first = First { appended_at_ms: record.appended_at_ms, event: sent.clone() };
            if let Entry::Vacant(place) = self.counted.entry(event.id.0) {
                place.insert(first);
                self.backfilled += usize::from(log == Log::Backfill);
            }
        }
    }

    /// A retraction takes effect once, on an event that stood in its log by then.
    fn retract(&mut self, wanted: &Event, appended_at_ms: i64) {
        let first = self.counted.get(&wanted.id.0);
        let first = first.filter(|first| {
            first.appended_at_ms <= appended_at_ms && first.event.occurred_at_ms == wanted.occurred_at_ms
        });
        match first {
            None => self.truth.take_others(wanted.service.0, UNKNOWN, 1),
            Some(first) if self.retracted.insert(wanted.id.0) => {
                self.truth.retract(std::slice::from_ref(&first.event));
            }
            Some(_) => self.truth.take_others(wanted.service.0, REPEAT, 1),
        }
    }
}

/// Each id that must be counted is accepted once in raw, each that must be taken out is so once, and no other.
fn ids(told: &Told, sql: &tests::sql::Sql) -> Vec<String> {
    let counted = told.counted.keys().copied().collect();
    [(ACCEPTED, "counted", &counted), (RETRACTED, "retracted", &told.retracted)]
        .into_iter()
        .flat_map(|(outcome, word, wanted)| ids_of(outcome, word, wanted, sql))
        .collect()
}

fn ids_of(outcome: u8, word: &str, wanted: &HashSet<u128>, sql: &tests::sql::Sql) -> Vec<String> {
    let question =
        format!("SELECT toString(id), toInt64(count()) FROM {{cells}}.raw FINAL WHERE outcome = {outcome} GROUP BY id");
    let rows = match sql.try_rows::<(String, i64)>(&question) {
        Ok(rows) => rows,
        Err(error) => return vec![error.to_string()],
    };
    let number = |id: &str| u128::from_str_radix(&id.replace('-', ""), 16).expect("ids are hexadecimal");
    let rows: HashMap<u128, i64> = rows.into_iter().map(|(id, n)| (number(&id), n)).collect();
    let missing = wanted.iter().filter(|id| !rows.contains_key(id)).count();
    let more = rows.keys().filter(|id| !wanted.contains(id)).count();
    let twice = rows.values().filter(|n| **n > 1).count();
    let found = [(missing, "must be and are not"), (more, "are and must not be"), (twice, "are twice")];
    found.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{word}: {n} ids {what}")).collect()
}

/// A viewer at each gateway that lets one in.
fn connect(gateways: &[SocketAddr], viewers: &mut BTreeMap<usize, Viewer>) {
    viewers.retain(|_, viewer| !viewer.seen().closed);
    for (n, gateway) in gateways.iter().enumerate() {
        if !viewers.contains_key(&n)
            && let Ok(viewer) = Viewer::try_connect(*gateway, &TOPICS)
        {
            viewers.insert(n, viewer);
        }
    }
}

/// What differs on the screens of each gateway, and whether they say that all is well.
fn on_screens(viewers: &BTreeMap<usize, Viewer>, truth: &Truth) -> Vec<String> {
    let mut found = Vec::new();
    for n in 0..2 {
        let Some(viewer) = viewers.get(&n) else {
            found.push(format!("gateway {} lets no viewer in", n + 1));
            continue;
        };
        let seen = viewer.seen();
        for topic in TOPICS {
            match seen.folds.get(topic) {
                Some(fold) => found.extend(expect::differences(truth, topic, fold).into_iter().take(4)),
                None => found.push(format!("gateway {}: nothing of {topic} yet", n + 1)),
            }
        }
        match &seen.heartbeat {
            Some(hb) if hb["incomplete"].is_null() && hb["pipeline"]["state"] == "ok" => {}
            other => found.push(format!("gateway {}: {other:?}", n + 1)),
        }
    }
    found
}
