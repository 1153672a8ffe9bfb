//! The programs the one-machine form needs from the machine: found, installed where the
//! machine is a Debian and we are root, and otherwise named with the command that installs them.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::error::{Doing as _, Error, Result};

/// A program and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// The command's name.
    pub name: &'static str,
    /// Debian's packages that bring it.
    pub debian: &'static [&'static str],
    /// Homebrew's formula or cask.
    pub brew: &'static str,
}

/// Java 17 or newer.
pub const JAVA: Tool = Tool { name: "java", debian: &["openjdk-17-jre-headless"], brew: "openjdk@17" };
/// Maven.
pub const MAVEN: Tool = Tool { name: "mvn", debian: &["maven"], brew: "maven" };
/// npm, with Node.
pub const NPM: Tool = Tool { name: "npm", debian: &["nodejs", "npm"], brew: "node" };
/// tar with gzip.
pub const TAR: Tool = Tool { name: "tar", debian: &["tar", "gzip"], brew: "gnu-tar" };
/// Python with its venv module, for the test of the Python client.
pub const PYTHON: Tool = Tool { name: "python3", debian: &["python3", "python3-venv"], brew: "python" };
/// A browser without a window, for the tests of the pages.
pub const CHROMIUM: Tool = Tool { name: "chromium", debian: &["chromium"], brew: "chromium" };

/// The program on the PATH, if it is there.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The program, installed first where that is allowed.
///
/// # Errors
/// [`Error::Missing`] with the command that installs it.
pub fn require(tool: Tool) -> Result<PathBuf> {
    if let Some(path) = find(tool.name) {
        return Ok(path);
    }
    if is_root_on_debian() {
        install(tool)?;
        if let Some(path) = find(tool.name) {
            return Ok(path);
        }
    }
    Err(Error::Missing { tool: tool.name, hint: hint(tool) })
}

/// Java, checked to be recent enough for Kafka 4.
///
/// # Errors
/// When it is missing or older than 17.
pub fn java() -> Result<PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java")).filter(|path| path.is_file());
    let java = match home {
        Some(java) => java,
        None => require(JAVA)?,
    };
    let said = run(Command::new(&java).arg("-version"))?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    match java_version(&text) {
        Some(17..) => Ok(java),
        _ => Err(Error::Missing {
            tool: "Java 17 or newer",
            hint: format!("{} says {:?}; {}", java.display(), text.lines().next().unwrap_or(""), hint(JAVA)),
        }),
    }
}

/// A Chromium or Chrome that is there, under any of its names.
#[must_use]
pub fn browser() -> Option<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from).filter(|path| path.is_file());
    named.or_else(|| {
        ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].into_iter().find_map(find)
    })
}

/// Runs a command to its end and keeps what it printed.
///
/// # Errors
/// When it cannot start or ends with anything but success.
pub fn run(command: &mut Command) -> Result<Output> {
    let line = format!("{command:?}").chars().take(200).collect::<String>();
    let output = command.stdin(Stdio::null()).output().doing(|| format!("starting {line}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Command { command: line, status: output.status.to_string(), output: last_lines(&text, 15) })
}

/// The last lines of a text.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Whether packages may be installed without asking.
#[must_use]
pub fn is_root_on_debian() -> bool {
    nix::unistd::geteuid().is_root() && Path::new("/etc/debian_version").exists() && find("apt-get").is_some()
}

pub(crate) fn install(tool: Tool) -> Result<()> {
    eprintln!("{} is missing: installing {} with apt-get", tool.name, tool.debian.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run(command.args(["-q", "-y", "-o", "DPkg::Lock::Timeout=300"]).args(arguments)).map(drop)
    };
    let packages = [&["install", "--no-install-recommends"], tool.debian].concat();
    // The package lists may be absent or old: they are brought only when they are needed.
    apt(&packages).or_else(|_| apt(&["update"]).and_then(|()| apt(&packages)))
}

fn hint(tool: Tool) -> String {
    if cfg!(target_os = "macos") {
        format!("install it with: brew install {}", tool.brew)
    } else if Path::new("/etc/debian_version").exists() {
        format!("install it with: sudo apt-get install {}", tool.debian.join(" "))
    } else {
        format!("install it with your system's package manager (Debian's packages are {})", tool.debian.join(" "))
    }
}

fn java_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let first = quoted.split(['.', '-', '+']).next()?;
    first.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions_are_read_from_what_java_prints() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(java_version("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(java_version("java version \"1.8.0_392\""), Some(1));
        assert_eq!(java_version("no java here"), None);
    }

    #[test]
    fn a_missing_tool_is_named_with_its_command() {
        let message = Error::Missing { tool: "mvn", hint: hint(MAVEN) }.to_string();
        assert!(message.starts_with("mvn is missing: "), "{message}");
        assert!(message.contains("maven"), "{message}");
    }
}
