//! A seeded simulation of the counting core: the real code, a store in memory, and everything that can go wrong
//! between any two visible effects: kills, zombies, rewinds, partial inserts, restored backups, evictions.
//!
//! `SIMULATION_SCHEDULES=1000000 cargo test --release -p aggregator --test simulation` runs more of them,
//! `SIMULATION_SEED=n` a single one.

mod late;
mod log;
mod truth;
mod worker;
mod world;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use worker::{Fault, Worker};
use world::World;

/// Schedules in the suite.
const SCHEDULES: u64 = 10_000;
/// Within so many schedules each deliberate mistake must be caught.
const MISTAKE_SCHEDULES: u64 = 10_000;
/// Each of so many schedules writes ids into real files.
const SPILLS_EVERY: u64 = 16;
/// Seeds that once failed, with what was wrong then.
const PINNED: [u64; 0] = [];
/// No schedule needs more turns; one that does is stuck.
const TURNS_MAX: u32 = 60_000;

#[test]
fn every_schedule_of_faults_ends_with_the_truth_everywhere() {
    if let Ok(seed) = std::env::var("SIMULATION_SEED") {
        run(seed.parse().expect("SIMULATION_SEED is a number"), Fault::None);
        return;
    }
    let schedules = std::env::var("SIMULATION_SCHEDULES").map_or(SCHEDULES, |n| n.parse().expect("a number"));
    let mut wrong = Vec::new();
    for seed in PINNED.into_iter().chain(0..schedules) {
        if std::panic::catch_unwind(|| run(seed, Fault::None)).is_err() {
            wrong.push(seed);
        }
        if schedules > SCHEDULES && seed % 100_000 == 99_999 {
            println!("{} of {schedules} schedules, {} wrong", seed + 1, wrong.len());
        }
    }
    assert!(wrong.is_empty(), "wrong schedules, to be pinned: {wrong:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..50 {
        assert_eq!(run(seed, Fault::None), run(seed, Fault::None));
    }
}

#[test]
fn every_mistake_is_caught() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let caught = |fault| (0..MISTAKE_SCHEDULES).find(|seed| std::panic::catch_unwind(|| run(*seed, fault)).is_err());
    let seeds: Vec<_> = Fault::ALL.into_iter().map(|fault| (fault, caught(fault))).collect();
    std::panic::set_hook(quiet);
    println!("each mistake with the first seed that catches it:");
    seeds.iter().for_each(|(fault, seed)| println!("  {fault:?}: {seed:?}"));
    let missed: Vec<_> = seeds.iter().filter(|(_, seed)| seed.is_none()).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// Runs one schedule and checks its end; returns the number of turns it took.
fn run(seed: u64, fault: Fault) -> u32 {
    let mut rng = StdRng::seed_from_u64(seed);
    let log = log::make(&mut rng);
    let end = log.len() as u64;
    let mut world = World::new(log);
    // Files of ids, with a bound so low that there are many of them.
    let ids_max = seed.is_multiple_of(SPILLS_EVERY).then(|| rng.random_range(6..=40));
    let born = |back| Worker::new(back, fault, ids_max);
    let mut owner = born(0);
    let mut zombies: Vec<Worker> = Vec::new();
    let mut turns = 0;
    while world.ledger().applied_end < end || !owner.is_idle(&world) {
        turns += 1;
        assert!(turns < TURNS_MAX, "seed {seed} is stuck");
        match rng.random_range(0..1_000) {
            // Killed between any two effects.
            0..=14 => owner = born(0),
            // Thought dead, and goes on beside its successor.
            15..=24 => zombies.push(std::mem::replace(&mut owner, born(0))),
            // An operator rewinds.
            25..=29 => owner = born(rng.random_range(0..60)),
            // A backup is restored, with every aggregator stopped: one that went on would write what changed since its
            // last flush into tables that lack what was before.
            30..=32 => {
                world.restore(&mut rng);
                owner = born(0);
                zombies.clear();
            }
            33..=39 => world.backup(),
            _ => owner.turn(&mut world, &mut rng),
        }
        if !zombies.is_empty() && rng.random_bool(0.4) {
            let at = rng.random_range(0..zombies.len());
            zombies[at].turn(&mut world, &mut rng);
            if rng.random_bool(0.02) {
                zombies.swap_remove(at);
            }
        }
    }
    for zombie in &mut zombies {
        for _ in 0..rng.random_range(0..60) {
            zombie.turn(&mut world, &mut rng);
        }
    }
    truth::check(&world, seed);
    turns
}
