//! Servers that go away and come back. Each test here has a pair of servers of its own and kills one of them.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::sender::{Answer, Senders};
use tests::shared::{Address, Shared};
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until, until_so};
use tests::viewer::Viewer;
use tonic::Code;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("faults::kafka_away_is_said_at_once_and_recovered_from", kafka_away),
        Test::new("faults::clickhouse_away_figures_stay_live_and_say_so", clickhouse_away),
    ]
}

const TOPICS: [&str; 2] = ["overview", "service:hmrc-stamp-duty-reserve-tax"];

fn kafka_away(shared: &Shared) {
    let mut servers = shared.own("kafka_away");
    let stack = Stack::on(Address::of(&mut servers), shared, "kafka_away");
    // A broker that does not answer for longer than a question waits.
    servers.kafka().child().expect("our own broker").pause();
    std::thread::scope(|scope| {
        let provisioned = scope.spawn(|| stack.provision());
        std::thread::sleep(Duration::from_secs(12));
        servers.kafka().child().expect("our own broker").resume();
        provisioned.join().expect("it was asked again");
    });
    let (collector, aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let pids = [collector.pid(), aggregator.pid(), gateway.pid()];
    let senders = Senders::new(&stack, collector.grpc());
    let (mut truth, mut mix) = (Truth::default(), Mix::new(31, "kafka_away"));
    let events = mix.with_repeats(2_000, 10);
    senders.send_all(&events, PATIENCE);
    truth.take(&events);
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    expect::shown(&truth, &viewer, "overview");

    servers.kafka().kill().expect("our own broker");
    let mut lost = mix.fresh(300);
    // It may have been taken in before anybody noticed: nobody knows, so it is sent again like the others.
    lost.push(proto::v1::Event { service_id: "sandbox-hmrc".into(), ..lost[0].clone() });
    refused_quickly(&senders, &lost);
    // The screen says that it does not know, in time.
    let away = viewer.heartbeat("the gateway says that it is behind", |hb| hb["state"] == "behind");
    assert_eq!(away["pipeline"]["state"], "unknown", "{away}");
    until_so("the collector says that it is not ready", PATIENCE, || collector.ready().is_err());
    let aggregator_log = || std::fs::read_to_string(aggregator.log()).expect("a log");
    until_so("the aggregator's session has ended", PATIENCE, || aggregator_log().contains("partitions revoked"));

    servers.kafka().restart().expect("the broker starts again");
    senders.send_all(&lost, PATIENCE);
    truth.take(&lost);
    let more = mix.with_repeats(2_000, 10);
    senders.send_all(&more, PATIENCE);
    truth.take(&more);
    check::settled(&truth, &stack.log(), &stack.sql(), PATIENCE);
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    viewer.heartbeat("the gateway is well again", |hb| hb["state"] == "ok");
    for topic in TOPICS {
        expect::shown(&truth, &viewer, topic);
    }
    until("what is counted is committed", PATIENCE, || match committed(&stack)? {
        committed if committed == stack.log().ends() => Ok(()),
        committed => Err(format!("{committed:?} of {:?}", stack.log().ends())),
    });
    assert_eq!(pids, [collector.pid(), aggregator.pid(), gateway.pid()]);
    // It was not taken for another by its name, for a commit that had waited until the broker was back.
    assert!(!aggregator_log().contains("counting begins anew"), "{}", aggregator_log());
    for mut service in [collector, aggregator, gateway] {
        assert_eq!(service.stop(), "code 0", "{}", service.name());
    }
}

/// How far the group has come in the log, as it has told the brokers.
fn committed(stack: &Stack) -> Result<Vec<u64>, String> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &stack.address().brokers).set("group.id", stack.group());
    let consumer: BaseConsumer = settings.create().expect("a consumer");
    let mut asked = TopicPartitionList::new();
    for (partition, _) in (0..).zip(stack.log().ends()) {
        asked.add_partition(&stack.events_topic(), partition);
    }
    let known = consumer.committed_offsets(asked, Duration::from_secs(5)).map_err(|error| error.to_string())?;
    let end = |offset| if let Offset::Offset(end) = offset { end.cast_unsigned() } else { 0 };
    Ok(known.elements().iter().map(|element| end(element.offset())).collect())
}

/// The first call may take as long as it takes to notice; from then on the answer comes at once, with a time to wait.
fn refused_quickly(senders: &Senders, events: &[proto::v1::Event]) {
    let event = events[events.len() - 1..].to_vec();
    until("the collector notices", Duration::from_secs(15), || match senders.publish("hmrc", &event, false) {
        Err(status) if status.code() == Code::Unavailable => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let began = Instant::now();
    let status = senders.publish("hmrc", &event, false).expect_err("nobody can store it");
    let took = began.elapsed();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(took < Duration::from_secs(1), "refused after {took:?}");
    let wait = status.metadata().get("retry-after-ms").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    assert!(wait.is_some_and(|ms| ms > 0), "a time to wait: {:?}", status.metadata());
    let answers = senders.send(events);
    assert!(answers.iter().all(|answer| *answer == Answer::Refused(Code::Unavailable)), "{answers:?}");
}

fn clickhouse_away(shared: &Shared) {
    let mut servers = shared.own("clickhouse_away");
    let mut stack = Stack::on(Address::of(&mut servers), shared, "clickhouse_away");
    stack.set("AGGREGATOR_COUNTING__UNSTORED_ROWS_MAX", &5_000);
    stack.provision();
    let (collector, mut aggregator, mut gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    // Of this hour only: older cells would have to be read first.
    let (mut truth, mut mix) = (Truth::default(), Mix::new(32, "clickhouse_away").recent(50));
    let mut send = |truth: &mut Truth, count: usize| {
        let events = mix.with_repeats(count, 10);
        senders.send_all(&events, PATIENCE);
        truth.take(&events);
    };
    send(&mut truth, 2_000);
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    expect::shown(&truth, &viewer, "overview");
    check::counted(&stack.sql(), truth.records(), PATIENCE);

    servers.clickhouse().kill().expect("our own server");
    send(&mut truth, 2_000);
    for topic in TOPICS {
        expect::shown(&truth, &viewer, topic);
    }
    let words = until("the status names the store", PATIENCE, || stalled(&gateway));
    assert!(words.contains("store"), "{words}");
    viewer.heartbeat("the gateway says that it is behind", |hb| hb["pipeline"]["state"] == "behind");
    // A gateway that starts now has only the live topic, and says that figures may be incomplete.
    drop(viewer);
    gateway.kill9();
    let gateway = stack.gateway();
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    viewer.heartbeat("it says that figures may be incomplete", |hb| hb["incomplete"].is_string());
    // More than may be held: it must stop fetching, and go on when the store is back.
    send(&mut truth, 9_000);
    servers.clickhouse().restart().expect("the server starts again");
    check::exact(&truth, &stack.sql(), PATIENCE);
    viewer.heartbeat("all is well again", |hb| hb["incomplete"].is_null() && hb["state"] == "ok");
    for topic in TOPICS {
        expect::shown(&truth, &viewer, topic);
    }

    // One that is killed meanwhile has nothing to go on from, and waits.
    servers.clickhouse().kill().expect("our own server");
    send(&mut truth, 2_000);
    aggregator.kill9();
    let aggregator = stack.aggregator_unready(1);
    let why = until("it says why it is not ready", PATIENCE, || match aggregator.ready() {
        Err(why) if why.to_string().contains("starting") => Err(why.to_string()),
        Err(why) => Ok(why.to_string()),
        Ok(()) => panic!("it cannot be ready"),
    });
    assert!(why.contains("ClickHouse") || why.contains("network"), "{why}");
    servers.clickhouse().restart().expect("the server starts again");
    check::exact(&truth, &stack.sql(), PATIENCE);
    for topic in TOPICS {
        expect::shown(&truth, &viewer, topic);
    }
}

/// Why a source does not move, as the gateway's status says it.
fn stalled(gateway: &dev::Service) -> Result<String, String> {
    let answer = dev::http::get(gateway.http(), "/api/v1/status").map_err(|error| error.to_string())?;
    let status: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
    let sources = status["sources"].as_array().into_iter().flatten();
    let words = sources.filter_map(|source| source["stalled"].as_str()).map(str::to_owned).next();
    words.ok_or(answer.body)
}
