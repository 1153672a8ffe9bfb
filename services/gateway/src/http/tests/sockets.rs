//! Viewers on sockets.

use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value as Json;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::server::{SERVICE, Server, Viewer};

#[tokio::test]
async fn a_viewer_gets_a_snapshot_and_then_what_changes() {
    let server = Server::start().await;
    server.completed(5);
    let mut viewer = server.connect().await;
    viewer.say(r#"{"op":"sub","topic":"service:hmrc-self-assessment","rate":10}"#).await;
    let snapshot = viewer.next("snap").await;
    let keys: Vec<_> = snapshot["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(keys, ["started", "completed", "completed:digital", "completed_started"]);
    let value = |frame: &Json, list: &str, key: usize| -> Vec<u64> {
        let values = frame[list].as_array().unwrap().iter();
        values.filter(|v| v[0] == key).map(|v| v[2].as_u64().unwrap()).collect()
    };
    assert_eq!(value(&snapshot, "values", 1), [5, 5, 5], "minute, hour and day");
    server.completed(6);
    let tick = viewer.next("tick").await;
    assert_eq!(tick["prev"], snapshot["seq"]);
    assert!(value(&tick, "changes", 1).iter().all(|n| *n == 6));
    viewer.say(&format!(r#"{{"op":"unsub","topic":"service:{SERVICE}"}}"#)).await;
    viewer.say(r#"{"op":"sub","topic":"nothing"}"#).await;
    assert_eq!(viewer.next("err").await["code"], "unknown_topic");
    server.completed(7);
    assert_eq!(viewer.next("hb").await["today"], tick["today"], "heartbeats go on, ticks do not");
}

#[tokio::test]
async fn a_viewer_goes_on_from_where_it_was() {
    let server = Server::start().await;
    server.completed(5);
    let mut first = server.connect().await;
    first.say(r#"{"op":"sub","topic":"overview","rate":10}"#).await;
    let snapshot = first.next("snap").await;
    let (seq, epoch) = (snapshot["seq"].as_u64().unwrap(), snapshot["epoch"].as_str().unwrap());
    server.completed(9);
    let mut second = server.connect().await;
    second.say(&format!(r#"{{"op":"sub","topic":"overview","since":{seq},"epoch":"{epoch}"}}"#)).await;
    let tick = second.next("tick").await;
    assert_eq!(tick["prev"], seq);
    let mut third = server.connect().await;
    third.say(&format!(r#"{{"op":"sub","topic":"overview","since":{seq},"epoch":"another"}}"#)).await;
    assert!(third.next("snap").await["seq"].as_u64() > Some(seq));
}

#[tokio::test]
async fn bad_messages_are_answered_and_the_connection_is_kept() {
    let server = Server::start().await;
    let mut viewer = server.connect().await;
    for (message, code) in [
        ("nonsense", "bad_message"),
        (r#"{"op":"sub"}"#, "bad_message"),
        (r#"{"op":"sub","topic":"department:none"}"#, "unknown_topic"),
        (r#"{"op":"sub","topic":"wall","rate":3}"#, "bad_rate"),
        (r#"{"op":"rate","topic":"wall","rate":1}"#, "not_subscribed"),
    ] {
        viewer.say(message).await;
        assert_eq!(viewer.next("err").await["code"], code, "{message}");
    }
    viewer.socket.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(viewer.next("err").await["code"], "bad_message");
    viewer.say(r#"{"op":"dance"}"#).await;
    viewer.say(r#"{"op":"sub","topic":"wall"}"#).await;
    assert_eq!(viewer.next("snap").await["topic"], "wall");
}

#[tokio::test]
async fn each_limit_of_a_connection_holds() {
    let server = Server::start_with(|config| config.live.subscriptions_max = 2).await;
    let mut viewer = server.connect().await;
    for topic in ["overview", "wall", "overview"] {
        viewer.say(&format!(r#"{{"op":"sub","topic":"{topic}"}}"#)).await;
        viewer.next("snap").await;
    }
    viewer.say(r#"{"op":"sub","topic":"department:dft"}"#).await;
    assert_eq!(viewer.next("err").await["code"], "too_many_subscriptions");

    let mut talker = server.connect().await;
    for _ in 0..60 {
        talker.say(r#"{"op":"dance"}"#).await;
    }
    assert_eq!(talker.next("err").await["code"], "too_many_messages");
    assert_eq!(talker.close_code().await, 4429);

    let mut shouter = server.connect().await;
    shouter.say(&"x".repeat(17 * 1024)).await;
    assert_eq!(shouter.close_code().await, 1009);

    let mut pinger = server.connect().await;
    pinger.socket.send(Message::Ping("here".into())).await.unwrap();
    let mut answered = false;
    for _ in 0..10 {
        let message = tokio::time::timeout(Duration::from_secs(3), pinger.socket.next()).await;
        answered |= matches!(message, Ok(Some(Ok(Message::Pong(_)))));
        if answered {
            break;
        }
    }
    assert!(answered, "a ping is answered");
}

#[tokio::test]
async fn strangers_and_the_one_too_many_are_turned_away_before_the_upgrade() {
    let server = Server::start_with(|config| {
        config.live.origins.push("https://performance.example".into());
        config.live.connections_max = 2;
    })
    .await;
    let refused = |answer: Result<Viewer, SocketError>| match answer {
        Err(SocketError::Http(answer)) => answer.status().as_u16(),
        _ => panic!("let in"),
    };
    assert_eq!(refused(server.try_connect(Some("https://evil.example")).await), 403);
    assert_eq!(refused(server.try_connect(Some("http://performance.example")).await), 403);
    let own = format!("http://{}", server.address);
    let first = server.try_connect(Some(&own)).await.expect("its own pages");
    let _second = server.try_connect(Some("https://performance.example")).await.expect("one of the list");
    assert_eq!(refused(server.try_connect(None).await), 503);
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(5);
    while server.door.open() > 1 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.try_connect(None).await.expect("a place is free again");
    assert_eq!(server.get("/live").await.0, 426);
}

#[tokio::test]
async fn at_the_end_viewers_are_told_to_come_back() {
    let server = Server::start().await;
    let mut viewer = server.connect().await;
    viewer.say(r#"{"op":"sub","topic":"overview"}"#).await;
    viewer.next("snap").await;
    server.trigger.stop();
    let bye = viewer.next("bye").await;
    assert_eq!(bye["code"], "restart");
    assert!((500..=2_500).contains(&bye["retry_ms"].as_u64().unwrap()));
    assert_eq!(viewer.close_code().await, 1012);
    server.last.stop();
}

#[tokio::test]
async fn heartbeats_say_who_is_behind_since_when() {
    let server = Server::start().await;
    let mut viewer = server.connect().await;
    let first = viewer.next("hb").await;
    assert_eq!((first["state"].as_str(), first["pipeline"]["state"].as_str()), (Some("starting"), Some("unknown")));
    server.completed(1);
    server.world.live().pipeline.on_contact(true);
    let ok = viewer.next("hb").await;
    assert_eq!((ok["state"].as_str(), ok["pipeline"]["state"].as_str()), (Some("ok"), Some("ok")));
    assert_eq!(ok["pipeline"]["since"], Json::Null);
    server.world.live().incomplete = Some("words".into());
    // Nothing more comes: after three seconds the figures are old, and the frame says since when.
    let behind = loop {
        let hb = viewer.next("hb").await;
        if hb["state"] != "ok" {
            break hb;
        }
    };
    assert_eq!((behind["state"].as_str(), behind["incomplete"].as_str()), (Some("behind"), Some("words")));
    assert_eq!(behind["pipeline"]["since"], ok["wm"]);
}
