use domain::audit::Boot;
use domain::time::MINUTE_MS;
use views::figures::{Freshness, PipelineState, State};

use super::super::read::{Accepted, Recorded};
use super::*;

const NOW: i64 = 1_795_521_600_000 + 30 * MINUTE_MS;
const HOUR: u32 = ((NOW - 5 * HOUR_MS) / HOUR_MS * 3_600) as u32;

fn context() -> Context {
    let freshness = Freshness {
        wm_ms: Some(NOW),
        state: State::Ok,
        pipeline: PipelineState::Ok,
        behind_ms: None,
        since_ms: None,
        reporting: None,
        silent: Vec::new(),
        silent_count: 0,
        incomplete: None,
    };
    Context { now_ms: NOW, today: Day::at(NOW), freshness, simulated: true, open_government_data: true }
}

fn asked() -> Asked {
    Asked { hours: 24, department: None, service: None, from_s: NOW / 1_000 - 86_400 }
}

fn found(catalogue: &Catalogue) -> (u16, Found) {
    let service = catalogue.services()[0].number.0;
    let recorded = |outcome: Outcome, n| Recorded { service, start: 0, log: 1, outcome: outcome.number(), n };
    let by_hour = |row: Recorded| Recorded { service: 0, start: HOUR, ..row };
    let rows = vec![
        recorded(Outcome::Accepted, 90),
        recorded(Outcome::Duplicate, 4),
        recorded(Outcome::Conflict, 1),
        recorded(Outcome::Late, 2),
        recorded(Outcome::Future, 3),
    ];
    let boot = Boot { number: 1, opened_at_ms: NOW - 20 * HOUR_MS, written_at_ms: NOW, ended: false, left_open: 0 };
    let found = Found {
        recorded_by_hour: rows.iter().copied().map(by_hour).collect(),
        recorded: rows,
        accepted: vec![Accepted { service, start: 0, accepted: 100, given_up: 0 }],
        accepted_by_hour: vec![Accepted { service: 0, start: HOUR, accepted: 100, given_up: 0 }],
        boots: vec![boot],
        ..Found::default()
    };
    (service, found)
}

/// Nothing waits in the late logs.
fn until() -> (Context, i64) {
    (context(), context().edge_ms())
}

#[test]
fn a_total_is_the_sum_of_its_rows_and_its_parts_add_up_to_what_was_accepted() {
    let catalogue = Catalogue::embedded();
    let (_, found) = found(&catalogue);
    let audit = audit(&catalogue, asked(), &found, until(), None);
    let t = audit.total;
    assert_eq!((t.accepted, t.counted, t.duplicate, t.conflict, t.late, t.invalid), (100, 90, 5, 1, 2, 3));
    assert_eq!(t.accepted, t.counted + t.duplicate + t.late + t.invalid + t.in_flight);
    assert_eq!((t.difference, t.standing), (0, Standing::Balanced));
    assert_eq!((audit.rows.len(), audit.rows[0].account), (1, t));
    assert_eq!((audit.hours.len(), audit.hours[0].account), (1, t));
    assert!(audit.findings.is_empty());
    assert_eq!(alarm(&found, NOW, NOW), (0, 0));
}

#[test]
fn a_settled_difference_is_in_every_total_in_the_list_and_in_the_alarm() {
    let catalogue = Catalogue::embedded();
    let (service, mut found) = found(&catalogue);
    found.accepted[0].accepted = 103;
    found.accepted_by_hour[0].accepted = 103;
    found.differing = vec![Differing { service, start: HOUR, recorded: 100, accepted: 103, given_up: 0, foreign: 0 }];
    let audit = audit(&catalogue, asked(), &found, until(), None);
    for account in [audit.total, audit.rows[0].account, audit.hours[0].account] {
        assert_eq!((account.difference, account.standing), (3, Standing::Unexplained));
    }
    let listed = &audit.findings[0];
    assert_eq!((listed.difference, listed.from_s, audit.findings_count), (3, i64::from(HOUR), 1));
    assert_eq!(alarm(&found, NOW, NOW), (3, 0));
    assert_eq!(alarm(&found, NOW - 10 * HOUR_MS, NOW), (0, 0), "a ledger that is behind is not a loss");
}

#[test]
fn what_the_late_logs_added_is_counted_and_named() {
    let catalogue = Catalogue::embedded();
    let (service, mut found) = found(&catalogue);
    let of =
        |log: Log, outcome: Outcome, n| Recorded { service, start: 0, log: log as u8, outcome: outcome.number(), n };
    found.recorded.push(of(Log::Backfill, Outcome::Accepted, 40));
    found.recorded.push(of(Log::Backfill, Outcome::Duplicate, 5));
    found.recorded.push(of(Log::Corrections, Outcome::Retracted, 3));
    let t = audit(&catalogue, asked(), &found, until(), None).total;
    assert_eq!((t.counted, t.backfilled, t.duplicate, t.retracted), (130, 40, 10, 3));
}

#[test]
fn dead_letters_that_wait_are_those_of_foreign_records_only() {
    let group = |outcome: Outcome, waiting| super::super::read::letters::GroupRow {
        outcome: outcome.number(),
        reason: String::new(),
        n: 9,
        waiting,
        first_ms: 0,
        last_ms: 0,
    };
    let letters = vec![group(Outcome::Undecodable, 2), group(Outcome::Misrouted, 3), group(Outcome::Unknown, 5)];
    assert_eq!(foreign_letters(&Found { letters, ..Found::default() }), 5);
}

#[test]
fn a_receipt_names_the_cells_in_which_its_event_is_counted() {
    let (_, rules) = runtime::rules::load(None, |_| Some(ServiceNumber(1))).unwrap();
    let row = RawRow {
        log: 1,
        epoch: 1,
        p: 3,
        offset: 9,
        appended_at_ms: NOW,
        received_at_ms: NOW,
        occurred_at_ms: NOW,
        outcome: Outcome::Accepted.number(),
        service: 1,
        kind: 1,
        stage: Stage::Failed.number(),
        channel: Channel::Digital.number(),
        step: 2,
        reason: Reason::Payment.number(),
        page: 0,
        content: 1,
        boot: 2,
        high: 3,
        low: 4,
    };
    let pages = Pages::embedded();
    let found = receipt(&pages, &rules, &row).unwrap();
    let tables: Vec<_> = found.cells.iter().map(|cell| cell.table.as_str()).collect();
    let of_one = ["", "breakdown_", "breakdown_"];
    let want: Vec<_> =
        ["minute", "hour", "day"].iter().flat_map(|name| of_one.map(|part| format!("{part}{name}"))).collect();
    assert_eq!(tables, want);
    let completed_step = RawRow { stage: Stage::Completed.number(), reason: 0, ..row.clone() };
    assert_eq!(receipt(&pages, &rules, &completed_step).unwrap().cells.len(), 3, "of the step only");
    let duplicate = RawRow { outcome: Outcome::Duplicate.number(), ..row };
    assert!(receipt(&pages, &rules, &duplicate).unwrap().cells.is_empty());
}
