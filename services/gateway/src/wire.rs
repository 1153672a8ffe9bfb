//! A viewer's socket and what still has to go out on it.
//!
//! Invariant: a frame is never begun before the one before is written to its last byte, whichever of the two writes: text
//! is written as shared bytes, control frames by tungstenite. It never waits.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes};
use futures::{Sink as _, Stream as _};
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::hub::TopicCell;

/// Frames that go out in one call to the kernel.
const SLICES: usize = 16;

/// What a viewer did.
#[derive(Debug)]
pub enum Heard {
    /// It sent text.
    Text(String),
    /// It sent something that is not text.
    NotText,
    /// It is there.
    Alive,
    /// It sent more than a message may hold, or broke the protocol; the socket was told so.
    Broken(u16, &'static str),
    /// It is gone.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// Text that the kernel has not taken yet.
    pub(crate) waiting: VecDeque<Bytes>,
    /// Tungstenite may hold a control frame that is not written to its end.
    pub(crate) control: bool,
    /// A close frame was begun: nothing may follow it.
    pub(crate) closing: bool,
    pub(crate) waker: Option<Waker>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) next_heartbeat: u64,
}

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) name: String,
    pub(crate) cell: Arc<TopicCell>,
    pub(crate) seq: u64,
    pub(crate) every: u64,
    pub(crate) next: u64,
}

impl Wire {
    pub(crate) fn new(socket: WebSocketStream<TcpStream>, beat: u64) -> Self {
        Self {
            socket,
            waiting: VecDeque::new(),
            control: false,
            closing: false,
            waker: None,
            subscriptions: Vec::new(),
            next_heartbeat: beat,
        }
    }

    /// Hands what waits to the kernel; what it does not take stays, and the session's task is woken to finish it.
    pub(crate) fn write_now(&mut self) -> std::io::Result<u64> {
        let mut written = 0;
        while !self.waiting.is_empty() {
            let taken = if self.waiting.len() == 1 {
                self.socket.get_ref().try_write(&self.waiting[0])
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                for (slice, frame) in slices.iter_mut().zip(&self.waiting) {
                    *slice = IoSlice::new(frame);
                }
                self.socket.get_ref().try_write_vectored(&slices[..self.waiting.len().min(SLICES)])
            };
            match taken {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    written += n as u64;
                    self.advance(n);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if let Some(waker) = self.waker.take() {
                        waker.wake();
                    }
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn advance(&mut self, mut n: usize) {
        while let Some(front) = self.waiting.front_mut() {
            if n < front.len() {
                front.advance(n);
                return;
            }
            n -= front.len();
            self.waiting.pop_front();
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            if self.control {
                match Pin::new(&mut self.socket).poll_flush(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => self.control = false,
                    Poll::Ready(Err(_)) => return Poll::Ready(Heard::Gone),
                }
            }
            while let Some(front) = self.waiting.front() {
                match Pin::new(self.socket.get_mut()).poll_write(cx, front) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Heard::Gone),
                    Poll::Ready(Ok(n)) => self.advance(n),
                }
            }
            return match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(Heard::Gone),
                Poll::Ready(Some(Ok(Message::Text(text)))) => Poll::Ready(Heard::Text(text.as_str().to_owned())),
                Poll::Ready(Some(Ok(Message::Binary(_)))) => Poll::Ready(Heard::NotText),
                Poll::Ready(Some(Ok(Message::Pong(_)))) => Poll::Ready(Heard::Alive),
                // Tungstenite has its answer ready.
                Poll::Ready(Some(Ok(Message::Ping(_) | Message::Close(_) | Message::Frame(_)))) => {
                    self.control = true;
                    continue;
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(broken(&error)),
            };
        }
    }

    pub(crate) fn next_due(&self) -> u64 {
        self.subscriptions.iter().map(|held| held.next).fold(self.next_heartbeat, u64::min)
    }
}

fn broken(error: &Error) -> Heard {
    match error {
        Error::Capacity(_) => Heard::Broken(1009, "a message is too long"),
        Error::Utf8(_) => Heard::Broken(1007, "text is not UTF-8"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Heard::Gone,
        Error::Protocol(_) => Heard::Broken(1002, "not WebSocket"),
        _ => Heard::Gone,
    }
}
