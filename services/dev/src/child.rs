//! One child process under a guard: started, watched, signalled, stopped.
//!
//! Whatever happens to this process, the guard ends the child. Signals go through the guard, which
//! has not reaped the child, so a signal can never hit a stranger that got the same pid.
//! Everything the child prints is kept in a log file.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{self, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    bins,
    error::{Doing as _, Error, Result},
    guard, tools,
};

/// How a child is to be started.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name it goes by in messages.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What is added to the environment.
    pub environment: Vec<(String, String)>,
    /// Where all it prints is appended.
    pub log: PathBuf,
    /// How long it has to stop when asked to, before it is killed.
    pub grace: Duration,
    /// Whether it is started again when it aborts.
    pub again: bool,
}

impl Spec {
    /// A child without arguments that has fifteen seconds to stop.
    #[must_use]
    pub fn new(name: &str, program: &Path, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            log: log.to_owned(),
            grace: Duration::from_secs(15),
            again: false,
        }
    }
}

/// A running child. Dropping it kills it: stop it first where it should end in order.
#[derive(Debug)]
pub struct Child {
    spec: Spec,
    guard: process::Child,
    orders: Option<ChildStdin>,
    pid: Arc<AtomicU32>,
    lines: Receiver<String>,
    copier: JoinHandle<()>,
    exit: Option<String>,
}

/// How long a line of the child's may wait to be read, in lines, before it is only in the log.
const LINES_KEPT: usize = 256;
/// How long the rest of a child's output is waited for after its end: a program that it left behind may hold
/// the pipe open.
const OUTPUT_ENDS: Duration = Duration::from_secs(1);
/// A log larger than this is put aside when its program is started again.
const LOG_BYTES: u64 = 32 << 20;

impl Child {
    /// Starts the child and waits until the guard has named its pid.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(spec: Spec) -> Result<Self> {
        let log = open_log(&spec.log)?;
        let errors = log.try_clone().doing(|| spec.log.display().to_string())?;
        let mut command = Command::new(bins::dev()?);
        command.arg("guard").arg("--grace-ms").arg(spec.grace.as_millis().to_string());
        command.args(spec.again.then_some("--again"));
        command.arg("--").arg(&spec.program).args(&spec.arguments);
        // What is printed goes to a file, where colours are noise.
        command.env("NO_COLOR", "1");
        command.envs(spec.environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        // In a group of its own, so that Ctrl-C at a terminal reaches the parent only, which then
        // stops its children in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut guard = command.spawn().doing(|| format!("starting {}", spec.name))?;
        let orders = guard.stdin.take();
        let out = guard.stdout.take().expect("the guard's output is a pipe");
        let (named, is_named) = sync_channel(1);
        let (sender, lines) = sync_channel(LINES_KEPT);
        let pid = Arc::new(AtomicU32::new(0));
        let (told, starts) = (Arc::clone(&pid), if spec.again { usize::MAX } else { 1 });
        let copier = thread::spawn(move || copy(out, log, (&told, starts, &named), &sender));
        let mut child = Self { spec, guard, orders, pid, lines, copier, exit: None };
        if is_named.recv_timeout(Duration::from_secs(10)).is_err() {
            return Err(child.ended_error());
        }
        Ok(child)
    }

    /// The process id of the program itself, not of its guard.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// What it was started with.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The name it goes by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The file with all it printed.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    /// The next line of its standard output; `None` when none came in time or it ended.
    #[must_use]
    pub fn line(&self, timeout: Duration) -> Option<String> {
        self.lines.recv_timeout(timeout).ok()
    }

    /// How it ended, if it did. What it printed is in its log by then.
    pub fn exit(&mut self) -> Option<String> {
        if self.exit.is_none()
            && let Ok(Some(status)) = self.guard.try_wait()
        {
            let deadline = Instant::now() + OUTPUT_ENDS;
            while !self.copier.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            self.exit = Some(words(status));
        }
        self.exit.clone()
    }

    /// Waits until it ends; `None` when it did not in time.
    pub fn wait(&mut self, timeout: Duration) -> Option<String> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(exit) = self.exit() {
                return Some(exit);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop (SIGTERM) without waiting.
    pub fn ask_to_stop(&mut self) {
        self.order("TERM");
    }

    /// Asks it to stop, waits, and kills it when it does not within its grace. Returns how it
    /// ended: `code 0` when it stopped in order.
    pub fn stop(&mut self) -> String {
        self.order("TERM");
        self.order("CONT");
        if let Some(exit) = self.wait(self.spec.grace) {
            return exit;
        }
        self.kill()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) -> String {
        self.order("KILL");
        if let Some(exit) = self.wait(Duration::from_secs(10)) {
            return exit;
        }
        // The guard itself does not answer any more: nothing is left but to end it too.
        drop(self.guard.kill());
        self.guard.wait().map_or_else(|error| error.to_string(), words)
    }

    /// Stops it in its tracks (SIGSTOP) until [`Child::resume`].
    pub fn pause(&mut self) {
        self.order("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self) {
        self.order("CONT");
    }

    /// The last lines it printed.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.spec.log, lines)
    }

    /// The error that says it ended by itself.
    pub fn ended_error(&mut self) -> Error {
        let exit = self.wait(Duration::from_secs(2)).unwrap_or_else(|| "it does not answer".into());
        Error::Ended { name: self.spec.name.clone(), exit, log: self.spec.log.clone(), tail: self.tail(15) }
    }

    /// The error that says it was not ready in time.
    #[must_use]
    pub fn late_error(&self, after: Duration) -> Error {
        Error::NotReady {
            name: self.spec.name.clone(),
            seconds: after.as_secs(),
            log: self.spec.log.clone(),
            tail: self.tail(15),
        }
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When the child ends first, or the time is over.
    pub fn wait_until(&mut self, timeout: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while !ready() {
            if self.exit().is_some() {
                return Err(self.ended_error());
            }
            if Instant::now() >= deadline {
                return Err(self.late_error(timeout));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// A guard that is gone needs no orders.
    fn order(&mut self, order: &str) {
        if let Some(orders) = &mut self.orders {
            drop(writeln!(orders, "{order}").and_then(|()| orders.flush()));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit().is_none() {
            self.kill();
        }
    }
}

/// The last lines of a log file.
#[must_use]
pub fn tail(log: &Path, lines: usize) -> String {
    const WINDOW: i64 = 64 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        if file.metadata()?.len() > WINDOW.unsigned_abs() {
            file.seek(SeekFrom::End(-WINDOW))?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().map_or_else(|error| format!("(no log: {error})"), |text| tools::last_lines(&text, lines))
}

fn open_log(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
    }
    // One former log is kept: enough to see what went before, and a bound on the disk.
    if fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_BYTES) {
        drop(fs::rename(path, path.with_extension("log.old")));
    }
    OpenOptions::new().create(true).append(true).open(path).doing(|| format!("opening {}", path.display()))
}

/// Copies the child's output into its log, and takes the guard's line out of it. The child may
/// have printed before the guard came to say its pid, even half a line.
fn copy(
    out: impl Read,
    mut log: File,
    (told, mut starts, named): (&AtomicU32, usize, &SyncSender<()>),
    lines: &SyncSender<String>,
) {
    // The log is for reading afterwards and the lines are for who asks: neither may stop the child from running.
    let mut keep = |line: String| {
        drop(log.write_all(format!("{line}\n").as_bytes()));
        drop(lines.try_send(line));
    };
    let mut begun = String::new();
    for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let words = line.split_once(guard::MARK).and_then(|(before, words)| Some((before, guard_pid(words)?)));
        if let Some((before, pid)) = words.filter(|_| starts > 0) {
            begun.push_str(before);
            starts -= 1;
            told.store(pid, Ordering::Relaxed);
            // Who waits waits for the first only.
            let _ = named.try_send(());
            continue;
        }
        keep(std::mem::take(&mut begun) + &line);
    }
    if !begun.is_empty() {
        keep(begun);
    }
}

fn guard_pid(line: &str) -> Option<u32> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("guard")?.get("pid")?.as_u64()?.try_into().ok()
}

fn words(status: ExitStatus) -> String {
    match status.code() {
        Some(code) if code > 128 => format!("signal {}", code - 128),
        Some(code) => format!("code {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard_says(pid: u32) -> String {
        format!("{}{{\"guard\":{{\"pid\":{pid}}}}}\n", guard::MARK)
    }

    /// The pid and the lines of a child of which so many starts are expected.
    fn copied(said: &str, starts: usize) -> (u32, Vec<String>) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let (named, is_named) = sync_channel(1);
        let (sender, lines) = sync_channel(9);
        let pid = AtomicU32::new(0);
        copy(said.as_bytes(), log.reopen().unwrap(), (&pid, starts, &named), &sender);
        drop(sender);
        assert_eq!(is_named.try_recv(), Ok(()));
        let lines: Vec<String> = lines.iter().collect();
        assert_eq!(fs::read_to_string(log.path()).unwrap(), lines.join("\n") + "\n");
        (pid.into_inner(), lines)
    }

    #[test]
    fn the_guard_may_speak_in_the_middle_of_a_line() {
        let said = format!("first\nsec{}ond\nlast{}", guard_says(7), guard_says(8));
        assert_eq!(copied(&said, 2), (8, ["first", "second", "last"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_looks_like_the_guard_is_the_childs_when_no_start_is_expected() {
        let said = format!("{}{}", guard_says(7), guard_says(8));
        assert_eq!(copied(&said, 1), (7, vec![guard_says(8).trim_end().to_owned()]));
    }
}
