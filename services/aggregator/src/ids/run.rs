//! A run: ids that left memory, sorted in a file that is never changed.
//!
//! Invariants:
//! - the file has no name, so it is gone when the process is, however that ends: no later one can read it;
//! - a block that is not what was written is an error, never an absent id.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use xxhash_rust::xxh3::xxh3_64;

use super::filter::Filter;
use super::{Map, Seen};

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
        let room = BUFFER.min(sorted.len() * ENTRY);
        let mut file = BufWriter::with_capacity(room, tempfile::tempfile_in(&folder.path)?);
        let mut filter = Filter::with_room(sorted.len());
        let mut blocks = Vec::with_capacity(sorted.len().div_ceil(BLOCK));
        let mut bytes = Vec::with_capacity(BLOCK * ENTRY);
        for block in sorted.chunks(BLOCK) {
            bytes.clear();
            for (id, seen) in block {
                filter.insert(*id);
                bytes.extend_from_slice(&id.to_be_bytes());
                bytes.extend_from_slice(&seen.appended_at_ms.to_be_bytes());
                bytes.extend_from_slice(&seen.content.to_be_bytes());
            }
            file.write_all(&bytes)?;
            blocks.push((block[0].0, xxh3_64(&bytes)));
        }
        let newest_ms = sorted.iter().map(|(_, seen)| seen.appended_at_ms).max().unwrap_or(i64::MIN);
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, len: sorted.len(), newest_ms, filter, blocks })
    }

    /// How many ids it holds.
    pub(super) const fn len(&self) -> usize {
        self.len
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
        let bytes = &mut page[..BLOCK.min(self.len - at * BLOCK) * ENTRY];
        self.file.read_exact_at(bytes, (at * BLOCK * ENTRY) as u64)?;
        if xxh3_64(bytes) != self.blocks[at].1 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a file of ids is not what was written"));
        }
        let (entries, _) = bytes.as_chunks::<ENTRY>();
        let found = entries.binary_search_by(|entry| entry[..16].cmp(&id.to_be_bytes()));
        Ok(found.ok().map(|n| {
            let number = |from| u64::from_be_bytes(std::array::from_fn(|at| entries[n][from + at]));
            Seen { appended_at_ms: number(16).cast_signed(), content: number(24) }
        }))
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
    fn a_folder_that_takes_no_files_is_told() {
        assert!(folder().open().is_ok());
        let none = Folder::new("/nowhere/at/all".into());
        assert!(none.open().is_err() && Run::write(&Map::default(), &none).is_err());
    }
}
