//! The scripts write figures and draw charts exactly as the server does.
//!
//! Runs `web/format.js` and `web/chart.js` in Node.js; without it this test skips and says so.

mod node;

use domain::time::{Day, HOUR_MS, MINUTE_MS};
use serde_json::{Value, json};
use views::chart::{MinuteChart, Part, bar, day_columns, minute_columns, wall_line};
use views::figures::{DaySeries, HourFigure, UsualRange};
use views::{clock, format, parts, wall};

/// Arguments for a function of a script, and what the server writes for them.
struct Case {
    module: &'static str,
    function: &'static str,
    arguments: Value,
    expected: Value,
}

fn case(module: &'static str, function: &'static str, arguments: Value, expected: impl Into<Value>) -> Case {
    Case { module, function, arguments, expected: expected.into() }
}

const RUNNER: &str = r#"
import fs from "node:fs";
const cases = JSON.parse(fs.readFileSync(0, "utf8"));
const web = process.argv[1];
const answers = [];
for (const [module, name, args] of cases) {
  const it = await import(`file://${web}/${module}.js`);
  answers.push(it[name](...args) ?? null);
}
console.log(JSON.stringify(answers));
"#;

fn run(cases: &[Case]) -> Option<Vec<Value>> {
    let questions: Vec<_> = cases.iter().map(|c| json!([c.module, c.function, c.arguments])).collect();
    let answers = node::run(RUNNER, &json!(questions))?;
    answers.as_array().cloned()
}

/// JSON knows one kind of number, serde_json three, and reads the last bit of a fraction in its own way.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(n) => json!(n.as_f64().map(|n| (n * 1e6).round())),
        Value::Array(all) => all.into_iter().map(plain).collect(),
        other => other,
    }
}

fn check(cases: &[Case]) {
    let Some(answers) = run(cases) else { return };
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(answers) {
        assert_eq!(plain(answer), plain(case.expected.clone()), "{}({})", case.function, case.arguments);
    }
}

/// Numbers of every size below 2^53, always the same.
fn numbers() -> Vec<u64> {
    let mut numbers = vec![0, 1, 59, 60, 999, 1_000, 999_499, 999_500, 999_999, 9_999_999, 10_000_000];
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    for i in 0..400 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        numbers.push((x >> 11) >> (i % 53));
    }
    numbers
}

#[test]
fn numbers_are_written_the_same() {
    let numbers = numbers();
    let mut cases = Vec::new();
    for pair in numbers.windows(2) {
        let (n, m) = (pair[0], pair[1]);
        cases.push(case("format", "exact", json!([n]), format::exact(n)));
        cases.push(case("format", "short", json!([n]), format::short(n)));
        cases.push(case("format", "percent", json!([n, m]), format::percent(n, m)));
        cases.push(case(
            "format",
            "satisfaction",
            json!([n % 1_000, m % 6_000]),
            format::satisfaction(n % 1_000, m % 6_000),
        ));
        cases.push(case("format", "perSecond", json!([n % 100_000]), format::per_second(Some(n % 100_000))));
        let ms = (n % 1_000_000_000) as i64;
        cases.push(case("format", "span", json!([ms]), format::span(ms)));
        cases.push(case("format", "spanShort", json!([ms]), format::span_short(ms)));
        cases.push(case("format", "spanFine", json!([ms]), format::span_fine(ms)));
    }
    check(&cases);
}

#[test]
fn london_has_the_same_clock() {
    let mut cases = Vec::new();
    let mut at = Day::from_ymd(2024, 1, 1).start_ms();
    while at < Day::from_ymd(2028, 1, 1).start_ms() {
        let day = Day::at(at);
        cases.push(case("format", "hms", json!([at]), clock::hms(at)));
        cases.push(case("format", "zone", json!([at]), clock::zone(at)));
        cases.push(case("format", "day", json!([at]), day.to_string()));
        cases.push(case("format", "dayStart", json!([day.to_string()]), day.start_ms()));
        cases.push(case("format", "dayAfter", json!([day.to_string(), 7]), Day(day.0 + 7).to_string()));
        cases.push(case("format", "longDate", json!([day.to_string()]), clock::long_date(day)));
        cases.push(case("format", "wallDate", json!([day.to_string()]), clock::wall_date(day)));
        cases.push(case("format", "moment", json!([at, at + 8 * HOUR_MS]), clock::moment(at, at + 8 * HOUR_MS)));
        at += 7 * HOUR_MS + 13 * MINUTE_MS + 11_000;
    }
    check(&cases);
}

/// Figures with holes, the sizes of one department to those of all of government.
fn figures(seed: u64, n: usize, max: u64) -> Vec<Option<u64>> {
    let numbers = numbers();
    (0..n)
        .map(|i| {
            let x = numbers[(i + seed as usize * 61) % numbers.len()] % (max + 1);
            (x % 7 != 3).then_some(x)
        })
        .collect()
}

#[test]
fn charts_are_drawn_the_same() {
    let mut cases = Vec::new();
    let from_s = 1_768_915_920;
    for (seed, max) in [(1, 0), (2, 3), (3, 250), (4, 20_000), (5, 3_000_000)] {
        let parts: Vec<_> = (1..=6)
            .map(|colour| Part {
                colour,
                label: if colour == 4 { "a < b & \"c\"".into() } else { format!("part {colour}") },
                values: figures(seed + u64::from(colour), 61, max),
            })
            .collect();
        let arguments: Vec<_> =
            parts.iter().map(|p| json!({ "colour": p.colour, "label": p.label, "values": p.values })).collect();
        let values = figures(seed, 61, max);
        cases.push(case("chart", "sparkInside", json!([values, 128]), parts::spark_inside(&values, 128)));
        cases.push(case(
            "chart",
            "minuteColumns",
            json!([from_s, arguments]),
            minute_columns(&MinuteChart { from_s, parts }),
        ));
        let minutes = figures(seed, 873, max);
        let (path, x, y) = wall_line(&minutes, 1_440);
        cases.push(case("chart", "wallLine", json!([minutes, 1_440]), json!([path, x, y])));
        cases.push(case("chart", "bar", json!([max / 3, max, "f1"]), bar(max / 3, max, "f1")));
    }
    for day in [Day::from_ymd(2026, 1, 20), Day::from_ymd(2026, 3, 29), Day::from_ymd(2026, 10, 25)] {
        let hours = |day: Day, n: usize| -> Vec<HourFigure> {
            let figures = figures(day.0 as u64 % 9, n, 9_000);
            let from = day.start_ms() / 1_000;
            figures.iter().zip(0..).map(|(f, i)| HourFigure { from_s: from + i * 3_600, completed: *f }).collect()
        };
        let today = hours(day, 15);
        let open = today[14].from_s;
        let before = DaySeries { day: Day(day.0 - 7), hours: hours(Day(day.0 - 7), 24) };
        let arguments = json!([day.to_string(), today, before, [], open]);
        cases.push(case("chart", "dayColumns", arguments, day_columns(day, &today, Some(&before), &[], open)));
        let arguments = json!([day.to_string(), [], null, [], open]);
        cases.push(case("chart", "dayColumns", arguments, day_columns(day, &[], None, &[], open)));
        let band: Vec<_> = figures(5, 24, 9_000)
            .into_iter()
            .map(|n| n.map(|n| UsualRange { low: n / 2, median: n, high: n * 3 / 2 }))
            .collect();
        let arguments = json!([day.to_string(), today, null, band, open]);
        cases.push(case("chart", "dayColumns", arguments, day_columns(day, &today, None, &band, open)));
        let minutes = ((day.next().start_ms() - day.start_ms()) / MINUTE_MS) as usize;
        for now in [0, 200, 361, 700, 1_100, 1_275, 1_439] {
            let marks = wall::hour_marks(day.start_ms(), minutes, now);
            cases.push(case("chart", "hourMarks", json!([day.start_ms(), minutes, now]), marks));
        }
    }
    check(&cases);
}
