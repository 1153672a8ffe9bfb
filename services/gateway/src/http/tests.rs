//! A gateway over HTTP, by subject.

mod answers;
mod described;
mod hostile;
mod refused;
mod server;
mod sizes;
mod sockets;
mod stated;
