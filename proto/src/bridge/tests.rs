use super::*;
use domain::event::Path;
use domain::rules::Rules;
use domain::time::DAY_MS;

const NOW: i64 = 1_790_000_000_000;

fn rules() -> Rules {
    Rules {
        version: 1,
        future_ms: 300_000,
        late_ms: 7 * DAY_MS,
        window_ms: 8 * DAY_MS,
        partitions: 12,
        wide_spread: 12,
        wide_services: vec![],
        keep_minute_days: 9,
        keep_hour_days: 396,
    }
}

fn parse(event: &v1::Event) -> Result<Event, Reject> {
    parse_at(event, Path::Live)
}

fn parse_at(event: &v1::Event, path: Path) -> Result<Event, Reject> {
    at_door(path, |door| parse_event(event, door))
}

fn at_door<T>(path: Path, parse: impl Fn(&Door<'_>) -> T) -> T {
    let service = |id: &str| match id {
        "ours" => Some((ServiceNumber(5), 1)),
        "theirs" => Some((ServiceNumber(6), 2)),
        _ => None,
    };
    let page = |path: &str| (path == "/vat-rates").then_some(7);
    let rules = rules();
    let door = Door { service: &service, page: &page, department: 1, rules: &rules, now_ms: NOW, path };
    parse(&door)
}

fn transaction() -> v1::TransactionStep {
    v1::TransactionStep { stage: 2, channel: 1, duration_ms: Some(1_234), value_pence: Some(99), ..Default::default() }
}

fn event(kind: v1::event::Kind) -> v1::Event {
    v1::Event {
        event_id: "e-1".into(),
        service_id: "ours".into(),
        occurred_at_ms: NOW,
        kind: Some(kind),
        attributes: vec![v1::Attribute { name: "region".into(), value: "north".into() }],
    }
}

#[test]
fn a_record_gives_back_the_event() {
    let view = v1::PageView { path: "/vat-rates".into(), visitor_id: "v1".into() };
    let kinds = [
        v1::event::Kind::Transaction(transaction()),
        v1::event::Kind::Transaction(v1::TransactionStep {
            stage: 3,
            channel: 4,
            step: 20,
            reason: 8,
            ..Default::default()
        }),
        v1::event::Kind::Satisfaction(v1::Satisfaction { rating: 5, channel: 0 }),
        v1::event::Kind::PageView(view),
    ];
    let stamp = Stamp { epoch: 3, boot: 77, received_at_ms: NOW + 5 };
    for kind in kinds {
        let parsed = parse(&event(kind)).expect("valid");
        let bytes = encode_record(parsed.clone(), stamp);
        assert_eq!(decode_record(&bytes), Some((parsed, stamp)));
    }
}

#[test]
fn every_rule_of_the_contract_refuses_with_its_own_code() {
    let good = event(v1::event::Kind::Transaction(transaction()));
    let step = |change: fn(&mut v1::TransactionStep)| {
        let mut changed = transaction();
        change(&mut changed);
        event(v1::event::Kind::Transaction(changed))
    };
    let with = |change: fn(&mut v1::Event)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let view = |path: &str, visitor: &str| {
        event(v1::event::Kind::PageView(v1::PageView { path: path.into(), visitor_id: visitor.into() }))
    };
    let attribute = |name: &str, value: &str| {
        let mut changed = good.clone();
        changed.attributes = vec![v1::Attribute { name: name.into(), value: value.into() }];
        changed
    };
    let cases = [
        (with(|e| e.event_id.clear()), Reject::EventIdMissing),
        (with(|e| e.event_id = "x".repeat(65)), Reject::EventIdTooLong),
        (with(|e| e.event_id = "tab\t".into()), Reject::EventIdNotPrintable),
        (with(|e| e.service_id = "nobody".into()), Reject::ServiceUnknown),
        (with(|e| e.service_id = "theirs".into()), Reject::ServiceNotYours),
        (with(|e| e.occurred_at_ms = 0), Reject::OccurredAtMissing),
        (with(|e| e.occurred_at_ms = NOW - 7 * DAY_MS + 59_999), Reject::OccurredAtTooOld),
        (with(|e| e.occurred_at_ms = i64::MIN), Reject::OccurredAtMissing),
        (with(|e| e.occurred_at_ms = NOW + 240_001), Reject::OccurredAtInFuture),
        (with(|e| e.occurred_at_ms = i64::MAX), Reject::OccurredAtInFuture),
        (with(|e| e.kind = None), Reject::KindMissing),
        (step(|t| t.stage = 0), Reject::StageUnknown),
        (step(|t| t.stage = -1), Reject::StageUnknown),
        (step(|t| t.channel = 8), Reject::ChannelUnknown),
        (step(|t| t.step = 21), Reject::StepOutOfRange),
        (step(|t| t.reason = 9), Reject::ReasonUnknown),
        (step(|t| t.reason = 1), Reject::ReasonNotAllowed),
        (step(|t| t.duration_ms = Some(2_592_000_001)), Reject::DurationOutOfRange),
        (step(|t| t.value_pence = Some(1_000_000_000_001)), Reject::ValueOutOfRange),
        (event(v1::event::Kind::Satisfaction(v1::Satisfaction { rating: 6, channel: 1 })), Reject::RatingOutOfRange),
        (view("vat", "v"), Reject::PathInvalid),
        (view("/vat?x=1", "v"), Reject::PathInvalid),
        (view(&"/x".repeat(257), "v"), Reject::PathTooLong),
        (view("/vat", ""), Reject::VisitorIdInvalid),
        (with(|e| e.attributes = vec![v1::Attribute::default(); 9]), Reject::TooManyAttributes),
        (attribute("Region", "x"), Reject::AttributeNameInvalid),
        (attribute("region", "a\nb"), Reject::AttributeValueInvalid),
    ];
    let refused: std::collections::BTreeSet<_> = cases.iter().map(|(_, reject)| *reject).collect();
    // Those of the late doors are below.
    assert_eq!(refused.len(), Reject::ALL.len() - 3, "a rule without a case");
    for (event, reject) in cases {
        assert_eq!(parse(&event).map(|_| ()), Err(reject), "{event:?}");
    }
    assert!(parse(&good).is_ok());
}

#[test]
fn the_late_door_takes_what_the_live_one_refuses_and_nothing_else() {
    let period = Path::Backfill { from_ms: NOW - 395 * DAY_MS, to_ms: NOW - DAY_MS };
    let at = |age_ms: i64, path| {
        let mut old = event(v1::event::Kind::Transaction(transaction()));
        old.occurred_at_ms = NOW - age_ms;
        parse_at(&old, path).map(|event| NOW - event.occurred_at_ms)
    };
    let youngest = 7 * DAY_MS + 60_001;
    assert_eq!(at(youngest, period), Ok(youngest));
    assert_eq!(at(youngest - 1, period), Err(Reject::OccurredAtTooRecent));
    assert_eq!(at(youngest, Path::Live), Err(Reject::OccurredAtTooOld));
    assert_eq!(at(395 * DAY_MS, period), Ok(395 * DAY_MS));
    assert_eq!(at(395 * DAY_MS + 1, period), Err(Reject::OccurredAtBeyondReach));
    let short = Path::Backfill { from_ms: NOW - 20 * DAY_MS, to_ms: NOW - 10 * DAY_MS };
    assert_eq!(at(20 * DAY_MS, short), Ok(20 * DAY_MS));
    assert_eq!(at(10 * DAY_MS, short), Err(Reject::OccurredAtOutsidePeriod));
}

#[test]
fn a_retraction_names_the_event_and_travels_as_a_record() {
    let retraction = v1::Retraction {
        event_id: "e-1".into(),
        service_id: "ours".into(),
        occurred_at_ms: NOW - 100 * DAY_MS,
        reason: "sent twice under two ids".into(),
    };
    let parse = |retraction: &v1::Retraction| at_door(Path::Live, |door| parse_retraction(retraction, door));
    let parsed = parse(&retraction).expect("valid");
    assert_eq!(parsed.id, super::tests::parse(&event(v1::event::Kind::Transaction(transaction()))).unwrap().id);
    let stamp = Stamp { epoch: 3, boot: 9, received_at_ms: NOW };
    assert_eq!(decode_record(&encode_record(parsed.clone(), stamp)), Some((parsed, stamp)));
    let other = |change: fn(&mut v1::Retraction)| {
        let mut other = retraction.clone();
        change(&mut other);
        parse(&other).map(drop)
    };
    assert_eq!(other(|r| r.service_id = "theirs".into()), Err(Reject::ServiceNotYours));
    assert_eq!(other(|r| r.event_id = String::new()), Err(Reject::EventIdMissing));
    assert_eq!(other(|r| r.occurred_at_ms = 0), Err(Reject::OccurredAtMissing));
    assert_eq!(other(|r| r.occurred_at_ms = NOW - 396 * DAY_MS), Err(Reject::OccurredAtBeyondReach));
    assert_eq!(other(|r| r.reason = "x".repeat(129)), Err(Reject::AttributeValueInvalid));
}

#[test]
fn limits_themselves_are_allowed() {
    let mut edge = event(v1::event::Kind::Transaction(transaction()));
    edge.event_id = "x".repeat(64);
    for occurred in [NOW - 7 * DAY_MS + 60_000, NOW + 240_000] {
        edge.occurred_at_ms = occurred;
        assert!(parse(&edge).is_ok(), "{occurred}");
    }
}

#[test]
fn known_paths_are_numbered_and_the_rest_are_other() {
    let page = |path: &str| {
        let view = v1::PageView { path: path.into(), visitor_id: "v".into() };
        match parse(&event(v1::event::Kind::PageView(view))).expect("valid").body {
            Body::PageView(view) => view.page,
            _ => 0,
        }
    };
    assert_eq!((page("/vat-rates"), page("/unheard-of")), (7, 1));
}

#[test]
fn the_content_tells_a_retry_from_another_event() {
    let first = event(v1::event::Kind::Transaction(transaction()));
    let mut other = first.clone();
    other.attributes[0].value = "south".into();
    let content = |event: &v1::Event| parse(event).expect("valid").content;
    assert_eq!(content(&first), content(&first.clone()));
    assert_ne!(content(&first), content(&other));
}

#[test]
fn garbage_and_unknown_versions_are_not_records() {
    assert_eq!(decode_record(b""), None);
    assert_eq!(decode_record(b"\xff\xff\xff"), None);
    let parsed = parse(&event(v1::event::Kind::Transaction(transaction()))).expect("valid");
    let bytes = encode_record(parsed, Stamp { epoch: 1, boot: 1, received_at_ms: NOW });
    let mut newer = internal::Record::decode(&bytes[..]).expect("a record");
    newer.version = 2;
    assert_eq!(decode_record(&newer.encode_to_vec()), None);
    let why = |bytes: &[u8]| decode_record_known(bytes).expect_err("unreadable").to_string();
    assert_eq!((why(b""), why(b"\xff\xff\xff")), ("not a record".into(), "not a record".into()));
    assert_eq!(why(&newer.encode_to_vec()), "a record of form 2, where form 1 is known");
    newer.version = 1;
    newer.channel = 99;
    assert_eq!(why(&newer.encode_to_vec()), "a record whose channel is missing or unknown");
}

#[test]
fn a_record_that_is_stamped_anew_says_the_same_and_loses_nothing() {
    let parsed = parse(&event(v1::event::Kind::Transaction(transaction()))).expect("valid");
    let (first, second) =
        (Stamp { epoch: 1, boot: 1, received_at_ms: NOW }, Stamp { epoch: 2, boot: 7, received_at_ms: NOW + 9 });
    let bytes = encode_record(parsed.clone(), first);
    assert_eq!(restamp_record(&bytes, second), Ok(encode_record(parsed.clone(), second)));
    let newer = [&bytes[..], &[0xa0, 0x06, 0x2a]].concat();
    let stamped = restamp_record(&newer, second).expect("a record");
    assert_eq!(decode_record_known(&stamped), Ok((parsed, second, false)));
    assert!(stamped.windows(3).any(|window| window == [0xa0, 0x06, 0x2a]), "the unknown field is still there");
    assert_eq!(restamp_record(b"\x08\x63", second), Err(Unreadable::Form(0x63)));
}

#[test]
fn a_field_that_a_newer_program_added_is_noticed_and_changes_nothing() {
    let parsed = parse(&event(v1::event::Kind::Transaction(transaction()))).expect("valid");
    let stamp = Stamp { epoch: 1, boot: 1, received_at_ms: NOW };
    let mut bytes = encode_record(parsed.clone(), stamp);
    assert_eq!(decode_record_known(&bytes), Ok((parsed.clone(), stamp, true)));
    // Field 100, a varint.
    bytes.extend([0xa0, 0x06, 0x2a]);
    assert_eq!(decode_record_known(&bytes), Ok((parsed, stamp, false)));
}
