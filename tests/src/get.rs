//! Pages and answers of a gateway as a plain client gets them.

use std::net::SocketAddr;

use serde_json::Value;

/// Status and body of an address; nothing while the gateway does not answer.
#[must_use]
pub fn get(gateway: SocketAddr, path: &str) -> (u16, String) {
    match dev::http::get(gateway, path) {
        Ok(answer) => (answer.status, answer.body),
        Err(error) => (0, error.to_string()),
    }
}

/// The JSON of an address.
///
/// # Errors
/// What came instead.
pub fn json(gateway: SocketAddr, path: &str) -> Result<Value, String> {
    let (status, body) = get(gateway, path);
    if status != 200 {
        return Err(format!("{path}: {status} {body}"));
    }
    serde_json::from_str(&body).map_err(|error| format!("{path}: {error}: {body}"))
}
