//! The bridge of statements between wire and domain: what a sender states, and the records on the `statements` topic.

use domain::source::ServiceNumber;
use domain::statement::draft::{Door, FigureDraft, NoteDraft, NotePlace, Refused, Said, StatedFigure};
use domain::statement::note::Kind;
use domain::statement::{Amount, MetricNumber, Value, Window};
use domain::time::Day;
use prost::Message;

use crate::internal::{self, stated_record};
use crate::v1;

/// The form of record that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// One record of the `statements` topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedRecord {
    /// The run of the collector that wrote it.
    pub boot: u64,
    /// The collector's clock when it came in, unix milliseconds.
    pub received_at_ms: i64,
    /// The department whose token was used.
    pub department: u8,
    /// Name of the import or the note.
    pub key: u128,
    /// What it says.
    pub body: StatedBody,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatedBody {
    /// A figure of an import, with its place.
    Figure(u32, StatedFigure),
    /// The end of an import.
    Close {
        /// The sender's id.
        import_id: String,
        /// Where the figures come from.
        title: String,
        /// The day of publication.
        published: Day,
        /// How many there are.
        figures: u32,
        /// Over all of them in their order.
        hash: u128,
    },
    /// A version of a note.
    Note {
        /// The sender's id.
        note_id: String,
        /// What it is about.
        place: NotePlace,
        /// What happened.
        text: String,
        /// Who signs.
        author: String,
        /// It is taken away.
        is_withdrawn: bool,
    },
}

/// Parses a sender's figure.
///
/// # Errors
/// The first rule that it breaks.
pub fn parse_figure(figure: &v1::StatedFigure, door: &Door<'_>) -> Result<StatedFigure, Refused> {
    let said = match &figure.value {
        None => Said::Nothing,
        Some(v1::stated_figure::Value::Amount(text)) => Said::Amount(text),
        Some(v1::stated_figure::Value::Missing(missing)) => Said::Missing(match v1::Missing::try_from(*missing) {
            Ok(v1::Missing::NotProvided) => Some(Value::NotProvided),
            Ok(v1::Missing::NotRequested) => Some(Value::NotRequested),
            Ok(v1::Missing::NotApplicable) => Some(Value::NotApplicable),
            Ok(v1::Missing::Unspecified) | Err(_) => None,
        }),
    };
    door.figure(&FigureDraft {
        service_id: &figure.service_id,
        metric: &figure.metric,
        first_day: &figure.first_day,
        last_day: &figure.last_day,
        said,
    })
}

/// Parses a sender's note.
///
/// # Errors
/// The first rule that it breaks.
pub fn parse_note(note: &v1::AnnotateRequest, door: &Door<'_>) -> Result<NotePlace, Refused> {
    door.note(&NoteDraft {
        note_id: &note.note_id,
        service_id: &note.service_id,
        metric: &note.metric,
        day: &note.day,
        last_day: &note.last_day,
        kind: u32::try_from(note.kind).ok().and_then(Kind::from_number),
        text: &note.text,
        author: &note.author,
    })
}

/// Writes a record at the end of a buffer.
pub fn append_stated(record: &StatedRecord, bytes: &mut Vec<u8>) {
    let body = match &record.body {
        StatedBody::Figure(index, figure) => stated_record::Body::Figure(internal::StatedFigure {
            index: *index,
            service: figure.service.0.into(),
            metric: figure.metric.0.into(),
            start: figure.window.start().0,
            end: figure.window.end().0,
            state: figure.value.state().into(),
            millionths: figure.value.amount().map(|amount| amount.millionths().cast_unsigned()),
        }),
        StatedBody::Close { import_id, title, published, figures, hash } => {
            stated_record::Body::Close(internal::StatedClose {
                import_id: import_id.clone(),
                title: title.clone(),
                published: published.0,
                figures: *figures,
                hash_high: (hash >> 64) as u64,
                hash_low: *hash as u64,
            })
        }
        StatedBody::Note { note_id, place, text, author, is_withdrawn } => {
            stated_record::Body::Note(internal::StatedNote {
                note_id: note_id.clone(),
                service: place.service.0.into(),
                metric: place.metric.map_or(0, |metric| metric.0.into()),
                day: place.day.0,
                last_day: place.last_day.0,
                kind: place.kind.number().into(),
                text: text.clone(),
                author: author.clone(),
                withdrawn: *is_withdrawn,
            })
        }
    };
    let record = internal::StatedRecord {
        version: VERSION,
        boot: record.boot,
        received_at_ms: record.received_at_ms.cast_unsigned(),
        department: record.department.into(),
        key_high: (record.key >> 64) as u64,
        key_low: record.key as u64,
        body: Some(body),
    };
    record.encode(bytes).expect("a vector grows as needed");
}

/// Reads a record; `None` if it is none that this program understands.
#[must_use]
pub fn decode_stated(bytes: &[u8]) -> Option<StatedRecord> {
    let record = internal::StatedRecord::decode(bytes).ok()?;
    if record.version != VERSION {
        return None;
    }
    let body = match record.body? {
        stated_record::Body::Figure(f) => StatedBody::Figure(f.index, figure(&f)?),
        stated_record::Body::Close(c) => StatedBody::Close {
            import_id: c.import_id,
            title: c.title,
            published: Day(c.published),
            figures: c.figures,
            hash: joined(c.hash_high, c.hash_low),
        },
        stated_record::Body::Note(n) => StatedBody::Note {
            place: NotePlace {
                service: ServiceNumber(u16::try_from(n.service).ok()?),
                metric: match u16::try_from(n.metric).ok()? {
                    0 => None,
                    number => Some(MetricNumber(number)),
                },
                day: Day(n.day),
                last_day: Day(n.last_day),
                kind: Kind::from_number(n.kind)?,
            },
            note_id: n.note_id,
            text: n.text,
            author: n.author,
            is_withdrawn: n.withdrawn,
        },
    };
    Some(StatedRecord {
        boot: record.boot,
        received_at_ms: record.received_at_ms.cast_signed(),
        department: u8::try_from(record.department).ok()?,
        key: joined(record.key_high, record.key_low),
        body,
    })
}

fn figure(figure: &internal::StatedFigure) -> Option<StatedFigure> {
    let amount = match figure.millionths {
        Some(millionths) => Some(Amount::from_millionths(i64::try_from(millionths).ok()?)?),
        None => None,
    };
    Some(StatedFigure {
        service: ServiceNumber(u16::try_from(figure.service).ok()?),
        metric: MetricNumber(u16::try_from(figure.metric).ok()?),
        window: Window::new(Day(figure.start), Day(figure.end))?,
        value: Value::from_state(figure.state, amount)?,
    })
}

const fn joined(high: u64, low: u64) -> u128 {
    ((high as u128) << 64) | low as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(body: StatedBody) {
        let record = StatedRecord { boot: 3, received_at_ms: 5, department: 7, key: u128::MAX - 1, body };
        let mut bytes = Vec::new();
        append_stated(&record, &mut bytes);
        assert_eq!(decode_stated(&bytes).as_ref(), Some(&record));
        // Nothing that follows, and nothing that is cut off, is taken for a record of this form.
        assert_eq!(decode_stated(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn records_return_as_they_were_written() {
        let window = Window::new(Day(-5), Day(90)).expect("a window");
        for value in [Value::Provided(Amount::MAX), Value::NotProvided, Value::NotRequested, Value::NotApplicable] {
            let figure = StatedFigure { service: ServiceNumber(9), metric: MetricNumber(2), window, value };
            back(StatedBody::Figure(4, figure));
        }
        let published = Day(17_793);
        back(StatedBody::Close { import_id: "a".into(), title: "b".into(), published, figures: 8, hash: 1 << 100 });
        let place =
            NotePlace { service: ServiceNumber(9), metric: None, day: Day(1), last_day: Day(2), kind: Kind::Other };
        back(StatedBody::Note { note_id: "n".into(), place, text: "t".into(), author: "a".into(), is_withdrawn: true });
    }

    #[test]
    fn what_is_no_record_is_none() {
        assert_eq!(decode_stated(b""), None);
        assert_eq!(decode_stated(b"\xff\xff"), None);
        let other = internal::StatedRecord { version: 2, ..internal::StatedRecord::default() };
        assert_eq!(decode_stated(&other.encode_to_vec()), None);
    }
}
