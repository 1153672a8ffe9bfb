//! What the house promises about its own text, checked: crate edges, budgets, configuration, wording.

mod budgets;
mod configuration;
mod edges;
mod text;

use std::path::{Path, PathBuf};

/// The top of the source tree.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the repository").to_owned()
}

/// Every file of ours with one of these endings: path from the top, and text. What is built or fetched is left out.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let top = repository();
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of ours can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !["target", "data", "node_modules", ".git", "__pycache__"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let short = path.strip_prefix(&top).expect("it is below the top").display().to_string();
                found.push((short, std::fs::read_to_string(&path).expect("our files are text")));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file ends with {endings:?}");
    found
}

/// Fails with everything that was found.
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// Whether a file holds tests only.
fn is_test(path: &str) -> bool {
    let in_folder = |part: &str| path.starts_with(part) || path.contains(&format!("/{part}"));
    path.ends_with("/tests.rs") || in_folder("tests/") || path.starts_with("benches/")
}

/// A Rust file without its tests: what stands before its `mod tests`.
fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]").map_or(text, |at| &text[..at])
}
