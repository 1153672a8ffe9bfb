//! How figures are written: whole numbers, short numbers, percentages and lengths of time.
//!
//! Invariant: every page and `web/format.js` write the same figure the same way (`tests/twins.rs` compares the two).
//! It never decides what is missing: a figure that is not there has no number to format.

/// With thousands separators: `8,185,760`.
#[must_use]
pub fn exact(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Three significant figures with `k`, `m` or `bn`; below a thousand exact: `999`, `17.2k`, `7.79m`, `1.56bn`.
#[must_use]
pub fn short(n: u64) -> String {
    if n < 1_000 {
        return exact(n);
    }
    let magnitude = 10_u128.pow(n.ilog10() - 2);
    let rounded = (u128::from(n) + magnitude / 2) / magnitude * magnitude;
    let (unit, letter) = match rounded {
        0..1_000_000 => (1_000, "k"),
        1_000_000..1_000_000_000 => (1_000_000, "m"),
        _ => (1_000_000_000, "bn"),
    };
    // Three significant figures leave at most two decimals.
    format!("{}{letter}", fixed(rounded * 100 / unit, 2))
}

/// A part of a whole in per cent: two decimals under 10 %, one above, trailing zeros off. `None` when there is no whole.
///
/// A part that is there is never rounded away (`under 0.01%`), a part that is not all is never rounded to all
/// (`over 99.9%`).
#[must_use]
pub fn percent(part: u64, whole: u64) -> Option<String> {
    if whole == 0 {
        return None;
    }
    let (p, w) = (u128::from(part) * 100, u128::from(whole));
    let decimals = if p < 10 * w { 2 } else { 1 };
    let rounded = ratio_rounded(p, w, decimals);
    if rounded == 0 && part > 0 {
        return Some("under 0.01%".to_owned());
    }
    if part < whole && rounded >= 100 * 10_u128.pow(decimals) {
        return Some("over 99.9%".to_owned());
    }
    Some(format!("{}%", fixed(rounded, decimals)))
}

/// User satisfaction of ratings 1 to 5: mean 1 is 0 %, mean 5 is 100 %. `None` without ratings.
#[must_use]
pub fn satisfaction(rated: u64, rating_sum: u64) -> Option<String> {
    percent(rating_sum.saturating_sub(rated), rated.checked_mul(4)?)
}

/// A length of time in one unit, in words: `0.8 seconds`, `1 second`, `3 minutes`, `2 hours`, `4 days`.
#[must_use]
pub fn span(ms: i64) -> String {
    let (n, unit) = split(ms);
    let plural = if n == "1" { "" } else { "s" };
    format!("{n} {unit}{plural}")
}

/// The same, short: `0.8 s`, `4 min`, `2 h`, `4 d`.
#[must_use]
pub fn span_short(ms: i64) -> String {
    let (n, unit) = split(ms);
    let unit = match unit {
        "second" => "s",
        "minute" => "min",
        "hour" => "h",
        _ => "d",
    };
    format!("{n} {unit}")
}

/// A length of time in minutes and seconds: `16 s`, `4 min 16 s`, `2 h 5 min`.
#[must_use]
pub fn span_fine(ms: i64) -> String {
    let s = ms.max(0) / 1_000;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3_600, s / 60 % 60),
    }
}

/// The same for what may take weeks: from two days on in days and hours, `6 d 23 h`.
#[must_use]
pub fn span_long(ms: i64) -> String {
    const DAYS_MS: i64 = 172_800_000;
    let hours = ms / 3_600_000;
    match ms {
        ..DAYS_MS => span_fine(ms),
        _ if hours % 24 == 0 => format!("{} d", hours / 24),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// Number and unit of the largest unit that fits; under a second in tenths.
fn split(ms: i64) -> (String, &'static str) {
    let ms = ms.max(0);
    match ms {
        0..1_000 => {
            let tenths = ms / 100;
            (if tenths == 0 { "0".to_owned() } else { format!("0.{tenths}") }, "second")
        }
        1_000..60_000 => ((ms / 1_000).to_string(), "second"),
        60_000..3_600_000 => ((ms / 60_000).to_string(), "minute"),
        3_600_000..172_800_000 => ((ms / 3_600_000).to_string(), "hour"),
        _ => ((ms / 86_400_000).to_string(), "day"),
    }
}

/// `n` things, with the word in the singular for one: `1 service`, `3 services`.
#[must_use]
pub fn count(n: u64, word: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {word}{plural}", exact(n))
}

/// A rate in words: `315 a second`, `one in 4 seconds`; empty for none. From 41 a minute on the nearer is `1 a second`.
#[must_use]
pub fn per_second(per_minute: Option<u64>) -> String {
    match per_minute {
        None | Some(0) => String::new(),
        Some(n) if n > 40 => format!("{} a second", exact((n + 30) / 60)),
        Some(n) => format!("one in {} seconds", exact((60 + n / 2) / n)),
    }
}

/// A share between 0 and 1 in per cent, as [`percent`] writes it: for means that are no ratio of two counts.
#[must_use]
pub fn share(x: f64) -> String {
    const WHOLE: u64 = 1_000_000_000;
    let part = (x.max(0.0) * WHOLE as f64).round() as u64;
    percent(part, WHOLE).unwrap_or_default()
}

/// Money to the penny: `£1.10`, `£1,204`; from a hundred pounds on without pence.
#[must_use]
pub fn pounds(x: f64) -> String {
    let pence = (x.abs() * 100.0).round() as u64;
    let sign = if x < 0.0 { "−" } else { "" };
    if pence >= 10_000 {
        return format!("{sign}£{}", exact((pence + 50) / 100));
    }
    format!("{sign}£{}.{:02}", pence / 100, pence % 100)
}

/// Money with `k`, `m` or `bn`: `£1.56bn`; below a thousand pounds to the penny.
#[must_use]
pub fn pounds_short(x: f64) -> String {
    if x.abs() < 1_000.0 {
        return pounds(x);
    }
    format!("{}£{}", if x < 0.0 { "−" } else { "" }, short(x.abs().round() as u64))
}

/// `part / whole` in units of 10^-decimals, halves up.
fn ratio_rounded(part: u128, whole: u128, decimals: u32) -> u128 {
    let scaled = part * 10_u128.pow(decimals);
    (2 * scaled + whole) / (2 * whole)
}

/// A number in units of 10^-decimals, trailing zeros off.
fn fixed(units: u128, decimals: u32) -> String {
    let scale = 10_u128.pow(decimals);
    let (whole, part) = (exact(u64::try_from(units / scale).unwrap_or(u64::MAX)), units % scale);
    if part == 0 {
        return whole;
    }
    let part = format!("{part:0width$}", width = decimals as usize);
    format!("{whole}.{}", part.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_pence_where_they_matter() {
        assert_eq!(
            (pounds(1.1), pounds(0.0), pounds(204.4), pounds(-3.456)),
            ("£1.10".into(), "£0.00".into(), "£204".into(), "−£3.46".into())
        );
        assert_eq!((pounds_short(999.0), pounds_short(1_557_000_000.0)), ("£999".into(), "£1.56bn".into()));
        assert_eq!((share(0.8043), share(0.0), share(1.0)), ("80.4%".into(), "0%".into(), "100%".into()));
    }

    #[test]
    fn whole_numbers_have_separators() {
        let written = [0, 7, 999, 1_000, 8_185_760, u64::MAX].map(exact);
        assert_eq!(written, ["0", "7", "999", "1,000", "8,185,760", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn short_numbers_have_three_significant_figures() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1k"),
            (1_004, "1k"),
            (1_005, "1.01k"),
            (17_236, "17.2k"),
            (99_960, "100k"),
            (999_499, "999k"),
            (999_500, "1m"),
            (7_790_000, "7.79m"),
            (12_345_678, "12.3m"),
            (999_999_999, "1bn"),
            (1_557_000_000, "1.56bn"),
            (12_345_000_000_000, "12,300bn"),
        ];
        for (n, text) in cases {
            assert_eq!(short(n), text, "{n}");
        }
    }

    #[test]
    fn percentages_have_two_decimals_under_ten_and_one_above() {
        let cases = [
            (914, 1_000, "91.4%"),
            (57, 10_000, "0.57%"),
            (9_994, 100_000, "9.99%"),
            (99_960, 1_000_000, "10%"),
            (1, 1, "100%"),
            (3, 2, "150%"),
            (0, 5, "0%"),
            (1, 3, "33.3%"),
        ];
        for (part, whole, text) in cases {
            assert_eq!(percent(part, whole).as_deref(), Some(text), "{part}/{whole}");
        }
    }

    #[test]
    fn a_percentage_is_neither_rounded_to_nothing_nor_to_all_and_needs_a_whole() {
        assert_eq!(percent(1, 10_000_000).as_deref(), Some("under 0.01%"));
        assert_eq!(percent(99_999, 100_000).as_deref(), Some("over 99.9%"));
        assert_eq!(percent(0, 0), None);
    }

    #[test]
    fn satisfaction_is_0_when_all_say_1_and_100_when_all_say_5() {
        assert_eq!(satisfaction(10, 10).as_deref(), Some("0%"));
        assert_eq!(satisfaction(10, 50).as_deref(), Some("100%"));
        assert_eq!(satisfaction(2, 8).as_deref(), Some("75%"));
        assert_eq!(satisfaction(0, 0), None);
    }

    #[test]
    fn spans_take_the_largest_unit_that_fits() {
        let cases = [
            (-5, "0 seconds"),
            (840, "0.8 seconds"),
            (1_900, "1 second"),
            (59_999, "59 seconds"),
            (60_000, "1 minute"),
            (23 * 60_000, "23 minutes"),
            (3_600_000, "1 hour"),
            (47 * 3_600_000, "47 hours"),
            (48 * 3_600_000, "2 days"),
        ];
        for (ms, text) in cases {
            assert_eq!(span(ms), text, "{ms}");
        }
        assert_eq!(span_short(240_000), "4 min");
        assert_eq!(span_fine(256_000), "4 min 16 s");
        assert_eq!(span_fine(7_500_000), "2 h 5 min");
        assert_eq!(span_long(172_799_000), "47 h 59 min");
        assert_eq!(span_long(172_800_000), "2 d");
        assert_eq!(span_long(604_000_000), "6 d 23 h");
    }
}
