//! The little HTTP this crate needs to ask its children how they are: one request, one answer,
//! one connection. HTTP/1.0, so that an answer ends where the connection does.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::error::{Doing as _, Error, Result};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Sends one request and reads the answer to its end.
///
/// # Errors
/// When nobody answers within the time.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    timeout: Duration,
) -> Result<Answer> {
    let url = format!("http://{address}{path}");
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let bytes = exchange().doing(|| url.clone())?;
    parse(&bytes).ok_or(Error::Http { url, status: 0, body: "not an HTTP answer".into() })
}

/// GET, answered with any status.
///
/// # Errors
/// When nobody answers within two seconds.
pub fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    request(address, "GET", path, &[], &[], Duration::from_secs(2))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        let answer = parse(b"HTTP/1.0 503 Service Unavailable\r\nx: y\r\n\r\nnot yet\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "not yet\n"));
        assert!(parse(b"what?").is_none());
    }
}
