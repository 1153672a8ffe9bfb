//! Where the workspace's own programs are: beside the one that asks, or where `PP_BIN_DIR` says.

use std::{env, path::PathBuf};

use crate::error::{Doing as _, Error, Result};

/// The path of one of our programs.
///
/// # Errors
/// When it has not been built.
pub fn find(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().doing(|| "finding the running program".into())?;
    let named = env::var_os("PP_BIN_DIR").map(PathBuf::from);
    // A test or bench runs from `target/<profile>/deps`, one folder below the programs.
    let around = own.ancestors().skip(1).take(2).map(PathBuf::from);
    named.into_iter().chain(around).map(|folder| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Error::Missing {
            tool: "one of our own programs",
            hint: format!("build {name} with: cargo build --release --bins"),
        }
    })
}

/// This crate's own program.
///
/// # Errors
/// When it has not been built.
pub fn dev() -> Result<PathBuf> {
    find("dev")
}
