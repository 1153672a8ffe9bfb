//! The broker's jars on this machine, with what makes it start fast: a class archive for the Java
//! that is here, and a formatted empty log to copy instead of running the format tool each time.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    cache::{Cache, begin, end},
    child::{Child, Spec},
    error::{Doing as _, Error, Result},
    kafka_config::{LOGGING, Options, id, meta_properties, server_properties},
    ports,
    sums::short_sum,
    tools,
};

/// The broker's version.
pub const VERSION: &str = "4.4.0";

/// Compiles quickly, and nothing a second time.
pub(crate) const BRIEF: &str = "-XX:TieredStopAtLevel=1";

const METADATA: &str = "__cluster_metadata-0";

/// The broker, ready to be started any number of times.
#[derive(Debug, Clone)]
pub struct Installation {
    java: PathBuf,
    class_path: String,
    entry: String,
    template: PathBuf,
    archive: Option<PathBuf>,
}

impl Installation {
    /// Completes what Maven fetched into the cache's `entry`: formats a template and records a
    /// class archive, once each.
    pub(crate) fn new(cache: &Cache, java: PathBuf, entry: &str) -> Result<Self> {
        let mut installation = Self {
            java,
            class_path: class_path(&cache.path(entry))?,
            entry: entry.to_owned(),
            template: PathBuf::new(),
            archive: None,
        };
        installation.template = cache.place(&format!("{entry}-template"), |into| installation.make_template(into))?;
        let archive = format!("{entry}-java-{}", java_sum(&installation.java));
        match cache.place(&archive, |into| installation.record_archive(into)) {
            Ok(folder) => installation.archive = Some(folder.join("classes.jsa")),
            // Only a second is lost, so a Java that cannot do this is good enough.
            Err(error) => eprintln!("  Kafka will start without a class archive: {error}"),
        }
        Ok(installation)
    }

    /// The Java to run.
    #[must_use]
    pub fn java(&self) -> &Path {
        &self.java
    }

    /// The arguments that come before the class to run.
    #[must_use]
    pub fn arguments(&self, dir: &Path, heap_mb: u32) -> Vec<String> {
        let mut arguments = vec![
            "-Xms64m".to_owned(),
            format!("-Xmx{heap_mb}m"),
            "-XX:+UseSerialGC".to_owned(),
            "-XX:MaxMetaspaceSize=128m".to_owned(),
            "-XX:ReservedCodeCacheSize=48m".to_owned(),
            "-XX:MaxDirectMemorySize=128m".to_owned(),
            "-XX:+ExitOnOutOfMemoryError".to_owned(),
            format!("-Dlog4j2.configurationFile={}", dir.join("log4j2.properties").display()),
        ];
        arguments.extend(self.archive.as_ref().map(|archive| format!("-XX:SharedArchiveFile={}", archive.display())));
        arguments.extend(["-cp".to_owned(), self.class_path.clone()]);
        arguments
    }

    /// Makes an empty data folder with this `meta.properties`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn format(&self, data: &Path, meta: &str) -> Result<()> {
        let metadata = data.join(METADATA);
        fs::create_dir_all(&metadata).doing(|| format!("making {}", metadata.display()))?;
        for file in fs::read_dir(&self.template).doing(|| self.template.display().to_string())?.flatten() {
            let to = metadata.join(file.file_name());
            fs::copy(file.path(), &to).doing(|| format!("writing {}", to.display()))?;
        }
        // Written last: it is what says that the folder is complete.
        fs::write(data.join("meta.properties"), meta).doing(|| "writing meta.properties".into())
    }

    fn make_template(&self, into: &Path) -> Result<()> {
        let work = Workshop::new(
            &self.entry,
            Options { port: 9092, controller_port: 9093, heap_mb: 320, is_brief: true, place: None },
        )?;
        let mut command = Command::new(&self.java);
        command.args(self.arguments(&work.dir, 320)).arg(BRIEF);
        command.args(["kafka.tools.StorageTool", "format", "-t", &id(), "-c"]).arg(work.properties());
        tools::run(&mut command)?;
        let metadata = work.dir.join("data").join(METADATA);
        for file in fs::read_dir(&metadata).doing(|| metadata.display().to_string())?.flatten() {
            fs::copy(file.path(), into.join(file.file_name())).doing(|| "keeping the formatted log".into())?;
        }
        Ok(())
    }

    fn record_archive(&self, into: &Path) -> Result<()> {
        let started = begin("Kafka: recording a class archive for faster starts");
        let ports = ports::free(2)?;
        let options = Options { port: ports[0], controller_port: ports[1], heap_mb: 320, is_brief: false, place: None };
        let work = Workshop::new(&self.entry, options)?;
        self.format(&work.dir.join("data"), &meta_properties(options))?;
        let archive = into.join("classes.jsa");
        let mut spec = Spec::new("Kafka", &self.java, &work.dir.join("kafka.log"));
        spec.arguments = vec![format!("-XX:ArchiveClassesAtExit={}", archive.display())];
        spec.arguments.extend(self.arguments(&work.dir, options.heap_mb));
        spec.arguments.extend(["kafka.Kafka".to_owned(), work.properties().display().to_string()]);
        spec.grace = Duration::from_secs(60);
        let mut child = Child::start(spec)?;
        child.wait_until(Duration::from_secs(60), || ports::answers(options.port))?;
        child.stop();
        if !archive.exists() {
            return Err(child.ended_error());
        }
        end(started, "Kafka: class archive recorded");
        Ok(())
    }
}

/// A temporary folder with the broker's settings, removed when dropped.
struct Workshop {
    dir: PathBuf,
}

impl Workshop {
    fn new(entry: &str, options: Options) -> Result<Self> {
        let dir = env::temp_dir().join(format!("{entry}-{}-{}", std::process::id(), id()));
        fs::create_dir_all(&dir).doing(|| format!("making {}", dir.display()))?;
        let work = Self { dir };
        let properties = server_properties(&work.dir.join("data"), options);
        fs::write(work.properties(), properties).doing(|| "writing server.properties".into())?;
        fs::write(work.dir.join("log4j2.properties"), LOGGING).doing(|| "writing log4j2.properties".into())?;
        Ok(work)
    }

    fn properties(&self) -> PathBuf {
        self.dir.join("server.properties")
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// The jars in a fixed order: a class archive is valid for one class path only.
fn class_path(jars: &Path) -> Result<String> {
    let mut paths: Vec<String> = fs::read_dir(jars)
        .doing(|| jars.display().to_string())?
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .filter(|path| path.ends_with(".jar"))
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(Error::Checksum { file: jars.display().to_string(), problem: "holds no jar".into() });
    }
    Ok(paths.join(":"))
}

/// Names one installed Java: its real path, size and time of change.
fn java_sum(java: &Path) -> String {
    let real = java.canonicalize().unwrap_or_else(|_| java.to_owned());
    let meta = fs::metadata(&real).ok();
    let size = meta.as_ref().map_or(0, fs::Metadata::len);
    let changed = meta.and_then(|meta| meta.modified().ok()).and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    short_sum(format!("{} {size} {changed:?}", real.display()).as_bytes())
}
