//! The admin port: `/health/live`, `/health/ready`, `/metrics`. It answers as long as the process lives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpSocket};

use crate::shutdown::Shutdown;

/// Where the admin port listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Whether the service can do its work, in words if not. Cloning gives another handle to the same state.
#[derive(Debug, Clone)]
pub struct Health {
    reason: Arc<Mutex<Option<String>>>,
    note: Arc<Mutex<String>>,
    warnings: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { reason: Arc::new(Mutex::new(Some("starting".into()))), note: Arc::default(), warnings: Arc::default() }
    }
}

impl Health {
    /// The service does its work.
    pub fn ready(&self) {
        self.set(None);
    }

    /// The service cannot do its work, and why.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// What else is to be said while it is ready; empty if nothing.
    pub fn note(&self, note: impl Into<String>) {
        *self.note.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = note.into();
    }

    fn said(&self) -> String {
        let note = self.note.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if note.is_empty() { "ready\n".to_owned() } else { format!("ready\n{note}\n") }
    }

    /// Why it is not ready; `None` if it is.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The service does its work, but a person should look at this; `None` when that is over.
    pub fn warn(&self, about: &str, words: Option<String>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match words {
            Some(words) => drop(warnings.insert(about.to_owned(), words)),
            None => drop(warnings.remove(about)),
        }
    }

    /// A line for each warning.
    #[must_use]
    pub fn warnings(&self) -> String {
        let warnings = self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        warnings.values().map(|words| format!("warning: {words}\n")).collect()
    }

    fn set(&self, reason: Option<String>) {
        let mut current = self.reason.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *current != reason {
            match &reason {
                None => tracing::info!("ready"),
                Some(reason) => tracing::warn!(reason, "not ready"),
            }
            *current = reason;
        }
    }
}

/// Starts the admin port and returns where it listens.
///
/// # Errors
/// If the port is taken; the message names the address and the key that changes it.
pub async fn start(
    config: &Config,
    registry: Registry,
    health: Health,
    mut shutdown: Shutdown,
) -> anyhow::Result<SocketAddr> {
    let listener = bind(config.listen, "admin.listen").await?;
    let address = listener.local_addr()?;
    let state = Arc::new((registry, health));
    let router = Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state);
    tokio::spawn(async move {
        let stop = async move { shutdown.wait().await };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "admin port failed");
        }
    });
    Ok(address)
}

/// Binds a port or says which setting names it.
///
/// # Errors
/// If the port is taken or not allowed.
pub async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}; change {setting}"))
}

/// Binds a port that further processes of the same user may bind too: the kernel deals new connections out among them,
/// and one that ends leaves the port to the others. Who asks for it must ask in every process.
///
/// # Errors
/// If the port is taken by somebody who does not share it, or not allowed.
pub fn bind_shared(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let bound = || -> std::io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().with_context(|| format!("cannot share {address}; change {setting}"))
}

type Shared = State<Arc<(Registry, Health)>>;

async fn ready(State(state): Shared) -> impl IntoResponse {
    match state.1.reason() {
        None => (StatusCode::OK, format!("{}{}", state.1.said(), state.1.warnings())),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n{}", state.1.warnings())),
    }
}

async fn metrics(State(state): Shared) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.0) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text)
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shared_port_is_shared_with_who_asks_for_it_and_with_nobody_else() {
        let first = bind_shared("127.0.0.1:0".parse().expect("an address"), "x").expect("bound");
        let address = first.local_addr().expect("an address");
        let second = bind_shared(address, "x").expect("shared");
        let refused = bind(address, "http.listen").await.expect_err("not shared").to_string();
        assert!(refused.contains("http.listen"), "{refused}");
        // The one that is left takes every connection.
        drop(first);
        let connected = tokio::net::TcpStream::connect(address).await.expect("connected");
        let (_, peer) = second.accept().await.expect("accepted");
        assert_eq!(peer, connected.local_addr().expect("an address"));
    }
}
