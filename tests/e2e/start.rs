//! What stops a start: topics, tables and rules that differ from what is expected, each difference named.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use tests::check;
use tests::events::Mix;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("start::provision_creates_once_and_says_before_what_it_would", provision_creates_once),
        Test::new("start::a_topic_that_differs_stops_it_by_name", a_topic_that_differs_stops_it),
        Test::new("start::a_table_that_differs_stops_it_by_name", a_table_that_differs_stops_it),
        Test::new("start::a_log_that_is_shorter_than_its_ledger_stops_it", a_shorter_log_stops_it),
        Test::new("start::rules_that_differ_stop_it_by_name", rules_that_differ_stop_it),
    ]
}

/// Starts a service that must end by itself; what its log says then.
fn ends(stack: &Stack, program: &str) -> String {
    let log = stack.dir().join(format!("{program}-ends.log"));
    drop(std::fs::remove_file(&log));
    match stack.start(program, &format!("{program}-ends"), &[]) {
        Err(error) => return error.to_string(),
        Ok(mut service) => until(&format!("{program} ends by itself"), PATIENCE, || match service.exit() {
            Some(exit) if exit == "code 0" => panic!("{program} ended as if all was well"),
            Some(_) => Ok(()),
            None => Err(dev::child::tail(&log, 5)),
        }),
    }
    std::fs::read_to_string(&log).expect("a log")
}

fn provision_creates_once(shared: &Shared) {
    let stack = Stack::new(shared, "provision");
    for program in ["aggregator", "collector", "gateway"] {
        let said = ends(&stack, program);
        assert!(said.contains("run `aggregator provision`"), "{program}: {said}");
    }
    let dry = stack.try_provision(&["--dry-run"]).expect("a dry run");
    for part in
        ["topic provision-events is missing", "topic provision-live is missing", "001_cells.sql would be applied"]
    {
        assert!(dry.contains(part), "{part} is not in {dry}");
    }
    let again = stack.try_provision(&["--dry-run"]).expect("a dry run changes nothing");
    assert_eq!(dry.lines().count(), again.lines().count());
    let first = stack.provision();
    for part in ["provision-events created with 12 partitions", "001_cells.sql applied", "rules of 36 sources"] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    assert_eq!(stack.provision().trim(), "", "a second time there is nothing to do");
    assert_eq!(stack.try_provision(&["--dry-run"]).expect("a dry run").trim(), "");
    drop(stack.aggregator(1));
}

fn a_topic_that_differs_stops_it(shared: &Shared) {
    let stack = Stack::new(shared, "topics");
    let (admin, events, live) = (stack.admin(), stack.events_topic(), stack.live_topic());
    // One partition too few and a clock of the senders'; a live topic that is compacted.
    let topics = [
        NewTopic::new(&events, 11, TopicReplication::Fixed(1)).set("message.timestamp.type", "CreateTime"),
        NewTopic::new(&live, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact"),
    ];
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    let made = stack.tasks().block_on(admin.create_topics(&topics, &options)).expect("the broker answers");
    made.into_iter().for_each(|topic| drop(topic.expect("made")));
    let of_events = [
        "topic topics-events has 11 partitions where 12 are expected",
        "topic topics-events has message.timestamp.type=CreateTime where LogAppendTime is expected",
    ];
    let of_live = ["topic topics-live has cleanup.policy=compact where delete is expected"];
    for (program, parts) in [
        ("aggregator", [&of_events[..], &of_live].concat()),
        ("collector", of_events.to_vec()),
        ("gateway", of_live.to_vec()),
    ] {
        let said = ends(&stack, program);
        for part in parts {
            assert!(said.contains(part), "{program}: {part} is not in {said}");
        }
    }
    let refused = stack.try_provision(&[]).expect_err("provision repairs nothing").to_string();
    assert!(refused.contains(of_events[0]), "{refused}");
}

fn a_table_that_differs_stops_it(shared: &Shared) {
    let stack = Stack::new(shared, "tables");
    stack.provision();
    stack.aggregator(1).stop();
    let sql = stack.sql();
    sql.execute("ALTER TABLE {cells}.unmerged_hour ADD COLUMN mistake UInt8");
    sql.execute("DROP VIEW {figures}.page_day");
    let said = ends(&stack, "aggregator");
    for part in ["unexpected: cells.unmerged_hour.mistake UInt8", "missing: figures.page_day is View"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let refused = stack.try_provision(&[]).expect_err("provision repairs nothing").to_string();
    assert!(refused.contains("cells.unmerged_hour.mistake"), "{refused}");
}

fn a_shorter_log_stops_it(shared: &Shared) {
    let stack = Stack::new(shared, "shorter");
    stack.provision();
    let (log, mut truth) = (stack.log(), Truth::default());
    let events = Mix::new(51, "shorter").fresh(300);
    log.write(&events);
    log.flush();
    truth.take(&events);
    let mut aggregator = stack.aggregator(1);
    check::exact(&truth, &stack.sql(), PATIENCE);
    assert_eq!(aggregator.stop(), "code 0");
    // The topic is made anew, and somebody forgets to give it a new epoch.
    let deleted = stack.admin();
    let topic = stack.events_topic();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    let deleted = stack.tasks().block_on(deleted.delete_topics(&[&topic], &options)).expect("the broker answers");
    deleted.into_iter().for_each(|topic| drop(topic.expect("deleted")));
    until("the topic is there again", PATIENCE, || stack.try_provision(&[]).map_err(|error| error.to_string()));
    let said = ends(&stack, "aggregator");
    assert!(said.contains("the log ends at 0 but the ledger has applied") && said.contains("new epoch"), "{said}");
    assert_eq!(check::differences(&truth, &stack.sql()), Vec::<String>::new(), "no figure was touched");
}

fn rules_that_differ_stop_it(shared: &Shared) {
    let mut stack = Stack::new(shared, "rules");
    stack.provision();
    let rules = runtime::rules::DEFAULTS.replace("late_days = 7", "late_days = 5");
    assert_ne!(rules, runtime::rules::DEFAULTS);
    let file = stack.dir().join("rules.toml");
    std::fs::write(&file, rules).expect("rules are written");
    stack.set("AGGREGATOR_RULES__FILE", &file.display());
    let refused = stack.try_provision(&[]).expect_err("rules are immutable").to_string();
    assert!(refused.contains("rules are immutable") && refused.contains("events/1/0"), "{refused}");
    let said = ends(&stack, "aggregator");
    assert!(said.contains("rules"), "{said}");
}
