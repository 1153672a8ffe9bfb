//! The wire contract: the public gRPC form (`performance.v1`), the records between our own services, and the one
//! bridge between wire and domain.
//!
//! Invariant: nothing outside this crate reads or writes a wire field. It never does IO and knows no clock.

mod book;
mod bridge;
mod pack;
mod stated;

pub use book::{Book, BookLine, decode_book, encode_book};
pub use bridge::{
    Stamp, Unreadable, append_record, decode_record, decode_record_known, encode_record, parse_event, parse_retraction,
    restamp_record,
};
pub use pack::{Pack, PackedCell, decode_pack, encode_pack};
pub use stated::{StatedBody, StatedRecord, append_stated, decode_stated, parse_figure, parse_note};

/// `performance.v1`: the public contract.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("performance.v1");
}

/// `performance.internal.v1`: what travels on the Kafka topics.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod internal {
    tonic::include_proto!("performance.internal.v1");
}

/// The public contract as a serialised `FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/public.bin"));

/// Size of a message on the wire, in bytes.
#[must_use]
pub fn encoded_len(message: &impl prost::Message) -> usize {
    message.encoded_len()
}
