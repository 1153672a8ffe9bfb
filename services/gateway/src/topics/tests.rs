use super::*;

#[test]
fn topics_and_their_names_are_the_same() {
    let catalogue = Catalogue::embedded();
    for name in ["overview", "wall", "service:hmrc-self-assessment", "service:sandbox-dft", "department:dft"] {
        let topic = Topic::parse(name, &catalogue);
        assert_eq!(topic.map(|topic| topic.name(&catalogue)).as_deref(), Some(name));
    }
    for name in ["", "all", "service", "service:", "service:none-such", "department:xyz", "overview:x", "Overview"] {
        assert_eq!(Topic::parse(name, &catalogue), None, "{name}");
    }
}

#[test]
fn keys_and_periods_are_written_as_documented() {
    let catalogue = Catalogue::embedded();
    let names: Vec<_> = Measure::all().map(|measure| Key::Of(measure).name(&catalogue)).collect();
    assert_eq!(names[..5], ["started", "completed", "failed", "abandoned", "completed:digital"]);
    assert_eq!(names[10..], ["completed:other", "rating:1", "rating:2", "rating:3", "rating:4", "rating:5", "views"]);
    let at = |period, index| At { period, index }.name();
    assert_eq!(at(Period::Minute, 29_925_380), "m:1795522800");
    assert_eq!(at(Period::Hour, 498_756), "h:1795521600");
    assert_eq!(at(Period::Day, Day::from_ymd(2026, 11, 24).0.cast_unsigned()), "d:2026-11-24");
}

#[test]
fn each_topic_carries_the_periods_it_promises() {
    let today = Day::from_ymd(2026, 11, 24);
    let now = today.start_ms() + 5 * domain::time::HOUR_MS;
    let scope = Scope::at(now, now, &[]);
    let minute = |back| At::minute(scope.minute - back);
    assert!(scope.carries(Topic::Overview, Key::All, minute(60)));
    assert!(!scope.carries(Topic::Overview, Key::All, minute(61)));
    assert!(scope.carries(Topic::Wall, Key::All, minute(300)));
    assert!(!scope.carries(Topic::Wall, Key::All, minute(301)));
    let service = Key::Service(ServiceNumber(1));
    assert!(scope.carries(Topic::Overview, service, minute(1)));
    assert!(!scope.carries(Topic::Overview, service, minute(2)));
    assert!(scope.carries(Topic::Department(1), service, minute(60)));
    assert!(scope.carries(Topic::Overview, Key::All, At::day(today)));
    let hours: Vec<_> = scope.hours_of_today().collect();
    assert_eq!(hours.len(), 6, "the open one, too");
    assert!(hours.iter().all(|hour| scope.carries(Topic::Overview, Key::All, *hour)));
    assert!(!scope.carries(Topic::Overview, Key::All, At::day(Day(today.0 - 1))));
}

#[test]
fn figures_that_have_stopped_keep_the_hour_before_they_did() {
    let now = 1_795_530_720_000;
    let scope = Scope::at(now, now - 90 * domain::time::MINUTE_MS, &[]);
    let minute = |back| At::minute(Period::Minute.index_at(now) - back);
    assert!(scope.carries(Topic::Overview, Key::All, minute(150)));
    assert!(!scope.carries(Topic::Overview, Key::All, minute(151)));
    assert!(scope.carries(Topic::Overview, Key::Service(ServiceNumber(1)), minute(91)));
    assert!(scope.carries(Topic::Overview, Key::All, minute(0)));
}
