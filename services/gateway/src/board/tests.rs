use std::collections::BTreeMap;

use domain::cell::{CellKey, Counts, Measures, Slice};
use domain::source::{Log, ServiceNumber, Source};
use domain::time::{DAY_MS, MINUTE_MS, Period};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// 24 November 2026, 14:32 UTC.
const NOW: i64 = 1_795_530_720_000;
const TILES: [ServiceNumber; 2] = [ServiceNumber(1), ServiceNumber(2)];

/// A client as the protocol describes it, in as few lines as it takes.
#[derive(Debug, Default)]
struct Client {
    seq: u64,
    keys: Vec<String>,
    periods: Vec<String>,
    values: BTreeMap<(String, String), i64>,
}

impl Client {
    fn read(&mut self, frame: &str) {
        let frame: Json = serde_json::from_str(frame).expect("JSON");
        if frame["op"] == "snap" {
            *self = Self::default();
        } else {
            assert_eq!(frame["prev"].as_u64(), Some(self.seq), "the tick leads on from here");
        }
        self.seq = frame["seq"].as_u64().expect("a number");
        let names = |field: &str| frame[field].as_array().cloned().unwrap_or_default();
        self.keys.extend(names("keys").iter().map(|name| name.as_str().unwrap().to_owned()));
        self.periods.extend(names("periods").iter().map(|name| name.as_str().unwrap().to_owned()));
        let field = if frame["op"] == "snap" { "values" } else { "changes" };
        for value in frame[field].as_array().expect("a list") {
            let at = |place: usize| value[place].as_u64().expect("an index") as usize;
            let key = (self.keys[at(0)].clone(), self.periods[at(1)].clone());
            self.values.insert(key, value[2].as_i64().expect("a number"));
        }
    }

    fn follow(&mut self, board: &Board, catalogue: &Catalogue) {
        match board.next_for(self.seq) {
            Next::Nothing => {}
            Next::Tick => self.read(&board.tick(self.seq, Some(NOW), catalogue)),
            Next::Snapshot => self.read(&board.snapshot("e", Some(NOW), catalogue)),
        }
    }
}

/// What a topic holds now, straight from the fold.
fn truth(topic: Topic, fold: &Fold, scope: &Scope<'_>, catalogue: &Catalogue) -> BTreeMap<(String, String), i64> {
    let mut truth = BTreeMap::new();
    collect(topic, fold, scope, 0, &mut |key, at, value| {
        truth.insert((key.name(catalogue), at.name()), value);
    });
    truth
}

/// One step of a run: cells arrive, or time passes.
#[derive(Debug, Clone)]
enum Step {
    Cells(u16, u16, i64, u64),
    Pass(i64),
    /// The wall shows this service and the one after it.
    Choose(u16),
    Follow(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3_u16, 1..6_u16, 0..4_i64, 1..50_u64).prop_map(|(p, s, back, n)| Step::Cells(p, s, back, n)),
        2 => prop_oneof![Just(20_000), Just(60_000), Just(3_600_000), Just(DAY_MS / 2)].prop_map(Step::Pass),
        1 => (1..5_u16).prop_map(Step::Choose),
        3 => (0..3_usize).prop_map(Step::Follow),
    ]
}

struct Run {
    fold: Fold,
    counts: BTreeMap<(u16, CellKey), u64>,
    now: i64,
    seq: u64,
    tiles: [ServiceNumber; 2],
}

impl Run {
    fn new(owners: HashMap<ServiceNumber, u8>) -> Self {
        Self { fold: Fold::new(owners, NOW), counts: BTreeMap::new(), now: NOW, seq: 0, tiles: TILES }
    }

    fn cells(&mut self, partition: u16, service: u16, back: i64, more: u64) {
        let at = self.now - back * MINUTE_MS;
        let source = Source { log: Log::Events, epoch: 1, partition };
        for period in Period::ALL {
            let slice = Slice::Counts { channel: 1 };
            let key = CellKey { period, index: period.index_at(at), service: ServiceNumber(service), slice };
            let n = self.counts.entry((partition, key)).or_default();
            *n += more;
            let counts = Counts { stages: [*n * 2, *n, 0, 0], ratings: [0, 0, 0, 0, *n], ..Counts::default() };
            self.fold.take(source, [(&key, &Measures::Counts(counts))], |_| Some(at));
        }
    }
}

fn topic() -> impl Strategy<Value = Topic> {
    prop_oneof![
        Just(Topic::Overview),
        Just(Topic::Wall),
        Just(Topic::Service(ServiceNumber(1))),
        Just(Topic::Department(1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_snapshot_and_ticks_at_any_conflation_are_the_full_state(
        topic in topic(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let catalogue = Catalogue::embedded();
        let owners = (1..6).map(|n| (ServiceNumber(n), (n % 2) as u8)).collect();
        let mut run = Run::new(owners);
        let mut next = {
            let mut seq = 0;
            move || { seq += 1; seq }
        };
        let mut board = Board::new(topic, &catalogue, &run.fold, &Scope::at(NOW, NOW, &TILES), &mut next);
        let mut clients: [Client; 3] = Default::default();
        for step in steps.into_iter().chain((0..3).map(Step::Follow)) {
            match step {
                Step::Cells(partition, service, back, n) => run.cells(partition, service, back, n),
                Step::Pass(ms) => {
                    run.now += ms;
                    run.fold.advance(run.now, run.now);
                }
                Step::Choose(first) => run.tiles = [ServiceNumber(first), ServiceNumber(first + 1)],
                Step::Follow(client) => {
                    let scope = Scope::at(run.now, run.now, &run.tiles);
                    board.advance(&run.fold, &scope, &mut next);
                    prop_assert!(board.seq() >= run.seq, "numbers grow");
                    run.seq = board.seq();
                    let client = &mut clients[client];
                    client.follow(&board, &catalogue);
                    prop_assert_eq!(client.seq, board.seq());
                    let truth = truth(topic, &run.fold, &scope, &catalogue);
                    for (key, value) in &truth {
                        prop_assert_eq!(client.values.get(key), Some(value), "{:?}", key);
                    }
                    let today = format!("d:{}", scope.today);
                    let stale = client.values.keys().find(|key| key.1 == today && !truth.contains_key(*key));
                    prop_assert_eq!(stale, None, "of today nothing is kept that is not told of any more");
                    // What a client has beside it has left the topic's window.
                    let mut fresh = Client::default();
                    fresh.read(&board.snapshot("e", None, &catalogue));
                    prop_assert_eq!(fresh.values, truth);
                }
            }
        }
    }
}

fn board(fold: &Fold, now: i64, next: &mut dyn FnMut() -> u64) -> Board {
    Board::new(Topic::Overview, &Catalogue::embedded(), fold, &Scope::at(now, now, &TILES), next)
}

fn counter() -> impl FnMut() -> u64 {
    let mut seq = 100;
    move || {
        seq += 1;
        seq
    }
}

#[test]
fn a_number_of_another_board_or_of_the_future_gets_a_snapshot() {
    let fold = Fold::new(std::collections::HashMap::new(), NOW);
    let mut next = counter();
    let first = board(&fold, NOW, &mut next);
    let second = board(&fold, NOW, &mut next);
    assert_eq!(second.next_for(first.seq()), Next::Snapshot, "its index may differ");
    assert_eq!(second.next_for(second.seq()), Next::Nothing);
    assert_eq!(second.next_for(second.seq() + 1), Next::Snapshot);
    assert_eq!(second.next_for(0), Next::Snapshot);
}

#[test]
fn midnight_in_london_begins_a_new_snapshot_with_the_new_date() {
    let mut run = Run::new([(ServiceNumber(1), 1)].into());
    run.cells(0, 1, 0, 3);
    let mut next = counter();
    let mut board = board(&run.fold, NOW, &mut next);
    let before = board.seq();
    let midnight = Day::at(NOW).next().start_ms();
    run.fold.advance(midnight, midnight);
    assert!(board.advance(&run.fold, &Scope::at(midnight, midnight, &TILES), &mut next));
    assert_eq!(board.next_for(before), Next::Snapshot);
    let snapshot = board.snapshot("e", None, &Catalogue::embedded());
    assert!(snapshot.contains(r#""wm":null,"today":"2026-11-25""#), "{snapshot}");
    assert!(!snapshot.contains("d:2026-11-24"), "yesterday is not today: {snapshot}");
}

#[test]
fn nothing_new_is_no_new_number() {
    let mut run = Run::new([(ServiceNumber(1), 1)].into());
    run.cells(0, 1, 0, 3);
    let mut next = counter();
    let mut board = board(&run.fold, NOW, &mut next);
    let seq = board.seq();
    // Something that this topic does not carry.
    run.cells(0, 60_001, 0, 3);
    assert!(!board.advance(&run.fold, &Scope::at(NOW, NOW, &TILES), &mut next));
    assert!(!board.advance(&run.fold, &Scope::at(NOW + 1_000, NOW + 1_000, &TILES), &mut next));
    assert_eq!(board.seq(), seq);
}

#[test]
fn large_numbers_are_text() {
    let mut frame = String::new();
    write_values(&mut frame, "values", [(0, 0, EXACT_MAX), (0, 1, EXACT_MAX + 1)]);
    assert_eq!(frame, r#","values":[[0,0,9007199254740992],[0,1,"9007199254740993"]]"#);
}

#[test]
fn who_fell_behind_further_than_is_remembered_gets_a_snapshot() {
    let mut run = Run::new([(ServiceNumber(1), 1)].into());
    let mut next = counter();
    let mut board = board(&run.fold, NOW, &mut next);
    let slow = board.seq();
    for _ in 0..2 * CHANGES_MIN {
        run.cells(0, 1, 0, 1);
        board.advance(&run.fold, &Scope::at(NOW, NOW, &TILES), &mut next);
    }
    assert_eq!(board.next_for(slow), Next::Snapshot);
    assert_eq!(board.next_for(board.seq() - 1), Next::Tick);
    assert!(board.changes.len() <= CHANGES_MIN.max(2 * board.values.len()));
}
