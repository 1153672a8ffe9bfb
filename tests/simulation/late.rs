//! The three logs together: events, backfill and corrections, each with its own worker, over one store; kills, zombies,
//! rewinds, restored backups and lost rows between any two visible effects, and clocks that differ.

mod logs;
mod truth;
mod worker;
mod world;

use domain::source::Log;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use worker::{Fault, Worker};
use world::World;

use crate::seeds;

/// Schedules in the suite.
const SCHEDULES: u64 = 4_000;
/// Within so many schedules each deliberate mistake must be caught.
const MISTAKE_SCHEDULES: u64 = 4_000;
/// Seeds that once failed, with what was wrong then.
const PINNED: [u64; 0] = [];
/// One of so many schedules loses no rows: what is wrong there is nobody's to repair.
const LOSES_NOTHING_EVERY: u64 = 4;
/// No schedule needs more turns; one that does is stuck.
const TURNS_MAX: u32 = 200_000;

#[test]
fn late_logs_end_with_the_truth_everywhere() {
    if let Ok(seed) = std::env::var("SIMULATE_LATE_SEED") {
        run(seed.parse().expect("SIMULATE_LATE_SEED is a number"), Fault::None);
        return;
    }
    for seed in PINNED {
        run(seed, Fault::None);
    }
    let wrong = seeds::wrong("late logs", seeds::asked(SCHEDULES), |seed| run(seed, Fault::None));
    assert!(wrong.is_empty(), "wrong schedules, to be pinned: {wrong:?}");
}

#[test]
fn every_mistake_of_a_late_log_is_caught() {
    seeds::catch_each(&Fault::ALL, MISTAKE_SCHEDULES, |_| 1, run);
}

/// Runs one schedule and checks its end.
fn run(seed: u64, fault: Fault) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new(logs::make(&mut rng));
    let born = |log| Worker::new(log, 0, fault);
    let mut owners = Log::ALL.map(born);
    let mut zombies: Vec<Worker> = Vec::new();
    let mut turns = 0;
    let is_over = |world: &World, owners: &[Worker]| world.is_over() && owners.iter().all(|owner| owner.is_idle(world));
    while !is_over(&world, &owners) {
        turns += 1;
        assert!(turns < TURNS_MAX, "seed {seed} is stuck");
        world.pass(&mut rng);
        let at = rng.random_range(0..3);
        match rng.random_range(0..1_000) {
            0..=14 => owners[at] = born(Log::ALL[at]),
            15..=24 => zombies.push(std::mem::replace(&mut owners[at], born(Log::ALL[at]))),
            25..=29 => owners[at] = Worker::new(Log::ALL[at], rng.random_range(0..30), fault),
            30..=31 => {
                // A backup is restored, with every aggregator stopped.
                world.restore();
                owners = Log::ALL.map(born);
                zombies.clear();
            }
            32..=37 => world.backup(),
            38..=39 if seed % LOSES_NOTHING_EVERY != 1 => world.lose(&mut rng),
            40..=59 => check(&mut owners[at], &world, seed),
            _ => owners[at].turn(&mut world, &mut rng),
        }
        if !zombies.is_empty() && rng.random_bool(0.4) {
            let at = rng.random_range(0..zombies.len());
            zombies[at].turn(&mut world, &mut rng);
            if rng.random_bool(0.02) {
                zombies.swap_remove(at);
            }
        }
    }
    // The checks go on for ever.
    loop {
        turns += 1;
        assert!(turns < TURNS_MAX, "seed {seed} is stuck");
        world.pass(&mut rng);
        let is_over = is_over(&world, &owners);
        owners.iter_mut().for_each(|owner| check(owner, &world, seed));
        if is_over && owners.iter().all(|owner| owner.is_idle(&world)) {
            break;
        }
        owners[rng.random_range(0..3)].turn(&mut world, &mut rng);
    }
    truth::check(&world, seed);
}

fn check(owner: &mut Worker, world: &World, seed: u64) {
    let finding = owner.check(world);
    assert!(world.has_lost || finding.is_none(), "seed {seed}: nothing was lost, and yet: {finding:?}");
}
