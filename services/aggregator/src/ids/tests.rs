use super::*;

const HOUR: i64 = 3_600_000;

fn id(n: u64) -> EventId {
    EventId::new(domain::source::ServiceNumber(1), &n.to_be_bytes())
}

fn seen(n: u64) -> Seen {
    Seen { appended_at_ms: n.cast_signed() * 1_000, content: n }
}

fn folder() -> Folder {
    Folder::new(std::env::temp_dir())
}

fn found(ids: &Ids, n: u64, appended_at_ms: i64) -> Option<Seen> {
    ids.find(id(n), appended_at_ms, HOUR).expect("runs can be read")
}

/// Ids of so many events, one a second.
fn filled(in_memory_max: usize, events: u64) -> Ids {
    let mut ids = Ids::bounded(in_memory_max);
    for n in 0..events {
        ids.insert(id(n), seen(n));
        ids.make_room(&folder()).expect("there is room on the disk");
        assert!(ids.sizes().0 <= in_memory_max);
    }
    ids
}

#[test]
fn an_id_is_known_for_the_window_and_not_a_millisecond_longer() {
    // In memory, in a run.
    for in_memory_max in [usize::MAX, 2] {
        let mut ids = Ids::bounded(in_memory_max);
        ids.insert(EventId(7), Seen { appended_at_ms: 1_000, content: 9 });
        ids.make_room(&folder()).expect("there is room on the disk");
        assert!(ids.find(EventId(7), 1_000 + HOUR, HOUR).expect("read").is_some());
        assert!(ids.find(EventId(7), 1_001 + HOUR, HOUR).expect("read").is_none());
        assert!(ids.find(EventId(8), 1_000, HOUR).expect("read").is_none());
    }
}

#[test]
fn purging_never_forgets_what_a_window_still_reaches() {
    let mut ids = Ids::default();
    for n in 0..100_i64 {
        ids.insert(EventId(n as u128), Seen { appended_at_ms: n * HOUR, content: 0 });
    }
    ids.purge(100 * HOUR, 10 * HOUR);
    let is_known = |n: i64| ids.find(EventId(n as u128), 100 * HOUR, 10 * HOUR).expect("read").is_some();
    assert!((90..100).all(is_known));
    assert_eq!(ids.sizes(), (11, 0));
}

#[test]
fn what_left_memory_is_known_like_what_did_not() {
    let ids = filled(100, 1_000);
    assert_eq!(ids.sizes(), (0, 1_000));
    let ids = filled(100, 1_049);
    assert_eq!(ids.sizes(), (49, 1_000));
    for n in 0..1_049 {
        assert_eq!(found(&ids, n, 1_050_000), Some(seen(n)));
    }
    assert!((1_049..5_000).all(|n| found(&ids, n, 1_050_000).is_none()));
}

#[test]
fn a_run_goes_when_the_window_leaves_its_newest_id_and_not_before() {
    let mut ids = filled(1_200, 7_200);
    // Half an hour later the ids of the first half an hour are over, but for the hour of grace.
    ids.purge(9_000_000, HOUR);
    assert_eq!(ids.sizes().1, 7_200 - 1_800);
    assert!((5_400..7_200).all(|n| found(&ids, n, 9_000_000) == Some(seen(n))));
}

#[test]
fn runs_of_a_size_become_one() {
    let events = 50 * (256 + 5 * 16 + 3);
    let ids = filled(100, events);
    let with = |merges| ids.runs.iter().filter(|run| run.merges() == merges).count();
    assert_eq!((with(2), with(1), with(0), ids.runs.len()), (1, 5, 3, 9));
    assert_eq!(ids.sizes(), (0, events as usize));
    for n in 0..events {
        assert_eq!(ids.find(id(n), 0, HOUR).expect("runs can be read"), Some(seen(n)));
    }
    assert!((events..events * 2).all(|n| ids.find(id(n), 0, HOUR).expect("runs can be read").is_none()));
}

#[test]
fn a_merge_that_fails_changes_nothing_and_memory_goes_first() {
    let mut ids = filled(100, 750);
    let insert = |ids: &mut Ids, numbers: std::ops::Range<u64>| numbers.for_each(|n| ids.insert(id(n), seen(n)));
    let is_whole = |ids: &Ids| (0..850).all(|n| found(ids, n, HOUR) == Some(seen(n)));
    insert(&mut ids, 750..800);
    let spill = ids.spill().expect("half of the bound is reached");
    ids.spilled(Some(spill.write(&folder()).expect("there is room on the disk")));
    let merge = ids.spill().expect("there are sixteen of a size");
    insert(&mut ids, 800..850);
    assert!(ids.spill().is_none(), "one at a time");
    ids.spilled(merge.write(&Folder::new("/nowhere/at/all".into())).ok());
    assert!(is_whole(&ids) && ids.runs.len() == 16 && ids.sizes() == (50, 800));
    ids.make_room(&folder()).expect("there is room on the disk");
    assert!(is_whole(&ids) && ids.runs.len() == 1 && ids.sizes() == (0, 850));
}

#[test]
fn a_purge_during_a_merge_loses_nothing_that_a_window_reaches() {
    let mut ids = filled(100, 750);
    (750..800).for_each(|n| ids.insert(id(n), seen(n)));
    let spill = ids.spill().expect("half of the bound is reached");
    ids.spilled(Some(spill.write(&folder()).expect("there is room on the disk")));
    let merged = ids.spill().expect("there are sixteen of a size").write(&folder()).expect("there is room on the disk");
    ids.purge(2 * HOUR + 400_000, HOUR);
    ids.spilled(Some(merged));
    assert!((0..800).all(|n| found(&ids, n, HOUR + 400_000) == Some(seen(n)).filter(|_| n >= 400)));
    ids.purge(3 * HOUR + 800_000, HOUR);
    assert_eq!(ids.sizes(), (0, 0));
}

#[test]
fn the_latest_time_counts_wherever_it_is() {
    for order in [[1, 2], [2, 1]] {
        let mut ids = Ids::bounded(2);
        for at in order {
            ids.load(id(7), Seen { appended_at_ms: at * HOUR, content: at.unsigned_abs() });
            ids.make_room(&folder()).expect("there is room on the disk");
        }
        assert_eq!(ids.sizes(), (0, 2));
        assert_eq!(found(&ids, 7, 2 * HOUR), Some(Seen { appended_at_ms: 2 * HOUR, content: 2 }));
    }
}

#[test]
fn what_is_being_written_is_known_and_stays_when_that_fails() {
    let mut ids = Ids::bounded(20);
    (0..10).for_each(|n| ids.insert(id(n), seen(n)));
    let nowhere = Folder::new("/nowhere/at/all".into());
    let spill = ids.spill().expect("half of the bound is reached");
    assert!(ids.spill().is_none(), "one at a time");
    assert!(!ids.is_full());
    (10..20).for_each(|n| ids.insert(id(n), seen(n)));
    assert!(ids.is_full());
    let is_whole = |ids: &Ids| (0..20).all(|n| found(ids, n, HOUR) == Some(seen(n)));
    assert!(is_whole(&ids));
    ids.spilled(spill.write(&nowhere).ok());
    assert!(ids.is_full() && is_whole(&ids) && ids.sizes() == (20, 0));
    assert!(ids.make_room(&nowhere).is_err());
    ids.make_room(&folder()).expect("there is room on the disk");
    assert!(!ids.is_full() && is_whole(&ids) && ids.sizes() == (0, 20));
}
