//! A gateway over HTTP, by subject.

mod answers;
mod described;
mod hostile;
mod refused;
mod server;
mod sockets;
mod stated;
