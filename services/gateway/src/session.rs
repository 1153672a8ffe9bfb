//! One viewer: what it subscribes to, what it has, and the two ends that write to its socket.
//!
//! Text frames are shared bytes, written as they are: by the hub's writer in its round, or by the session's own task when
//! they answer a request. Control frames are tungstenite's, written by the session's task only. What the kernel does not
//! take at once stays here and is finished by the task; until then the viewer is left out of the rounds and nothing is
//! read from it.
//!
//! Invariant: a frame is never begun before the one before is written to its last byte. At most the answers to one
//! request wait here. It never blocks a writer.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Sink as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::frame;
use crate::hub::{BEAT_MS, HEARTBEAT_BEATS, Hub, TopicCell};
use crate::protocol::{self, Code, Rate, Refusal, Request};
use crate::topics::Topic;
pub use crate::wire::Heard;
use crate::wire::{Subscription, Wire};

/// One connected viewer.
#[derive(Debug)]
pub struct Session {
    /// Its number; decides its writer and its place in the beat.
    pub number: u64,
    subscriptions_max: usize,
    due: AtomicU64,
    closed: AtomicBool,
    wire: Mutex<Wire>,
}

/// What one round of a writer did.
#[derive(Debug, Default)]
pub struct Round {
    /// Frames written.
    pub frames: u64,
    /// Bytes that the kernel took.
    pub bytes: u64,
    /// Sessions that were left out.
    pub conflated: u64,
    /// The first tick that was written: topic, from, to.
    pub sample: Option<(Arc<TopicCell>, u64, u64)>,
}

impl Session {
    /// A viewer on an upgraded connection.
    #[must_use]
    pub fn new(number: u64, socket: WebSocketStream<TcpStream>, subscriptions_max: usize, beat: u64) -> Arc<Self> {
        Arc::new(Self {
            number,
            subscriptions_max,
            due: AtomicU64::new(beat),
            closed: AtomicBool::new(false),
            wire: Mutex::new(Wire::new(socket, beat)),
        })
    }

    /// Whether a round of this beat has anything to do for it.
    #[must_use]
    pub fn is_due(&self, beat: u64) -> bool {
        self.due.load(Ordering::Relaxed) <= beat && !self.is_closed()
    }

    /// Whether it is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, wire: &mut Wire) {
        self.closed.store(true, Ordering::Release);
        wire.subscriptions.clear();
        wire.waiting.clear();
        if let Some(waker) = wire.waker.take() {
            waker.wake();
        }
    }

    /// A writer's turn: what is due goes to the kernel in one call, or not at all while it has not taken the last.
    pub fn serve(&self, hub: &Hub, beat: u64, round: &mut Round) {
        let mut guard = self.wire();
        let wire = &mut *guard;
        if wire.closing {
            self.due.store(u64::MAX, Ordering::Relaxed);
            return;
        }
        if !wire.waiting.is_empty() || wire.control {
            round.conflated += 1;
            self.due.store(beat + 1, Ordering::Relaxed);
            return;
        }
        let heartbeat = (wire.next_heartbeat <= beat).then(|| {
            wire.next_heartbeat = next_slot(beat, self.number, HEARTBEAT_BEATS);
            hub.heartbeat(beat)
        });
        wire.waiting.extend(heartbeat);
        for subscription in wire.subscriptions.iter_mut().filter(|subscription| subscription.next <= beat) {
            subscription.next = next_slot(beat, self.number, subscription.every);
            let Some(frame) = hub.frame(&subscription.cell, subscription.seq, beat) else { continue };
            if round.sample.is_none() {
                round.sample = Some((Arc::clone(&subscription.cell), subscription.seq, frame.seq));
            }
            subscription.seq = frame.seq;
            wire.waiting.push_back(frame.bytes);
        }
        self.due.store(wire.next_due(), Ordering::Relaxed);
        round.frames += wire.waiting.len() as u64;
        match wire.write_now() {
            Ok(bytes) => round.bytes += bytes,
            Err(_) => self.end(wire),
        }
    }

    /// Sends a frame of its own to the viewer.
    pub fn send(&self, frame: Bytes) {
        self.send_on(&mut self.wire(), Some(frame));
    }

    fn send_on(&self, wire: &mut Wire, frame: Option<Bytes>) {
        if wire.closing {
            return;
        }
        wire.waiting.extend(frame);
        if !wire.control && wire.write_now().is_err() {
            self.end(wire);
        }
    }

    /// Answers a viewer's message.
    ///
    /// # Errors
    /// A message that is refused; the viewer is to be told.
    pub fn answer(&self, hub: &Hub, message: &str) -> Result<(), Refusal> {
        match protocol::parse(message)? {
            Request::Sub { topic, rate, since } => self.subscribe(hub, topic, rate, since),
            Request::Unsub { topic } => {
                self.wire().subscriptions.retain(|subscription| subscription.name != topic);
                Ok(())
            }
            Request::Rate { topic, rate } => {
                let mut guard = self.wire();
                let wire = &mut *guard;
                let beat = hub.beat();
                let Some(held) = wire.subscriptions.iter_mut().find(|held| held.name == topic) else {
                    return Err(Refusal::of(Code::NotSubscribed, "the topic is not subscribed to", &topic));
                };
                held.every = beats(rate);
                held.next = next_slot(beat, self.number, held.every);
                self.due.store(wire.next_due(), Ordering::Relaxed);
                Ok(())
            }
            Request::Ignored => Ok(()),
        }
    }

    fn subscribe(&self, hub: &Hub, name: String, rate: Rate, since: Option<(u64, String)>) -> Result<(), Refusal> {
        let Some(topic) = Topic::parse(&name, &hub.world.catalogue) else {
            return Err(Refusal::of(Code::UnknownTopic, "there is no such topic", &name));
        };
        // Held to the end, so that no writer sends a tick of the old subscription between the two.
        let mut guard = self.wire();
        let wire = &mut *guard;
        wire.subscriptions.retain(|held| held.name != name);
        if wire.subscriptions.len() >= self.subscriptions_max {
            let words = format!("one connection has at most {} subscriptions", self.subscriptions_max);
            return Err(Refusal::of(Code::TooManySubscriptions, words, &name));
        }
        let cell = hub.topic(topic);
        let beat = hub.beat();
        let resumed = since.filter(|(_, epoch)| *epoch == hub.epoch).map_or(0, |(seq, _)| seq);
        let frame = hub.frame(&cell, resumed, beat);
        let seq = frame.as_ref().map_or(resumed, |frame| frame.seq);
        let every = beats(rate);
        let next = next_slot(beat, self.number, every);
        wire.subscriptions.push(Subscription { name, cell, seq, every, next });
        self.due.store(wire.next_due(), Ordering::Relaxed);
        self.send_on(wire, frame.map(|frame| frame.bytes));
        Ok(())
    }

    /// Sends a ping.
    pub fn ping(&self) {
        self.control(Message::Ping(Bytes::new()));
    }

    /// Says goodbye: a last frame of text if there is one, and the close code.
    pub fn close(&self, code: u16, reason: &'static str, last: Option<Bytes>) {
        if let Some(last) = last {
            self.send(last);
        }
        self.control(Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() })));
    }

    fn control(&self, message: Message) {
        let mut guard = self.wire();
        let wire = &mut *guard;
        wire.closing |= matches!(message, Message::Close(_));
        // In the middle of a text frame no control frame can be sent; a viewer that takes nothing needs no ping.
        if !wire.waiting.is_empty() || self.is_closed() {
            return;
        }
        match Pin::new(&mut wire.socket).start_send(message) {
            Ok(()) => {
                wire.control = true;
                if let Some(waker) = wire.waker.take() {
                    waker.wake();
                }
            }
            Err(_) => self.end(wire),
        }
    }

    /// The session's task: finishes what the kernel has not taken, then listens.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Heard> {
        let mut guard = self.wire();
        let wire = &mut *guard;
        if self.is_closed() {
            return Poll::Ready(Heard::Gone);
        }
        wire.waker = Some(cx.waker().clone());
        let heard = match wire.poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(heard) => heard,
        };
        match &heard {
            Heard::Gone => self.end(wire),
            Heard::Broken(code, reason) => {
                wire.closing = true;
                let frame = CloseFrame { code: (*code).into(), reason: (*reason).into() };
                let _ = Pin::new(&mut wire.socket).start_send(Message::Close(Some(frame)));
                let _ = Pin::new(&mut wire.socket).poll_flush(cx);
            }
            _ => {}
        }
        Poll::Ready(heard)
    }

    /// Marks it as gone; the writers forget it.
    pub fn finish(&self) {
        let mut guard = self.wire();
        self.end(&mut guard);
    }
}

/// An `err` frame.
#[must_use]
pub fn refused(refusal: &Refusal) -> Bytes {
    frame::text(&refusal.frame())
}

const fn beats(rate: Rate) -> u64 {
    rate.every_ms() / BEAT_MS
}

/// The first beat after `beat` that belongs to a phase in an interval.
const fn next_slot(beat: u64, phase: u64, every: u64) -> u64 {
    let ahead = (phase % every + every - beat % every) % every;
    if ahead == 0 { beat + every } else { beat + ahead }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_after_now_within_an_interval_and_on_the_phase() {
        for beat in 0..60 {
            for phase in 0..40 {
                for rate in [Rate::Ten, Rate::Four, Rate::Two, Rate::One, Rate::Fifth] {
                    let every = beats(rate);
                    let slot = next_slot(beat, phase, every);
                    assert!(slot > beat && slot <= beat + every);
                    assert_eq!(slot % every, phase % every);
                }
            }
        }
    }
}
