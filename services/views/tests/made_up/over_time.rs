//! Series, comparisons and notes.

use domain::time::{Day, HOUR_MS};
use domain::vocabulary::{Channel, Reason};
use views::figures::*;

use super::{context, department, service, wobble};

/// A note of some days ago that said something else before.
pub(crate) fn note(context: &Context) -> NoteFigure {
    let today = context.today;
    NoteFigure {
        number: 1,
        day: Day(today.0 - 5),
        last_day: Day(today.0 - 4),
        kind: "outage".into(),
        text: "The payment provider did not answer.".into(),
        author: "Service desk".into(),
        department: "DfT".into(),
        written_at_ms: context.now_ms - 5 * 86_400_000,
        earlier: vec![EarlierNote {
            text: "Payments fail.".into(),
            author: "Service desk".into(),
            written_at_ms: context.now_ms - 5 * 86_400_000 - HOUR_MS,
        }],
    }
}

pub(crate) fn hours(day: Day, until_ms: i64, seed: u64) -> Vec<HourFigure> {
    let shape = [9, 9, 9, 9, 10, 11, 15, 38, 139, 193, 188, 194, 190, 182, 186, 183, 207, 80, 53, 46, 43, 35, 24, 15];
    let start = day.start_ms();
    let at = |i: i64| start + i * HOUR_MS;
    (0..24)
        .filter(|i| at(*i) <= until_ms)
        .map(|i| {
            let n = shape[i as usize] * 60 / 2 + wobble(seed, i as u64, 300);
            let open = at(i) + HOUR_MS > until_ms;
            HourFigure { from_s: at(i) / 1_000, completed: Some(if open { n / 2 } else { n }) }
        })
        .collect()
}

pub(crate) fn usual_day(before: Day) -> UsualDay {
    let range = |n: u64| UsualRange { low: n * 9 / 10, median: n, high: n * 11 / 10 };
    UsualDay {
        days: 8,
        bank_holiday: false,
        hours: hours(before, i64::MAX, 2).iter().map(|hour| hour.completed.map(range)).collect(),
        projection: Some(UsualRange { low: 139_000, median: 143_000, high: 147_000 }),
    }
}

fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Thirty days, or what is asked for, with a day without a count and counting begun on the fourth.
pub(crate) fn series(context: &Context, query: &[(&str, &str)]) -> Series {
    let asked =
        views::ask::parse(&pairs(query), |asked| views::span::Span::read(asked, context.now_ms)).expect("a span");
    let starts: Vec<i64> = asked.starts().collect();
    let one = |i: usize, n: u64| {
        let channels = [(Channel::Digital, n * 6 / 10), (Channel::Phone, n * 3 / 10), (Channel::FaceToFace, n / 10)];
        Point {
            start: Day::at(starts[i]).to_string(),
            start_s: starts[i] / 1_000,
            open: i + 1 == starts.len(),
            counted: Counted {
                completed: Some(n),
                digital: Some(n * 6 / 10),
                started: Some(n * 6 / 5),
                completed_of_started: Some(n),
                rated: Some(n / 100),
                rating_sum: Some(n / 100 * 4),
            },
            failed: Some(n / 20),
            abandoned: Some(n / 10),
            channels: channels.map(|(channel, completed)| ChannelFigure { channel, completed }).to_vec(),
            ratings: Some([n / 2_000, n / 2_000, n / 1_000, n / 400, n / 200]),
            durations: Some(Durations { n, p50_ms: 190_000 + n, p90_ms: 460_000 + 3 * n, p99_ms: 1_260_000 }),
            value_pence: 0,
        }
    };
    let counted = (3..starts.len()).filter(|i| *i != 11);
    let points: Vec<_> = counted.map(|i| one(i, 60_000 + wobble(4, i as u64, 20_000))).collect();
    let page = |step: u8| StepFigure {
        step,
        started: Some(2_400_000 - 100_000 * u64::from(step)),
        completed: Some(2_300_000 - 100_000 * u64::from(step)),
        failed: Some(7_000),
        abandoned: Some(19_000),
    };
    Series {
        service: service(6).id,
        name: service(6).name,
        kind: Kind::Counted,
        as_of_ms: context.now_ms - 1_000,
        counted_from: Some(Day::at(starts[3.min(starts.len() - 1)])),
        whole: one(0, 1_930_000),
        points,
        steps: (1..=4).map(page).collect(),
        reasons: vec![
            ReasonFigure { reason: Reason::Validation, n: 52_040 },
            ReasonFigure { reason: Reason::Payment, n: 41_640 },
            ReasonFigure { reason: Reason::Technical, n: 5_210 },
        ],
        asked,
    }
}

/// A comparison of three services and a department.
pub(crate) fn compare(query: &[(&str, &str)]) -> Compare {
    let context = context();
    let asked =
        views::ask::parse(&pairs(query), |asked| CompareAsked::read(asked, context.now_ms)).expect("a comparison");
    let starts: Vec<i64> = asked.span.starts().map(|ms| ms / 1_000).collect();
    let line = |i: usize| {
        let scale = [1_000, 400, 700, 90][i];
        let at = |seed: u64, place: u64| Some(scale * 10 + wobble(seed, place, scale * 3));
        CompareLine {
            id: service(i).id,
            is_department: i == 3,
            name: if i == 3 { department(1).name } else { service(i).name },
            services: 1,
            values: (0..starts.len()).map(|at_| at(i as u64, at_ as u64).map(|n| n as f64)).collect(),
            whole: Counted { completed: Some(scale * 300), digital: Some(scale * 200), ..Counted::default() },
            before: (i != 2).then_some(scale * 290),
            counted_from: None,
            recent: Recent {
                starts_s: (0..7).map(|day| starts[0] + 86_400 * day).collect(),
                now: (0..7).map(|place| at(5 + i as u64, place)).collect(),
                before: (0..7).map(|place| if i == 2 { None } else { at(15 + i as u64, place) }).collect(),
            },
            stated: None,
        }
    };
    Compare {
        starts_s: starts.clone(),
        open: true,
        base: Some(0),
        lines: (0..4).map(line).collect(),
        warnings: vec![
            Warning::CountedFrom { name: service(2).name, from: Day::from_ymd(2026, 1, 3) },
            Warning::Within { name: service(1).name, department: department(1).name },
        ],
        notes: vec![LineNote { line: 1, note: note(&context) }],
        found: if asked.add.is_empty() { Vec::new() } else { vec![service(7)] },
        asked,
        context,
    }
}
