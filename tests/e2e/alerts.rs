//! What a person must hear of reaches a webhook: books that do not balance, a disk that fills up.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tests::check;
use tests::events::Mix;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::until::{PATIENCE, until};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new(
        "alerts::a_difference_and_a_full_disk_reach_the_webhook_once_and_are_said",
        differences_reach_the_webhook,
    )]
}

/// Takes POSTs, as an alerting tool does.
struct Receiver {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let taken = Arc::clone(&taken);
            move || {
                for stream in listener.incoming().flatten() {
                    let message = take(stream).expect("a whole request");
                    taken.lock().expect("nobody panics while holding it").push(message);
                }
            }
        });
        Self { address, taken }
    }

    /// Those of a kind, once there is one.
    fn of(&self, alert: &str) -> Vec<Value> {
        until(&format!("an alert {alert}"), PATIENCE, || {
            let taken = self.taken.lock().expect("nobody panics while holding it").clone();
            let of: Vec<_> = taken.iter().filter(|message| message["alert"] == alert).cloned().collect();
            if of.is_empty() { Err(format!("{taken:?}")) } else { Ok(of) }
        })
    }
}

fn take(mut stream: TcpStream) -> std::io::Result<Value> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    Ok(serde_json::from_slice(&body)?)
}

fn differences_reach_the_webhook(shared: &Shared) {
    let mut stack = Stack::new(shared, "alerts");
    let receiver = Receiver::start();
    stack.set("AGGREGATOR_ALERTS__WEBHOOK", &format!("http://{}/alerts", receiver.address));
    stack.set("AGGREGATOR_COUNTING__CHECK_MS", &200);
    // Every disk has less than all of it free.
    stack.set("AGGREGATOR_ALARM__DISK_FREE_PERCENT_MIN", &100);
    stack.provision();
    let aggregator = stack.aggregator(1);
    let log = stack.log();
    log.write(&Mix::new(51, "alerts").recent(50).fresh(200));
    log.flush();
    check::counted(&stack.sql(), 200, PATIENCE);

    let disk = receiver.of("disk_nearly_full").remove(0);
    assert!(disk["words"].as_str().is_some_and(|words| words.contains("nearly full")), "{disk}");
    assert_eq!((&disk["state"], &disk["service"]), (&"raised".into(), &"aggregator".into()));
    let health = dev::http::get(aggregator.admin(), "/health/ready").expect("an answer");
    assert!(health.status == 200 && health.body.contains("warning: The disk"), "{health:?}");
    assert!(aggregator.metrics().expect("metrics").contains("aggregator_store_disk_free_percent{disk=\"default\"}"));

    // Somebody changes the stored books.
    let book = "INSERT INTO {cells}.unmerged_ledger SELECT log, epoch, p, outcome, n + 7, appended_at, applied_offset FROM \
                {cells}.unmerged_ledger FINAL WHERE outcome = 1 LIMIT 1";
    stack.sql().execute(book);
    let alert = receiver.of("books_do_not_balance").remove(0);
    assert!(alert["words"].as_str().is_some_and(|words| words.contains("-7")), "{alert}");
    assert!(alert["about"].as_str().is_some_and(|about| about.starts_with("events/1/")), "{alert}");
    let told = receiver.of("disk_nearly_full").into_iter().filter(|message| message["about"] == "store disk default");
    assert_eq!(told.count(), 1, "it lasts, and was told once");
}
