//! Every end-to-end test in one binary: real Kafka, real ClickHouse, real processes, started once and shared.
//!
//! `cargo test --release --package tests --test e2e -- NAME` runs those whose name contains NAME.
//! The logs of a run that failed stay in `target/e2e`; `E2E_KEEP_LOGS=1` keeps those of any run.

mod accessible;
mod aggregator;
mod alerts;
mod api;
mod audit;
mod catalogue;
mod clients;
mod cluster;
mod collector;
mod dashboard;
mod epoch;
mod faults;
mod govuk;
mod late;
mod letters;
mod members;
mod pages;
mod pipeline;
mod rebuild;
mod repair;
mod rules;
mod start;
mod stated;
mod suite;
mod upgrade;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;
use tests::shared::Shared;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Tests wait more than they work.
    arguments.test_threads.get_or_insert(3);
    tests::until::let_the_day_end();
    let shared = Arc::new(Shared::new(&suite::folder()));
    let report = suite::Report::default();
    let trials = suite::all().into_iter().map(|test| test.trial(&shared, &report)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    shared.close(conclusion.has_failed() || std::env::var_os("E2E_KEEP_LOGS").is_some());
    report.print();
    conclusion.exit_code()
}
