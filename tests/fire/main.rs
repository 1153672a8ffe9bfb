//! The fault rig: real Kafka, real ClickHouse, two collectors, aggregators and gateways, senders with an oracle, and
//! seeded schedules of everything that can be done to them from outside. After each the figures must be exact again.
//!
//! `make fire` runs 200 schedules; `FIRE_SCHEDULES=n` more or fewer, `FIRE_FROM=n` from another seed on, `FIRE_SEED=n` one
//! alone, `FIRE_KIND=DropCells,KillKafka` only faults of these kinds, `FIRE_FORM=cluster` against three brokers and two
//! shards, `FIRE_KEEP=1` keeps the logs of schedules that ended well too. `make test` runs a short form of both.

mod act;
mod books;
mod clock;
mod disk;
mod late;
mod plan;
mod platform;
mod report;
mod rig;
mod screens;
mod tables;
mod topics;
mod traffic;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use tests::sender::Senders;
use tests::shared::Shared;
use tests::until::let_the_day_end;

use crate::act::Stage;
use crate::books::Auditor;
use crate::plan::{Form, Kind, Plan};
use crate::platform::Platform;
use crate::report::Ended;
use crate::rig::Rig;
use crate::screens::Watcher;
use crate::traffic::Traffic;
use crate::verdict::Judge;

/// The short form.
const SHORT: [(u64, &[Kind]); 2] = [
    (3, &[Kind::RestoreBackup, Kind::SlowLink, Kind::KillGateway, Kind::KillClickHouse, Kind::KillCollector]),
    (5, &[Kind::KillKafka, Kind::HalfOpenLink, Kind::RecreateLiveTopic]),
];
/// What once failed, part of the short form; the kinds are named, since a seed means others when there are more of them.
const PINNED: [(u64, &[Kind]); 9] = [
    // A merge that the full disk broke off left a part that nobody could read.
    (7, &[Kind::ClickHouseDiskFull, Kind::RestoreBackup]),
    // Retractions of events that raw had lost, and late logs that nobody repaired.
    (6, &[Kind::DropRaw]),
    // Raw was lost while a start read its ids.
    (11, &[Kind::DropCells, Kind::RestartAggregator, Kind::DropLastHours]),
    // Minutes of a late log that nobody compared, since they were nearly past their time.
    (28, &[Kind::RestoreWhileRunning]),
    // A full disk left a part that nobody could read until ClickHouse would start again.
    (129, &[Kind::EmptyLiveTopic, Kind::RestartAggregator, Kind::ClickHouseDiskFull, Kind::EmptyLiveTopic]),
    // Raw was whole, without ids while they were read, and whole again.
    (
        41,
        &[
            Kind::DropLedger,
            Kind::RestoreWhileRunning,
            Kind::RestartCollector,
            Kind::RestoreWhileRunning,
            Kind::SenderClock,
        ],
    ),
    // A broker whose disk had failed said that a log was empty, and that was believed.
    (191, &[Kind::DropLastHours, Kind::KafkaDiskFull]),
    // A retraction waited for a backfill that never came.
    (98, &[Kind::SenderClock]),
    // A question for the bounds of a log was never answered, and its asker waited for ever.
    (193, &[Kind::KafkaDiskFull, Kind::SwapAggregators, Kind::KillKafka]),
];
/// The short form of the cluster, what once failed included: a broker that went away left a client with metadata that
/// had no leaders, and the late logs stood still.
const SHORT_OF_CLUSTER: [(u64, &[Kind]); 1] =
    [(4, &[Kind::KillKafka, Kind::CutInserts, Kind::KillClickHouse, Kind::KillAggregator])];
/// A schedule that is not exact by then never will be; on two cores a cluster needs longer.
const fn converge(form: Form) -> Duration {
    match form {
        Form::Single => Duration::from_secs(90),
        Form::Cluster => Duration::from_secs(180),
    }
}
/// A call of a sender takes no longer.
const CALL: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    let no_disks = disk::enter();
    let arguments = Arguments::from_args();
    let no_disks = Arc::new(no_disks);
    let mut trials = vec![Trial::test("fire::plans_are_functions_of_the_seed_and_reach_every_kind", || {
        plan::plans_are_functions_of_the_seed_and_reach_every_kind();
        Ok(())
    })];
    for (form, plans) in asked_for() {
        let name = match form {
            Form::Single => "fire::every_schedule_of_faults_ends_exactly",
            Form::Cluster => "fire::every_schedule_of_faults_on_a_cluster_ends_exactly",
        };
        let no_disks = Arc::clone(&no_disks);
        trials.push(Trial::test(name, move || schedules(form, plans, no_disks.as_deref())));
    }
    // Servers of both forms at once would only be in each other's way.
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Logs of what ended well are asked for too.
fn keeps_logs() -> bool {
    std::env::var_os("FIRE_KEEP").is_some()
}

/// The schedules that the environment asks for, by form; without a word the short forms.
fn asked_for() -> Vec<(Form, Vec<Plan>)> {
    let form = match std::env::var("FIRE_FORM").as_deref() {
        Err(_) | Ok("single") => Form::Single,
        Ok("cluster") => Form::Cluster,
        Ok(other) => panic!("FIRE_FORM: single or cluster, not {other}"),
    };
    let named = |name: &str| {
        let kind = Kind::named(name).unwrap_or_else(|| panic!("FIRE_KIND: there is no {name}"));
        assert!(kind.applies(form), "FIRE_KIND: {name} is a fault of a cluster: FIRE_FORM=cluster");
        kind
    };
    let kinds = std::env::var("FIRE_KIND").ok();
    let kinds = kinds.map(|names| names.split(',').map(named).collect::<Vec<_>>());
    let of = |seed| kinds.as_ref().map_or_else(|| Plan::new(form, seed), |kinds| Plan::of(form, seed, kinds));
    let from = number("FIRE_FROM").unwrap_or(0);
    let short = |form, plans: &[(u64, &[Kind])]| {
        (form, plans.iter().map(|(seed, kinds)| Plan::of(form, *seed, kinds)).collect())
    };
    match (number("FIRE_SEED"), number("FIRE_SCHEDULES")) {
        (Some(seed), _) => vec![(form, vec![of(seed)])],
        (None, Some(n)) => vec![(form, (from..from + n).map(of).collect())],
        (None, None) => {
            vec![short(Form::Single, &[SHORT.as_slice(), &PINNED].concat()), short(Form::Cluster, &SHORT_OF_CLUSTER)]
        }
    }
}

fn schedules(form: Form, plans: Vec<Plan>, no_disks: Option<&str>) -> Result<(), Failed> {
    if let Some(why) = no_disks {
        println!("SKIPPED: full disks, since there can be no small ones: {why}");
    }
    let dir = folder(form);
    let shared = Shared::new(&dir);
    let mut rig = Rig::start(form, &dir, no_disks.is_none());
    match clock::library() {
        Ok(library) => rig.clocks = Some(library),
        Err(why) => println!("SKIPPED: clocks of collectors that jump: {why}"),
    }
    let mut all: Vec<Ended> = Vec::new();
    let count = plans.len();
    for (n, mut plan) in plans.into_iter().enumerate() {
        plan.faults.retain(|fault| rig.disks.is_some() || !fault.kind.fills_a_disk());
        plan.faults.retain(|fault| rig.clocks.is_some() || !fault.kind.shifts_a_clock());
        let_the_day_end();
        rig.heal();
        let ended = catch_unwind(AssertUnwindSafe(|| run(&mut rig, &shared, plan.clone())));
        let ended = ended.unwrap_or_else(|_| Ended::broken_off(plan));
        println!("{:>4} of {count} · {}", n + 1, ended.line());
        ended.incidents.iter().for_each(|incident| println!("    {incident}"));
        all.push(ended);
    }
    let words = report::words(form, &all);
    println!("\n{words}");
    keep(&dir, &words);
    drop(rig);
    let wrong: Vec<_> = all.iter().filter(|ended| ended.result.is_err()).map(|ended| ended.plan.seed).collect();
    shared.close(!wrong.is_empty() || keeps_logs());
    if wrong.is_empty() { Ok(()) } else { Err(format!("wrong schedules: {wrong:?}").into()) }
}

/// One schedule from start to end.
fn run(rig: &mut Rig, shared: &Shared, plan: Plan) -> Ended {
    let began = Instant::now();
    let form = rig.form;
    let name = format!("fire_{}", plan.seed);
    let mut platform = Platform::start(rig, shared, &plan, &name);
    let collectors = platform.services("collector");
    let senders: Vec<_> = collectors.iter().map(|address| Senders::patient(&platform.stack, *address, CALL)).collect();
    let traffic = Traffic::start(plan.seed, &name, &senders);
    let oracle = Arc::clone(&traffic.oracle);
    let watchers: Vec<_> =
        platform.services("gateway").into_iter().map(|gateway| Watcher::start(gateway, Arc::clone(&oracle))).collect();
    let is_audited = !plan.has(Kind::breaks_books);
    let auditor = is_audited.then(|| Auditor::start(platform.stack.sql()));
    let ahead_ms_max = if plan.has(Kind::shifts_a_clock) { 3_000 } else { 50_000 };
    Stage { rig: &mut *rig, platform: &mut platform, oracle: &oracle, ahead_ms_max }.play(&plan);
    let healed = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    oracle.close();
    let mut judge = Judge::new(rig, &mut platform, &oracle);
    let mut result = judge.converge(healed, converge(form));
    let waited_for = std::mem::take(&mut judge.waited_for);
    let looks = (watchers.iter().map(Watcher::looks).sum(), auditor.as_ref().map_or(0, Auditor::looks));
    let mut seen: Vec<_> = watchers.iter().flat_map(Watcher::found).collect();
    seen.extend(auditor.as_ref().map(Auditor::found).unwrap_or_default());
    seen.extend(oracle.complaints());
    if !seen.is_empty() {
        seen.extend(result.err().unwrap_or_default());
        result = Err(seen);
    }
    drop((watchers, auditor, traffic, senders));
    let incidents = std::mem::take(&mut platform.incidents);
    rig::Member::ALL.into_iter().for_each(|member| platform.kill(member));
    if result.is_ok() && !keeps_logs() {
        let logs = platform.stack.dir().to_owned();
        drop(std::fs::remove_dir_all(logs));
    }
    topics::clear(&platform.stack);
    rig.shards.iter().for_each(|url| tables::clear(&platform.stack.sql().at(url)));
    Ended { plan, result, waited_for, incidents, looks, took: began.elapsed() }
}

/// Where this run keeps its files: beside the programs, where builds are.
fn folder(form: Form) -> PathBuf {
    let own = std::env::current_exe().expect("the running program has a path");
    let runs = own.ancestors().nth(3).expect("a test runs from target/<profile>/deps").join("fire");
    runs.join(format!("{}-{form:?}", std::process::id()))
}

/// The report stays when everything else of a run is gone.
fn keep(dir: &Path, words: &str) {
    let reports = dir.with_file_name("reports");
    drop(std::fs::create_dir_all(&reports));
    let path = reports.join(format!("{}.txt", runtime::clock::now_ms()));
    drop(std::fs::write(&path, words));
    println!("kept as {}", path.display());
}
