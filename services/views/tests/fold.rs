//! The live client's fold: what it takes, what it refuses, what it forgets.

mod node;

use serde_json::{Value, json};

/// Feeds frames to `Fold` and reads values: each step is `["snap"|"tick", frame]`, `["get", key, period]` or
/// `["prune", minutes, hours]`.
const RUNNER: &str = r#"
import fs from "node:fs";
const { Fold } = await import(`file://${process.argv[1]}/live.js`);
const fold = new Fold();
const answers = [];
for (const [what, ...args] of JSON.parse(fs.readFileSync(0, "utf8"))) {
  if (what === "snap") answers.push(fold.snapshot(...args) ?? fold.seq);
  else if (what === "tick") answers.push(fold.tick(...args));
  else if (what === "prune") answers.push(fold.prune(...args) ?? null);
  else { const v = fold.get(...args); answers.push(typeof v === "bigint" ? String(v) : v); }
}
console.log(JSON.stringify(answers));
"#;

fn check(steps: &[(Value, Value)]) {
    let questions: Vec<_> = steps.iter().map(|step| step.0.clone()).collect();
    let Some(answers) = node::run(RUNNER, &json!(questions)) else { return };
    let answers = answers.as_array().expect("a list");
    assert_eq!(answers.len(), steps.len());
    for ((question, expected), answer) in steps.iter().zip(answers) {
        assert_eq!(answer, expected, "{question}");
    }
}

fn snapshot() -> Value {
    json!(["snap", { "epoch": "a", "seq": 7, "today": "2026-11-24", "keys": ["all", "service:x"],
        "periods": ["m:60", "d:2026-11-24"], "values": [[0, 0, 5], [0, 1, 50], [1, 1, "9007199254740993"]] }])
}

#[test]
fn a_snapshot_and_the_ticks_that_follow_give_the_figures() {
    check(&[
        (snapshot(), json!(7)),
        (json!(["get", "all", "m:60"]), json!(5)),
        (json!(["get", "service:x", "d:2026-11-24"]), json!("9007199254740993")),
        (
            json!(["tick", { "prev": 7, "seq": 9, "periods": ["m:120"], "changes": [[0, 2, 1], [0, 1, 51]] }]),
            json!(true),
        ),
        (json!(["get", "all", "m:120"]), json!(1)),
        (json!(["get", "all", "d:2026-11-24"]), json!(51)),
        (json!(["tick", { "prev": 9, "seq": 10, "changes": [[0, 2, 2], [44, 0, 3]] }]), json!(true)),
        (json!(["get", "all", "m:120"]), json!(2)),
    ]);
}

#[test]
fn a_tick_that_does_not_follow_changes_nothing() {
    check(&[
        (json!(["tick", { "prev": 0, "seq": 1, "changes": [[0, 0, 1]] }]), json!(false)),
        (snapshot(), json!(7)),
        (json!(["tick", { "prev": 8, "seq": 9, "keys": ["b"], "changes": [[0, 0, 99]] }]), json!(false)),
        (json!(["get", "all", "m:60"]), json!(5)),
        (json!(["tick", { "prev": 7, "seq": 8, "keys": ["c"], "changes": [[2, 0, 4]] }]), json!(true)),
        (json!(["get", "c", "m:60"]), json!(4)),
    ]);
}

#[test]
fn a_value_that_was_not_sent_is_missing() {
    check(&[
        (snapshot(), json!(7)),
        (json!(["get", "service:x", "m:60"]), Value::Null),
        (json!(["get", "service:y", "d:2026-11-24"]), Value::Null),
    ]);
}

#[test]
fn what_nobody_shows_any_more_is_forgotten_and_today_is_kept() {
    check(&[
        (snapshot(), json!(7)),
        (json!(["prune", 61, 0]), Value::Null),
        (json!(["get", "all", "m:60"]), Value::Null),
        (json!(["get", "all", "d:2026-11-24"]), json!(50)),
        (
            json!(["tick", { "prev": 7, "seq": 8, "today": "2026-11-25", "periods": ["d:2026-11-25"], "changes": [[0, 2, 3]] }]),
            json!(true),
        ),
        (json!(["prune", 61, 0]), Value::Null),
        (json!(["get", "all", "d:2026-11-24"]), Value::Null),
        (json!(["get", "all", "d:2026-11-25"]), json!(3)),
    ]);
}

#[test]
fn a_new_snapshot_replaces_everything() {
    check(&[
        (snapshot(), json!(7)),
        (
            json!(["snap", { "epoch": "b", "seq": 1, "keys": ["all"], "periods": ["m:180"], "values": [[0, 0, 8]] }]),
            json!(1),
        ),
        (json!(["get", "all", "m:60"]), Value::Null),
        (json!(["get", "all", "m:180"]), json!(8)),
    ]);
}
