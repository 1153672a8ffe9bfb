//! Data folders on small disks of memory, so that one can be full.
//!
//! The rig starts itself again in a mount namespace of its own: whatever happens to it, no mount is left behind. Needs
//! root; without it the folders stay where they are and full disks are left out, loudly.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const INSIDE: &str = "FIRE_INSIDE_NAMESPACE";
const SIZE: &str = "1500m";

/// Goes on in a mount namespace of its own if that is possible; says why not otherwise.
pub(crate) fn enter() -> Option<String> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let works = Command::new("unshare").args(["--mount", "--propagation", "private", "true"]).output();
    match works {
        Ok(output) if output.status.success() => {}
        Ok(output) => return Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => return Some(format!("unshare: {error}")),
    }
    let own = std::env::current_exe().expect("the running program has a path");
    let mut again = Command::new("unshare");
    again.args(["--mount", "--propagation", "private"]).arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    Some(again.exec().to_string())
}

/// A small disk.
#[derive(Debug)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// At a folder, which is made.
    pub(crate) fn at(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let size = format!("size={SIZE}");
        mount(&["-t", "tmpfs", "-o", &size, "fire"], folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// From now on there is no more room than this, in kilobytes.
    pub(crate) fn leave(&self, kb: u64) -> Result<(), String> {
        // The more is written meanwhile, the larger it must be; a size below what is used is refused.
        let mut last = String::new();
        for _ in 0..20 {
            let size = format!("remount,size={}k", self.used_kb()? + kb);
            match mount(&["-o", &size], &self.0) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// There is room again.
    pub(crate) fn free(&self) -> Result<(), String> {
        mount(&["-o", &format!("remount,size={SIZE}")], &self.0)
    }

    /// What is used of it.
    pub(crate) fn used_kb(&self) -> Result<u64, String> {
        let output = Command::new("df").args(["--output=used", "-k"]).arg(&self.0).output();
        let text = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stdout).into_owned();
        let used = text.lines().nth(1).and_then(|line| line.trim().parse().ok());
        used.ok_or_else(|| format!("df says {text:?}"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

fn mount(arguments: &[&str], folder: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(folder).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
