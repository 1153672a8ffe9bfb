//! How a process ends: success, or one line that says why not.

use std::process::ExitCode;

/// Runs a program to its end. An error is one line on standard error with all its causes, never a backtrace: it is
/// written for the person who has to mend it, whatever `RUST_BACKTRACE` says.
pub async fn run(program: &str, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    match work.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
