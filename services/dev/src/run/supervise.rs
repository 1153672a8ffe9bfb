//! Keeps what was started running: a child that ends by itself is named with its last lines and
//! started again, after a wait that doubles up to half a minute. It never gives up, because a
//! wallboard is not to stay dark over one bad night.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    child::Child,
    error::Result,
    run::{say, stop::Stop},
    servers::Servers,
    service::Service,
};

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After so long without a failure the next one waits as little as the first.
const FORGIVEN: Duration = Duration::from_secs(120);

/// The waits between failures of one child.
#[derive(Debug)]
struct Backoff {
    next: Duration,
    since: Instant,
}

impl Backoff {
    fn new(now: Instant) -> Self {
        Self { next: FIRST_WAIT, since: now }
    }

    /// How long to wait after a failure now.
    fn wait(&mut self, now: Instant) -> Duration {
        if now.duration_since(self.since) > FORGIVEN {
            self.next = FIRST_WAIT;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST_WAIT);
        self.since = now + wait;
        wait
    }
}

/// One of our services.
#[derive(Debug)]
pub(super) struct Member {
    child: Child,
    backoff: Backoff,
    again: Option<Instant>,
}

impl Member {
    pub(super) fn new(service: Service) -> Self {
        let child = service.into_child();
        Self { child, backoff: Backoff::new(Instant::now()), again: None }
    }

    fn look(&mut self, now: Instant) {
        match self.again {
            Some(at) if now < at => {}
            Some(_) => {
                self.again = None;
                match Child::start(self.child.spec().clone()) {
                    Ok(child) => self.child = child,
                    Err(error) => say(&error.to_string()),
                }
            }
            None => {
                if let Some(exit) = self.child.exit() {
                    self.again = Some(now + report(&self.child, &exit, &mut self.backoff, now));
                }
            }
        }
    }
}

/// Kafka or ClickHouse, when they are ours.
#[derive(Debug)]
struct Watched {
    backoff: Backoff,
    again: Option<Instant>,
}

impl Watched {
    fn look(&mut self, child: Option<&mut Child>, now: Instant) -> bool {
        if let Some(at) = self.again {
            let due = now >= at;
            self.again = self.again.filter(|_| !due);
            return due;
        }
        if let Some((child, exit)) = child.and_then(|child| child.exit().map(|exit| (child, exit))) {
            self.again = Some(now + report(child, &exit, &mut self.backoff, now));
        }
        false
    }
}

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Supervisor {
    servers: Servers,
    /// Collector, aggregator, gateway and, where it runs, simulator.
    members: Vec<Member>,
    /// Of the servers: the brokers, then the shards.
    watched: Vec<Watched>,
    stop: Arc<Stop>,
}

impl Supervisor {
    pub(super) fn new(mut servers: Servers, members: Vec<Member>, stop: Arc<Stop>) -> Self {
        let count = servers.brokers().len() + servers.shards().len();
        let watched = |_| Watched { backoff: Backoff::new(Instant::now()), again: None };
        Self { servers, members, watched: (0..count).map(watched).collect(), stop }
    }

    /// Restarts what ends, until it is time to stop. Returns why.
    pub(super) fn watch(&mut self) -> &'static str {
        loop {
            if let Some(why) = self.stop.wanted() {
                return why;
            }
            let now = Instant::now();
            let mut watched = self.watched.iter_mut();
            for (broker, watched) in self.servers.brokers().iter_mut().zip(&mut watched) {
                if watched.look(broker.child(), now) {
                    complain(broker.respawn());
                }
            }
            for (shard, watched) in self.servers.shards().iter_mut().zip(watched) {
                if watched.look(shard.child(), now) {
                    complain(shard.respawn());
                }
            }
            for member in &mut self.members {
                member.look(now);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops everything in order: what sends first, what stores last.
    pub(super) fn stop(&mut self) {
        // The simulator is the last that was started and the first to stop; then along the way
        // an event takes.
        let simulated = self.members.last().is_some_and(|member| member.child.name() == "simulator");
        self.members.rotate_right(usize::from(simulated));
        for member in &mut self.members {
            if member.child.exit().is_none() {
                let exit = member.child.stop();
                say(&format!("{} stopped ({exit})", member.child.name()));
            }
        }
        self.servers.stop();
    }
}

fn report(child: &Child, exit: &str, backoff: &mut Backoff, now: Instant) -> Duration {
    let wait = backoff.wait(now);
    let name = child.name();
    say(&format!("{name} ended by itself ({exit}); the end of {}:", child.log().display()));
    say(&child.tail(10));
    say(&format!("{name} is started again in {} s", wait.as_secs()));
    wait
}

fn complain(result: Result<()>) {
    if let Err(error) = result {
        say(&error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_forgiven() {
        let start = Instant::now();
        let mut backoff = Backoff::new(start);
        let waits: Vec<u64> = (0..7).map(|_| backoff.wait(start).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        let later = start + Duration::from_secs(30) + FORGIVEN + Duration::from_secs(1);
        assert_eq!(backoff.wait(later), FIRST_WAIT);
    }
}
