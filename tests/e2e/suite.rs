//! The list of tests, and what a machine must have for each.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use tests::shared::Shared;

/// One test.
pub(crate) struct Test {
    name: &'static str,
    needs: Need,
    run: fn(&Shared),
}

/// What a machine may lack: why the test must be skipped, if so.
pub(crate) type Need = fn() -> Option<String>;

/// What is told when all tests are over.
#[derive(Clone, Default)]
pub(crate) struct Report(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// The tests that were skipped and why.
    skipped: Vec<String>,
    /// How long each of the others took.
    took: Vec<(Duration, &'static str)>,
}

/// So many of the longest tests are named.
const LONGEST: usize = 8;

impl Report {
    fn tell(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.0.lock().expect("nobody panics while holding it"));
    }

    /// The final lines: the tests that took longest, and those that were skipped, each with its reason.
    pub(crate) fn print(&self) {
        self.tell(|told| {
            told.took.sort_unstable();
            let longest = told.took.iter().rev().take(LONGEST);
            longest.for_each(|(took, name)| eprintln!("{:6.1} s {name}", took.as_secs_f64()));
            if !told.skipped.is_empty() {
                eprintln!("{} end-to-end tests SKIPPED:\n{}", told.skipped.len(), told.skipped.join("\n"));
            }
        });
    }
}

impl Test {
    /// A claim and the function that tries it.
    pub(crate) const fn new(name: &'static str, run: fn(&Shared)) -> Self {
        Self { name, needs: || None, run }
    }

    /// … which needs something that a machine may lack.
    pub(crate) const fn needing(name: &'static str, needs: Need, run: fn(&Shared)) -> Self {
        Self { name, needs, run }
    }

    /// For the runner.
    pub(crate) fn trial(self, shared: &Arc<Shared>, report: &Report) -> Trial {
        let (shared, lacks) = (Arc::clone(shared), (self.needs)());
        if let Some(why) = &lacks {
            let line = format!("SKIPPED {}: {why}", self.name);
            eprintln!("{line}");
            report.tell(|told| told.skipped.push(line));
        }
        let report = report.clone();
        let run = move || {
            let began = Instant::now();
            (self.run)(&shared);
            report.tell(|told| told.took.push((began.elapsed(), self.name)));
            Ok(())
        };
        Trial::test(self.name, run).with_ignored_flag(lacks.is_some())
    }
}

/// All of them; the long ones first.
pub(crate) fn all() -> Vec<Test> {
    let modules = [
        crate::cluster::tests,
        crate::aggregator::tests,
        crate::repair::tests,
        crate::rebuild::tests,
        crate::rules::tests,
        crate::epoch::tests,
        crate::pipeline::tests,
        crate::api::tests,
        crate::late::tests,
        crate::letters::tests,
        crate::members::tests,
        crate::collector::tests,
        crate::faults::tests,
        crate::alerts::tests,
        crate::upgrade::tests,
        crate::start::tests,
        crate::catalogue::tests,
        crate::stated::tests,
        crate::pages::tests,
        crate::dashboard::tests,
        crate::audit::tests,
        crate::govuk::tests,
        crate::clients::tests,
        crate::accessible::tests,
    ];
    modules.into_iter().flat_map(|tests| tests()).collect()
}

/// Where this run keeps its files: beside the programs, where builds are. What a run of an earlier day left goes.
pub(crate) fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("the running program has a path");
    let runs = own.ancestors().nth(3).expect("a test runs from target/<profile>/deps").join("e2e");
    for entry in std::fs::read_dir(&runs).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > Duration::from_secs(86_400)) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
    runs.join(std::process::id().to_string())
}
