//! Reads who may send: the token of each department.
//!
//! Invariant: tokens are never logged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::catalogue::Catalogue;
use serde::Deserialize;

/// A department that sends.
#[derive(Clone)]
pub struct Lane {
    /// Its number.
    pub department: u8,
    /// Its id.
    pub id: String,
    /// Its token in clear.
    pub token: String,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why the tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not there, or not readable.
    #[error("cannot read {}; tokens.file names it: {source}", path.display())]
    Read {
        /// As set.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not TOML of this form.
    #[error("{}: {source}", path.display())]
    Form {
        /// As set.
        path: PathBuf,
        /// Where and what.
        source: toml::de::Error,
    },
    /// Not in the catalogue.
    #[error("{}: {id:?} is no department of the catalogue", path.display())]
    Unknown {
        /// As set.
        path: PathBuf,
        /// As written.
        id: String,
    },
}

impl Error {
    /// Whether another try could help: never, a person has to act.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        false
    }
}

#[derive(Deserialize)]
struct File {
    tokens: BTreeMap<String, String>,
}

/// Reads the file, in the order of the departments' ids.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read(path: &Path, catalogue: &Catalogue) -> Result<Vec<Lane>, Error> {
    let at = || path.to_path_buf();
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: at(), source })?;
    let file: File = toml::from_str(&text).map_err(|source| Error::Form { path: at(), source })?;
    file.tokens
        .into_iter()
        .map(|(id, token)| match catalogue.department_by_id(&id) {
            Some(department) => Ok(Lane { department: department.number, id, token }),
            None => Err(Error::Unknown { path: at(), id }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Lane>, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path(), &Catalogue::embedded())
    }

    #[test]
    fn departments_of_the_catalogue_are_read_and_others_named() {
        let lanes = read_text("[tokens]\nhmrc = \"s3cret\"\ndft = \"t\"\n").unwrap();
        assert_eq!(lanes.iter().map(|lane| lane.id.as_str()).collect::<Vec<_>>(), ["dft", "hmrc"]);
        assert!(read_text("[tokens]\nnobody = \"x\"\n").unwrap_err().to_string().contains("\"nobody\""));
        assert!(read_text("hmrc = 1").is_err());
        assert!(matches!(read(Path::new("/nowhere"), &Catalogue::embedded()), Err(Error::Read { .. })));
    }

    #[test]
    fn tokens_do_not_show_in_debug_output() {
        let lanes = read_text("[tokens]\nhmrc = \"s3cret\"\n").unwrap();
        assert!(!format!("{lanes:?}").contains("s3cret"));
    }
}
