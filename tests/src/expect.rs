//! What viewers must be shown, from the truth: every key and period of a topic with its value.

use std::collections::BTreeMap;

use domain::time::Period;
use domain::visitors::Registers;
use runtime::clock::now_ms;

use crate::truth::{Counts, Truth};
use crate::until::{PATIENCE, until};
use crate::viewer::{Fold, Viewer};

/// By key and period, as in frames.
pub type Values = BTreeMap<(String, String), i64>;

/// From here on a service number is a sandbox.
const FIRST_SANDBOX: u16 = 60_000;
const CHANNELS: [&str; 8] = ["", "digital", "assisted_digital", "api", "phone", "post", "face_to_face", "other"];
const STAGES: [&str; 4] = ["started", "completed", "failed", "abandoned"];

/// Every value that a topic may ever show.
///
/// # Panics
/// When the test names no topic.
#[must_use]
pub fn values(truth: &Truth, topic: &str) -> Values {
    let mut values = Values::new();
    for period in Period::ALL {
        for ((start, service, channel), counts) in truth.figures(period).counts {
            let at = period_name(period, start);
            let mut add = |key: String, n: i64| *values.entry((key, at.clone())).or_default() += n;
            let (completed, id) = (counts.stages[1], truth.id(service));
            let department = truth.department(service);
            match topic.split_once(':') {
                None if service >= FIRST_SANDBOX => {}
                None => {
                    add("all".into(), completed);
                    add(format!("service:{id}"), completed);
                    if topic == "overview" {
                        add(format!("department:{department}"), completed);
                        add_parts(&mut add, channel, &counts);
                    }
                }
                Some(("service", wanted)) if wanted == id => add_service(&mut add, channel, &counts),
                Some(("department", wanted)) if wanted == department && service < FIRST_SANDBOX => {
                    add("all".into(), completed);
                    add(format!("service:{id}"), completed);
                }
                Some(_) => {}
            }
        }
        if let Some(id) = topic.strip_prefix("service:") {
            add_pages(truth, period, truth.number(id), &mut values);
        }
    }
    values
}

/// Views of all pages of a service, and its visitors as the one estimator of the platform makes them of the registers.
fn add_pages(truth: &Truth, period: Period, wanted: u16, values: &mut Values) {
    for ((start, service, page), views) in truth.figures(period).pages {
        if service == wanted && page == 0 {
            let mut registers = Registers::default();
            for (register, rank) in views.registers {
                registers.raise(register, rank);
            }
            let at = period_name(period, start);
            values.insert(("views".into(), at.clone()), views.views);
            values.insert(("visitors".into(), at), registers.estimate().round() as i64);
        }
    }
}

fn add_parts(add: &mut impl FnMut(String, i64), channel: u8, counts: &Counts) {
    add("all:started".into(), counts.stages[0]);
    add("all:completed_started".into(), completed_of_started(counts));
    if (1..=3).contains(&channel) {
        add("all:completed_digital".into(), counts.stages[1]);
    }
    add("all:rated".into(), counts.ratings.values().sum());
    add("all:rating_sum".into(), counts.ratings.iter().map(|(rating, n)| i64::from(*rating) * n).sum());
}

fn add_service(add: &mut impl FnMut(String, i64), channel: u8, counts: &Counts) {
    for (stage, n) in STAGES.into_iter().zip(counts.stages) {
        add(stage.into(), n);
    }
    add("completed_started".into(), completed_of_started(counts));
    if channel > 0 {
        add(format!("completed:{}", CHANNELS[usize::from(channel)]), counts.stages[1]);
    }
    for (rating, n) in &counts.ratings {
        add(format!("rating:{rating}"), *n);
    }
}

/// Completed, if the channel reports starts in this period.
const fn completed_of_started(counts: &Counts) -> i64 {
    if counts.stages[0] > 0 { counts.stages[1] } else { 0 }
}

fn period_name(period: Period, start: i64) -> String {
    match period {
        Period::Minute => format!("m:{start}"),
        Period::Hour => format!("h:{start}"),
        Period::Day => format!("d:{}", domain::time::Day(start as i32)),
    }
}

/// What is wrong with what a viewer is shown of a topic: a value that differs, or one that must be there and is not.
#[must_use]
pub fn differences(truth: &Truth, topic: &str, fold: &Fold) -> Vec<String> {
    let want = values(truth, topic);
    let mut found = Vec::new();
    let carries = |key: &str, period: &str| carries(truth, topic, key, period, &fold.today);
    for ((key, period), value) in &fold.values {
        let wanted = want.get(&(key.clone(), period.clone())).copied().unwrap_or(0);
        if wanted != *value && carries(key, period) {
            found.push(format!("{topic}: {key} {period}: wanted {wanted}, shown {value}"));
        }
    }
    for ((key, period), wanted) in &want {
        let is_shown = fold.values.contains_key(&(key.clone(), period.clone()));
        // Only the six tiles of the wall show services.
        let is_tile = topic == "wall" && key.starts_with("service:");
        if *wanted > 0 && !is_shown && !is_tile && carries(key, period) {
            found.push(format!("{topic}: {key} {period}: wanted {wanted}, not shown"));
        }
    }
    found
}

/// Whether a topic carries a period of a key at present; what it does not is neither updated nor shown.
fn carries(truth: &Truth, topic: &str, key: &str, period: &str, today: &str) -> bool {
    let Some((kind, rest)) = period.split_once(':') else { return false };
    if kind == "d" {
        return rest == today;
    }
    let start_ms = rest.parse::<i64>().expect("seconds") * 1_000;
    let is_today = truth.day(start_ms).1 == today;
    let is_of_last = |minutes: i64| (now_ms() / 60_000 - minutes..=now_ms() / 60_000).contains(&(start_ms / 60_000));
    match (kind, topic) {
        ("h", topic) => topic.starts_with("service:") && is_today && start_ms <= now_ms(),
        (_, "overview") if key.starts_with("all:") => false,
        // The last full minute and the open one.
        (_, "overview" | "wall") if key.starts_with("service:") => is_of_last(1),
        (_, "wall") => is_today && start_ms <= now_ms(),
        _ => is_of_last(58),
    }
}

/// Waits until a viewer is shown the truth of a topic, no more and no less.
///
/// # Panics
/// When it is not in time, with what differs.
pub fn shown(truth: &Truth, viewer: &Viewer, topic: &str) {
    until(&format!("{topic} shows the truth"), PATIENCE, || {
        let fold = viewer.fold(topic);
        if fold.seq.is_none() {
            return Err(format!("no frame yet; refused: {:?}", viewer.seen().errors));
        }
        let found = differences(truth, topic, &fold);
        let some = || found.iter().take(8).cloned().collect::<Vec<_>>().join("\n");
        if found.is_empty() { Ok(()) } else { Err(format!("{} differences:\n{}", found.len(), some())) }
    });
}
