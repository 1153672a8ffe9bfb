//! The folder outside the tree where fetched things are kept.
//!
//! An entry is either absent or whole: it is built in a temporary folder and renamed into
//! place, under a lock that two processes fetching at once share. Entries carry their version
//! or a sum of what they hold in their name, so that an old one is never taken for a new one.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process,
    time::Instant,
};

use crate::error::{Doing as _, Error, Result};

/// The cache folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$PP_CACHE`, else `$XDG_CACHE_HOME/performance-platform`, else `~/.cache/performance-platform`.
    ///
    /// # Errors
    /// When none of these is set, or the folder cannot be made.
    pub fn open() -> Result<Self> {
        let root = match (set("PP_CACHE"), set("XDG_CACHE_HOME"), set("HOME")) {
            (Some(own), _, _) => own,
            (None, Some(caches), _) => caches.join("performance-platform"),
            (None, None, Some(home)) => home.join(".cache/performance-platform"),
            (None, None, None) => {
                return Err(Error::Missing { tool: "a cache folder", hint: "set PP_CACHE or HOME".into() });
            }
        };
        Self::at(&root)
    }

    /// A cache in a folder of the caller's choice.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).doing(|| format!("making the cache folder {}", root.display()))?;
        let root = root.canonicalize().doing(|| root.display().to_string())?;
        Ok(Self { root })
    }

    /// Where an entry is, or would be.
    #[must_use]
    pub fn path(&self, entry: &str) -> PathBuf {
        self.root.join(entry)
    }

    /// The entry, if it is there.
    #[must_use]
    pub fn get(&self, entry: &str) -> Option<PathBuf> {
        Some(self.path(entry)).filter(|path| path.exists())
    }

    /// The entry, a folder, built first if it is not there yet: `build` fills the folder it is
    /// given, which is then renamed.
    ///
    /// # Errors
    /// What `build` returns, or a failure to lock, make or rename.
    pub fn place(&self, entry: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.path(entry);
        if path.exists() {
            return Ok(path);
        }
        let lock = self.lock()?;
        if path.exists() {
            return Ok(path);
        }
        self.sweep();
        let temporary = self.root.join(format!(".tmp-{entry}-{}", process::id()));
        fs::create_dir(&temporary).doing(|| format!("making {}", temporary.display()))?;
        let built = build(&temporary)
            .and_then(|()| fs::rename(&temporary, &path).doing(|| format!("renaming to {}", path.display())));
        if built.is_err() {
            self.sweep();
        }
        drop(lock);
        built.map(|()| path)
    }

    fn lock(&self) -> Result<File> {
        let path = self.root.join(".lock");
        let file = File::create(&path).doing(|| format!("opening {}", path.display()))?;
        if file.try_lock().is_err() {
            eprintln!("another process is filling {}: waiting for it", self.root.display());
            file.lock().doing(|| format!("locking {}", path.display()))?;
        }
        Ok(file)
    }

    /// Removes what interrupted builds left. Only called with the lock held, so nobody is
    /// building.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(".tmp-") {
                let path = entry.path();
                // What cannot be removed now is tried again at the next build.
                drop(fs::remove_dir_all(&path));
            }
        }
    }
}

fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Says that an entry is being made.
pub(crate) fn begin(what: &str) -> Instant {
    eprintln!("  {what} …");
    Instant::now()
}

/// Says that it is there, and how long it took.
pub(crate) fn end(started: Instant, what: &str) {
    eprintln!("  {what} ({:.1} s)", started.elapsed().as_secs_f64());
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn two_builders_at_once_build_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let builds = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    cache
                        .place("thing-1", |at| {
                            builds.fetch_add(1, Ordering::Relaxed);
                            thread::sleep(Duration::from_millis(50));
                            fs::write(at.join("file"), b"whole").unwrap();
                            Ok(())
                        })
                        .unwrap();
                });
            }
        });
        assert_eq!(builds.load(Ordering::Relaxed), 1);
        assert_eq!(fs::read(cache.path("thing-1").join("file")).unwrap(), b"whole");
    }

    #[test]
    fn a_failed_build_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let failed = cache.place("thing-1", |at| {
            fs::write(at.join("half"), b"").unwrap();
            Err(Error::Platform("test".into()))
        });
        assert!(failed.is_err());
        assert!(cache.get("thing-1").is_none());
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, [".lock"]);
    }
}
