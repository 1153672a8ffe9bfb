use domain::source::ServiceNumber;

use super::*;

fn row(offset: u64) -> LetterRow {
    LetterRow {
        log: 1,
        epoch: 1,
        p: 3,
        offset,
        appended_at_ms: 1_000,
        outcome: Outcome::Undecodable.number(),
        service: 0,
        reason: "not a record".into(),
        size: 2,
        beginning: "FF00".into(),
        is_replayed: 0,
        to_log: 1,
        to_epoch: 1,
        to_p: 4,
        to_offset: 9,
        replayed_at_ms: 2_000,
    }
}

#[test]
fn a_letter_that_was_replayed_says_what_became_of_it() {
    let catalogue = Catalogue::embedded();
    let never = letter(&catalogue, &row(5), &Outcomes::new()).expect("a letter");
    assert_eq!((never.source.as_str(), never.beginning.as_str(), never.replay), ("events/1/3", "ff00", None));
    let replayed = LetterRow { is_replayed: 1, ..row(5) };
    let sent = |outcomes| letter(&catalogue, &replayed, &outcomes).and_then(|letter| letter.replay).expect("a replay");
    assert_eq!(sent(Outcomes::new()).outcome, None, "it is on its way");
    let counted = sent(Outcomes::from([((1, 1, 4, 9), Outcome::Accepted.number())]));
    assert_eq!((counted.source.as_str(), counted.offset, counted.outcome), ("events/1/4", 9, Some(Outcome::Accepted)));
}

#[test]
fn what_can_be_read_is_not_shown() {
    let catalogue = Catalogue::embedded();
    let known = catalogue.services()[0].number;
    let of = |service: ServiceNumber| letter(&catalogue, &LetterRow { service: service.0, ..row(5) }, &Outcomes::new());
    assert_eq!(of(known).expect("a letter").beginning, "");
    assert_eq!(of(ServiceNumber(0)).expect("a letter").beginning, "ff00");
}

#[test]
fn a_cursor_is_read_as_it_is_written_and_nothing_else_is_one() {
    let want = Cursor { appended_at_ms: 1_000, log: 1, epoch: 1, p: 3, offset: 5 };
    assert_eq!(cursor(&cursor_text(&row(5))), Some(want));
    for wrong in ["", "1-2-3-4", "1-2-3-4-5-6", "1-2-3-4-x", "1-2-3-4-5) OR (1", "1-999-3-4-5"] {
        assert!(cursor(wrong).is_none(), "{wrong}");
    }
}
