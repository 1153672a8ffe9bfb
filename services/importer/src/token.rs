//! Whose token is used.
//!
//! Invariant: a token is never shown.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    tokens: BTreeMap<String, String>,
}

/// The token of a department in a file of `[tokens]`, such as `make run` writes.
///
/// # Errors
/// A file that cannot be read or has none for it.
pub fn of(file: &Path, department: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut file_of_tokens: File = toml::from_str(&text).with_context(|| file.display().to_string())?;
    file_of_tokens.tokens.remove(department).with_context(|| format!("{} has no token of {department}", file.display()))
}
