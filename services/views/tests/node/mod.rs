//! Runs a piece of JavaScript against the scripts in `web/`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What the module `code` prints as JSON, given `input` on its standard input and the folder of the scripts as its
/// argument; `None`, loudly, where there is no Node.js.
pub(crate) fn run(code: &str, input: &Value) -> Option<Value> {
    let web = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
    let child = Command::new("node")
        .args(["--no-warnings", "--input-type=module"])
        .args(["-e", code, web])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("SKIPPED: no Node.js here ({error})");
            return None;
        }
    };
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.to_string().as_bytes()).expect("Node.js reads");
    drop(stdin);
    let output = child.wait_with_output().expect("Node.js ends");
    assert!(output.status.success(), "Node.js failed");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}
