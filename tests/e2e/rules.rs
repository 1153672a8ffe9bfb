//! Rules that change in the middle of traffic: what was decided stays decided, whatever is read again.

use domain::time::{DAY_MS, HOUR_MS};
use tests::check;
use tests::events::Mix;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::until::{PATIENCE, until, until_so};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new("rules::a_new_l_holds_from_an_offset_on_and_a_rewind_changes_no_outcome", a_new_l)]
}

/// Accepted, and late, as they are stored.
const OUTCOMES: [u8; 2] = [1, 4];

fn a_new_l(shared: &Shared) {
    let mut stack = Stack::new(shared, "new_rules");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.set("AGGREGATOR_COUNTING__CHECK_MS", &1_000);
    stack.provision();
    let (log, sql) = (stack.log(), stack.sql());
    let mut mix = Mix::new(81, "new_rules");
    // All of them between five days and a half and six and a half old.
    let now_ms = runtime::clock::now_ms();
    let mut written = 0;
    let mut write = |count: usize| {
        for event in mix.fresh(count) {
            let mut parsed = log.parsed(&event);
            parsed.occurred_at_ms = now_ms - 6 * DAY_MS + (parsed.occurred_at_ms % (12 * HOUR_MS));
            log.write_record(log.partition(&parsed), 1, parsed);
        }
        log.flush();
        written += count as i64;
        written
    };
    let late = || sql.number("SELECT count() FROM {cells}.raw FINAL WHERE outcome = 4");
    let mut aggregator = stack.aggregator(1);
    check::counted(&sql, write(2_000), PATIENCE);
    assert_eq!(late(), 0);

    let rules = runtime::rules::DEFAULTS.replace("late_days = 7", "late_days = 5");
    let file = stack.dir().join("rules.toml");
    std::fs::write(&file, rules).expect("rules are written");
    stack.set("AGGREGATOR_RULES__FILE", &file.display());
    let said = stack.run_aggregator("rules", &[]).expect("the rules are changed");
    assert!(said.contains("new rules for 36 sources"), "{said}");
    // The one that runs has other rules in its configuration: it ends and says so.
    let ended = until("it ends", PATIENCE, || aggregator.exit().ok_or_else(|| "it runs".to_owned()));
    assert_ne!(ended, "code 0");
    let aggregator = stack.aggregator(1);
    check::counted(&sql, write(1_000), PATIENCE);
    assert_eq!(late(), 1_000, "what came later is late");
    assert!(stack.run_aggregator("rules", &[]).expect("nothing to do").contains("in force"));

    // Everything is lost and counted again from the log.
    let outcomes = || sql.rows::<(u16, u64, u8)>("SELECT p, offset, outcome FROM {cells}.raw FINAL ORDER BY p, offset");
    let before = outcomes();
    assert!(before.iter().all(|(.., outcome)| OUTCOMES.contains(outcome)));
    for table in ["raw", "unmerged_ledger", "unmerged_day"] {
        sql.execute(&format!("TRUNCATE TABLE {{cells}}.{table}"));
    }
    until_so("everything was counted again", PATIENCE, || outcomes() == before);
    check::counted(&sql, written, PATIENCE);
    assert!(check::imbalances(&sql).is_empty());
    assert!(aggregator.ready().is_ok());
}
