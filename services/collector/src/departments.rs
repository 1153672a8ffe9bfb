//! Who may send: a bearer token stands for a department. Only hashes of tokens are known here.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use domain::catalogue::Catalogue;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    department: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    token_sha256: Vec<String>,
    #[serde(default)]
    publishes_for_all: bool,
}

/// Who calls, by its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Number of the department.
    pub department: u8,
    /// Whether it may state figures and write notes for all of government.
    pub publishes_for_all: bool,
}

/// Departments by the hash of their tokens.
#[derive(Debug, Default)]
pub struct Departments {
    by_hash: HashMap<[u8; 32], Caller>,
}

impl Departments {
    /// Reads the file.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown department, a hash that is not one: each named.
    pub fn load(path: &Path, catalogue: &Catalogue) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("departments file {}; change departments.file", path.display()))?;
        Self::parse(&text, catalogue).with_context(|| format!("departments file {}", path.display()))
    }

    fn parse(text: &str, catalogue: &Catalogue) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut by_hash = HashMap::new();
        for Entry { id, token_sha256, publishes_for_all } in file.department {
            let department = catalogue.department_by_id(&id).with_context(|| format!("no department {id}"))?;
            let caller = Caller { department: department.number, publishes_for_all };
            for text in token_sha256 {
                let hash = hash_from_hex(&text).with_context(|| format!("{id}: not a SHA-256 in hex: {text}"))?;
                let other = by_hash.insert(hash, caller);
                anyhow::ensure!(other.is_none_or(|other| other == caller), "{id}: token of two departments");
            }
        }
        Ok(Self { by_hash })
    }

    /// The department that a token stands for. Tokens are compared by their hashes, so the time it takes
    /// says nothing about them.
    #[must_use]
    pub fn of_token(&self, token: &str) -> Option<Caller> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.by_hash.get(&hash).copied()
    }
}

fn hash_from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of "secret".
    const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    #[test]
    fn a_token_stands_for_its_department_and_for_no_other() {
        let catalogue = Catalogue::embedded();
        let text = format!("[[department]]\nid = 'hmrc'\ntoken_sha256 = ['{HASH}']\n");
        let departments = Departments::parse(&text, &catalogue).expect("parses");
        let hmrc = catalogue.department_by_id("hmrc").expect("is there").number;
        let caller = Caller { department: hmrc, publishes_for_all: false };
        assert_eq!(departments.of_token("secret"), Some(caller));
        let departments = Departments::parse(&format!("{text}publishes_for_all = true\n"), &catalogue).expect("parses");
        assert_eq!(departments.of_token("secret"), Some(Caller { publishes_for_all: true, ..caller }));
        assert_eq!(departments.of_token("secret "), None);
        assert_eq!(departments.of_token(""), None);
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named() {
        let catalogue = Catalogue::embedded();
        let wrong = |text: &str| format!("{:#}", Departments::parse(text, &catalogue).expect_err("refused"));
        assert!(wrong("[[department]]\nid = 'nobody'\ntoken_sha256 = []").contains("nobody"));
        assert!(wrong("[[department]]\nid = 'hmrc'\ntoken_sha256 = ['xy']").contains("xy"));
        assert!(wrong("[[departments]]\nid = 'hmrc'").contains("departments"));
        let twice = format!(
            "[[department]]\nid = 'hmrc'\ntoken_sha256 = ['{HASH}']\n[[department]]\nid = 'dft'\ntoken_sha256 = ['{HASH}']"
        );
        assert!(wrong(&twice).contains("two departments"));
    }
}
