//! Clocks of collectors that jump, by libfaketime between a process and the C library: the program is the one that runs
//! everywhere. Only the time of day jumps, as when somebody sets a machine's clock; timers go on.

use std::path::{Path, PathBuf};

use crate::rig::Member;

/// Where Debian puts the library (`apt-get install libfaketime`); why it cannot be used otherwise.
pub(crate) fn library() -> Result<PathBuf, String> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    places.find(|path| path.exists()).ok_or_else(|| "libfaketime is not installed".into())
}

fn file(dir: &Path, member: Member) -> PathBuf {
    dir.join(format!("{}.clock", member.name()))
}

/// What a member of a stack with its files in `dir` is told, so that its clock follows [`set`].
pub(crate) fn environment(library: &Path, dir: &Path, member: Member) -> Vec<(String, String)> {
    let pairs = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file(dir, member).display().to_string()),
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The clock of a member is off by so much, from at most a second on.
pub(crate) fn set(dir: &Path, member: Member, ms: i64) {
    let seconds = ms as f64 / 1_000.0;
    std::fs::write(file(dir, member), format!("{seconds:+.3}\n")).expect("the file of a clock is written");
}
