//! The aggregator alone against the real servers: records are written to the log as a collector would.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::source::ServiceNumber;
use proto::v1;
use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::log::{EPOCH, Log};
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until, until_so};
use tests::viewer::Viewer;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("aggregator::killed_three_times_it_counts_exactly", killed_three_times_it_counts_exactly),
        Test::new("aggregator::two_of_them_and_a_rebalance_count_exactly", two_of_them_and_a_rebalance_count_exactly),
        Test::new("aggregator::every_record_has_its_outcome_and_its_figures", every_record_has_its_outcome),
        Test::new("aggregator::a_zombie_that_wakes_up_changes_nothing", a_zombie_changes_nothing),
        Test::new("aggregator::whose_place_was_taken_goes_on_by_itself", whose_place_was_taken),
        Test::new("aggregator::records_that_the_log_has_lost_are_expired", lost_records_are_expired),
        Test::new("aggregator::ids_that_cannot_be_written_hold_it_back_and_are_not_lost", unwritten_ids_are_not_lost),
        Test::new("aggregator::spoilt_files_of_ids_are_read_anew", spoilt_files_of_ids_are_read_anew),
        Test::new("aggregator::the_check_itself_sees_a_wrong_cell", the_check_itself_sees_a_wrong_cell),
    ]
}

fn every_record_has_its_outcome(shared: &Shared) {
    let stack = Stack::new(shared, "outcomes");
    stack.provision();
    let mut aggregator = stack.aggregator(1);
    let (log, mut truth) = (stack.log(), Truth::default());
    let events = Mix::new(1, "outcomes").with_repeats(20_000, 10);
    log.write(&events);
    log.flush();
    truth.take(&events);
    write_what_must_not_count(&log, &mut truth, &events[0]);
    check::exact(&truth, &stack.sql(), PATIENCE);
    assert_eq!(aggregator.stop(), "code 0");
    // Everything of the past week is out of memory now and comes from the store.
    let mut aggregator = stack.aggregator(1);
    let mut mix = Mix::new(2, "outcomes-again");
    let more = [mix.fresh(3_000), mix.some_of(&events, 1_000)].concat();
    log.write(&more);
    log.flush();
    truth.take(&more);
    check::exact(&truth, &stack.sql(), PATIENCE);
    assert_eq!(aggregator.stop(), "code 0");
}

/// One record of each kind that no collector writes, and a conflict, for a service of its own.
fn write_what_must_not_count(log: &Log, truth: &mut Truth, like: &v1::Event) {
    let number = truth.number(&like.service_id);
    let mut conflict = like.clone();
    conflict.attributes = vec![v1::Attribute { name: "other".into(), value: "content".into() }];
    log.write(std::slice::from_ref(&conflict));
    truth.take(&[conflict]);
    let aged = |id: &str, age_ms: i64| {
        let occurred_at_ms = runtime::clock::now_ms() - age_ms;
        log.parsed(&v1::Event { event_id: id.into(), occurred_at_ms, ..like.clone() })
    };
    let late = aged("late", 7 * 86_400_000 + 1_000);
    let partition = log.partition(&late);
    log.write_record(partition, EPOCH, late);
    truth.take_others(number, 4, 1);
    log.write_record(log.partition(&aged("ahead", -360_000)), EPOCH, aged("ahead", -360_000));
    truth.take_others(number, 5, 1);
    let astray = aged("astray", 1_000);
    log.write_record((log.partition(&astray) + 1) % 12, EPOCH, astray);
    truth.take_others(number, 6, 1);
    log.write_bytes(3, b"this is not a record");
    log.write_bytes(3, b"");
    truth.take_others(ServiceNumber::UNKNOWN.0, 7, 2);
    let foreign = aged("foreign", 1_000);
    log.write_record(log.partition(&foreign), EPOCH + 1, foreign);
    truth.take_others(number, 8, 1);
    log.flush();
}

fn killed_three_times_it_counts_exactly(shared: &Shared) {
    let mut stack = Stack::new(shared, "killed");
    // Often enough that a kill hits between two of the inserts of a flush.
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &150);
    stack.set("AGGREGATOR_COUNTING__FLUSH_ROWS_MAX", &4_000);
    // Most ids are in files.
    stack.set("AGGREGATOR_COUNTING__IDS_IN_MEMORY_MAX", &12_000);
    stack.provision();
    let (log, mut truth) = (stack.log(), Truth::default());
    let mut mix = Mix::new(3, "killed");
    let mut write = |count: usize| {
        let events = mix.with_repeats(count, 8);
        log.write(&events);
        log.flush();
        truth.take(&events);
    };
    let mut aggregator = stack.aggregator(1);
    let gateway = stack.gateway();
    let viewer = Viewer::connect(gateway.http(), &["overview"]);
    for _ in 0..3 {
        write(20_000);
        kill_in_a_flush(&stack, &mut aggregator, &mut write);
        aggregator = stack.aggregator(1);
    }
    write(20_000);
    check::exact(&truth, &stack.sql(), PATIENCE);
    // What the killed ones published is contradicted by nobody.
    expect::shown(&truth, &viewer, "overview");
    assert!(tests::metrics::value(&aggregator, "aggregator_resident_ids").is_some_and(|ids| ids <= 12_000.0));
    assert!(tests::metrics::value(&aggregator, "aggregator_spilled_ids").is_some_and(|ids| ids >= 40_000.0));
    assert_eq!(aggregator.stop(), "code 0");
}

/// Kills it between two inserts of a flush: cells are stored already, the ledger that covers them is not.
fn kill_in_a_flush(stack: &Stack, aggregator: &mut dev::Service, write: &mut dyn FnMut(usize)) {
    let sql = stack.sql();
    let ahead = "SELECT count() FROM (SELECT p, max(applied_offset) AS stored FROM (SELECT p, applied_offset FROM \
                 {cells}.unmerged_minute UNION ALL SELECT p, applied_offset FROM {cells}.unmerged_day UNION ALL SELECT p, \
                 applied_offset FROM {cells}.unmerged_ledger_hour) GROUP BY p) AS cells INNER JOIN (SELECT p, \
                 max(applied_offset) AS booked FROM {cells}.unmerged_ledger GROUP BY p) AS ledger USING p WHERE stored > \
                 booked";
    let books = "SELECT uniqExact(p) FROM {cells}.unmerged_ledger";
    // What the last kill left must be made good first, or nothing new would be caught.
    until("the books cover all cells", PATIENCE, || match (sql.number(ahead), sql.number(books)) {
        (0, 12) => Ok(()),
        (sources, books) => Err(format!("{sources} sources ahead, {books} with books")),
    });
    write(20_000);
    let (began, mut written) = (Instant::now(), Instant::now());
    while began.elapsed() < PATIENCE {
        if written.elapsed() > Duration::from_secs(1) {
            written = Instant::now();
            write(3_000);
        }
        if sql.number(ahead) > 0 {
            aggregator.pause();
            // An insert that was under way may still have come to its end.
            if sql.number(ahead) > 0 {
                aggregator.kill9();
                if sql.number(ahead) > 0 {
                    return;
                }
                *aggregator = stack.aggregator(1);
            }
            aggregator.resume();
        }
    }
    panic!("it was never caught in a flush");
}

/// Waits until a part of what was written last is in the books.
fn in_the_middle(stack: &Stack, before: i64) {
    let sql = stack.sql();
    until("a part is counted", PATIENCE, || {
        let counted = sql.number("SELECT sum(n) FROM {figures}.ledger");
        if counted > before { Ok(()) } else { Err(format!("{counted} records counted")) }
    });
}

fn two_of_them_and_a_rebalance_count_exactly(shared: &Shared) {
    let mut stack = Stack::new(shared, "rebalance");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.provision();
    let (log, mut truth) = (stack.log(), Truth::default());
    let mut mix = Mix::new(4, "rebalance");
    let mut write = |truth: &mut Truth| {
        let events = mix.with_repeats(15_000, 8);
        log.write(&events);
        log.flush();
        truth.take(&events);
    };
    let first = stack.aggregator(1);
    let gateway = stack.gateway();
    let viewer = Viewer::connect(gateway.http(), &["overview"]);
    write(&mut truth);
    let mut second = stack.aggregator(2);
    write(&mut truth);
    until("both own some", PATIENCE, || {
        let (a, b) = (owned(&first), owned(&second));
        if a > 0 && b > 0 && a + b == 12 { Ok(()) } else { Err(format!("{a} and {b} partitions")) }
    });
    write(&mut truth);
    check::counted(&stack.sql(), truth.records(), PATIENCE);
    second.kill9();
    write(&mut truth);
    // The dead one's partitions come over when its session has run out.
    check::exact(&truth, &stack.sql(), PATIENCE);
    assert_eq!(owned(&first), 12);
    let _second = stack.aggregator(2);
    write(&mut truth);
    check::exact(&truth, &stack.sql(), PATIENCE);
    expect::shown(&truth, &viewer, "overview");
}

fn a_zombie_changes_nothing(shared: &Shared) {
    let mut stack = Stack::new(shared, "zombie");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &400);
    stack.provision();
    let (log, mut truth) = (stack.log(), Truth::default());
    let mut mix = Mix::new(6, "zombie");
    let mut write = |truth: &mut Truth, count: usize| {
        let events = mix.with_repeats(count, 8);
        log.write(&events);
        log.flush();
        truth.take(&events);
    };
    let mut first = stack.aggregator(1);
    write(&mut truth, 20_000);
    // In the middle of its work it stands still, until its session has run out and another has taken over.
    in_the_middle(&stack, 0);
    first.pause();
    let second = stack.aggregator(2);
    until("the other owns all", PATIENCE, || match owned(&second) {
        12 => Ok(()),
        n => Err(format!("{n} partitions")),
    });
    write(&mut truth, 5_000);
    check::exact(&truth, &stack.sql(), PATIENCE);
    // It wakes up with what it had counted and not stored.
    first.resume();
    until("both own some", PATIENCE, || {
        let (a, b) = (owned(&first), owned(&second));
        if a > 0 && b > 0 && a + b == 12 { Ok(()) } else { Err(format!("{a} and {b} partitions")) }
    });
    write(&mut truth, 5_000);
    check::exact(&truth, &stack.sql(), PATIENCE);
}

/// A second process by the same name has the first one shut out of the group, which its client never comes back from.
fn whose_place_was_taken(shared: &Shared) {
    let mut stack = Stack::new(shared, "names");
    stack.set("AGGREGATOR_GROUP__INSTANCE_ID", "one-name");
    stack.provision();
    let (log, mut truth) = (stack.log(), Truth::default());
    let mut mix = Mix::new(8, "names");
    let mut write = |truth: &mut Truth, count: usize| {
        let events = mix.with_repeats(count, 8);
        log.write(&events);
        log.flush();
        truth.take(&events);
    };
    let start = |name: &str| stack.start("aggregator", name, &[]).expect("it starts");
    let mut first = start("first");
    first.wait_ready(PATIENCE).expect("ready");
    write(&mut truth, 3_000);
    check::exact(&truth, &stack.sql(), PATIENCE);
    let mut second = start("second");
    let anew =
        || std::fs::read_to_string(stack.dir().join("first.log")).unwrap_or_default().contains("counting begins anew");
    until_so("the first one is shut out", PATIENCE, anew);
    write(&mut truth, 2_000);
    second.kill9();
    write(&mut truth, 2_000);
    check::exact(&truth, &stack.sql(), PATIENCE);
    assert_eq!(first.stop(), "code 0");
}

fn lost_records_are_expired(shared: &Shared) {
    let stack = Stack::new(shared, "expired");
    stack.provision();
    let (log, mut truth) = (stack.log(), Truth::default());
    let mut mix = Mix::new(7, "expired");
    let events = mix.with_repeats(2_000, 8);
    log.write(&events);
    log.flush();
    truth.take(&events);
    let mut aggregator = stack.aggregator(1);
    check::exact(&truth, &stack.sql(), PATIENCE);
    assert_eq!(aggregator.stop(), "code 0");
    // Nobody will ever know what these were.
    log.write(&mix.fresh(700));
    log.flush();
    stack.forget_the_log();
    let events = mix.fresh(900);
    log.write(&events);
    log.flush();
    truth.take(&events);
    let aggregator = stack.aggregator(1);
    let sql = stack.sql();
    check::counted(&sql, truth.records() + 700, PATIENCE);
    assert_eq!(sql.number("SELECT sum(expired) FROM {figures}.books"), 700);
    assert_eq!(sql.number("SELECT sum(accepted) FROM {figures}.books"), truth.accepted());
    assert_eq!(sql.number("SELECT sum(abs(difference)) FROM {figures}.books"), 0);
    assert_eq!(tests::metrics::value(&aggregator, "aggregator_expired_records_total"), Some(700.0));
}

fn owned(aggregator: &dev::Service) -> i64 {
    tests::metrics::value(aggregator, "aggregator_owned_partitions").unwrap_or(0.0) as i64
}

fn unwritten_ids_are_not_lost(shared: &Shared) {
    let mut stack = Stack::new(shared, "unwritten");
    let folder = stack.dir().join("ids");
    let set_up = || fs::create_dir(&folder).expect("a folder for ids");
    stack.set("AGGREGATOR_COUNTING__IDS_IN_MEMORY_MAX", &6_000);
    stack.set("AGGREGATOR_COUNTING__IDS_DIR", &folder.display());
    stack.provision();
    set_up();
    let mut aggregator = stack.aggregator(1);
    fs::remove_dir(&folder).expect("the disk is gone");
    let (log, mut truth) = (stack.log(), Truth::default());
    let events = Mix::new(7, "unwritten").with_repeats(40_000, 8);
    log.write(&events);
    log.flush();
    truth.take(&events);
    until("it cannot write ids", PATIENCE, || {
        match tests::metrics::value(&aggregator, "aggregator_spill_errors_total") {
            Some(errors) if errors >= 3.0 => Ok(()),
            errors => Err(format!("{errors:?} errors")),
        }
    });
    let counted = stack.sql().number("SELECT sum(n) FROM {figures}.ledger");
    assert!(counted < 20_000, "it goes on counting without room for ids: {counted}");
    set_up();
    check::exact(&truth, &stack.sql(), PATIENCE);
    assert_eq!(aggregator.stop(), "code 0");
}

fn spoilt_files_of_ids_are_read_anew(shared: &Shared) {
    let mut stack = Stack::new(shared, "spoilt");
    let folder = stack.dir().join("ids");
    fs::create_dir(&folder).expect("a folder for ids");
    stack.set("AGGREGATOR_COUNTING__IDS_IN_MEMORY_MAX", &6_000);
    stack.set("AGGREGATOR_COUNTING__IDS_DIR", &folder.display());
    stack.provision();
    let mut aggregator = stack.aggregator(1);
    let (log, mut truth) = (stack.log(), Truth::default());
    let mut mix = Mix::new(8, "spoilt");
    let mut write = |events: &[v1::Event]| {
        log.write(events);
        log.flush();
        truth.take(events);
        check::exact(&truth, &stack.sql(), PATIENCE);
    };
    let events = mix.with_repeats(20_000, 8);
    write(&events);
    let spoilt = spoil(aggregator.pid(), &folder);
    assert!(spoilt >= 12, "{spoilt} files");
    write(&[mix.some_of(&events, 500), mix.fresh(20_000)].concat());
    let anew = tests::metrics::value(&aggregator, "aggregator_partitions_taken_up_anew_total");
    assert!(anew.is_some_and(|times| times >= 1.0), "{anew:?}");
    assert_eq!(aggregator.stop(), "code 0");
}

/// Overwrites the files of a folder that a process holds open, those without a name too; how many it were.
fn spoil(pid: u32, folder: &Path) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("its open files").flatten().map(|file| file.path());
    let files = open.filter(|file| fs::read_link(file).is_ok_and(|of| of.starts_with(folder)));
    files
        .map(|path| {
            let mut file = OpenOptions::new().write(true).open(path).expect("it is open there");
            let len = file.metadata().expect("its size").len();
            file.write_all(&vec![0; len as usize]).expect("it is overwritten");
        })
        .count()
}

fn the_check_itself_sees_a_wrong_cell(shared: &Shared) {
    let stack = Stack::new(shared, "sabotage");
    stack.provision();
    let _aggregator = stack.aggregator(1);
    let (log, mut truth) = (stack.log(), Truth::default());
    let events = Mix::new(5, "sabotage").with_repeats(500, 8);
    log.write(&events);
    log.flush();
    truth.take(&events);
    let sql = stack.sql();
    check::exact(&truth, &sql, PATIENCE);
    for (table, measure) in [("minute", "completed"), ("hour", "duration_ms"), ("day", "started")] {
        let table = format!("{{cells}}.unmerged_{table}");
        sql.execute(&format!(
            "INSERT INTO {table} SELECT * REPLACE ({measure} + 1 AS {measure}) FROM {table} FINAL ORDER BY \
             applied_offset DESC LIMIT 1"
        ));
    }
    sql.execute(
        "INSERT INTO {cells}.unmerged_ledger SELECT * REPLACE (n + 1 AS n) FROM {cells}.unmerged_ledger LIMIT 1",
    );
    let found = check::differences(&truth, &sql).join("\n");
    for part in ["figures.minute", "figures.hour", "figures.day", "figures.ledger", "difference -1", "cells of days"] {
        assert!(found.contains(part), "{part} is not among:\n{found}");
    }
}
