//! Figures for the tests: made up from a fixed rule, at an afternoon in winter.

#![allow(dead_code, reason = "each test takes what it needs")]

mod boards;
mod over_time;

use domain::time::{Day, MINUTE_MS};
use domain::vocabulary::{Channel, Reason};
use views::figures::*;

pub(crate) use boards::{about, wall};
pub(crate) use over_time::{compare, hours, note, series, usual_day};

/// 20 January 2026, 14:32:07 in London.
pub(crate) const NOW_MS: i64 = 1_768_919_527_000;

const DEPARTMENTS: [(&str, &str, &str, u64); 9] = [
    ("hmrc", "HM Revenue and Customs", "HMRC", 14_658),
    ("dft", "Department for Transport", "DfT", 2_888),
    ("home-office", "Home Office", "Home Office", 376),
    ("dwp", "Department for Work and Pensions", "DWP", 388),
    ("beis", "Department for Business, Energy and Industrial Strategy", "BEIS", 243),
    ("defra", "Department for Environment, Food and Rural Affairs", "Defra", 86),
    ("co", "Cabinet Office", "CO", 93),
    ("mod", "Ministry of Defence", "MoD", 1),
    ("hmt", "HM Treasury", "HMT", 0),
];

const SERVICES: [(&str, &str, &str, usize, u64); 9] = [
    ("hmrc-stamp-duty-reserve-tax", "Stamp Duty Reserve Tax transactions", "Stamp Duty", 0, 10_787),
    ("hmrc-paye", "PAYE transactions", "PAYE", 0, 2_459),
    ("dft-vehicle-checks", "Vehicle tax: checks by individuals", "Vehicle checks", 1, 2_368),
    ("ho-passenger-arrivals", "Passenger arrivals at the UK border", "Border arrivals", 2, 325),
    ("hmrc-customs", "Customs transactions", "Customs", 0, 307),
    ("hmrc-payments", "Payments received by HMRC", "Tax payments", 0, 305),
    ("dft-vehicle-tax-renewals", "Vehicle tax renewals", "Vehicle tax", 1, 168),
    ("dwp-job-search", "Jobseeker's Allowance: job search reviews", "Job search", 3, 111),
    ("mod-medals", "Service medals", "Medals", 7, 0),
];

/// A number below `max`, always the same for the same place.
fn wobble(seed: u64, i: u64, max: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9).wrapping_add(i).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 31;
    if max == 0 { 0 } else { x.wrapping_mul(0x94d0_49bb_1331_11eb) % max }
}

fn live(seed: u64, a_minute: u64) -> Live {
    if a_minute == 0 {
        return Live { minutes: vec![None; HOUR_MINUTES], ..Live::default() };
    }
    let at = |i: u64| a_minute - a_minute / 20 + wobble(seed, i, a_minute / 10 + 1);
    let mut minutes: Vec<_> = (0..60).map(|i| Some(at(i)).filter(|n| *n > 0)).collect();
    minutes.push(Some(a_minute * 7 / 60).filter(|n| *n > 0));
    Live { last_minute: minutes[59], open_minute: minutes[60], today: Some(a_minute * 434), minutes }
}

fn sum(all: &[Live]) -> Live {
    let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
    };
    all.iter().fold(Live { minutes: vec![None; HOUR_MINUTES], ..Live::default() }, |sum, one| Live {
        last_minute: add(sum.last_minute, one.last_minute),
        open_minute: add(sum.open_minute, one.open_minute),
        today: add(sum.today, one.today),
        minutes: sum.minutes.iter().zip(&one.minutes).map(|(a, b)| add(*a, *b)).collect(),
    })
}

pub(crate) fn department(i: usize) -> DepartmentRef {
    let (id, name, short_name, _) = DEPARTMENTS[i];
    DepartmentRef { id: id.into(), name: name.into(), short_name: short_name.into() }
}

pub(crate) fn service(i: usize) -> ServiceRef {
    let (id, name, short_name, of, _) = SERVICES[i];
    ServiceRef { id: id.into(), name: name.into(), short_name: short_name.into(), department: department(of) }
}

pub(crate) fn context() -> Context {
    Context {
        now_ms: NOW_MS,
        today: Day::at(NOW_MS),
        freshness: Freshness {
            wm_ms: Some(NOW_MS - 800),
            state: State::Ok,
            pipeline: PipelineState::Ok,
            behind_ms: Some(800),
            since_ms: None,
            reporting: Some(728),
            silent: Vec::new(),
            silent_count: 0,
            incomplete: None,
        },
        simulated: true,
        open_government_data: true,
    }
}

pub(crate) fn behind() -> Context {
    let mut context = context();
    context.freshness.state = State::Behind;
    context.freshness.pipeline = PipelineState::Behind;
    context.freshness.wm_ms = Some(NOW_MS - 3 * MINUTE_MS);
    context.freshness.behind_ms = Some(3 * MINUTE_MS);
    context.freshness.since_ms = Some(NOW_MS - 3 * MINUTE_MS);
    context
}

pub(crate) fn silent() -> Context {
    let mut context = context();
    context.freshness.silent = vec![Silent { service: service(3), last_ms: NOW_MS - 23 * MINUTE_MS, habit_ms: 2_000 }];
    context.freshness.silent_count = 1;
    context
}

pub(crate) const USUAL: Usual = Usual { weeks: 1, weeks_needed: 4, range: None };

/// A usual range of which `today` is two per cent above the middle.
pub(crate) fn usual(today: u64) -> Usual {
    let median = today * 100 / 102;
    let range = UsualRange { low: median * 95 / 100, median, high: median * 106 / 100 };
    Usual { weeks: 8, weeks_needed: 4, range: Some(range) }
}

pub(crate) fn row(i: usize) -> ServiceRow {
    let n = SERVICES[i].4;
    ServiceRow { service: service(i), live: live(i as u64 + 100, n), last_event_ms: (n > 0).then_some(NOW_MS - 300) }
}

pub(crate) fn books() -> Books {
    Books {
        as_of_ms: NOW_MS - 1_000,
        received: 21_480_933,
        counted: 21_472_728,
        duplicates: 6_204,
        late: 318,
        invalid: 1_112,
        expired: 0,
        in_flight: 571,
        difference: 0,
    }
}

pub(crate) fn overview(context: Context) -> Overview {
    let lives: Vec<_> = DEPARTMENTS.iter().zip(0..).map(|(department, i)| live(i, department.3)).collect();
    let departments = lives.iter().enumerate().map(|(i, live)| DepartmentRow {
        department: department(i),
        live: live.clone(),
        services_today: (live.today.unwrap_or(0) % 30) as u32,
        services_known: 35,
        silent: context.freshness.silent.iter().filter(|s| s.service.department == department(i)).count() as u32,
    });
    Overview {
        services_today: 431,
        services_known: 820,
        total: sum(&lives),
        usual: USUAL,
        hours: hours(context.today, context.now_ms, 3),
        usual_day: None,
        same_weekday: Some(DaySeries {
            day: Day(context.today.0 - 7),
            hours: hours(Day(context.today.0 - 7), i64::MAX, 4),
        }),
        rates: Rates {
            digital: Some(Ratio { part: 7_481_784, whole: 8_185_760, services: 404, of_services: 431 }),
            completion: Some(Ratio { part: 6_810_552, whole: 8_185_760, services: 238, of_services: 431 }),
            satisfaction: Some(Satisfaction { rated: 9_200, rating_sum: 38_493, services: 96, of_services: 431 }),
        },
        departments: departments.collect(),
        services: (0..8).map(row).collect(),
        books: Some(books()),
        context,
    }
}

/// The overview of a platform that has never been sent anything.
pub(crate) fn overview_empty() -> Overview {
    let mut context = context();
    context.freshness.reporting = None;
    Overview {
        services_today: 0,
        total: sum(&[]),
        hours: Vec::new(),
        same_weekday: None,
        rates: Rates::default(),
        departments: Vec::new(),
        services: Vec::new(),
        books: None,
        ..overview(context)
    }
}

pub(crate) fn service_page(context: Context) -> ServicePage {
    let today = context.today;
    let before = Day(today.0 - 7);
    ServicePage {
        service: ServiceFacts {
            names: service(6),
            agency: Some("Driver and Vehicle Licensing Agency".into()),
            customers: Some("Individuals".into()),
            url: Some("https://www.gov.uk/tax-disc".into()),
            yearly: Some(Yearly { volume: 47_055_169, until: Day::from_ymd(2017, 10, 1) }),
            sandbox: false,
        },
        completed: live(7, 168),
        last_event_ms: Some(NOW_MS - 300),
        usual: usual(72_912),
        hours: hours(today, context.now_ms, 1),
        same_weekday: Some(DaySeries { day: before, hours: hours(before, i64::MAX, 2) }),
        stated_costs: (0..5)
            .map(|i| StatedPoint {
                from: Day::from_ymd(2012 + i, 4, 1),
                until: Day::from_ymd(2013 + i, 4, 1),
                value: (i != 2).then_some(1.0 + f64::from(i) / 10.0),
                state: if i == 2 { "not requested" } else { "provided" }.into(),
                revised: i == 1,
            })
            .collect(),
        beside: vec![BesideFigure {
            from: Day::from_ymd(2025, 1, 1),
            until: Day::from_ymd(2026, 1, 1),
            stated: 47_104_882,
            counted: 46_718_953,
        }],
        notes: vec![note(&context)],
        usual_day: Some(usual_day(before)),
        year: Some(YearProjection {
            from: Day::from_ymd(2026, 1, 1),
            so_far: 1_204_000,
            weeks: 8,
            range: UsualRange { low: 46_000_000, median: 47_100_000, high: 48_000_000 },
        }),
        past: Some(series(&context, &[])),
        stages: Stages {
            started: Some(88_420),
            completed: Some(76_208),
            completed_of_started: Some(72_912),
            failed: Some(4_100),
            abandoned: Some(9_870),
        },
        channels: vec![
            ChannelFigure { channel: Channel::Digital, completed: 60_900 },
            ChannelFigure { channel: Channel::FaceToFace, completed: 8_500 },
            ChannelFigure { channel: Channel::Phone, completed: 3_512 },
        ],
        steps: (1..=4)
            .map(|step| StepFigure {
                step,
                started: Some(90_000 - 4_000 * u64::from(step)),
                completed: Some(88_000 - 4_500 * u64::from(step)),
                failed: Some(700),
                abandoned: Some(1_900),
            })
            .collect(),
        reasons: vec![
            ReasonFigure { reason: Reason::Validation, n: 2_040 },
            ReasonFigure { reason: Reason::Payment, n: 1_640 },
            ReasonFigure { reason: Reason::Technical, n: 210 },
        ],
        ratings: Some([474, 421, 765, 2_508, 5_032]),
        durations: Some(Durations { n: 70_112, p50_ms: 190_000, p90_ms: 460_000, p99_ms: 1_260_000 }),
        stated: ServiceStated::default(),
        context,
    }
}

/// A service that has never sent anything.
pub(crate) fn service_never() -> ServicePage {
    let full = service_page(context());
    ServicePage {
        service: ServiceFacts {
            names: service(8),
            agency: None,
            customers: None,
            url: None,
            yearly: None,
            sandbox: false,
        },
        completed: live(0, 0),
        last_event_ms: None,
        hours: Vec::new(),
        same_weekday: None,
        stated_costs: Vec::new(),
        beside: Vec::new(),
        notes: Vec::new(),
        usual_day: None,
        year: None,
        past: Some(Series {
            points: Vec::new(),
            whole: Point::default(),
            steps: Vec::new(),
            reasons: Vec::new(),
            counted_from: None,
            ..series(&context(), &[])
        }),
        stages: Stages::default(),
        channels: Vec::new(),
        steps: Vec::new(),
        reasons: Vec::new(),
        ratings: None,
        durations: None,
        stated: ServiceStated::default(),
        ..full
    }
}

pub(crate) fn department_page() -> DepartmentPage {
    DepartmentPage {
        context: silent(),
        department: department(1),
        total: live(1, 2_888),
        usual: USUAL,
        services: vec![row(2), row(6), row(8)],
        stated: None,
    }
}

pub(crate) fn service_list(query: &str) -> ServiceList {
    let until = Day::from_ymd(2017, 10, 1);
    let list_row = |i: usize| {
        let row = row(i);
        let some = (row.live.today.unwrap_or(0) > 0).then_some(());
        let n = row.live.today;
        ListRow {
            service: row.service,
            agency: None,
            counted: Counted {
                completed: n,
                digital: n.map(|n| n * 4 / 5),
                started: n.filter(|_| i.is_multiple_of(2)).map(|n| n * 5 / 4),
                completed_of_started: n.filter(|_| i.is_multiple_of(2)),
                rated: some.filter(|()| i.is_multiple_of(3)).map(|()| 900),
                rating_sum: some.filter(|()| i.is_multiple_of(3)).map(|()| 3_800),
            },
            last_minute: row.live.last_minute,
            last_event_ms: row.last_event_ms,
            stated: (i < 6).then_some(StatedYear {
                until,
                volume: Some(47_055_169 / (i as u64 + 1)),
                digital: None,
                cost: (i < 4).then_some(1.1 * (i + 1) as f64),
                total_cost: (i < 4).then_some(47_055_169.0 * 1.1),
                revised: i == 1,
                counted: None,
            }),
        }
    };
    let mut rows: Vec<_> = (0..9).map(list_row).collect();
    rows.retain(|row| views::lists::matches(&row.service, query));
    let attention = |i, concern| Attention { service: service(i), concern };
    let context = silent();
    ServiceList {
        asked: ListAsked { q: query.into(), ..ListAsked::default() },
        services_known: 820,
        found: rows.len() as u32,
        totals: views::services::totals(&rows),
        attention: vec![
            attention(3, Concern::Silent { last_ms: NOW_MS - 23 * MINUTE_MS, habit_ms: 2_000 }),
            attention(
                6,
                Concern::Outside { side: domain::usual::Side::Below, count: 4_100, low: 9_000, high: 10_400, days: 8 },
            ),
            attention(
                1,
                Concern::Completion { part: 7_000, whole: 10_000, part_before: 84_000, whole_before: 100_000 },
            ),
            attention(2, Concern::Late { since: Some(Day::from_ymd(2017, 9, 30)) }),
        ],
        services: rows,
        next: None,
        window: WindowDays { from: context.today, to: context.today, counted_from: None },
        departments: vec![Choice { id: "dft".into(), name: "Department for Transport".into() }],
        agencies: vec![Choice { id: "dvla".into(), name: "Driver and Vehicle Licensing Agency".into() }],
        context,
    }
}
