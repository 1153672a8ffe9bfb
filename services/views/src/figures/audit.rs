//! The values of `/audit`: what collectors accepted, what became of it, and where one event is.

use domain::audit::{BootState, Standing};
use domain::outcome::{Group, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::letters::LetterGroup;
use super::{Books, Context, DepartmentRef, ServiceRef};

/// Records of a department, service or hour: from the acknowledgement to the outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Acknowledged to their senders, as the collectors' own books have it.
    pub accepted: u64,
    /// Counted, each once.
    pub counted: u64,
    /// Sent again, counted before; conflicts among them.
    pub duplicate: u64,
    /// Same id, other content.
    pub conflict: u64,
    /// Too old for the live path.
    pub late: u64,
    /// Not what a record must be.
    pub invalid: u64,
    /// Gone from the log before they were read.
    pub expired: u64,
    /// Retractions of events.
    pub retracted: u64,
    /// Of the counted those that came by backfill: they changed a day after the fact.
    pub backfilled: u64,
    /// Accepted, not yet decided.
    pub in_flight: u64,
    /// Accepted less everything else: 0 where the books balance.
    pub difference: i64,
    /// Why not, where they do not; the worst of the parts.
    pub standing: Standing,
    /// Given up by collectors, which asked their senders to send them again: in the log or not.
    pub given_up: u64,
}

impl Account {
    /// Adds records with an outcome.
    pub fn record(&mut self, outcome: Outcome, n: u64) {
        let slot = match outcome.group() {
            Group::Accepted => &mut self.counted,
            Group::Duplicate => &mut self.duplicate,
            Group::Late => &mut self.late,
            Group::Invalid => &mut self.invalid,
            Group::Expired => &mut self.expired,
            Group::Retracted => &mut self.retracted,
        };
        *slot += n;
        if outcome == Outcome::Conflict {
            self.conflict += n;
        }
    }

    /// Adds another account.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.counted += other.counted;
        self.duplicate += other.duplicate;
        self.conflict += other.conflict;
        self.late += other.late;
        self.invalid += other.invalid;
        self.expired += other.expired;
        self.retracted += other.retracted;
        self.backfilled += other.backfilled;
        self.in_flight += other.in_flight;
        self.difference += other.difference;
        self.standing = self.standing.max(other.standing);
        self.given_up += other.given_up;
    }
}

/// What a row of the audit is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// Id in addresses; empty for records that could not be decoded.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its records.
    pub account: Account,
}

/// One hour of the append time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditHour {
    /// When it begins, unix seconds.
    pub from_s: i64,
    /// Its records.
    pub account: Account,
}

/// A service and hour whose books differ and that is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditFinding {
    /// Id of the service; empty for records that could not be decoded.
    pub service: String,
    /// Its name.
    pub name: String,
    /// When the hour begins, unix seconds.
    pub from_s: i64,
    /// Accepted less recorded.
    pub difference: i64,
    /// Why.
    pub standing: Standing,
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordPlace {
    /// `events/1/3`
    pub source: String,
    /// And at which offset.
    pub offset: u64,
    /// When it was appended, unix milliseconds.
    pub appended_at_ms: i64,
}

/// Two events under one id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictFigure {
    /// Id of the service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its number, which seeds the hash.
    pub service_number: u16,
    /// Hash of the event's id, hexadecimal.
    pub id: String,
    /// The one that is counted; `None` if it is older than is looked for.
    pub first: Option<RecordPlace>,
    /// The other one, a duplicate.
    pub second: RecordPlace,
    /// The parts in which they differ, as the contract calls them; empty if these are value, duration, rating, or what only
    /// the department sees.
    pub differs: Vec<String>,
}

/// A day of a service that changed after the fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionFigure {
    /// Id of the service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// The London date that changed.
    pub day: String,
    /// `added` by backfill or `retracted`.
    pub kind: String,
    /// How many events.
    pub events: u64,
    /// The hours in which they came, unix seconds: the first …
    pub first_s: i64,
    /// … and the last.
    pub last_s: i64,
}

/// One run of a collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BootFigure {
    /// The number that its records carry, hexadecimal.
    pub boot: String,
    /// When it began, unix milliseconds.
    pub opened_at_ms: i64,
    /// When it wrote its last book, unix milliseconds.
    pub written_at_ms: i64,
    /// Whether its books are complete.
    pub state: BootState,
    /// Records without a report when it ended.
    pub left_open: u64,
}

/// `/audit` and `/api/v1/audit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Hours that were asked for.
    pub hours_asked: u32,
    /// The department that was asked for.
    pub department: Option<DepartmentRef>,
    /// The service that was asked for.
    pub service: Option<ServiceRef>,
    /// The first hour, unix seconds of the append time.
    pub from_s: i64,
    /// Hours before this instant are judged, unix milliseconds.
    pub settled_ms: i64,
    /// All of it.
    pub total: Account,
    /// By department, or by service of the one asked for, most accepted first.
    pub rows: Vec<AuditRow>,
    /// By hour, newest first.
    pub hours: Vec<AuditHour>,
    /// Every difference of an hour that is judged, newest first; may be cut short.
    pub findings: Vec<AuditFinding>,
    /// How many there are.
    pub findings_count: u32,
    /// Of the department or service asked for, newest first; may be cut short.
    pub conflicts: Vec<ConflictFigure>,
    /// Of the department or service asked for, the last change first; may be cut short.
    pub revisions: Vec<RevisionFigure>,
    /// Records that are invalid, by reason, the most frequent first; may be cut short.
    pub letters: Vec<LetterGroup>,
    /// Runs of collectors that wrote in these hours, newest first; may be cut short.
    pub boots: Vec<BootFigure>,
    /// How many of them there are, and how many are unclosed.
    pub boots_count: (u32, u32),
    /// The books of the log's partitions, all hours.
    pub books: Option<Books>,
}

/// A cell in which an event is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountedIn {
    /// The view that shows it.
    pub table: String,
    /// The period: an instant or a date.
    pub period: String,
    /// Channel, step, reason or page, in words.
    pub part: String,
}

/// One record with the id that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptFigure {
    /// Which log.
    pub log: String,
    /// Generation of the topic.
    pub epoch: u16,
    /// Kafka partition.
    pub partition: u16,
    /// Offset within it.
    pub offset: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// When the broker took it, unix milliseconds.
    pub appended_at_ms: i64,
    /// When the collector had it, unix milliseconds.
    pub received_at_ms: i64,
    /// When it happened, unix milliseconds.
    pub occurred_at_ms: i64,
    /// Run of the collector, hexadecimal.
    pub boot: String,
    /// Hash of its content, hexadecimal.
    pub content: String,
    /// Where it is counted; empty if it is not.
    pub cells: Vec<CountedIn>,
}

/// `/audit/receipt` and `/api/v1/audit/receipt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptPage {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// The service that was asked for.
    pub service: ServiceRef,
    /// The id that was asked for; empty if its hash was.
    pub event_id: String,
    /// Its hash, hexadecimal: what the tables hold.
    pub id: String,
    /// The partition that it belongs to.
    pub partition: u16,
    /// Records appended in the last days were looked at.
    pub days: u32,
    /// Every record with the id, oldest first.
    pub records: Vec<ReceiptFigure>,
}
