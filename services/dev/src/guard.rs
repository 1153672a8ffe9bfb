//! A small supervisor that stands between a parent and one child.
//!
//! It starts the child in a process group of its own and watches its own standard input, which
//! is a pipe from the parent: when the pipe closes, because the parent ended in whatever way
//! (kill -9 included), it asks the child to stop, waits a bounded time, and kills it. So no child
//! outlives its parent. It ends as its child ended, and starts it again only after an abort and if it was told so.
//!
//! Protocol: on standard output [`MARK`] is followed by `{"guard":{"pid":N}}` and the end of the line, N being the child's,
//! at the latest after what the child prints at once, and again for each further start; all else there is the child's, which
//! may have begun a line and ends it afterwards. Each line on standard input is a signal for the child's group: `TERM`,
//! `KILL`, `STOP` or `CONT`.

use std::{
    io::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, Stdin},
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use crate::error::{Doing as _, Error, Result};

/// What the parent says.
type Orders = Lines<BufReader<Stdin>>;

/// What comes before the guard's own words: the control character that separates records, as in sequences of JSON texts
/// (RFC 7464).
pub const MARK: char = '\u{1e}';

/// A child that aborts sooner would do so for ever.
const LIVED: Duration = Duration::from_secs(5);

/// Runs the command until it ends, or until the parent does, and returns the exit code to end
/// with: the child's, or 128 plus the signal that killed it. With `again` it is started again
/// when it aborts.
///
/// # Errors
/// When the command cannot be started or waited for.
pub fn run(command: &[String], grace: Duration, again: bool) -> Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "starting the guard's runtime".into())?;
    let code = runtime.block_on(async {
        // One reader for all starts: a second one would miss what the first has begun to read.
        let mut orders = BufReader::new(tokio::io::stdin()).lines();
        loop {
            let began = Instant::now();
            let code = watch(command, grace, &mut orders).await?;
            if !again || code != 128 + Signal::SIGABRT as i32 || began.elapsed() < LIVED {
                return Ok(code);
            }
            eprintln!("guard: the program aborted; it is started again");
        }
    });
    // A read of standard input may still be blocked on its thread: do not wait for it.
    runtime.shutdown_background();
    code
}

async fn watch(command: &[String], grace: Duration, orders: &mut Orders) -> Result<i32> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Error::Missing { tool: "a command", hint: "dev guard -- COMMAND …".into() })?;
    let listen = |kind| signal(kind).doing(|| "listening for signals".into());
    let mut terminated = listen(SignalKind::terminate())?;
    let mut interrupted = listen(SignalKind::interrupt())?;
    let mut hung_up = listen(SignalKind::hangup())?;
    let mut child = Command::new(program)
        .args(arguments)
        // The child's own input is a pipe that never says anything and closes with this guard.
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .doing(|| format!("starting {program}"))?;
    let _open_input = child.stdin.take();
    let Some(group) = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw) else {
        return exit_code(&mut child).await;
    };
    announce(group);
    loop {
        tokio::select! {
            code = exit_code(&mut child) => return code,
            order = orders.next_line() => match order {
                Ok(Some(order)) => obey(group, &order),
                Ok(None) | Err(_) => return stop(&mut child, group, grace).await,
            },
            _ = terminated.recv() => return stop(&mut child, group, grace).await,
            _ = interrupted.recv() => return stop(&mut child, group, grace).await,
            _ = hung_up.recv() => return stop(&mut child, group, grace).await,
        }
    }
}

/// Tells the parent the child's pid. A parent that is gone by now is noticed at once by the loop.
fn announce(group: Pid) {
    let mut out = std::io::stdout();
    drop(writeln!(out, "{MARK}{{\"guard\":{{\"pid\":{group}}}}}").and_then(|()| out.flush()));
}

fn obey(group: Pid, order: &str) {
    match order.trim() {
        "TERM" => send(group, Signal::SIGTERM),
        "KILL" => send(group, Signal::SIGKILL),
        "STOP" => send(group, Signal::SIGSTOP),
        "CONT" => send(group, Signal::SIGCONT),
        other => eprintln!("guard: unknown order {other:?}"),
    }
}

/// A group that is gone already needs no signal.
fn send(group: Pid, signal: Signal) {
    let _ = killpg(group, signal);
}

async fn stop(child: &mut Child, group: Pid, grace: Duration) -> Result<i32> {
    send(group, Signal::SIGTERM);
    // A paused child acts on the signal only once it runs again.
    send(group, Signal::SIGCONT);
    if let Ok(code) = tokio::time::timeout(grace, exit_code(child)).await {
        send(group, Signal::SIGKILL);
        return code;
    }
    send(group, Signal::SIGKILL);
    exit_code(child).await
}

async fn exit_code(child: &mut Child) -> Result<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    let status = child.wait().await.doing(|| "waiting for the child".into())?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}
