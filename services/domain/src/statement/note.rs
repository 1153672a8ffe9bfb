//! Annotations: dated notes of a department about a service or one of its metrics.
//!
//! Invariant: text is bounded and printable; it is never markup. A note is never overwritten: a new wording and a withdrawal
//! are versions beside the old ones.

use std::collections::HashMap;

use super::MetricNumber;
use crate::source::ServiceNumber;
use crate::time::Day;

/// The longest text, in characters.
pub const TEXT_MAX: usize = 280;
/// The longest name of an author, in characters.
pub const AUTHOR_MAX: usize = 60;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A new version of the service.
    Release,
    /// It did not work, or not well.
    Outage,
    /// A date that many people keep.
    Deadline,
    /// Anything else.
    Other,
}

impl Kind {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Release, Self::Outage, Self::Deadline, Self::Other];

    /// Its number in records and tables.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Release => 1,
            Self::Outage => 2,
            Self::Deadline => 3,
            Self::Other => 4,
        }
    }

    /// From its number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u32::from(kind.number()) == number)
    }

    /// Its word in forms and answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Outage => "outage",
            Self::Deadline => "deadline",
            Self::Other => "other",
        }
    }

    /// From its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One version of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its own id; a version with the same id replaces the one before.
    pub id: String,
    /// About which service.
    pub service: ServiceNumber,
    /// About which of its metrics; `None` = the service.
    pub metric: Option<MetricNumber>,
    /// The day it speaks of.
    pub day: Day,
    /// The last day, if it speaks of several; otherwise the same.
    pub last_day: Day,
    /// What kind of thing happened.
    pub kind: Kind,
    /// What happened; plain text.
    pub text: String,
    /// Who wrote it, as they signed.
    pub author: String,
    /// Number of the department whose token was used.
    pub department: u8,
    /// When it was written (unix milliseconds).
    pub written_at_ms: i64,
    /// Its place in the log: decides between versions of the same moment.
    pub order: u64,
    /// This version takes the note away; its text says why.
    pub is_withdrawn: bool,
}

impl Note {
    /// Whether it is the same note sent again.
    fn says_the_same(&self, other: &Self) -> bool {
        let Self { written_at_ms, order, .. } = self.clone();
        *self == Self { written_at_ms, order, ..other.clone() }
    }
}

/// A note with what it said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Ascending; never empty.
    versions: Vec<Note>,
}

impl Annotation {
    /// What it says now.
    #[must_use]
    pub fn latest(&self) -> &Note {
        self.versions.last().expect("an annotation has at least one version")
    }

    /// Everything that it said, oldest first; the last one stands.
    #[must_use]
    pub fn versions(&self) -> &[Note] {
        &self.versions
    }
}

/// All annotations.
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    /// Newest day first.
    by_service: HashMap<ServiceNumber, Vec<Annotation>>,
}

impl Annotations {
    /// Sorts versions to notes, in whatever order they come.
    #[must_use]
    pub fn new(mut versions: Vec<Note>) -> Self {
        versions.sort_by(|a, b| {
            let place = |n: &Note| (n.service, n.department, n.written_at_ms, n.order);
            a.id.cmp(&b.id).then_with(|| place(a).cmp(&place(b)))
        });
        versions.dedup();
        let mut by_service: HashMap<ServiceNumber, Vec<Annotation>> = HashMap::new();
        for note in versions {
            let all = by_service.entry(note.service).or_default();
            let same = |n: &Note| n.id == note.id && n.department == note.department;
            match all.last_mut().filter(|last| same(last.latest())) {
                Some(annotation) if annotation.latest().says_the_same(&note) => {}
                Some(annotation) => annotation.versions.push(note),
                None => all.push(Annotation { versions: vec![note] }),
            }
        }
        for all in by_service.values_mut() {
            all.sort_by(|a, b| {
                let (a, b) = (a.latest(), b.latest());
                b.day.cmp(&a.day).then_with(|| b.written_at_ms.cmp(&a.written_at_ms)).then_with(|| a.id.cmp(&b.id))
            });
        }
        Self { by_service }
    }

    /// All notes about a service, newest day first, withdrawn ones included.
    #[must_use]
    pub fn history(&self, service: ServiceNumber) -> &[Annotation] {
        self.by_service.get(&service).map_or(&[], Vec::as_slice)
    }

    /// Notes about a service that stand, newest day first: what charts and lists show.
    pub fn of(&self, service: ServiceNumber) -> impl Iterator<Item = &Annotation> {
        self.history(service).iter().filter(|annotation| !annotation.latest().is_withdrawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(id: &str, day: i32, at: i64) -> Note {
        Note {
            id: id.into(),
            service: ServiceNumber(3),
            metric: None,
            day: Day(day),
            last_day: Day(day),
            kind: Kind::Outage,
            text: format!("text {at}"),
            author: "A. Clerk".into(),
            department: 1,
            written_at_ms: at,
            order: at.cast_unsigned(),
            is_withdrawn: false,
        }
    }

    #[test]
    fn a_new_wording_stands_and_the_old_one_is_kept_in_whatever_order_they_come() {
        let all = [note("a", 10, 1), note("b", 20, 2), note("a", 10, 3)];
        let mut backwards = all.clone();
        backwards.reverse();
        for versions in [all, backwards] {
            let annotations = Annotations::new(versions.into());
            let stands: Vec<_> = annotations.of(ServiceNumber(3)).map(|a| a.latest().text.as_str()).collect();
            assert_eq!(stands, ["text 2", "text 3"], "newest day first");
            assert_eq!(annotations.history(ServiceNumber(3))[1].versions().len(), 2);
        }
    }

    #[test]
    fn a_withdrawn_note_is_history_only_and_the_same_version_twice_is_one() {
        let away = Note { is_withdrawn: true, ..note("a", 10, 2) };
        let annotations = Annotations::new(vec![note("a", 10, 1), away, note("a", 10, 1)]);
        assert_eq!(annotations.of(ServiceNumber(3)).count(), 0);
        assert_eq!(annotations.history(ServiceNumber(3))[0].versions().len(), 2);
    }

    #[test]
    fn kinds_return_by_number_and_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number().into()), Some(kind));
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
    }
}
