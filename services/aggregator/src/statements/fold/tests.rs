use domain::source::ServiceNumber;
use domain::statement::note::Kind;
use domain::statement::{Amount, MetricNumber, Value, Window};
use proptest::prelude::*;

use super::*;

fn figure(n: u64) -> StatedFigure {
    StatedFigure {
        service: ServiceNumber(n as u16),
        metric: MetricNumber::VOLUME,
        window: Window::months_until(Day::from_ymd(2016, 4, 1), 12).expect("a window"),
        value: Value::Provided(Amount::whole(n).expect("small")),
    }
}

fn record(key: u128, body: StatedBody) -> StatedRecord {
    StatedRecord { boot: 1, received_at_ms: 0, department: 3, key, body }
}

fn row(key: u128, index: u32, n: u64) -> StatedRecord {
    record(key, StatedBody::Figure(index, figure(n)))
}

fn close(key: u128, of: &[u64]) -> StatedRecord {
    let figures: Vec<_> = of.iter().map(|n| figure(*n)).collect();
    let hash = content_hash(figures.iter());
    let (import_id, title) = (format!("import {key}"), "a file".to_owned());
    let close = StatedBody::Close { import_id, title, published: Day(17_000), figures: of.len() as u32, hash };
    record(key, close)
}

fn run(records: &[StatedRecord]) -> Vec<Outcome> {
    let mut imports = Imports::default();
    let place = |at: usize| Place { partition: 0, offset: at as u64, appended_at_ms: at as i64 };
    records.iter().enumerate().map(|(at, record)| imports.take(record.clone(), place(at))).collect()
}

fn visible(outcomes: &[Outcome]) -> Vec<(u128, Vec<u16>)> {
    let closed = |outcome: &Outcome| match outcome {
        Outcome::Closed(closed) => Some((closed.key, closed.figures.iter().map(|f| f.service.0).collect())),
        _ => None,
    };
    outcomes.iter().filter_map(closed).collect()
}

#[test]
fn an_import_is_seen_from_its_close_on_and_once() {
    let all = [row(7, 0, 1), row(7, 1, 2), close(7, &[1, 2]), row(7, 0, 1), row(7, 1, 2), close(7, &[1, 2])];
    let outcomes = run(&all);
    assert_eq!(outcomes[..2], [Outcome::Held, Outcome::Held]);
    assert_eq!(visible(&outcomes), [(7, vec![1, 2])]);
    assert_eq!(outcomes[3..], [Outcome::Repeat, Outcome::Repeat, Outcome::Repeat]);
}

#[test]
fn without_a_close_or_without_all_figures_nothing_is_seen() {
    assert_eq!(visible(&run(&[row(7, 0, 1), row(7, 1, 2)])), []);
    let outcomes = run(&[row(7, 1, 2), close(7, &[1, 2])]);
    assert_eq!(outcomes[1], Outcome::Incomplete { import_id: "import 7".into(), have: 1, want: 2 });
    let outcomes = run(&[row(7, 0, 1), row(7, 1, 3), close(7, &[1, 2])]);
    assert!(matches!(outcomes[2], Outcome::Incomplete { have: 2, want: 2, .. }), "the hash is of other figures");
}

#[test]
fn a_sender_that_was_cut_off_begins_again() {
    let outcomes = run(&[row(7, 0, 9), row(7, 2, 8), row(7, 0, 1), row(7, 1, 2), close(7, &[1, 2])]);
    assert_eq!(visible(&outcomes), [(7, vec![1, 2])]);
}

#[test]
fn an_import_that_stays_open_for_a_day_of_the_log_is_forgotten() {
    let mut imports = Imports::default();
    let place = |at| Place { partition: 0, offset: 0, appended_at_ms: at };
    imports.take(row(7, 0, 1), place(0));
    imports.take(row(8, 0, 1), place(OPEN_MS_MAX + 1));
    assert_eq!((imports.open.len(), imports.held), (1, 1));
    let late = imports.take(close(7, &[1]), place(OPEN_MS_MAX + 2));
    assert!(matches!(late, Outcome::Incomplete { have: 0, want: 1, .. }));
}

#[test]
fn a_note_is_seen_at_once() {
    let about =
        NotePlace { service: ServiceNumber(4), metric: None, day: Day(1), last_day: Day(1), kind: Kind::Release };
    let (note_id, text, author) = ("n".to_owned(), "text".to_owned(), "A".to_owned());
    let note = record(5, StatedBody::Note { note_id, place: about, text, author, is_withdrawn: false });
    assert!(matches!(&run(&[note])[0], Outcome::Note(note) if note.about == about && note.department == 3));
}

proptest! {
    /// Whatever is sent again, cut short or mixed with others: an import is seen at most once, and then whole.
    #[test]
    fn what_is_seen_is_whole_and_seen_once(sent in prop::collection::vec((0_u128..3, 0_u32..4), 0..60)) {
        let content = |key: u128| -> Vec<u64> { (0..3).map(|n| key as u64 * 10 + n).collect() };
        let records: Vec<_> = sent
            .iter()
            .map(|(key, part)| match part {
                3 => close(*key, &content(*key)),
                index => row(*key, *index, content(*key)[*index as usize]),
            })
            .collect();
        let seen = visible(&run(&records));
        for key in 0..3_u128 {
            let of_key: Vec<_> = seen.iter().filter(|(seen, _)| *seen == key).collect();
            prop_assert!(of_key.len() <= 1);
            for (_, figures) in of_key {
                prop_assert_eq!(figures.clone(), content(key).iter().map(|n| *n as u16).collect::<Vec<_>>());
            }
            // Each close after the last missing figure shows it.
            let places: Vec<_> = (0..3).map(|part| sent.iter().position(|s| *s == (key, part))).collect();
            let whole_from = places.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
            let closes_after = whole_from.is_some_and(|from| sent[from..].contains(&(key, 3)));
            prop_assert_eq!(closes_after, seen.iter().any(|(seen, _)| *seen == key));
        }
    }
}
