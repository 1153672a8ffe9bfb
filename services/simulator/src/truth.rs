//! The list of accepted events, for tests to count by: what the platform must show, no more and no less.
//!
//! Invariant: an event stands here once, when the collector's first answer for it came to be known to us, however
//! often it was sent. Events without an answer at the end stand in a file of their own: they may or may not count.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use domain::vocabulary::{Channel, Reason, Stage};
use proto::v1;

/// The columns, tab-separated; what an event does not have is empty.
pub const COLUMNS: &str = "event_id\tservice\tkind\tstage\tchannel\tstep\treason\tduration_ms\tvalue_pence\trating\tpath\
                           \tvisitor\toccurred_ms\tepoch\tpartition\toffset";

/// Writes the two files.
#[derive(Debug)]
pub struct Truth {
    accepted: Mutex<BufWriter<File>>,
    unresolved: Mutex<BufWriter<File>>,
}

impl Truth {
    /// Begins both files anew.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let create = |path: &Path| {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
            writeln!(file, "{COLUMNS}")?;
            Ok::<_, std::io::Error>(Mutex::new(file))
        };
        Ok(Self { accepted: create(path)?, unresolved: create(&unresolved_path(path))? })
    }

    /// Adds accepted events.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn accepted(&self, events: &[(v1::Event, v1::Receipt)]) -> std::io::Result<()> {
        let mut lines = String::with_capacity(events.len() * 128);
        for (event, receipt) in events {
            write_line(&mut lines, event, Some(receipt));
        }
        append(&self.accepted, &lines)
    }

    /// Adds events for which there was no answer.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn unresolved(&self, events: &[v1::Event]) -> std::io::Result<()> {
        let mut lines = String::new();
        for event in events {
            write_line(&mut lines, event, None);
        }
        append(&self.unresolved, &lines)
    }

    /// Everything onto the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&self) -> std::io::Result<()> {
        lock(&self.accepted).flush()?;
        lock(&self.unresolved).flush()
    }
}

/// Where events without an answer go.
#[must_use]
pub fn unresolved_path(accepted: &Path) -> PathBuf {
    let mut name = accepted.as_os_str().to_owned();
    name.push(".unresolved");
    name.into()
}

fn lock(file: &Mutex<BufWriter<File>>) -> std::sync::MutexGuard<'_, BufWriter<File>> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

fn append(file: &Mutex<BufWriter<File>>, lines: &str) -> std::io::Result<()> {
    lock(file).write_all(lines.as_bytes())
}

fn write_line(lines: &mut String, event: &v1::Event, receipt: Option<&v1::Receipt>) {
    let channel = |number: i32| Channel::from_number(number.cast_unsigned()).map_or("", Channel::name);
    let some = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    write!(lines, "{}\t{}\t", event.event_id, event.service_id).expect(TAKES_ALL);
    match &event.kind {
        Some(v1::event::Kind::Transaction(t)) => {
            let stage = Stage::from_number(t.stage.cast_unsigned()).map_or("", Stage::name);
            let reason = Reason::from_number(t.reason.cast_unsigned()).map_or("", Reason::name);
            let step = some((t.step > 0).then_some(u64::from(t.step)));
            let (duration, value) = (some(t.duration_ms), some(t.value_pence));
            write!(lines, "transaction\t{stage}\t{}\t{step}\t{reason}\t{duration}\t{value}\t\t\t", channel(t.channel))
        }
        Some(v1::event::Kind::Satisfaction(s)) => {
            write!(lines, "satisfaction\t\t{}\t\t\t\t\t{}\t\t", channel(s.channel), s.rating)
        }
        Some(v1::event::Kind::PageView(view)) => {
            write!(lines, "page_view\t\tdigital\t\t\t\t\t\t{}\t{}", view.path, view.visitor_id)
        }
        None => write!(lines, "\t\t\t\t\t\t\t\t\t"),
    }
    .expect(TAKES_ALL);
    match receipt {
        Some(at) => writeln!(lines, "\t{}\t{}\t{}\t{}", event.occurred_at_ms, at.topic_epoch, at.partition, at.offset),
        None => writeln!(lines, "\t{}\t\t\t", event.occurred_at_ms),
    }
    .expect(TAKES_ALL);
}

const TAKES_ALL: &str = "a string takes all";

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The sender's id.
    pub event_id: String,
    /// The service's id.
    pub service: String,
    /// `transaction`, `satisfaction` or `page_view`.
    pub kind: String,
    /// Name of the stage, or empty.
    pub stage: String,
    /// Name of the channel, or empty.
    pub channel: String,
    /// 1 to 20.
    pub step: Option<u8>,
    /// Name of the reason, or empty.
    pub reason: String,
    /// Milliseconds.
    pub duration_ms: Option<u64>,
    /// Pence.
    pub value_pence: Option<u64>,
    /// 1 to 5.
    pub rating: Option<u8>,
    /// Of a page view, or empty.
    pub path: String,
    /// Pseudonym of a page view, or empty.
    pub visitor: String,
    /// Unix milliseconds.
    pub occurred_ms: i64,
    /// Epoch, partition and offset; `None` without an answer.
    pub receipt: Option<(u32, u32, u64)>,
}

/// Reads one of the two files.
///
/// # Errors
/// If it cannot be read, or is no such list.
pub fn read(path: &Path) -> std::io::Result<Vec<Line>> {
    let bad = |line: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not a line of truth: {line}"));
    let mut lines = BufReader::new(File::open(path)?).lines();
    match lines.next().transpose()? {
        Some(header) if header == COLUMNS => {}
        other => return Err(bad(&other.unwrap_or_default())),
    }
    lines.map(|line| line.and_then(|line| parse_line(&line).ok_or_else(|| bad(&line)))).collect()
}

fn parse_line(line: &str) -> Option<Line> {
    let fields: Vec<&str> = line.split('\t').collect();
    let fields: &[&str; 16] = fields.as_slice().try_into().ok()?;
    let some = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let small = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let receipt = match (fields[13], fields[14], fields[15]) {
        ("", "", "") => None,
        (epoch, partition, offset) => Some((epoch.parse().ok()?, partition.parse().ok()?, offset.parse().ok()?)),
    };
    Some(Line {
        event_id: fields[0].to_owned(),
        service: fields[1].to_owned(),
        kind: fields[2].to_owned(),
        stage: fields[3].to_owned(),
        channel: fields[4].to_owned(),
        step: small(fields[5])?,
        reason: fields[6].to_owned(),
        duration_ms: some(fields[7])?,
        value_pence: some(fields[8])?,
        rating: small(fields[9])?,
        path: fields[10].to_owned(),
        visitor: fields[11].to_owned(),
        occurred_ms: fields[12].parse().ok()?,
        receipt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, kind: v1::event::Kind) -> v1::Event {
        let (event_id, service_id) = (id.to_owned(), "dft-tax-a-vehicle".to_owned());
        v1::Event { event_id, service_id, occurred_at_ms: 1_790_000_000_000, kind: Some(kind), attributes: vec![] }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accepted.tsv");
        let truth = Truth::create(&path).unwrap();
        let receipt = v1::Receipt { topic_epoch: 1, partition: 7, offset: 99 };
        let transaction =
            v1::TransactionStep { stage: 3, channel: 6, step: 2, reason: 4, duration_ms: Some(5), value_pence: None };
        let view = v1::PageView { path: "/vat-rates".into(), visitor_id: "v".into() };
        truth
            .accepted(&[
                (event("a", v1::event::Kind::Transaction(transaction)), receipt),
                (event("b", v1::event::Kind::Satisfaction(v1::Satisfaction { rating: 4, channel: 0 })), receipt),
            ])
            .unwrap();
        truth.unresolved(&[event("c", v1::event::Kind::PageView(view))]).unwrap();
        truth.flush().unwrap();

        let lines = read(&path).unwrap();
        assert_eq!(lines.len(), 2);
        let first = &lines[0];
        assert_eq!((first.kind.as_str(), first.stage.as_str()), ("transaction", "failed"));
        assert_eq!((first.channel.as_str(), first.reason.as_str()), ("face_to_face", "payment"));
        assert_eq!((first.step, first.duration_ms, first.value_pence), (Some(2), Some(5), None));
        assert_eq!((first.occurred_ms, first.receipt), (1_790_000_000_000, Some((1, 7, 99))));
        assert_eq!((lines[1].rating, lines[1].channel.as_str()), (Some(4), ""));
        let open = read(&unresolved_path(&path)).unwrap();
        assert_eq!((open[0].path.as_str(), open[0].visitor.as_str(), open[0].receipt), ("/vat-rates", "v", None));
        assert!(read(Path::new("/nowhere")).is_err());
    }
}
