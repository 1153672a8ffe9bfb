//! What goes wrong and when: a function of the seed alone.
//!
//! Invariant: a seed of one kind gives the same plan for ever, so a failure is repeated with its seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One broker and one ClickHouse.
    Single,
    /// Three brokers and two shards. What is done to a server is done to any one of them.
    Cluster,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// SIGKILL and a start some time later.
    KillAggregator,
    KillCollector,
    KillGateway,
    KillKafka,
    KillClickHouse,
    /// All at once, of a cluster.
    KillEveryBroker,
    KillEveryShard,
    /// SIGTERM and a start at once, as in an upgrade.
    RestartAggregator,
    RestartCollector,
    /// One aggregator goes in order, the other takes its partitions; it comes back as the other dies.
    SwapAggregators,
    /// SIGSTOP of an aggregator beyond its session; it wakes up as a zombie.
    Zombie,
    /// Between a service and a server.
    CutLink,
    SlowLink,
    FrozenLink,
    /// What is sent is lost and nobody is told until it ends.
    HalfOpenLink,
    /// Connections die and nobody is ever told; new ones work.
    DeadConnections,
    /// In the middle of inserts, or between an insert and its answer.
    CutInserts,
    /// The clock of the senders jumps, within the skew.
    SenderClock,
    /// That of a collector does, or of both; brokers go on stamping what they append with theirs.
    CollectorClock,
    RewindCommits,
    DeleteGroup,
    /// The tables go back to what they were, with the aggregators killed.
    RestoreBackup,
    EmptyLiveTopic,
    RecreateLiveTopic,
    ClickHouseDiskFull,
    KafkaDiskFull,
    /// Rows that vanish under running aggregators.
    DropLastHours,
    DropCells,
    DropRaw,
    DropLedger,
    RestoreWhileRunning,
}

impl Kind {
    /// All of them, in the order in which single faults are tried.
    pub(crate) const ALL: [Self; 31] = [
        Self::KillAggregator,
        Self::DropCells,
        Self::KillKafka,
        Self::DropRaw,
        Self::CutInserts,
        Self::KillClickHouse,
        Self::Zombie,
        Self::DropLedger,
        Self::KillCollector,
        Self::HalfOpenLink,
        Self::DropLastHours,
        Self::KillGateway,
        Self::RestoreBackup,
        Self::CutLink,
        Self::RestoreWhileRunning,
        Self::EmptyLiveTopic,
        Self::FrozenLink,
        Self::DeleteGroup,
        Self::ClickHouseDiskFull,
        Self::RestartAggregator,
        Self::SenderClock,
        Self::SlowLink,
        Self::RewindCommits,
        Self::KafkaDiskFull,
        Self::RecreateLiveTopic,
        Self::DeadConnections,
        Self::RestartCollector,
        Self::SwapAggregators,
        Self::CollectorClock,
        Self::KillEveryBroker,
        Self::KillEveryShard,
    ];

    /// Those that a form can have.
    pub(crate) fn of(form: Form) -> Vec<Self> {
        Self::ALL.into_iter().filter(|kind| kind.applies(form)).collect()
    }

    /// Whether a form can have it: where there is one server of a kind, all of them is no fault of its own.
    pub(crate) const fn applies(self, form: Form) -> bool {
        matches!(form, Form::Cluster) || !matches!(self, Self::KillEveryBroker | Self::KillEveryShard)
    }

    /// By the name it goes by in reports.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| format!("{kind:?}") == name)
    }

    /// Whether it needs the disks to be small enough to be filled.
    pub(crate) const fn fills_a_disk(self) -> bool {
        matches!(self, Self::ClickHouseDiskFull | Self::KafkaDiskFull)
    }

    /// Whether it needs a library that shifts clocks.
    pub(crate) const fn shifts_a_clock(self) -> bool {
        matches!(self, Self::CollectorClock)
    }

    /// Whether the stored books may be out of balance in the middle of it: rows of them are taken away.
    pub(crate) const fn breaks_books(self) -> bool {
        matches!(self, Self::DropLastHours | Self::DropLedger | Self::RestoreWhileRunning)
    }

    /// Whether it is done with nothing else going on, since it needs servers that answer.
    pub(crate) const fn needs_calm(self) -> bool {
        matches!(
            self,
            Self::RewindCommits
                | Self::DeleteGroup
                | Self::EmptyLiveTopic
                | Self::RecreateLiveTopic
                | Self::RestoreBackup
                | Self::RestoreWhileRunning
                | Self::DropLastHours
                | Self::DropCells
                | Self::DropRaw
                | Self::DropLedger
        )
    }

    fn duration_ms(self, rng: &mut StdRng) -> u64 {
        match self {
            Self::Zombie => rng.random_range(6_500..9_000),
            Self::SwapAggregators => rng.random_range(14_000..17_000),
            Self::KillKafka | Self::KillEveryBroker | Self::ClickHouseDiskFull | Self::KafkaDiskFull => {
                rng.random_range(200..3_000)
            }
            Self::RestoreBackup | Self::RestoreWhileRunning => rng.random_range(1_000..3_500),
            Self::CollectorClock => rng.random_range(3_000..6_000),
            Self::SlowLink | Self::SenderClock => rng.random_range(1_000..4_000),
            Self::CutInserts => rng.random_range(800..3_000),
            Self::HalfOpenLink | Self::FrozenLink | Self::CutLink => rng.random_range(300..5_000),
            Self::KillAggregator if rng.random_bool(0.2) => rng.random_range(6_500..8_000),
            _ => rng.random_range(0..2_500),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// After the start of the traffic.
    pub(crate) at: Duration,
    /// Until it is healed.
    pub(crate) lasts: Duration,
    /// Chooses among the things of a kind.
    pub(crate) which: u64,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) form: Form,
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
    /// How often aggregators flush.
    pub(crate) flush_ms: u64,
    /// What gateways take clocks to differ by.
    pub(crate) skew_ms: u64,
    /// Its kinds were named; they do not follow from the seed.
    is_named: bool,
}

impl Plan {
    /// Of a seed: every other one has a single fault, kind after kind, so that its time to converge is known; the rest
    /// have two to five that may overlap.
    pub(crate) fn new(form: Form, seed: u64) -> Self {
        let kinds = Kind::of(form);
        if seed.is_multiple_of(2) {
            let kind = kinds[(seed / 2) as usize % kinds.len()];
            return Self::single(form, seed, kind);
        }
        let mut plan = Self::quiet(form, seed);
        let mut rng = StdRng::seed_from_u64(seed ^ 0xfa17);
        let mut at_ms = 300;
        for _ in 0..rng.random_range(2..=5) {
            at_ms += rng.random_range(0..2_500);
            let kind = *kinds.choose(&mut rng).expect("there are kinds");
            plan.faults.push(fault(kind, at_ms, &mut rng));
        }
        plan
    }

    /// Faults of these kinds, one after the other.
    pub(crate) fn of(form: Form, seed: u64, kinds: &[Kind]) -> Self {
        let mut plan = Self::quiet(form, seed);
        let mut rng = StdRng::seed_from_u64(seed ^ 0x0f);
        let mut at_ms = 300;
        for kind in kinds {
            at_ms += rng.random_range(0..1_500);
            plan.faults.push(fault(*kind, at_ms, &mut rng));
        }
        plan.is_named = true;
        plan
    }

    /// Whether any of its faults is of such a kind.
    pub(crate) fn has(&self, is_such: impl Fn(Kind) -> bool) -> bool {
        self.faults.iter().any(|fault| is_such(fault.kind))
    }

    /// The command that runs it again.
    pub(crate) fn repeat(&self) -> String {
        let kinds: Vec<_> = self.faults.iter().map(|fault| format!("{:?}", fault.kind)).collect();
        let kinds = if self.is_named { format!("FIRE_KIND={} ", kinds.join(",")) } else { String::new() };
        let form = if self.form == Form::Cluster { "FIRE_FORM=cluster " } else { "" };
        format!("{form}FIRE_SEED={} {kinds}make fire", self.seed)
    }

    /// One fault of a kind.
    fn single(form: Form, seed: u64, kind: Kind) -> Self {
        let mut plan = Self::quiet(form, seed);
        let mut rng = StdRng::seed_from_u64(seed ^ 0x51e);
        let at_ms = rng.random_range(700..2_200);
        plan.faults.push(fault(kind, at_ms, &mut rng));
        plan
    }

    fn quiet(form: Form, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let flush_ms = *[150, 400, 1_000, 2_000].choose(&mut rng).expect("not empty");
        let skew_ms = if rng.random_bool(0.5) { 1 } else { 5_000 };
        Self { form, seed, faults: Vec::new(), flush_ms, skew_ms, is_named: false }
    }
}

fn fault(kind: Kind, at_ms: u64, rng: &mut StdRng) -> Fault {
    let lasts = Duration::from_millis(kind.duration_ms(rng));
    Fault { kind, at: Duration::from_millis(at_ms), lasts, which: rng.random() }
}

/// What a plan must be, checked before a run relies on it.
pub(crate) fn plans_are_functions_of_the_seed_and_reach_every_kind() {
    for form in [Form::Single, Form::Cluster] {
        let mut single = std::collections::BTreeSet::new();
        let mut mixed = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let plan = Plan::new(form, seed);
            assert_eq!(plan, Plan::new(form, seed));
            let kinds = plan.faults.iter().map(|fault| fault.kind);
            if seed % 2 == 0 {
                assert_eq!(plan.faults.len(), 1);
                single.extend(kinds);
            } else {
                mixed.extend(kinds);
            }
        }
        let all: std::collections::BTreeSet<_> = Kind::of(form).into_iter().collect();
        assert_eq!((&single, &mixed), (&all, &all));
    }
    assert!(!Kind::KillEveryShard.applies(Form::Single) && Kind::KillKafka.applies(Form::Single));
    let kinds = [Kind::KillKafka, Kind::CutInserts];
    let named: Vec<_> = Plan::of(Form::Single, 3, &kinds).faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(named, kinds);
    for kind in Kind::ALL {
        assert_eq!(Kind::named(&format!("{kind:?}")), Some(kind));
    }
    assert_eq!(Kind::named("Earthquake"), None);
}
