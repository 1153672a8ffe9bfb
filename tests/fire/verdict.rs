//! Waits for quiet and compares, id by id and cell by cell.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tests::log::{Log, Records};
use tests::truth::{ACCEPTED, Truth};
use tests::viewer::Viewer;
use tests::{check, expect};

use crate::platform::Platform;
use crate::rig::Rig;
use crate::screens::TOPICS;
use crate::traffic::{Key, Oracle};

/// Figures of a schedule that ended well.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) counted: u64,
    pub(crate) records: u64,
    pub(crate) given_up: u64,
}

/// Compares until nothing differs.
pub(crate) struct Judge<'a> {
    rig: &'a mut Rig,
    platform: &'a mut Platform,
    oracle: &'a Oracle,
    log: Log,
    /// The truth of the log as it ended here.
    known: Option<(Vec<u64>, Told)>,
    viewers: BTreeMap<usize, Viewer>,
    /// What was waited for last.
    pub(crate) waited_for: String,
}

/// What the log tells.
struct Told {
    truth: Truth,
    /// Ids of the events that must be counted.
    counted: HashSet<u128>,
    /// Events that stand in it.
    present: HashSet<Key>,
    wrong: Vec<String>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(rig: &'a mut Rig, platform: &'a mut Platform, oracle: &'a Oracle) -> Self {
        let log = platform.stack.log();
        let waited_for = String::new();
        Self { rig, platform, oracle, log, known: None, viewers: BTreeMap::new(), waited_for }
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
                    self.waited_for = found.into_iter().next().unwrap_or_default();
                    std::thread::sleep(Duration::from_millis(40));
                }
            }
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
        let ends = self.log.try_ends().map_err(one)?;
        self.all_booked(&ends).map_err(one)?;
        if self.known.as_ref().is_none_or(|(known, _)| *known != ends) {
            let records = self.log.read(&ends).map_err(one)?;
            self.known = Some((ends.clone(), told(&records, self.oracle)));
        }
        let (_, told) = self.known.as_ref().expect("just read");
        let mut found = told.wrong.clone();
        let acknowledged = self.oracle.acknowledged();
        let lost = acknowledged.iter().filter(|key| !told.present.contains(*key)).count();
        if lost > 0 {
            found.push(format!("{lost} acknowledged events are not in the log"));
        }
        found.extend(ids(told, &self.platform.stack.sql()));
        found.extend(check::differences(&told.truth, &self.platform.stack.sql()));
        found.extend(on_screens(&self.viewers, &told.truth));
        if self.log.try_ends().map_err(one)? != ends {
            found.push("the log has grown meanwhile".into());
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok(Counts {
            sent: self.oracle.sent().len() as u64,
            acknowledged: acknowledged.len() as u64,
            counted: told.counted.len() as u64,
            records: ends.iter().sum(),
            given_up: self.oracle.given_up(),
        })
    }

    fn all_booked(&self, ends: &[u64]) -> Result<(), String> {
        let sql = "SELECT p, toUInt64(applied_end) FROM {figures}.books WHERE log = 'events'";
        let books = self.platform.stack.sql().try_rows::<(u16, u64)>(sql).map_err(|error| error.to_string())?;
        let books: HashMap<u16, u64> = books.into_iter().collect();
        for (partition, end) in (0_u16..).zip(ends) {
            let booked = books.get(&partition).copied().unwrap_or(0);
            if booked != *end {
                return Err(format!("partition {partition}: {booked} of {end} records are in the books"));
            }
        }
        Ok(())
    }
}

/// What the log says must be counted, by the oracle's own copies of the events.
fn told(records: &Records, oracle: &Oracle) -> Told {
    let sent = oracle.sent();
    let mut told =
        Told { truth: Truth::default(), counted: HashSet::new(), present: HashSet::new(), wrong: Vec::new() };
    for record in records.iter().flatten() {
        let Some((event, _)) = record else {
            told.wrong.push("a record that nobody can decode".into());
            continue;
        };
        let key = (event.id.0, event.content);
        match sent.get(&key) {
            Some(event) => told.truth.take(std::slice::from_ref(event)),
            None => told.wrong.push(format!("{key:?} is in the log and was never sent")),
        }
        told.counted.insert(key.0);
        told.present.insert(key);
    }
    told
}

/// Each id that must be counted is accepted once in raw, and no other.
fn ids(told: &Told, sql: &tests::sql::Sql) -> Vec<String> {
    let question = format!(
        "SELECT toString(id), toInt64(count()) FROM {{cells}}.raw FINAL WHERE outcome = {ACCEPTED} \
                            GROUP BY id"
    );
    let rows = match sql.try_rows::<(String, i64)>(&question) {
        Ok(rows) => rows,
        Err(error) => return vec![error.to_string()],
    };
    let number = |id: &str| u128::from_str_radix(&id.replace('-', ""), 16).expect("ids are hexadecimal");
    let rows: HashMap<u128, i64> = rows.into_iter().map(|(id, n)| (number(&id), n)).collect();
    let mut found = Vec::new();
    let missing = told.counted.iter().filter(|id| !rows.contains_key(id)).count();
    let more = rows.keys().filter(|id| !told.counted.contains(id)).count();
    let twice = rows.values().filter(|n| **n > 1).count();
    for (n, what) in [(missing, "missing"), (more, "counted and not in the log"), (twice, "counted twice")] {
        if n > 0 {
            found.push(format!("{n} ids are {what}"));
        }
    }
    found
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
