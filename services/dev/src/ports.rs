//! Free ports on loopback.
//!
//! They are taken from below the range the system gives to outgoing connections: a port from
//! inside that range can be handed to some client while a killed server is being restarted, and
//! a client that keeps trying such a port can even connect to itself.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
};

use rand::Rng as _;

use crate::error::{Doing as _, Error, Result};

const FROM: u16 = 20_000;
const TO: u16 = 30_000;
/// What this process was given: whoever has a port may not listen on it yet, or not at the moment.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// That many ports, each free a moment ago and never given to this process before.
///
/// # Errors
/// When none can be bound.
pub fn free(count: usize) -> Result<Vec<u16>> {
    (0..count).map(|_| new()).collect()
}

/// Checks that a port can be bound.
///
/// # Errors
/// [`Error::PortTaken`], naming who wants it and the setting that changes it.
pub fn check(port: u16, name: &str, setting: &'static str) -> Result<()> {
    match bind(port) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(Error::PortTaken { port, name: name.to_owned(), setting })
        }
        Err(source) => Err(Error::Io { what: format!("binding port {port} for {name}"), source }),
    }
}

/// Whether somebody accepts connections there.
#[must_use]
pub fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200)).is_ok()
}

fn new() -> Result<u16> {
    let mut random = rand::rng();
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..200 {
        let port = random.random_range(FROM..TO);
        if bind(port).is_ok() && given.insert(port) {
            return Ok(port);
        }
    }
    loop {
        let any = bind(0).and_then(|listener| listener.local_addr());
        let port = any.doing(|| "finding a free port".into())?.port();
        if given.insert(port) {
            return Ok(port);
        }
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_given_once_and_can_be_bound() {
        let ports: Vec<u16> = (0..500).flat_map(|_| free(4).unwrap()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 2_000);
        for port in ports {
            check(port, "a test", "NOTHING").unwrap();
        }
    }

    #[test]
    fn a_taken_port_is_named_with_its_setting() {
        let port = new().unwrap();
        let _held = bind(port).unwrap();
        let message = check(port, "the gateway", "GATEWAY_HTTP__LISTEN").unwrap_err().to_string();
        assert!(message.contains(&port.to_string()) && message.contains("GATEWAY_HTTP__LISTEN"), "{message}");
    }
}
