//! Figures that are too large, which nothing lowers, until all cells are added up again: under traffic, with a socket and
//! readers that look all along.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dev::child::Child;
use domain::time::Day;
use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::get::json;
use tests::log::Log;
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until, until_so};
use tests::viewer::Viewer;

use crate::late;
use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("rebuild::figures_that_are_too_large_are_exact_again_while_counting_goes_on", too_large),
        Test::new("rebuild::killed_half_way_it_leaves_everything_as_it_was_and_can_be_given_again", killed),
    ]
}

const TOPICS: [&str; 3] = ["overview", "wall", "service:gov-uk"];
/// A third of all cells, of every table.
const SPOILED: [(&str, &str); 10] = [
    ("minute", "completed + 500 AS completed, started + 3 AS started"),
    ("hour", "completed + 500 AS completed, duration_ms + 1000 AS duration_ms"),
    ("day", "completed + 500 AS completed, mapAdd(ratings, map(toUInt8(5), toUInt64(9))) AS ratings"),
    ("breakdown_minute", "n + 7 AS n"),
    ("breakdown_hour", "n + 7 AS n"),
    ("breakdown_day", "n + 7 AS n"),
    ("page_minute", "views + 11 AS views"),
    ("page_hour", "views + 11 AS views"),
    ("page_day", "views + 11 AS views"),
    ("ledger_hour", "n + 2 AS n"),
];

/// What is written to the log, and the truth of it.
struct Feed {
    log: Log,
    mix: Mix,
    truth: Truth,
}

impl Feed {
    fn write(&mut self, count: usize) {
        let events = self.mix.with_repeats(count, 10);
        self.log.write(&events);
        self.log.flush();
        self.truth.take(&events);
    }
}

/// So many events, counted exactly by an aggregator that has stopped.
fn counted(shared: &Shared, (name, seed): (&str, u64), count: usize) -> (Stack, Feed) {
    let mut stack = Stack::new(shared, name);
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.set("AGGREGATOR_LATE__SKEW_MS", &100);
    // Gateways read the store all along, while tables change places too.
    stack.set("GATEWAY_START__AGREE_EVERY_MS", &500);
    stack.provision();
    let mut feed = Feed { log: stack.log(), mix: Mix::new(seed, name), truth: Truth::default() };
    let (collector, first) = (stack.collector(), stack.aggregator(1));
    feed.write(count);
    let senders = Senders::new(&stack, collector.grpc());
    let old = late::old_events(&mut feed.mix, count / 10);
    late::backfill(&senders, &old);
    feed.truth.take(&old);
    check::exact(&feed.truth, &stack.sql(), PATIENCE);
    late::retract(&senders, &old[..count / 20]);
    feed.truth.retract(&old[..count / 20]);
    check::exact(&feed.truth, &stack.sql(), PATIENCE);
    drop(first);
    (stack, feed)
}

fn too_large(shared: &Shared) {
    let (stack, mut feed) = counted(shared, ("rebuild", 71), 10_000);
    let sql = stack.sql();
    for (table, spoilt) in SPOILED {
        sql.execute(&format!(
            "INSERT INTO {{cells}}.unmerged_{table} SELECT * REPLACE ({spoilt}) FROM {{cells}}.unmerged_{table} FINAL WHERE p % \
             3 = 0"
        ));
    }
    // Everybody has the wrong figures in memory.
    let (mut one, mut two, gateway) = (stack.aggregator(1), stack.aggregator(2), stack.gateway());
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    feed.write(2_000);
    check::counted(&sql, feed.truth.records(), PATIENCE);
    let today = format!("d:{}", Day::at(runtime::clock::now_ms()));
    let place = ("all".to_owned(), today);
    let shown = || viewer.fold("overview").values.get(&place).copied();
    let floor = expect::values(&feed.truth, "overview")[&place];
    until_so("the socket shows too much", PATIENCE, || shown() > Some(floor));
    assert!(!check::differences(&feed.truth, &sql).is_empty());

    let is_over = AtomicBool::new(false);
    let printed = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                let stored = sql.number(
                    "SELECT sum(completed) FROM {figures}.day WHERE d = toDate(now(), 'Europe/London') AND service < \
                     60000",
                );
                assert!(stored >= floor, "the view fell to {stored}, below {floor}");
                assert!(shown() >= Some(floor), "the socket fell to {:?}, below {floor}", shown());
                looks += 1;
            }
            looks
        });
        let rebuilding = scope.spawn(|| stack.run_aggregator("rebuild", &[]));
        while !rebuilding.is_finished() {
            feed.write(40);
            std::thread::sleep(Duration::from_millis(200));
        }
        let printed = rebuilding.join().expect("no panic");
        feed.write(1_000);
        is_over.store(true, Ordering::Relaxed);
        let printed = printed.unwrap_or_else(|error| panic!("rebuild: {error}"));
        let looks = looking.join().expect("nobody saw less than before");
        assert!(looks > 10, "{looks} looks");
        printed
    });
    eprintln!("{printed}");
    assert!(printed.contains("generation 1"), "{printed}");
    check::exact(&feed.truth, &sql, PATIENCE);
    for topic in TOPICS {
        expect::shown(&feed.truth, &viewer, topic);
    }
    on_the_page(&feed.truth, &gateway, &place.1);
    // A gateway that starts later knows the generation from the store.
    drop(gateway);
    let gateway = stack.gateway();
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    feed.write(500);
    for topic in TOPICS {
        expect::shown(&feed.truth, &viewer, topic);
    }
    let surplus = || tests::metrics::value(&one, "aggregator_surplus_records");
    until_so("the next check finds nothing too much", PATIENCE, || surplus() == Some(0.0));
    assert_eq!((one.stop(), two.stop()), ("code 0".to_owned(), "code 0".to_owned()));
    assert_eq!(sql.number("SELECT count() FROM system.databases WHERE startsWith(name, '{cells}_rebuilt_')"), 0);
}

/// The API of the list, from which its page is made.
fn on_the_page(truth: &Truth, gateway: &dev::Service, today: &str) {
    let want = expect::values(truth, "overview");
    until("the list shows the truth", PATIENCE, || {
        let list = json(gateway.http(), "/api/v1/services?limit=1000")?;
        for row in list["services"].as_array().ok_or("no list")? {
            let id = row["service"]["id"].as_str().unwrap_or_default();
            let wanted = want.get(&(format!("service:{id}"), today.to_owned())).copied().filter(|n| *n > 0);
            let found = row["counted"]["completed"].as_i64().filter(|n| *n > 0);
            if wanted != found {
                return Err(format!("{id}: wanted {wanted:?}, found {found:?}"));
            }
        }
        Ok(())
    });
}

/// While it adds up, while all stand still for it, and between two exchanges.
fn killed(shared: &Shared) {
    let (stack, mut feed) = counted(shared, ("rebuild_killed", 72), 4_000);
    let sql = stack.sql();
    sql.execute(
        "INSERT INTO {cells}.unmerged_day SELECT * REPLACE (completed + 500 AS completed) FROM {cells}.unmerged_day FINAL \
         WHERE p = 3",
    );
    let (mut aggregator, gateway) = (stack.aggregator(1), stack.gateway());
    let spoilt = check::differences(&feed.truth, &sql);
    assert!(!spoilt.is_empty());
    let start = || {
        let mut spec = stack.spec("aggregator", "rebuild-killed", &[]).expect("it is built");
        spec.arguments = vec!["rebuild".to_owned()];
        Child::start(spec).expect("it starts")
    };

    let mut adding = start();
    until_so("it adds up", PATIENCE, || {
        adding.line(Duration::from_millis(100)).is_some_and(|line| line.starts_with("pass 1"))
    });
    assert_ne!(adding.kill(), "code 0");
    assert_eq!(check::differences(&feed.truth, &sql), spoilt);
    feed.write(200);
    check::counted(&sql, feed.truth.records(), PATIENCE);

    let mut standing = start();
    let still = "SELECT count() FROM {cells}.standing_still";
    until_so("all stand still", PATIENCE * 2, || sql.number(still) > 0);
    assert_ne!(standing.kill(), "code 0");
    feed.write(200);
    // The request ends after a minute.
    check::counted(&sql, feed.truth.records(), PATIENCE * 2);
    assert!(!check::differences(&feed.truth, &sql).is_empty(), "nothing was exchanged");
    assert_eq!(sql.number("SELECT countIf(is_done) FROM {cells}.rebuilds"), 0);

    let names = || {
        let asked = "SELECT toString(uuid) FROM system.tables WHERE database = '{cells}' AND startsWith(name, 'unmerged_') ORDER \
                        BY name";
        sql.rows::<String>(asked)
    };
    let was = names();
    let mut exchanging = start();
    let began = Instant::now();
    // Without a pause: all ten change places in a moment.
    while names() == was {
        assert!(began.elapsed() < PATIENCE * 2, "no table changes places");
    }
    exchanging.kill();
    let moved = names().iter().zip(&was).filter(|(now, was)| now != was).count();
    eprintln!("killed when {moved} of 10 tables had changed places");
    feed.write(200);
    check::counted(&sql, feed.truth.records(), PATIENCE * 2);
    // Tables of both generations beside one another: what was too large is, nothing else is wrong.
    until("no other figure is wrong", PATIENCE, || {
        let mut wrong = check::differences(&feed.truth, &sql);
        wrong.retain(|one| one.starts_with("figures.") && !one.starts_with("figures.day"));
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    });

    let printed = stack.run_aggregator("rebuild", &[]).unwrap_or_else(|error| panic!("rebuild: {error}"));
    assert!(printed.contains("generation 3"), "{printed}");
    feed.write(200);
    check::exact(&feed.truth, &sql, PATIENCE);
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    for topic in TOPICS {
        expect::shown(&feed.truth, &viewer, topic);
    }
    assert_eq!(aggregator.stop(), "code 0");
    assert_eq!(sql.number("SELECT count() FROM system.databases WHERE startsWith(name, '{cells}_rebuilt_')"), 0);
}
