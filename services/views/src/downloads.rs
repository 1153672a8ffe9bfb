//! Tables as CSV of pages that show figures of several kinds at once: the overview, the wall, a comparison, notes.
//!
//! Invariant: the same figures as on the page; unknown is an empty field.

use domain::time::HOUR_MS;

use crate::clock;
use crate::csv::{Csv, figure};
use crate::figures::{Compare, Live, Overview, Wall};
use crate::notes::{Notes, Version};

/// Which table of the overview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Departments today.
    Departments,
    /// The busiest services.
    Services,
    /// The last hour by minute and department.
    Minutes,
    /// Today and what is usual, by hour.
    Hours,
}

impl Table {
    /// All, with their words in addresses.
    pub const ALL: [(&'static str, Self); 4] = [
        ("departments", Self::Departments),
        ("services", Self::Services),
        ("minutes", Self::Minutes),
        ("hours", Self::Hours),
    ];
}

fn live(live: &Live) -> [String; 3] {
    [figure(live.last_minute), figure(live.open_minute), figure(live.today)]
}

/// A table of the overview.
#[must_use]
pub fn overview(o: &Overview, table: Table) -> String {
    match table {
        Table::Departments => {
            let mut csv = Csv::new(&[
                "department",
                "name",
                "last_minute",
                "open_minute",
                "today",
                "services_today",
                "services_known",
                "silent",
            ]);
            for row in &o.departments {
                let mut fields = vec![row.department.id.clone(), row.department.name.clone()];
                fields.extend(live(&row.live));
                fields.extend([row.services_today, row.services_known, row.silent].map(|n| n.to_string()));
                csv.row(&fields);
            }
            csv.into_text()
        }
        Table::Services => {
            let mut csv =
                Csv::new(&["service", "name", "department", "last_minute", "open_minute", "today", "last_event"]);
            for row in &o.services {
                let service = &row.service;
                let mut fields = vec![service.id.clone(), service.name.clone(), service.department.id.clone()];
                fields.extend(live(&row.live));
                fields.push(figure(row.last_event_ms.map(clock::utc)));
                csv.row(&fields);
            }
            csv.into_text()
        }
        Table::Minutes => {
            let departments = o.departments.iter().map(|row| (row.department.id.as_str(), &row.live));
            let lines: Vec<_> = std::iter::once(("all", &o.total)).chain(departments).collect();
            minutes(o.context.minutes_from_s(), &lines)
        }
        Table::Hours => hours(o),
    }
}

/// Each hour of today; what is usual is known of those to come as well.
fn hours(o: &Overview) -> String {
    let mut csv = Csv::new(&["hour", "completed", "usual_low", "usual_median", "usual_high", "same_weekday"]);
    let day = o.context.today;
    for (place, from_ms) in (day.start_ms()..day.next().start_ms()).step_by(HOUR_MS as usize).enumerate() {
        let completed = o.hours.get(place).and_then(|hour| hour.completed);
        let usual = o.usual_day.as_ref().and_then(|usual| usual.hours.get(place).copied().flatten());
        let before = o.same_weekday.as_ref().and_then(|before| before.hours.get(place)?.completed);
        let usual = [usual.map(|range| range.low), usual.map(|range| range.median), usual.map(|range| range.high)];
        let mut fields = vec![clock::utc(from_ms), figure(completed)];
        fields.extend(usual.map(figure));
        fields.push(figure(before));
        csv.row(&fields);
    }
    csv.into_text()
}

/// Today by minute.
#[must_use]
pub fn wall(w: &Wall) -> String {
    minutes(w.context.today.start_ms() / 1_000, &[("all", &w.total)])
}

fn minutes(from_s: i64, lines: &[(&str, &Live)]) -> String {
    let head: Vec<_> = std::iter::once("minute").chain(lines.iter().map(|line| line.0)).collect();
    let mut csv = Csv::new(&head);
    for i in 0..lines.iter().map(|line| line.1.minutes.len()).max().unwrap_or(0) {
        let mut fields = vec![clock::utc((from_s + i as i64 * 60) * 1_000)];
        fields.extend(lines.iter().map(|line| figure(line.1.minutes.get(i).copied().flatten())));
        csv.row(&fields);
    }
    csv.into_text()
}

/// A recent stretch of each line and the one before, place by place.
#[must_use]
pub fn recent(c: &Compare) -> String {
    let mut csv = Csv::new(&["id", "start", "now", "before"]);
    for line in &c.lines {
        for (i, start_s) in line.recent.starts_s.iter().enumerate() {
            let at = |values: &[Option<u64>]| figure(values.get(i).copied().flatten());
            let (now, before) = (at(&line.recent.now), at(&line.recent.before));
            csv.row(&[line.id.clone(), clock::utc(start_s * 1_000), now, before]);
        }
    }
    csv.into_text()
}

/// Every version of every note, the oldest of each first.
#[must_use]
pub fn notes(notes: &Notes) -> String {
    let mut csv = Csv::new(&[
        "service",
        "note",
        "day",
        "last_day",
        "kind",
        "metric",
        "text",
        "author",
        "department",
        "written_at",
        "stands",
    ]);
    for note in &notes.notes {
        let mut row = |version: &Version, stands: bool| {
            csv.row(&[
                notes.service.id.as_str(),
                &note.id,
                &version.day,
                &version.last_day,
                version.kind,
                version.metric.as_deref().unwrap_or_default(),
                &version.text,
                &version.author,
                &version.department,
                &clock::utc(version.written_at_ms),
                if stands { "true" } else { "false" },
            ]);
        };
        note.before.iter().for_each(|version| row(version, false));
        row(&note.stands, !note.is_withdrawn);
    }
    csv.into_text()
}
