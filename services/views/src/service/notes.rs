//! Notes of a department on its service: numbered on the charts, in full in the list with what they said before.
//!
//! Invariant: a note has the same number wherever it stands on a page. It never changes a figure.

use maud::{Markup, html};

use crate::chart::Periods;
use crate::clock;
use crate::figures::{NoteFigure, Series, ServicePage};

/// The flags of a chart: the period each note begins in, and its number.
pub(super) fn flags(notes: &[NoteFigure], series: &Series) -> Vec<(usize, usize)> {
    let starts: Vec<i64> = series.asked.starts().collect();
    let place = |note: &NoteFigure| {
        let at = note.day.start_ms();
        (at >= series.asked.from_ms && at < series.asked.to_ms)
            .then(|| starts.partition_point(|start| *start <= at) - 1)
    };
    notes.iter().filter_map(|note| Some((place(note)?, note.number))).collect()
}

/// Said in the table behind a chart, in the row of the period in which a note begins.
pub(crate) fn of_period<'a>(notes: impl Iterator<Item = &'a NoteFigure>, chart: &Periods, period: usize) -> Markup {
    let is_here = |note: &&NoteFigure| chart.notes.contains(&(period, note.number));
    html! { @for note in notes.filter(is_here) { " " span.noted { "note " (note.number) ": " (note.text) } } }
}

/// The list; a sentence where there are none.
pub(super) fn list(s: &ServicePage) -> Markup {
    html! {
        section.row #notes {
            div.say { h2 { "Notes" } p.sub { "Written by the department; drawn on the charts under the same number." } }
            div {
                @if s.notes.is_empty() { p.sub { "No notes so far." } }
                @else { ul.notes { @for note in &s.notes { (entry(note, s.context.now_ms, &html! {})) } } }
                p.more { a href=(format!("/services/{}/notes", s.service.names.id)) { "All notes, and write one" } }
            }
        }
    }
}

/// One of a list: its number and day, `whose`, what it says and said before.
pub(crate) fn entry(note: &NoteFigure, now_ms: i64, whose: &Markup) -> Markup {
    html! { li {
        span { span.nl { (note.number) } (dates(note)) }
        div {
            p { (whose) @if note.kind != "other" { b { (capital(&note.kind)) ". " } } (note.text) }
            p.tiny { (note.author) ", " (note.department) ", " (clock::moment(note.written_at_ms, now_ms)) }
            @if !note.earlier.is_empty() {
                details { summary { "Said before" } @for earlier in &note.earlier {
                    p.tiny { "“" (earlier.text) "” " (earlier.author) ", " (clock::moment(earlier.written_at_ms, now_ms)) }
                } }
            }
        }
    } }
}

fn dates(note: &NoteFigure) -> String {
    if note.day == note.last_day {
        clock::day_month(note.day)
    } else {
        format!("{} to {}", clock::day_month(note.day), clock::day_month(note.last_day))
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
