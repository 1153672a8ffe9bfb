use std::task::Context;
use std::time::Duration;

use domain::catalogue::Catalogue;
use domain::cell::{CellKey, Counts, Measures, Slice};
use domain::source::{Log, ServiceNumber, Source};
use domain::time::Period;
use prometheus_client::registry::Registry;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::session::{Round, Session};

fn hub() -> Arc<Hub> {
    let world = World::new(Catalogue::embedded(), Vec::new(), runtime::clock::now_ms());
    Hub::new(Arc::new(world), Metrics::register(&mut Registry::default()), true)
}

fn count(hub: &Hub, service: u16, completed: u64) {
    let now = runtime::clock::now_ms();
    let slice = Slice::Counts { channel: 1 };
    let source = Source { log: Log::Events, epoch: 1, partition: 0 };
    for period in Period::ALL {
        let key = CellKey { period, index: period.index_at(now), service: ServiceNumber(service), slice };
        let measures = Measures::Counts(Counts { stages: [0, completed, 0, 0], ..Counts::default() });
        hub.world.live().fold.take(source, [(&key, &measures)], |_| Some(now));
    }
}

#[test]
fn a_frame_is_encoded_once_for_all_who_need_it() {
    let hub = hub();
    count(&hub, 1, 1);
    let cell = hub.topic(Topic::Overview);
    let snapshots: Vec<_> = (0..5).map(|_| hub.frame(&cell, 0, 1).unwrap()).collect();
    assert!(snapshots.iter().all(|frame| frame.bytes.as_ptr() == snapshots[0].bytes.as_ptr()), "the same bytes");
    count(&hub, 1, 2);
    let since = snapshots[0].seq;
    let ticks: Vec<_> = (0..5).map(|_| hub.frame(&cell, since, 2).unwrap()).collect();
    assert!(ticks.iter().all(|frame| frame.bytes.as_ptr() == ticks[0].bytes.as_ptr()));
    assert_eq!(hub.metrics.encoded.get(), 2);
    assert!(hub.frame(&cell, ticks[0].seq, 2).is_none(), "who has everything gets nothing");
}

#[test]
fn who_missed_many_steps_gets_one_tick_no_longer_than_what_changed() {
    let hub = hub();
    count(&hub, 1, 1);
    let cell = hub.topic(Topic::Service(ServiceNumber(1)));
    let slow = hub.frame(&cell, 0, 1).unwrap().seq;
    let mut quick = slow;
    for step in 2..100 {
        count(&hub, 1, step);
        quick = hub.frame(&cell, quick, step).unwrap().seq;
    }
    let merged = hub.frame(&cell, slow, 99).unwrap();
    let text = String::from_utf8_lossy(&merged.bytes[4..]).into_owned();
    assert!(text.contains(&format!("\"prev\":{slow},\"seq\":{quick}")), "{text}");
    assert!(text.len() < 400, "six values and their frame: {text}");
}

#[test]
fn topics_that_nobody_holds_are_dropped_and_their_numbers_are_not_used_again() {
    let hub = hub();
    count(&hub, 1, 1);
    let cell = hub.topic(Topic::Wall);
    let before = hub.frame(&cell, 0, 1).unwrap();
    hub.drop_unheld();
    assert_eq!(hub.metrics.topics.get(), 1, "still held");
    drop(cell);
    hub.drop_unheld();
    assert_eq!(hub.metrics.topics.get(), 0);
    let again = hub.topic(Topic::Wall);
    let frame = hub.frame(&again, before.seq, 2).unwrap();
    assert!(frame.bytes[2..].windows(11).any(|part| part == b"\"op\":\"snap\""), "not a tick on another index");
    assert!(frame.seq > before.seq);
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// Reads whole frames until nothing comes for a moment.
async fn frames(client: &mut TcpStream) -> Vec<String> {
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 2];
        let read = tokio::time::timeout(Duration::from_secs(1), client.read_exact(&mut head)).await;
        if read.is_err() {
            return frames;
        }
        let len = match head[1] {
            126 => u64::from(client.read_u16().await.unwrap()),
            127 => client.read_u64().await.unwrap(),
            len => u64::from(len),
        };
        let mut payload = vec![0; len as usize];
        client.read_exact(&mut payload).await.unwrap();
        frames.push(String::from_utf8(payload).unwrap());
    }
}

#[tokio::test]
async fn a_viewer_that_does_not_read_holds_nothing_back_and_is_caught_up_with_whole_frames() {
    let hub = hub();
    let (mut client, server) = pair().await;
    socket2::SockRef::from(&server).set_send_buffer_size(4_096).unwrap();
    let socket = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    let session = Session::new(0, socket, 4, 1);
    for service in 1..=800 {
        count(&hub, service, 1);
    }
    session.answer(&hub, r#"{"op":"sub","topic":"overview","rate":10}"#).unwrap();
    let mut left_out = 0;
    for beat in 2..5_000 {
        for service in (beat % 800 + 1)..=(beat % 800 + 40).min(800) {
            count(&hub, service as u16, beat);
        }
        let mut round = Round::default();
        if session.is_due(beat) {
            session.serve(&hub, beat, &mut round);
        }
        left_out += round.conflated;
    }
    assert!(left_out > 1_000, "left out of {left_out} rounds while it did not read");
    // It reads again: the session's task finishes what was begun, and the next round has all it missed.
    let task = {
        let session = Arc::clone(&session);
        tokio::spawn(std::future::poll_fn(move |cx: &mut Context<'_>| session.poll(cx).map(|_| ())))
    };
    let before = frames(&mut client).await;
    assert!(before[0].starts_with(r#"{"op":"snap""#), "the first frame is whole: {}", &before[0][..40]);
    session.serve(&hub, 6_000, &mut Round::default());
    let after = frames(&mut client).await;
    let last = after.iter().rev().find(|frame| frame.contains("overview")).expect("a frame of the topic");
    let seq = hub.frame(&hub.topic(Topic::Overview), 0, 6_001).unwrap().seq;
    assert!(last.contains(&format!("\"seq\":{seq},")), "it has everything: {}", &last[..80]);
    task.abort();
}

#[tokio::test]
async fn heartbeats_come_once_a_second_also_when_nothing_changes() {
    let hub = hub();
    let (mut client, server) = pair().await;
    let socket = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    let session = Session::new(7, socket, 4, 1);
    for beat in 1..=5 * HEARTBEAT_BEATS {
        if session.is_due(beat) {
            session.serve(&hub, beat, &mut Round::default());
        }
    }
    let beats = frames(&mut client).await;
    assert!((5..=6).contains(&beats.len()), "{}", beats.len());
    assert!(beats.iter().all(|frame| frame.starts_with(r#"{"op":"hb""#)));
}
