//! Generates the Rust form of the contract with a pure-Rust compiler, so that no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let public = ["performance/v1/collector.proto", "performance/v1/backfill.proto", "performance/v1/statements.proto"];
    let internal = [
        "performance/internal/v1/record.proto",
        "performance/internal/v1/book.proto",
        "performance/internal/v1/stated.proto",
    ];
    let files: Vec<_> = public.into_iter().chain(internal).collect();
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // The reflection service serves the public part only.
    let public = protox::compile(public, ["."])?;
    std::fs::write(out.join("public.bin"), prost::Message::encode_to_vec(&public))?;
    tonic_prost_build::configure().build_transport(true).compile_fds(descriptors)?;
    Ok(())
}
