//! Carries out a plan against the running platform.

use std::time::{Duration, Instant};

use dev::child::Child;
use tests::proxy::{Link, Weather};
use tests::sql::Sql;
use tests::until::until;

use crate::clock;
use crate::plan::{Fault, Kind, Plan};
use crate::platform::Platform;
use crate::rig::{Disks, Member, Rig};
use crate::tables;
use crate::topics;
use crate::traffic::Oracle;

/// Servers answer again within this time, whatever was done to them.
pub(crate) const SERVERS: Duration = Duration::from_secs(40);
/// What is left of a full disk: a few pages; and of one of which ClickHouse takes no more.
const FULL_KB: u64 = 64;
const SCARCE_KB: u64 = 128 << 10;
const AGGREGATORS: [Member; 2] = [Member::new("aggregator", 1), Member::new("aggregator", 2)];

/// What faults act upon.
pub(crate) struct Stage<'a> {
    pub(crate) rig: &'a mut Rig,
    pub(crate) platform: &'a mut Platform,
    pub(crate) oracle: &'a Oracle,
    /// How far the clock of the senders may go ahead: with a collector's behind theirs, the two together stay within
    /// what the contract allows.
    pub(crate) ahead_ms_max: i64,
}

enum Step {
    Begin(Fault),
    /// Only of those that have one.
    Middle(Fault),
    End(Fault),
}

impl Stage<'_> {
    /// Carries out the whole plan; everything is healed when it returns.
    pub(crate) fn play(&mut self, plan: &Plan) {
        let start = Instant::now();
        let mut steps: Vec<(Instant, Step)> =
            plan.faults.iter().map(|fault| (start + fault.at, Step::Begin(*fault))).collect();
        while let Some(next) = (0..steps.len()).min_by_key(|at| steps[*at].0) {
            let (due, step) = steps.swap_remove(next);
            while Instant::now() < due {
                self.platform.supervise(self.rig);
                std::thread::sleep(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
            }
            match step {
                Step::Begin(fault) => {
                    if fault.kind.needs_calm() {
                        self.end_all(&mut steps);
                    }
                    self.begin(&fault);
                    steps.push((Instant::now() + fault.lasts, Step::End(fault)));
                    if fault.kind == Kind::SwapAggregators {
                        steps.push((Instant::now() + fault.lasts / 2, Step::Middle(fault)));
                    }
                }
                Step::Middle(fault) => {
                    let (back, dies) = pair(&fault);
                    self.platform.launch(back);
                    self.platform.kill(dies);
                }
                Step::End(fault) => {
                    if fault.kind.needs_calm() {
                        self.end_all(&mut steps);
                    }
                    self.end(&fault);
                }
            }
        }
    }

    /// Heals everything that is under way, but what waits for calm itself.
    fn end_all(&mut self, steps: &mut Vec<(Instant, Step)>) {
        steps.retain(|(_, step)| !matches!(step, Step::Middle(_)));
        let is_end = |step: &Step| matches!(step, Step::End(fault) if !fault.kind.needs_calm());
        while let Some(at) = steps.iter().position(|(_, step)| is_end(step)) {
            if let (_, Step::End(fault)) = steps.swap_remove(at) {
                self.end(&fault);
            }
        }
    }

    fn begin(&mut self, fault: &Fault) {
        match fault.kind {
            Kind::KillAggregator | Kind::KillCollector | Kind::KillGateway => {
                members(fault).into_iter().for_each(|member| self.platform.kill(member));
            }
            Kind::RestartAggregator | Kind::RestartCollector => {
                members(fault).into_iter().for_each(|member| self.platform.stop(member));
            }
            Kind::SwapAggregators => self.platform.stop(pair(fault).0),
            Kind::KillKafka | Kind::KillEveryBroker => {
                for broker in self.brokers(fault) {
                    self.rig.servers.brokers()[broker].kill().expect("our own broker");
                }
            }
            Kind::KillClickHouse | Kind::KillEveryShard => {
                for shard in self.shards(fault) {
                    self.rig.servers.shards()[shard].kill().expect("our own server");
                }
            }
            Kind::Zombie => self.platform.pause(members(fault)[0]),
            Kind::CutLink => self.weather(fault, Weather::Cut),
            Kind::SlowLink => self.weather(fault, Weather::Slow(Duration::from_millis(30 + fault.which % 300))),
            Kind::FrozenLink => self.weather(fault, Weather::Frozen),
            Kind::HalfOpenLink => self.weather(fault, Weather::Lost),
            Kind::DeadConnections => self.links(fault).into_iter().for_each(Link::kill_silently),
            Kind::CutInserts => self.cut_inserts(fault),
            Kind::SenderClock => {
                let ahead = fault.which.is_multiple_of(2);
                let ms = (fault.which / 2).cast_signed();
                self.oracle.set_clock(if ahead { ms % self.ahead_ms_max } else { -(ms % 3_000_000) });
            }
            Kind::CollectorClock => {
                let ms = (fault.which / 3 % 50_000).cast_signed() + 5_000;
                let ms = if fault.which.is_multiple_of(2) { ms } else { -ms };
                self.collector_clocks(fault, ms);
            }
            Kind::ClickHouseDiskFull => self.fill_store(self.shards(fault)[0]),
            Kind::KafkaDiskFull => {
                let broker = self.brokers(fault)[0];
                self.rig.full.insert(broker);
                self.disk(|disks| disks.kafka[broker].leave(FULL_KB));
            }
            Kind::RewindCommits | Kind::DeleteGroup => {
                AGGREGATORS.into_iter().for_each(|member| self.platform.kill(member));
                let stack = &self.platform.stack;
                match fault.kind {
                    Kind::DeleteGroup => topics::delete_group(stack),
                    _ => topics::rewind(stack, fault.which),
                }
            }
            Kind::EmptyLiveTopic => topics::empty_live(&self.platform.stack),
            Kind::RecreateLiveTopic => topics::recreate_live(&self.platform.stack),
            Kind::RestoreBackup | Kind::RestoreWhileRunning => {
                self.stores(fault).iter().for_each(|sql| tables::back_up(sql, fault.which));
            }
            Kind::DropLastHours => tables::drop_last_hours(&self.stores(fault)[0]),
            Kind::DropCells => tables::drop_part_of_cells(&self.stores(fault)[0], fault.which),
            Kind::DropRaw => tables::drop_part(&self.stores(fault)[0], "raw", fault.which),
            Kind::DropLedger => tables::drop_part(&self.stores(fault)[0], "unmerged_ledger", fault.which),
        }
    }

    fn end(&mut self, fault: &Fault) {
        match fault.kind {
            Kind::KillAggregator
            | Kind::KillCollector
            | Kind::KillGateway
            | Kind::RestartAggregator
            | Kind::RestartCollector => members(fault).into_iter().for_each(|member| self.platform.launch(member)),
            Kind::SwapAggregators => AGGREGATORS.into_iter().for_each(|member| self.platform.launch(member)),
            Kind::KillKafka | Kind::KillEveryBroker => {
                self.brokers(fault).into_iter().for_each(|broker| self.revive_kafka(broker));
            }
            Kind::KillClickHouse | Kind::KillEveryShard => {
                for shard in self.shards(fault) {
                    let store = &mut self.rig.servers.shards()[shard];
                    if store.pid().is_none() {
                        store.respawn().expect("it starts again");
                    }
                }
            }
            Kind::Zombie => self.platform.resume(members(fault)[0]),
            Kind::CutLink | Kind::SlowLink | Kind::FrozenLink | Kind::HalfOpenLink => {
                self.weather(fault, Weather::Clear);
            }
            Kind::CutInserts => {
                for member in AGGREGATORS {
                    self.rig.to_clickhouse[member.at()].spare_inserts();
                }
            }
            Kind::SenderClock => self.oracle.set_clock(0),
            Kind::CollectorClock => self.collector_clocks(fault, 0),
            Kind::ClickHouseDiskFull => self.disk(|disks| disks.clickhouse[self.shards(fault)[0]].free()),
            Kind::KafkaDiskFull => {
                let broker = self.brokers(fault)[0];
                self.disk(|disks| disks.kafka[broker].free());
                self.rig.full.remove(&broker);
                self.revive_kafka(broker);
            }
            Kind::RewindCommits | Kind::DeleteGroup => {
                AGGREGATORS.into_iter().for_each(|member| self.platform.launch(member));
            }
            Kind::RestoreBackup => {
                AGGREGATORS.into_iter().for_each(|member| self.platform.kill(member));
                self.restore(fault);
                AGGREGATORS.into_iter().for_each(|member| self.platform.launch(member));
            }
            Kind::RestoreWhileRunning => self.restore(fault),
            Kind::DeadConnections
            | Kind::EmptyLiveTopic
            | Kind::RecreateLiveTopic
            | Kind::DropLastHours
            | Kind::DropCells
            | Kind::DropRaw
            | Kind::DropLedger => {}
        }
    }

    /// Starts a broker unless it runs. One whose disk is full ends by itself.
    fn revive_kafka(&mut self, broker: usize) {
        // It may be about to end.
        std::thread::sleep(Duration::from_millis(100));
        let kafka = &mut self.rig.servers.brokers()[broker];
        if kafka.child().and_then(Child::exit).is_some() {
            kafka.kill().expect("our own broker");
        }
        if kafka.pid().is_none() {
            kafka.respawn().expect("it starts again");
        }
    }

    /// A disk fills up over a time: at first less is left than ClickHouse keeps free, so that it begins nothing more; when
    /// what was under way has ended, the rest is taken too.
    fn fill_store(&self, shard: usize) {
        self.disk(|disks| disks.clickhouse[shard].leave(SCARCE_KB));
        let sql = self.platform.stack.sql().at(&self.rig.shards[shard]);
        let under_way = "SELECT toInt64(count()) FROM (SELECT 1 FROM system.merges UNION ALL SELECT 1 FROM system.processes \
                         WHERE query_kind = 'Insert')";
        let began = Instant::now();
        while began.elapsed() < SERVERS && sql.try_rows::<i64>(under_way).is_ok_and(|rows| rows != [0]) {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.disk(|disks| disks.clickhouse[shard].leave(FULL_KB));
    }

    fn disk(&self, act: impl Fn(&Disks) -> Result<(), String>) {
        let disks = self.rig.disks.as_ref().expect("such a fault is planned only with disks of our own");
        until("a disk changes its size", SERVERS, || act(disks));
    }

    /// The brokers that a fault is about.
    fn brokers(&self, fault: &Fault) -> Vec<usize> {
        some_of(self.rig.to_kafka[0].len(), fault, Kind::KillEveryBroker)
    }

    /// The shards that a fault is about.
    fn shards(&self, fault: &Fault) -> Vec<usize> {
        some_of(self.rig.shards.len(), fault, Kind::KillEveryShard)
    }

    /// Past the platform, at the shards that a fault is about: a backup is that of one or, every other time, of all.
    fn stores(&self, fault: &Fault) -> Vec<Sql> {
        let sql = self.platform.stack.sql();
        let is_backup = matches!(fault.kind, Kind::RestoreBackup | Kind::RestoreWhileRunning);
        let all = is_backup && (fault.which / 16).is_multiple_of(2);
        let shards = if all { (0..self.rig.shards.len()).collect() } else { self.shards(fault) };
        shards.into_iter().map(|shard| sql.at(&self.rig.shards[shard])).collect()
    }

    /// Puts a backup in the place of the tables, once the servers answer: one that was just started may end again.
    fn restore(&mut self, fault: &Fault) {
        let stores = self.stores(fault);
        until("the stores answer", SERVERS, || {
            self.platform.incidents.extend(self.rig.supervise());
            let answers = |sql: &Sql| sql.try_rows::<u8>("SELECT 1").map(drop).map_err(|error| error.to_string());
            stores.iter().try_for_each(answers)
        });
        stores.iter().for_each(|sql| tables::restore(sql, fault.which));
    }

    fn collector_clocks(&self, fault: &Fault, ms: i64) {
        members(fault).into_iter().for_each(|member| clock::set(self.platform.stack.dir(), member, ms));
    }

    fn weather(&self, fault: &Fault, weather: Weather) {
        self.links(fault).into_iter().for_each(|link| link.set(weather));
    }

    /// The links that a fault is about: those of a service, of a pair, or of all to one kind of server; in a cluster
    /// those to one of the brokers or to all.
    fn links(&self, fault: &Fault) -> Vec<&Link> {
        let (kafka, store) = (&self.rig.to_kafka, &self.rig.to_clickhouse);
        let brokers = kafka[0].len() as u64;
        let broker = fault.which / 16 % (brokers + 1);
        let to = |member: usize| {
            kafka[member].iter().filter(move |_| broker == brokers).chain(kafka[member].get(broker as usize))
        };
        match fault.which % 16 {
            n @ 0..=5 => to(n as usize).collect(),
            n @ 6..=9 => vec![&store[n as usize - 4]],
            n @ 10..=12 => (0..2).flat_map(|one| to((n as usize - 10) * 2 + one)).collect(),
            13 => store.iter().skip(2).take(2).collect(),
            14 => (0..kafka.len()).flat_map(to).collect(),
            _ => store.iter().collect(),
        }
    }

    fn cut_inserts(&self, fault: &Fault) {
        for (n, member) in (0_u64..).zip(AGGREGATORS) {
            let after = |step: u64| (fault.which.rotate_left((n * 24 + step * 8) as u32) % 9_000) as usize;
            let after: Vec<_> = (0..1 + fault.which % 4).map(after).collect();
            self.rig.to_clickhouse[member.at()].cut_inserts(&after);
        }
    }
}

/// The processes that a fault is about: one of two, or both.
fn members(fault: &Fault) -> Vec<Member> {
    let program = match fault.kind {
        Kind::KillCollector | Kind::RestartCollector | Kind::CollectorClock => "collector",
        Kind::KillGateway => "gateway",
        _ => "aggregator",
    };
    match fault.which % 3 {
        0 => vec![Member::new(program, 1)],
        1 => vec![Member::new(program, 2)],
        _ => vec![Member::new(program, 1), Member::new(program, 2)],
    }
}

/// Who goes first and who dies when partitions are swapped.
const fn pair(fault: &Fault) -> (Member, Member) {
    if fault.which.is_multiple_of(2) { (AGGREGATORS[0], AGGREGATORS[1]) } else { (AGGREGATORS[1], AGGREGATORS[0]) }
}

/// One of so many servers, or all of them.
fn some_of(servers: usize, fault: &Fault, all: Kind) -> Vec<usize> {
    let one = usize::try_from(fault.which % servers as u64).expect("a few servers");
    if fault.kind == all { (0..servers).collect() } else { vec![one] }
}
