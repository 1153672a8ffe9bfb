//! Where the catalogue comes from: a folder that a command has put an edition into, or the edition in the binary.
//!
//! Invariant: what is in the folder was checked against what it replaced, and is replaced as a whole: a process reads one
//! edition, never parts of two. It never writes but by [`install`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use domain::catalogue::{Catalogue, Difference, Files};
use serde::Deserialize;

/// Which edition a process takes at its start.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder that `aggregator catalogue` puts editions into; absent = the edition in the binary.
    pub dir: Option<PathBuf>,
}

/// Points to the edition in force.
const CURRENT: &str = "current";

/// Reads the edition in force.
///
/// # Errors
/// A folder without an edition, a file that cannot be read, the first broken rule with file, line and column.
pub fn load(config: &Config) -> anyhow::Result<Catalogue> {
    let Some(dir) = &config.dir else { return Ok(Catalogue::embedded()) };
    let current = dir.join(CURRENT);
    ensure!(
        current.exists(),
        "catalogue.dir {} has no edition; put one there with `aggregator catalogue --from FOLDER`",
        dir.display()
    );
    // Resolved once: all files are of one edition even if another is put in force meanwhile.
    let edition = fs::canonicalize(&current).with_context(|| format!("catalogue {}", current.display()))?;
    Texts::read(&edition)?.parse(&edition)
}

/// The texts of one edition, in the order of [`Files::NAMES`].
#[derive(PartialEq, Eq)]
struct Texts([String; Files::NAMES.len()]);

impl Texts {
    fn read(dir: &Path) -> anyhow::Result<Self> {
        let mut texts = [const { String::new() }; Files::NAMES.len()];
        for (text, name) in texts.iter_mut().zip(Files::NAMES) {
            let path = dir.join(name);
            *text = fs::read_to_string(&path).with_context(|| format!("catalogue file {}", path.display()))?;
        }
        Ok(Self(texts))
    }

    fn parse(&self, dir: &Path) -> anyhow::Result<Catalogue> {
        let files = Files::from_texts(self.0.each_ref().map(String::as_str));
        Catalogue::parse(&files).with_context(|| format!("catalogue in {}", dir.display()))
    }

    fn embedded() -> Self {
        Self(Files::EMBEDDED.texts().map(str::to_owned))
    }
}

/// Puts the edition in `from` in force in the folder `into`, or only says what that would change; a line for each change.
/// Repeatable: the edition that is in force already changes nothing.
///
/// # Errors
/// An edition that breaks a rule, is not newer than the one it replaces, or would change, reuse or remove an id or a
/// number; a folder that cannot be read or written.
pub fn install(from: &Path, into: &Path, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let texts = Texts::read(from)?;
    let new = texts.parse(from)?;
    let current = into.join(CURRENT);
    let is_first = !current.exists();
    // Before the first edition is installed that in the binary is in force: its numbers are in records already.
    let old_texts = if is_first { Texts::embedded() } else { Texts::read(&current)? };
    let old = old_texts.parse(&current)?;
    let is_same = old_texts == texts;
    let mut lines = Vec::new();
    if !is_same {
        let difference = Difference::replacing(&old, &new);
        if !difference.refusals.is_empty() {
            let all: Vec<_> = difference.refusals.iter().map(|refusal| format!("  {refusal}")).collect();
            bail!("edition {} is refused, nothing was changed:\n{}", new.version().number, all.join("\n"));
        }
        lines.extend(difference.changes.iter().map(ToString::to_string));
        let pairs = Files::NAMES.into_iter().zip(old_texts.0.iter().zip(&texts.0));
        lines.extend(pairs.filter(|(_, (a, b))| a != b).map(|(name, _)| format!("differs  file {name}")));
    }
    let number = new.version().number;
    if is_same && !is_first {
        lines.push(format!("edition {number} is in force already"));
    } else if dry_run {
        lines.push(format!("edition {number} would come into force; nothing was written"));
    } else {
        write(&texts, into, number)?;
        lines.push(format!("edition {number} is in force: restart collectors and gateways, one after the other"));
    }
    Ok(lines)
}

/// Writes an edition beside the others, then points to it.
fn write(texts: &Texts, into: &Path, number: u32) -> anyhow::Result<()> {
    let name = format!("edition-{number:06}");
    let (edition, new) = (into.join(&name), into.join(format!("{name}.new")));
    let context = || format!("writing edition {number} to {}", into.display());
    fs::create_dir_all(&new).with_context(context)?;
    for (text, file) in texts.0.iter().zip(Files::NAMES) {
        let path = new.join(file);
        fs::write(&path, text).and_then(|()| fs::File::open(&path)?.sync_all()).with_context(context)?;
    }
    if edition.exists() {
        // Left by a run that was cut off before it came into force, or refused editions of the same number.
        fs::remove_dir_all(&edition).with_context(context)?;
    }
    fs::rename(&new, &edition).with_context(context)?;
    let link = into.join(format!("{CURRENT}.new"));
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link).with_context(context)?;
    }
    std::os::unix::fs::symlink(&name, &link).with_context(context)?;
    fs::rename(&link, into.join(CURRENT)).with_context(context)?;
    fs::File::open(into).and_then(|dir| dir.sync_all()).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edition of the binary with changes, in a folder.
    fn edition(change: impl Fn(&str, String) -> String) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (text, name) in Texts::embedded().0.into_iter().zip(Files::NAMES) {
            fs::write(dir.path().join(name), change(name, text)).expect("written");
        }
        dir
    }

    fn with_service(name: &str, text: String, number: u32) -> String {
        match name {
            "version.csv" => format!("{text}{number},2026-11-24,a new service\n"),
            "services.csv" => format!("{text}822,dft-new-thing,New thing,,dft,dvla,,,,,own,,\n"),
            _ => text,
        }
    }

    fn config(dir: &Path) -> Config {
        Config { dir: Some(dir.to_owned()) }
    }

    #[test]
    fn a_dry_run_says_what_changes_and_writes_nothing_and_the_run_is_repeatable() {
        let into = tempfile::tempdir().expect("a folder");
        let from = edition(|name, text| with_service(name, text, 1_000));
        let said = install(from.path(), into.path(), true).expect("a dry run");
        let added = "added    service dft-new-thing (822): New thing, of Department for Transport, Driver and Vehicle Licensing Agency";
        assert_eq!(said[0], added);
        assert!(said.last().expect("a line").contains("nothing was written"));
        assert!(load(&config(into.path())).expect_err("nothing there").to_string().contains("aggregator catalogue"));
        assert_eq!(install(from.path(), into.path(), false).expect("the run")[0], added);
        let catalogue = load(&config(into.path())).expect("in force");
        assert_eq!(catalogue.service_by_id("dft-new-thing").expect("there").number.0, 822);
        assert_eq!(install(from.path(), into.path(), false).expect("again"), ["edition 1000 is in force already"]);
    }

    #[test]
    fn an_edition_that_is_refused_changes_nothing() {
        let into = tempfile::tempdir().expect("a folder");
        let first = edition(|name, text| with_service(name, text, 1_000));
        install(first.path(), into.path(), false).expect("the first");
        let says =
            |from: &tempfile::TempDir| format!("{:#}", install(from.path(), into.path(), false).expect_err("refused"));
        let removed = edition(|name, text| if name == "version.csv" { with_service(name, text, 1_001) } else { text });
        assert!(says(&removed).contains("service dft-new-thing (822) is missing: nothing is ever removed"));
        let older = edition(|name, text| with_service(name, text, 999));
        assert!(says(&older).contains("edition 999 differs from edition 1000 and is not newer"));
        let reused = edition(|name, text| with_service(name, text, 1_001).replace("dft-new-thing", "dft-other-thing"));
        assert!(
            says(&reused)
                .contains("service number 822 is that of dft-new-thing and cannot become that of dft-other-thing")
        );
        let broken = edition(|name, text| with_service(name, text, 1_001).replace(",own,,\n", ",ours,,\n"));
        assert!(says(&broken).contains("services.csv, line "), "{}", says(&broken));
        assert!(load(&config(into.path())).expect("in force").service_by_id("dft-new-thing").is_some());
    }

    #[test]
    fn without_a_folder_it_is_the_edition_of_the_binary() {
        assert_eq!(
            load(&Config::default()).expect("embedded").services().len(),
            Catalogue::embedded().services().len()
        );
    }
}
