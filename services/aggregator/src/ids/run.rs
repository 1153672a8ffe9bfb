//! A run: ids that left memory, sorted in a file that is never changed.
//!
//! Invariants:
//! - the file has no name, so it is gone when the process is, however that ends: no later one can read it;
//! - a block that is not what was written is an error, never an absent id.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use xxhash_rust::xxh3::xxh3_64;

use super::filter::Filter;
use super::{Map, Seen, later};

/// Bytes of an id in a file: the id itself, when it was appended, what it holds.
const ENTRY: usize = 32;
/// Bytes that are handed to the file system at once.
const BUFFER: usize = 1 << 18;
/// Ids that are read at once: a page.
const BLOCK: usize = 128;

/// Where runs are written.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Sorting takes as much memory again as the ids: one after the other.
    turn: Mutex<()>,
}

impl Folder {
    /// This one, which must exist.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, turn: Mutex::new(()) }
    }

    /// Lets this process have as many files open as it may, since each run is one, and sees whether files can be written.
    ///
    /// # Errors
    /// If not.
    pub fn open(&self) -> io::Result<()> {
        let limit = Resource::RLIMIT_NOFILE;
        if let Err(error) = getrlimit(limit).and_then(|(_, most)| setrlimit(limit, most, most)) {
            tracing::warn!(%error, "the number of open files stays as it is");
        }
        tempfile::tempfile_in(&self.path)?.write_all(&[0; ENTRY])
    }
}

/// A file of sorted ids.
#[derive(Debug)]
pub struct Run {
    file: File,
    len: usize,
    /// How often its ids were merged.
    merges: u32,
    newest_ms: i64,
    filter: Filter,
    /// The first id of each block, and a sum over its bytes.
    blocks: Vec<(u128, u64)>,
}

impl Run {
    /// Writes ids. Everything has been handed to the file system when it returns; what that loses later is noticed when
    /// it is read.
    pub(super) fn write(ids: &Map, folder: &Folder) -> io::Result<Self> {
        let _turn = folder.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<(u128, Seen)> = ids.iter().map(|(id, seen)| (*id, *seen)).collect();
        sorted.sort_unstable_by_key(|(id, _)| *id);
        let mut writer = Writer::begin(folder, sorted.len())?;
        for (id, seen) in sorted {
            writer.push(id, seen)?;
        }
        writer.end(0)
    }

    /// Writes the ids of several runs into one; of an id that stands in more than one the latest time, and none that is
    /// older than `oldest_ms`.
    pub(super) fn merge(runs: &[Arc<Self>], oldest_ms: i64, folder: &Folder) -> io::Result<Self> {
        let mut writer = Writer::begin(folder, runs.iter().map(|run| run.len).sum())?;
        let mut heads = runs.iter().map(|run| Entries::begin(run)).collect::<io::Result<Vec<_>>>()?;
        while let Some(id) = heads.iter().filter_map(|entries| entries.next).map(|(id, _)| id).min() {
            let mut latest = None;
            for entries in &mut heads {
                if let Some((_, seen)) = entries.next.filter(|(next, _)| *next == id) {
                    latest = later(latest, Some(seen));
                    entries.advance()?;
                }
            }
            if let Some(seen) = latest.filter(|seen| seen.appended_at_ms >= oldest_ms) {
                writer.push(id, seen)?;
            }
        }
        writer.end(runs.iter().map(|run| run.merges + 1).max().unwrap_or(0))
    }

    /// How many ids it holds.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How often its ids were merged: as often as those of every run of about its size.
    pub(super) const fn merges(&self) -> u32 {
        self.merges
    }

    /// When its newest id was appended.
    pub(super) const fn newest_ms(&self) -> i64 {
        self.newest_ms
    }

    /// What it knows of an id; reads a page unless the filter says that it is absent.
    pub(super) fn find(&self, id: u128) -> io::Result<Option<Seen>> {
        if !self.filter.may_have(id) {
            return Ok(None);
        }
        let Some(at) = self.blocks.partition_point(|(first, _)| *first <= id).checked_sub(1) else { return Ok(None) };
        let mut page = [0; BLOCK * ENTRY];
        let (entries, _) = self.read(at, &mut page)?.as_chunks();
        let found = entries.binary_search_by(|entry: &[u8; ENTRY]| entry[..16].cmp(&id.to_be_bytes()));
        Ok(found.ok().map(|n| decoded(&entries[n]).1))
    }

    /// The bytes of a block, as they were written.
    fn read<'a>(&self, at: usize, page: &'a mut [u8; BLOCK * ENTRY]) -> io::Result<&'a [u8]> {
        let bytes = &mut page[..BLOCK.min(self.len - at * BLOCK) * ENTRY];
        self.file.read_exact_at(bytes, (at * BLOCK * ENTRY) as u64)?;
        if xxh3_64(bytes) != self.blocks[at].1 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a file of ids is not what was written"));
        }
        Ok(bytes)
    }
}

fn encoded(id: u128, seen: Seen) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..16].copy_from_slice(&id.to_be_bytes());
    entry[16..24].copy_from_slice(&seen.appended_at_ms.to_be_bytes());
    entry[24..].copy_from_slice(&seen.content.to_be_bytes());
    entry
}

fn decoded(entry: &[u8; ENTRY]) -> (u128, Seen) {
    let number = |from| u64::from_be_bytes(std::array::from_fn(|at| entry[from + at]));
    let id = u128::from(number(0)) << 64 | u128::from(number(8));
    (id, Seen { appended_at_ms: number(16).cast_signed(), content: number(24) })
}

/// A run that is being written; ids come in their order.
struct Writer {
    file: BufWriter<File>,
    filter: Filter,
    blocks: Vec<(u128, u64)>,
    /// Of the block that is not full yet, and the first id of it.
    bytes: Vec<u8>,
    first: u128,
    len: usize,
    newest_ms: i64,
}

impl Writer {
    /// With room for so many ids in its filter.
    fn begin(folder: &Folder, room: usize) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER.min(room * ENTRY), tempfile::tempfile_in(&folder.path)?);
        let (filter, blocks) = (Filter::with_room(room), Vec::with_capacity(room.div_ceil(BLOCK)));
        let bytes = Vec::with_capacity(BLOCK * ENTRY);
        Ok(Self { file, filter, blocks, bytes, first: 0, len: 0, newest_ms: i64::MIN })
    }

    fn push(&mut self, id: u128, seen: Seen) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.first = id;
        }
        self.filter.insert(id);
        self.bytes.extend_from_slice(&encoded(id, seen));
        self.len += 1;
        self.newest_ms = self.newest_ms.max(seen.appended_at_ms);
        if self.bytes.len() == BLOCK * ENTRY { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.file.write_all(&self.bytes)?;
        self.blocks.push((self.first, xxh3_64(&self.bytes)));
        self.bytes.clear();
        Ok(())
    }

    fn end(mut self, merges: u32) -> io::Result<Run> {
        if !self.bytes.is_empty() {
            self.end_block()?;
        }
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let Self { filter, blocks, len, newest_ms, .. } = self;
        Ok(Run { file, len, merges, newest_ms, filter, blocks })
    }
}

/// The ids of a run in their order.
struct Entries<'a> {
    run: &'a Run,
    page: Box<[u8; BLOCK * ENTRY]>,
    /// How many were given, the next one among them.
    given: usize,
    /// None after the last.
    next: Option<(u128, Seen)>,
}

impl<'a> Entries<'a> {
    fn begin(run: &'a Run) -> io::Result<Self> {
        let mut this = Self { run, page: Box::new([0; BLOCK * ENTRY]), given: 0, next: None };
        this.advance()?;
        Ok(this)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        if self.given == self.run.len {
            return Ok(());
        }
        let at = self.given % BLOCK;
        if at == 0 {
            self.run.read(self.given / BLOCK, &mut self.page)?;
        }
        self.next = Some(decoded(&self.page.as_chunks().0[at]));
        self.given += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::source::{EventId, ServiceNumber};

    use super::*;

    fn folder() -> Folder {
        Folder::new(std::env::temp_dir())
    }

    fn id(n: u32) -> u128 {
        EventId::new(ServiceNumber(1), &n.to_be_bytes()).0
    }

    fn seen(n: u32) -> Seen {
        Seen { appended_at_ms: i64::from(n) - 50, content: u64::MAX - u64::from(n) }
    }

    #[test]
    fn it_knows_what_was_written_and_nothing_else() {
        for len in [0, 1, 127, 128, 129, 5_000] {
            let run = Run::write(&(0..len).map(|n| (id(n), seen(n))).collect(), &folder()).expect("it is written");
            for n in 0..len {
                assert_eq!(run.find(id(n)).expect("it is read"), Some(seen(n)));
            }
            for absent in (len..len + 5_000).map(id).chain([0, u128::MAX]) {
                assert_eq!(run.find(absent).expect("it is read"), None);
            }
            // A neighbour of each passes the filter, which asks for the upper half alone.
            assert!((0..len).all(|n| run.find(id(n) ^ 1).expect("it is read").is_none()));
        }
    }

    #[test]
    fn what_a_disk_spoils_is_an_error_and_not_an_absent_id() {
        let run = Run::write(&(0..200).map(|n| (id(n), seen(n))).collect(), &folder()).expect("it is written");
        run.file.write_all_at(&[0], 40).expect("a byte of the first page");
        assert!((0..200).any(|n| run.find(id(n)).is_err()));
        run.file.set_len(0).expect("it is cut");
        assert!((0..200).all(|n| run.find(id(n)).is_err()));
    }

    #[test]
    fn merged_runs_have_what_each_had_at_its_latest_and_nothing_that_is_too_old() {
        // Every third id stands in both; the second time is later.
        let early: Map = (0..3_000).map(|n| (id(n), Seen { appended_at_ms: 1_000, ..seen(n) })).collect();
        let late: Map = (0..9_000).step_by(3).map(|n| (id(n), Seen { appended_at_ms: 2_000, ..seen(n) })).collect();
        let runs: Vec<_> = [&late, &early, &Map::default()]
            .map(|ids| Arc::new(Run::write(ids, &folder()).expect("it is written")))
            .into();
        for (oldest_ms, len) in [(1_000, 5_000), (1_001, 3_000), (2_001, 0)] {
            let run = Run::merge(&runs, oldest_ms, &folder()).expect("it is written");
            assert_eq!((run.len(), run.merges()), (len, 1));
            for n in 0..10_000 {
                let known = late.get(&id(n)).or_else(|| early.get(&id(n)));
                let kept = known.copied().filter(|seen| seen.appended_at_ms >= oldest_ms);
                assert_eq!(run.find(id(n)).expect("it is read"), kept);
            }
        }
        runs[1].file.write_all_at(&[0; ENTRY], 40).expect("an entry of the first page");
        assert!(Run::merge(&runs, 0, &folder()).is_err());
    }

    #[test]
    fn a_folder_that_takes_no_files_is_told() {
        assert!(folder().open().is_ok());
        let none = Folder::new("/nowhere/at/all".into());
        assert!(none.open().is_err() && Run::write(&Map::default(), &none).is_err());
    }
}
