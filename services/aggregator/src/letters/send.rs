//! Dead letters sent anew: read → decide → send → book → remember.
//!
//! Invariant: a replay is a run with books of its own, like a collector: what the brokers acknowledge is in them, so that
//! accepted = counted holds with it. A letter is remembered as replayed after its record was acknowledged; one that was
//! sent in between and is sent again is a duplicate by its id.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use domain::source::{Log, ServiceNumber, Source};
use domain::time::Period;
use proto::{Book, BookLine, Stamp, encode_book};
use rdkafka::producer::{FutureProducer, FutureRecord};
use runtime::clickhouse::Store;
use runtime::clock::{boot_id, now_ms};
use runtime::topics::{Admin, Names};

use super::file;
use super::read::{self, Letter, Pages, Place, Which};
use super::replay::{Again, Door};
use crate::config::Config;
use crate::native::Block;
use crate::provision;
use crate::rows::{EPOCH, LOG, P};

/// How long the brokers may take for a record.
const PATIENCE_MS: u32 = 30_000;

/// What is to be replayed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// Of which letters.
    #[command(flatten)]
    pub which: Which,
    /// Only says what would be sent.
    #[arg(long)]
    pub dry_run: bool,
    /// Those too that were replayed before: an event that was counted since becomes a duplicate.
    #[arg(long)]
    pub again: bool,
    /// Only letters that stand in this file, with the content given there: lines as `letters --json` writes them, corrected.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

/// What became of the letters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Sent and acknowledged; in a dry run: what would be sent.
    pub sent: u64,
    /// Sent by an earlier replay.
    pub before: u64,
    /// They stay, each with its reason.
    pub stay: u64,
}

/// Prints letters, one a line: for people, or with all their bytes.
///
/// # Errors
/// ClickHouse, or tables that are not what they must be.
pub async fn list(config: &Config, which: &Which, json: bool) -> anyhow::Result<()> {
    let (epoch, rules) = provision::rules(config)?;
    let store = crate::stored(config, epoch, &rules).await.context("tables")?;
    let mut pages = Pages::new(&store, which).await?;
    let mut n = 0;
    loop {
        let letters = pages.next().await?;
        if letters.is_empty() {
            break;
        }
        n += letters.len();
        for letter in letters {
            let Letter { place, outcome, reason, size, replay, .. } = &letter;
            let sent = replay.map_or_else(String::new, |to| format!("; replayed to {to}"));
            match json {
                true => println!("{}", file::line(&letter)),
                false => println!("{place}: {}, {reason}, {size} bytes{sent}", outcome.name()),
            }
        }
    }
    eprintln!("{n} dead letters");
    Ok(())
}

/// Replays letters, telling each.
///
/// # Errors
/// Brokers or store that do not answer, a file with a broken line or of letters that there are not, records that were not
/// acknowledged. Running it again is harmless.
pub async fn run(config: &Config, options: &Options) -> anyhow::Result<Summary> {
    let (epoch, rules) = provision::rules(config)?;
    let catalogue = runtime::catalogue::load(&config.catalogue)?;
    let store = crate::stored(config, epoch, &rules).await.context("tables")?;
    let corrected = corrected(&store, options).await?;
    let mut sender = match options.dry_run {
        true => None,
        false => {
            Admin::new(&config.kafka)?.check(&crate::topics(config, &rules)).await.context("topics")?;
            Some(Sender::open(config, &store, epoch).await?)
        }
    };
    let boot = sender.as_ref().map_or(0, |sender| sender.boot);
    let is_service = |service| catalogue.service(service).is_some();
    let all = read::count(&store, &options.which).await?;
    let (mut summary, mut seen) = (Summary::default(), 0);
    let mut pages = Pages::new(&store, &options.which).await?;
    loop {
        let letters = pages.next().await?;
        if letters.is_empty() {
            break;
        }
        seen += letters.len();
        let stamp = Stamp { epoch, boot, received_at_ms: now_ms() };
        let door = Door { rules: &rules, is_service: &is_service, stamp };
        let batch = decided(letters, options, corrected.as_ref(), &door, &mut summary);
        summary.sent += batch.len() as u64;
        match &mut sender {
            None => batch.iter().for_each(|(place, again)| {
                println!("{place}: would go to {}/{epoch}/{}", again.log.name(), again.partition);
            }),
            Some(sender) => sender.send(batch).await?,
        }
        eprint!("\r{seen} of {all} dead letters");
        // Progress that cannot be shown is no reason to stop.
        drop(std::io::stderr().flush());
    }
    eprintln!();
    if let Some(sender) = sender {
        sender.close().await?;
    }
    Ok(summary)
}

/// The content that a file gives to letters, all of which must be there.
async fn corrected(store: &Store, options: &Options) -> anyhow::Result<Option<BTreeMap<Place, Vec<u8>>>> {
    let Some(path) = &options.from else { return Ok(None) };
    let text = std::fs::read_to_string(path).with_context(|| format!("--from {}", path.display()))?;
    let corrected = file::parse(&text).with_context(|| format!("--from {}", path.display()))?;
    let places: BTreeSet<_> = corrected.keys().copied().collect();
    if let Some(place) = read::missing(store, &places).await?.first() {
        bail!("--from {}: there is no dead letter {place}", path.display());
    }
    Ok(Some(corrected))
}

/// What of a page is to be sent; tells what stays.
fn decided(
    letters: Vec<Letter>,
    options: &Options,
    corrected: Option<&BTreeMap<Place, Vec<u8>>>,
    door: &Door<'_>,
    summary: &mut Summary,
) -> Vec<(Place, Again)> {
    let mut batch = Vec::new();
    for Letter { place, size, content, replay, .. } in letters {
        let (content, size) = match corrected.map(|corrected| corrected.get(&place)) {
            None => (content, size),
            Some(None) => continue,
            Some(Some(content)) => (content.clone(), content.len() as u32),
        };
        if replay.is_some() && !options.again {
            summary.before += 1;
            continue;
        }
        match door.replay(&content, size) {
            Ok(again) => batch.push((place, again)),
            Err(why) => {
                println!("{place}: stays, {why}");
                summary.stay += 1;
            }
        }
    }
    batch
}

/// Sends records and keeps books of them.
struct Sender {
    producer: FutureProducer,
    store: Store,
    topics: Names,
    epoch: u16,
    boot: u64,
    opened_at_ms: i64,
    /// Acknowledged and given up, by log, service and hour.
    lines: BTreeMap<(Log, ServiceNumber, u32), (u64, u64)>,
}

impl Sender {
    /// Connects, and says in the books that there is a run.
    async fn open(config: &Config, store: &Store, epoch: u16) -> anyhow::Result<Self> {
        let sender = Self {
            producer: config.kafka.producer("aggregator-letters", PATIENCE_MS).create().context("producer")?,
            store: store.clone(),
            topics: config.topics.clone(),
            epoch,
            boot: boot_id(),
            opened_at_ms: now_ms(),
            lines: BTreeMap::new(),
        };
        sender.tell(false).await?;
        Ok(sender)
    }

    /// Sends a batch, books what was acknowledged and remembers it.
    async fn send(&mut self, batch: Vec<(Place, Again)>) -> anyhow::Result<()> {
        let mut under_way = Vec::new();
        for (place, again) in &batch {
            let record = FutureRecord::<(), [u8]>::to(self.topics.of(again.log)).payload(&again.bytes);
            let sent = self.producer.send_result(record.partition(again.partition.into()));
            under_way.push((*place, again, sent.map_err(|(error, _)| error)));
        }
        let (mut replayed, mut lost) = (Vec::new(), 0);
        for (place, again, sent) in under_way {
            let answer = match sent {
                Ok(report) => report.await.ok().and_then(Result::ok),
                Err(_) => None,
            };
            let at_ms = answer.as_ref().and_then(|stored| stored.timestamp.to_millis()).unwrap_or_else(now_ms);
            let line = self.lines.entry((again.log, again.service, Period::Hour.index_at(at_ms))).or_default();
            let Some(stored) = answer else {
                line.1 += 1;
                lost += 1;
                continue;
            };
            line.0 += 1;
            let source = Source { log: again.log, epoch: self.epoch, partition: again.partition };
            let to = Place { source, offset: stored.offset.max(0).cast_unsigned() };
            println!("{place}: replayed to {to}");
            replayed.push((place, to));
        }
        self.tell(false).await?;
        self.remember(&replayed).await?;
        if lost > 0 {
            self.tell(true).await?;
            bail!("{lost} records were not acknowledged by the brokers; replay again, an event is counted once");
        }
        Ok(())
    }

    async fn remember(&self, replayed: &[(Place, Place)]) -> anyhow::Result<()> {
        let to_log = ("to_log", LOG.1);
        let to = [to_log, ("to_epoch", "UInt16"), ("to_p", "UInt16"), ("to_offset", "UInt64")];
        let columns: Vec<_> = [LOG, EPOCH, P, ("offset", "UInt64")].into_iter().chain(to).collect();
        let mut block = Block::new(&[&columns[..], &[("replayed_at", "DateTime64(3, 'UTC')")]].concat());
        for (from, to) in replayed {
            let mut row = block.row();
            for Place { source, offset } in [from, to] {
                row.u8(source.log as u8).u16(source.epoch).u16(source.partition).u64(*offset);
            }
            row.millis(now_ms());
        }
        if block.rows() > 0 {
            self.store.insert_parts("replays", "Native", &block.encode()).await?;
        }
        Ok(())
    }

    async fn close(self) -> anyhow::Result<()> {
        self.tell(true).await
    }

    /// The books of this run: totals since it began.
    async fn tell(&self, ended: bool) -> anyhow::Result<()> {
        let line = |(&(log, service, hour), &(accepted, given_up)): (&(Log, ServiceNumber, u32), &(u64, u64))| {
            BookLine { log, service, hour, accepted, given_up }
        };
        let book = Book {
            boot: self.boot,
            opened_at_ms: self.opened_at_ms,
            written_at_ms: now_ms(),
            ended,
            left_open: 0,
            lines: self.lines.iter().map(line).collect(),
        };
        let bytes = encode_book(&book);
        let record = FutureRecord::<(), [u8]>::to(&self.topics.books).partition(0).payload(&bytes);
        let told = self.producer.send(record, Duration::from_millis(PATIENCE_MS.into())).await;
        ensure!(
            told.is_ok(),
            "the brokers did not take the books of the replay; replay again, an event is counted once"
        );
        Ok(())
    }
}
