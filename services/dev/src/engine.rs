//! Runs the ClickHouse library as a server, in this process, until told to stop.
//!
//! The library has one entry that matters here, `chdb_query_cmdline`, which runs the real
//! `clickhouse-local` on a command line. Ours opens the listeners and then reads a pipe that never
//! says anything; closing the pipe ends the query and with it the server, in order. The only
//! unsafe code of the workspace is here: calling a C library cannot be checked by the compiler.
#![allow(unsafe_code, reason = "calls three functions of a C library whose signatures are stated here")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    io::{PipeWriter, Read as _},
    os::fd::AsRawFd as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, bail};
use libloading::{Library, Symbol};
use tokio::signal::unix::{SignalKind, signal};

use crate::clickhouse_config::{Options, data, library_file, prepare};

type QueryCmdline = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;
type ResultError = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type SetSignalHandlers = unsafe extern "C" fn(c_int);

/// Serves the data in `dir` until standard input closes or SIGTERM or SIGINT arrives.
///
/// # Errors
/// When the library cannot be loaded, or the server cannot start or serve.
pub fn serve(library: &Path, dir: &Path, options: Options) -> Result<()> {
    prepare(dir, options)?;
    let dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
    // SAFETY: the library is the one whose sum was checked when it entered the cache, or one the
    // caller names; loading it runs its initialisers, which expect nothing of us.
    let library = unsafe { Library::new(library) }.with_context(|| format!("loading {}", library.display()))?;
    // SAFETY: the signatures are those of the library's public header.
    let (query, error, handlers): (Symbol<QueryCmdline>, Symbol<ResultError>, Symbol<SetSignalHandlers>) = unsafe {
        (
            library.get(b"chdb_query_cmdline\0")?,
            library.get(b"chdb_result_error\0")?,
            library.get(b"chdb_set_signal_handlers_enabled\0")?,
        )
    };
    // SAFETY: it only sets a flag and resets the library's own handlers. Called before ours are
    // set, so that they stay.
    unsafe { handlers(0) };
    let (pipe, open_end) = std::io::pipe().context("making the pipe that keeps the server running")?;
    let open_end = Arc::new(Mutex::new(Some(open_end)));
    close_when_told(Arc::clone(&open_end))?;
    let arguments = arguments(&dir, options, pipe.as_raw_fd())?;
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
    let count = c_int::try_from(pointers.len()).context("counting arguments")?;
    pointers.push(std::ptr::null_mut());
    // SAFETY: the pointers are to strings that outlive the call, ended by a null as for `main`.
    let result = unsafe { query(count, pointers.as_mut_ptr()) };
    if result.is_null() {
        bail!("the ClickHouse library returned nothing");
    }
    // SAFETY: the result is the library's own and has not been freed.
    let message = unsafe { error(result) };
    if !message.is_null() {
        // SAFETY: the library returns a string that lives as long as the result.
        bail!("{}", unsafe { CStr::from_ptr(message) }.to_string_lossy());
    }
    // It says nothing of a port that it cannot have.
    if open_end.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
        bail!("the ClickHouse library ended although nobody asked it to; see above");
    }
    // The library's threads may still be ending: it is left to the end of the process.
    std::mem::forget(library);
    Ok(())
}

fn arguments(dir: &Path, options: Options, pipe: c_int) -> Result<Vec<CString>> {
    let tcp = if options.tcp_port.is_some() { "SYSTEM START LISTEN TCP; " } else { "" };
    let query = format!(
        "SYSTEM START LISTEN HTTP; {tcp}SELECT * FROM file('/proc/self/fd/{pipe}', 'LineAsString') \
         FORMAT Null SETTINGS input_format_parallel_parsing = 0"
    );
    let mut arguments = vec![
        "clickhouse".to_owned(),
        format!("--config-file={}", library_file(dir).display()),
        format!("--path={}", data(dir).display()),
        "--listen_host=127.0.0.1".to_owned(),
        format!("--http_port={}", options.http_port),
    ];
    arguments.extend(options.tcp_port.map(|port| format!("--tcp_port={port}")));
    arguments.extend(["--query".to_owned(), query]);
    arguments.into_iter().map(|text| CString::new(text).context("an argument holds a zero byte")).collect()
}

/// Closes the pipe once standard input ends or a signal asks for it.
fn close_when_told(open_end: Arc<Mutex<Option<PipeWriter>>>) -> Result<()> {
    let close = |shared: &Mutex<Option<PipeWriter>>| drop(shared.lock().unwrap_or_else(PoisonError::into_inner).take());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("listening for signals")?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let shared = Arc::clone(&open_end);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        close(&shared);
    });
    thread::spawn(move || {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        close(&open_end);
    });
    Ok(())
}
