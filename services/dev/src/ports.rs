//! Free ports on loopback.
//!
//! They are taken from below the range the system gives to outgoing connections: a port from
//! inside that range can be handed to some client while a killed server is being restarted, and
//! a client that keeps trying such a port can even connect to itself.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use rand::Rng as _;

use crate::error::{Doing as _, Error, Result};

const FROM: u16 = 20_000;
const TO: u16 = 30_000;

/// That many different ports, each free a moment ago.
///
/// # Errors
/// When none can be bound.
pub fn free(count: usize) -> Result<Vec<u16>> {
    free_but(count, &[])
}

/// The same without those that others are to have, who do not listen yet.
///
/// # Errors
/// When none can be bound.
pub fn free_but(count: usize, taken: &[u16]) -> Result<Vec<u16>> {
    // All are held until the last is found, so that they differ.
    let listeners: Vec<TcpListener> = (0..count).map(|_| any(taken)).collect::<Result<_>>()?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    listeners.iter().map(|listener| port(listener).doing(|| "reading a port".into())).collect()
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

fn any(taken: &[u16]) -> Result<TcpListener> {
    let mut random = rand::rng();
    let free = |port: u16| if taken.contains(&port) { None } else { bind(port).ok() };
    let below = (0..200).find_map(|_| free(random.random_range(FROM..TO)));
    below.map_or_else(|| bind(0).doing(|| "finding a free port".into()), Ok)
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn free_ports_differ_and_can_be_bound() {
        let ports = free(20).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 20);
        for port in ports {
            check(port, "a test", "NOTHING").unwrap();
        }
    }

    #[test]
    fn a_port_that_another_is_to_have_is_not_given() {
        let taken: Vec<u16> = (FROM..TO).filter(|port| port % 10 != 0).collect();
        assert!(free_but(50, &taken).unwrap().iter().all(|port| port % 10 == 0));
    }

    #[test]
    fn a_taken_port_is_named_with_its_setting() {
        let held = any(&[]).unwrap();
        let port = held.local_addr().unwrap().port();
        let message = check(port, "the gateway", "GATEWAY_HTTP__LISTEN").unwrap_err().to_string();
        assert!(message.contains(&port.to_string()) && message.contains("GATEWAY_HTTP__LISTEN"), "{message}");
    }
}
