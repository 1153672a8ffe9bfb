//! What a run has shown, in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::plan::{Form, Kind, Plan};
use crate::verdict::Counts;

/// Who takes longer to converge says what was waited for.
const SLOW: Duration = Duration::from_secs(8);

/// What became of one schedule.
pub(crate) struct Ended {
    pub(crate) plan: Plan,
    /// Time to converge after the last fault was healed, or what differed at the end.
    pub(crate) result: Result<(Duration, Counts), Vec<String>>,
    /// What was waited for, and since when after the last fault.
    pub(crate) waited_for: Vec<(Duration, String)>,
    pub(crate) incidents: Vec<String>,
    /// How often screens and books were looked at.
    pub(crate) looks: (u64, u64),
    pub(crate) took: Duration,
}

impl Ended {
    /// A schedule that could not be carried out.
    pub(crate) fn broken_off(plan: Plan) -> Self {
        let result = Err(vec!["the schedule was broken off; see above".into()]);
        let (waited_for, incidents) = (Vec::new(), Vec::new());
        Self { plan, result, waited_for, incidents, looks: (0, 0), took: Duration::ZERO }
    }

    /// What took so long, if it did.
    fn waits(&self, time: Duration) -> String {
        if time <= SLOW {
            return String::new();
        }
        let line = |(at, reason): &(Duration, String)| format!("\n    from {:>5.2} s {reason:.140}", at.as_secs_f64());
        self.waited_for.iter().map(line).collect()
    }

    /// The line of progress.
    pub(crate) fn line(&self) -> String {
        let faults: Vec<_> = self.plan.faults.iter().map(|fault| format!("{:?}", fault.kind)).collect();
        let faults = faults.join(" ");
        let took = self.took.as_secs_f64();
        match &self.result {
            Ok((time, counts)) => format!(
                "seed {:<4} exact after {:>5.2} s · {} acknowledged, {} counted, {} sent · {took:.0} s · {faults}{}",
                self.plan.seed,
                time.as_secs_f64(),
                counts.acknowledged,
                counts.counted,
                counts.sent,
                self.waits(*time)
            ),
            Err(found) => {
                let some: Vec<_> = found.iter().take(12).map(|line| format!("    {line}")).collect();
                format!(
                    "seed {:<4} WRONG, {} differences · {took:.0} s · {faults}\n{}\n    repeat: {}",
                    self.plan.seed,
                    found.len(),
                    some.join("\n"),
                    self.plan.repeat()
                )
            }
        }
    }
}

/// The whole run.
pub(crate) fn words(form: Form, all: &[Ended]) -> String {
    let mut text = String::new();
    let mut faults: BTreeMap<Kind, u32> = BTreeMap::new();
    let mut single: BTreeMap<Kind, Vec<Duration>> = BTreeMap::new();
    let (mut times, mut wrong, mut differences) = (Vec::new(), Vec::new(), 0);
    let (mut sum, mut looks, mut incidents) = (Counts::default(), (0, 0), Vec::new());
    for ended in all {
        for fault in &ended.plan.faults {
            *faults.entry(fault.kind).or_default() += 1;
        }
        looks = (looks.0 + ended.looks.0, looks.1 + ended.looks.1);
        incidents.extend(ended.incidents.iter().map(|line| format!("seed {}: {line}", ended.plan.seed)));
        match &ended.result {
            Ok((time, counts)) => {
                times.push(*time);
                if let [fault] = ended.plan.faults.as_slice() {
                    single.entry(fault.kind).or_default().push(*time);
                }
                sum.sent += counts.sent;
                sum.acknowledged += counts.acknowledged;
                sum.counted += counts.counted;
                sum.backfilled += counts.backfilled;
                sum.retracted += counts.retracted;
                sum.records += counts.records;
                sum.given_up += counts.given_up;
            }
            Err(found) => {
                differences += found.len();
                wrong.push(ended.plan.repeat());
            }
        }
    }
    let count: u32 = faults.values().sum();
    let mut line = |text_line: String| writeln!(text, "{text_line}").expect("a string takes all");
    line(format!("form             {form:?}"));
    line(format!("schedules        {} of which {} exact", all.len(), times.len()));
    line(format!("faults           {count}"));
    line(format!(
        "events           {} sent, {} acknowledged, {} given up unanswered; {} records in the logs, {} counted once, {} of \
         them by backfill, {} taken out again",
        sum.sent, sum.acknowledged, sum.given_up, sum.records, sum.counted, sum.backfilled, sum.retracted
    ));
    line(format!("all along        screens looked at {} times, books {} times", looks.0, looks.1));
    line(format!("differences      {differences}"));
    line(format!("time to converge {} after the last fault", median_and_worst(&mut times)));
    for (kind, n) in &faults {
        let alone = single.get_mut(kind).map(|times| format!("alone {}", median_and_worst(times)));
        line(format!("  {:<20} {n:>4} times; {}", format!("{kind:?}"), alone.unwrap_or_else(|| "never alone".into())));
    }
    if !incidents.is_empty() {
        line(format!("processes that ended by themselves: {}", incidents.len()));
        incidents.iter().take(40).for_each(|incident| line(format!("  {incident}")));
    }
    for repeat in wrong {
        line(format!("WRONG            repeat: {repeat}"));
    }
    text
}

fn median_and_worst(times: &mut [Duration]) -> String {
    times.sort_unstable();
    match (times.get(times.len() / 2), times.last()) {
        (Some(median), Some(worst)) => {
            format!("median {:.1} s, worst {:.1} s of {}", median.as_secs_f64(), worst.as_secs_f64(), times.len())
        }
        _ => "unknown".into(),
    }
}
