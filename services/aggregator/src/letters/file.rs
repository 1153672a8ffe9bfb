//! Dead letters as lines of JSON: what `aggregator letters --json` writes, a person corrects, and `letters replay --from`
//! takes back.
//!
//! Invariant: a line that is not understood stops everything, with its number and the rule that it breaks.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use domain::source::Source;
use serde::{Deserialize, Serialize};

use super::read::{Letter, Place, bytes_of};

/// One letter. Taken back are `source`, `offset` and `content`; the rest is for the reader.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    source: String,
    offset: u64,
    #[serde(default)]
    appended_at_ms: i64,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    size: u32,
    /// In hexadecimal digits.
    content: String,
}

/// The line of a letter.
#[must_use]
pub fn line(letter: &Letter) -> String {
    let Letter { place, appended_at_ms, outcome, reason, size, content, .. } = letter;
    let line = Line {
        source: place.source.to_string(),
        offset: place.offset,
        appended_at_ms: *appended_at_ms,
        outcome: outcome.name().to_owned(),
        reason: reason.clone(),
        size: *size,
        content: content.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    serde_json::to_string(&line).expect("texts and numbers are always JSON")
}

/// The bytes that shall stand for each letter; empty lines are left out.
///
/// # Errors
/// The first line that is none, or that speaks of a letter that had one before.
pub fn parse(text: &str) -> anyhow::Result<BTreeMap<Place, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line).with_context(|| format!("line {number}"))?;
        let source: Source =
            line.source.parse().map_err(|rule| anyhow::anyhow!("line {number}: `source` {:?}: {rule}", line.source))?;
        let bytes = bytes_of(&line.content);
        let bytes =
            bytes.with_context(|| format!("line {number}: `content` is hexadecimal digits, two for each byte"))?;
        let place = Place { source, offset: line.offset };
        ensure!(all.insert(place, bytes).is_none(), "line {number}: {place} stands in an earlier line too");
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::outcome::Outcome;
    use domain::source::Log;

    fn letter() -> Letter {
        Letter {
            place: Place { source: Source { log: Log::Backfill, epoch: 1, partition: 5 }, offset: 17 },
            appended_at_ms: 9,
            outcome: Outcome::Undecodable,
            reason: "not a record".into(),
            size: 3,
            content: vec![0, 0xab, 0xff],
            replay: None,
        }
    }

    #[test]
    fn a_letter_comes_back_as_it_was_written() {
        let text = format!("{}\n\n", line(&letter()));
        let read = parse(&text).expect("a letter");
        assert_eq!(read.into_iter().collect::<Vec<_>>(), [(letter().place, letter().content)]);
    }

    #[test]
    fn a_broken_line_is_named_with_its_rule() {
        let good = line(&letter());
        let broken = |text: &str| format!("{:#}", parse(text).expect_err(text));
        assert!(broken(&format!("{good}\n{{")).starts_with("line 2: "));
        assert!(broken(&format!("{good}\n{good}")).contains("line 2: backfill/1/5 at 17 stands in an earlier line"));
        assert!(broken(&good.replace("00abff", "00abf")).contains("line 1: `content` is hexadecimal"));
        assert!(broken(&good.replace("00abff", "00abfé")).contains("line 1: `content` is hexadecimal"));
        assert!(broken(&good.replace("backfill/1/5", "backfill")).contains("line 1: `source` \"backfill\""));
        assert!(broken(&good.replace("reason", "raison")).contains("unknown field `raison`"));
    }
}
