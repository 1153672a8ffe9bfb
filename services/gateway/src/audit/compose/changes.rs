//! Conflicts and revisions: from rows to the values of the page.
//!
//! Invariant: pure. What differs between two events is named as far as it may be shown; the rest is said to be elsewhere.

use std::collections::HashMap;

use domain::catalogue::Catalogue;
use views::figures::audit::{ConflictFigure, RecordPlace, RevisionFigure};

use super::{name_of, source_of};
use crate::audit::read::{Found, RawRow, changes::RevisionRow};

/// Conflicts, each with the record that was counted.
pub(super) fn conflicts(catalogue: &Catalogue, found: &Found) -> Vec<ConflictFigure> {
    let mut firsts: HashMap<_, &RawRow> = HashMap::new();
    for row in &found.firsts {
        firsts.entry((row.service, row.event_id())).or_insert(row);
    }
    let conflict = |row: &RawRow| {
        let (service, name) = name_of(catalogue, row.service);
        let first = firsts.get(&(row.service, row.event_id()));
        ConflictFigure {
            service,
            name,
            service_number: row.service,
            id: format!("{:032x}", row.event_id().0),
            second: place(row),
            first: first.map(|first| place(first)),
            differs: first.map(|first| differs(first, row)).unwrap_or_default(),
        }
    };
    found.conflicts.iter().map(conflict).collect()
}

fn place(row: &RawRow) -> RecordPlace {
    RecordPlace { source: source_of(row), offset: row.offset, appended_at_ms: row.appended_at_ms }
}

/// The parts in which two events under one id differ.
fn differs(a: &RawRow, b: &RawRow) -> Vec<String> {
    let parts = [
        ("occurred_at", a.occurred_at_ms != b.occurred_at_ms),
        ("kind", a.kind != b.kind),
        ("stage", a.stage != b.stage),
        ("channel", a.channel != b.channel),
        ("step", a.step != b.step),
        ("reason", a.reason != b.reason),
        ("page", a.page != b.page),
    ];
    parts.iter().filter(|(_, is_other)| *is_other).map(|(name, _)| (*name).to_owned()).collect()
}

/// Days that changed after the fact.
pub(super) fn revisions(catalogue: &Catalogue, rows: &[RevisionRow]) -> Vec<RevisionFigure> {
    let revision = |row: &RevisionRow| {
        let (service, name) = name_of(catalogue, row.service);
        RevisionFigure {
            service,
            name,
            day: row.day.clone(),
            kind: row.kind.clone(),
            events: row.events,
            first_s: row.first_s.into(),
            last_s: row.last_s.into(),
        }
    };
    rows.iter().map(revision).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(offset: u64, outcome: u8) -> RawRow {
        RawRow { service: 7, high: 3, low: 4, offset, outcome, occurred_at_ms: 5, ..RawRow::default() }
    }

    #[test]
    fn a_conflict_names_both_records_and_what_differs() {
        let second = RawRow { occurred_at_ms: 6, channel: 2, ..row(9, 3) };
        let of_another = RawRow { low: 5, ..row(1, 1) };
        let found = Found { conflicts: vec![second], firsts: vec![of_another, row(2, 1)], ..Found::default() };
        let listed = conflicts(&Catalogue::embedded(), &found);
        assert_eq!((listed.len(), listed[0].service_number), (1, 7));
        assert_eq!((listed[0].first.as_ref().map(|first| first.offset), listed[0].second.offset), (Some(2), 9));
        assert_eq!(listed[0].differs, ["occurred_at", "channel"]);
        assert_eq!(listed[0].id, format!("{:032x}", 3_u128 << 64 | 4));
        let alone = Found { conflicts: found.conflicts, ..Found::default() };
        let listed = conflicts(&Catalogue::embedded(), &alone);
        assert_eq!((listed[0].first.as_ref(), listed[0].differs.len()), (None, 0));
    }
}
