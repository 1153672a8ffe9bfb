//! How a process ends: success, or one line that says why not.

use std::process::ExitCode;
use std::time::Duration;

/// What still runs beside the work when it has ended, a question that a client has forgotten for instance, is not waited
/// for any longer than this.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Runs a program to its end, on threads of its own. An error is one line on standard error with all its causes, never a
/// backtrace: it is written for the person who has to mend it, whatever `RUST_BACKTRACE` says.
pub fn run(program: &str, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let ended = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let ended = runtime.block_on(work);
        runtime.shutdown_timeout(LEFT_BEHIND);
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
