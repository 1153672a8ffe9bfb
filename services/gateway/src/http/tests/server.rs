//! A gateway in this process, and a viewer of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use domain::catalogue::Catalogue;
use domain::cell::{CellKey, Counts, Measures, Slice};
use domain::source::{Log, ServiceNumber, Source};
use domain::time::Period;
use futures::{SinkExt as _, StreamExt as _};
use prometheus_client::registry::Registry;
use proto::{Pack, PackedCell};
use runtime::admin::Health;
use runtime::shutdown::{Shutdown, Trigger};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::compose::{Labels, RulesInForce};
use crate::config::{self, Config};
use crate::history::History;
use crate::http::{router, serve};
use crate::hub::Hub;
use crate::live::Door;
use crate::metrics::Metrics;
use crate::rendered::Held;
use crate::site::Site;
use crate::store::Stores;
use crate::world::World;
use crate::writers::Writers;

pub(super) const SERVICE: &str = "hmrc-self-assessment";

/// A gateway without Kafka and ClickHouse: packs are put in by hand.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) world: Arc<World>,
    pub(super) door: Arc<Door>,
    pub(super) health: Health,
    pub(super) trigger: Trigger,
    pub(super) last: Trigger,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config: Config = runtime::config::load("gateway_test", config::DEFAULTS, None).unwrap();
        config.live.drain_ms = 50;
        // Nobody listens there.
        config.clickhouse.url = "http://127.0.0.1:9".into();
        change(&mut config);
        let (trigger, shutdown) = Shutdown::by_hand();
        let (last, until_last) = Shutdown::by_hand();
        let metrics = Metrics::register(&mut Registry::default());
        let world = Arc::new(World::new(Catalogue::embedded(), Vec::new(), runtime::clock::now_ms()));
        let writers = Writers::new(Hub::new(Arc::clone(&world), metrics.clone(), true), 1);
        let door = Door::new(Arc::clone(&writers), config.live.clone(), shutdown.clone());
        let health = Health::default();
        let stated = crate::stated::Stated::default();
        stated.set_published(&world.catalogue, runtime::clock::now_ms());
        let stores = Arc::new(Stores::new(config.clickhouse.clone()));
        let number = |id: &str| world.catalogue.service_by_id(id).map(|service| service.number);
        let (_, rules) = runtime::rules::load(None, number).unwrap();
        let site = Site {
            world: Arc::clone(&world),
            pasts: crate::past::Pasts::new(Arc::clone(&stores)),
            history: History::new(Arc::clone(&stores), domain::holidays::BankHolidays::embedded()),
            door: Arc::clone(&door),
            metrics,
            health: health.clone(),
            labels: Labels { simulated: true, open_government_data: true },
            rules: RulesInForce { late_after_days: 7, future_minutes: 5, minutes_kept_days: 9 },
            stated,
            writing: crate::writing::Writing::new(&config.writing).expect("an address"),
            limits: Arc::new(crate::limits::Limits::new(config.limits.clone())),
            held: Held::default(),
            explored: Held::default(),
            assets: Held::lasting(Duration::MAX),
            kept: crate::kept::Kept::new(crate::site::READ),
            histories: crate::kept::Kept::new(crate::govuk::HISTORY),
            downloads: crate::kept::Kept::new(crate::site::DOWNLOADS),
            auditor: crate::audit::auditor::Auditor::new(Arc::clone(&stores), rules),
            govuk: crate::govuk::keeper::Keeper::new(stores),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router(Arc::new(site)), config.http, shutdown));
        drop(writers.start(&until_last));
        Self { address, world, door, health, trigger, last }
    }

    /// Puts in a pack in which the service has completed so many today, this hour and this minute.
    pub(super) fn completed(&self, completed: u64) {
        let now = runtime::clock::now_ms();
        let service = self.world.catalogue.service_by_id(SERVICE).unwrap().number;
        self.world.on_pack(&pack(service, completed, now), now);
        self.world.live().ready = true;
    }

    /// Puts in a pack in which every service has completed something in each minute of the last hour.
    pub(super) fn completed_everywhere(&self) {
        let now = runtime::clock::now_ms();
        let mut all = pack(ServiceNumber(1), 1, now);
        for service in self.world.catalogue.services() {
            for minute in 0..60 {
                let completed = u64::from(service.number.0) * 7_919 % 997 * (60 - minute) + minute + 1;
                all.cells.extend(pack(service.number, completed, now - 60_000 * minute.cast_signed()).cells);
            }
        }
        self.world.on_pack(&all, now);
        self.world.live().ready = true;
    }

    pub(super) async fn get(&self, path: &str) -> (u16, String, String) {
        self.get_with(path, "").await
    }

    pub(super) async fn get_with(&self, path: &str, headers: &str) -> (u16, String, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    pub(super) async fn json(&self, path: &str) -> (u16, Json) {
        let (status, _, body) = self.get(path).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("JSON, not {body}")))
    }

    pub(super) async fn try_connect(&self, origin: Option<&str>) -> Result<Viewer, SocketError> {
        let mut request = format!("ws://{}/live", self.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("pp.live.v1+json"));
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
        assert_eq!(answer.headers()["sec-websocket-protocol"], "pp.live.v1+json");
        Ok(Viewer { socket })
    }

    pub(super) async fn connect(&self) -> Viewer {
        let mut viewer = self.try_connect(None).await.unwrap();
        assert_eq!(viewer.next("hello").await["protocol"], "pp.live.v1+json");
        viewer
    }
}

fn pack(service: ServiceNumber, completed: u64, now: i64) -> Pack {
    let slice = Slice::Counts { channel: 1 };
    let cell = |period: Period| PackedCell {
        key: CellKey { period, index: period.index_at(now), service, slice },
        applied_offset: completed,
        measures: Measures::Counts(Counts { stages: [completed * 2, completed, 0, 0], ..Counts::default() }),
    };
    Pack {
        source: Source { log: Log::Events, epoch: 1, partition: 0 },
        applied_end: completed + 1,
        log_end: completed + 1,
        appended_at_ms: now,
        received_at_ms: now,
        stalled: String::new(),
        cells: Period::ALL.map(cell).to_vec(),
        previous_end: 0,
        part: 0,
    }
}

pub(super) struct Viewer {
    pub(super) socket: WebSocketStream<TcpStream>,
}

impl Viewer {
    pub(super) async fn say(&mut self, message: &str) {
        self.socket.send(Message::text(message)).await.unwrap();
    }

    /// The next frame of this kind; others are passed over.
    pub(super) async fn next(&mut self, op: &str) -> Json {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(5), self.socket.next()).await;
            match message.expect("a frame in time").expect("an open socket").unwrap() {
                Message::Text(text) => {
                    let frame: Json = serde_json::from_str(&text).unwrap();
                    if frame["op"] == op {
                        return frame;
                    }
                }
                Message::Close(frame) => panic!("closed instead of {op}: {frame:?}"),
                _ => {}
            }
        }
    }

    pub(super) async fn close_code(&mut self) -> u16 {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(5), self.socket.next()).await;
            match message.expect("an end in time") {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("ended without a code: {other:?}"),
            }
        }
    }
}
