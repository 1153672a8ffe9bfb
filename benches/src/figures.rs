//! How a figure is printed, and how long a bench may take.

use std::env;
use std::time::Instant;

/// Prints the head of a yardstick.
pub fn head(name: &str, words: &str) {
    println!("\n# {name}\n{words}");
}

/// Prints one measured line.
pub fn line(what: &str, figure: &str) {
    println!("  {what:<58} {figure}");
}

/// Prints a ratio to its yardstick beside its aim.
pub fn ratio(what: &str, ratio: f64, aim: &str) {
    println!("= {what:<58} {ratio:.2}   (aim: {aim})");
}

/// Says on standard error how far a long preparation is.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    began: Instant,
}

impl Progress {
    /// It begins now.
    #[must_use]
    pub fn of(what: &'static str) -> Self {
        Self { what, began: Instant::now() }
    }

    /// So much is done.
    pub fn done(&self, part: &str) {
        eprintln!("  {} {:>6.1} s: {part}", self.what, self.began.elapsed().as_secs_f64());
    }
}

/// 1234567.8 as `1,234,568`.
#[must_use]
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < -0.5 { format!("-{text}") } else { text }
}

/// Events a second, grouped.
#[must_use]
pub fn per_second(events: u64, seconds: f64) -> String {
    format!("{}/s", grouped(events as f64 / seconds.max(1e-9)))
}

/// CPU seconds of some processes as microseconds an event.
#[must_use]
pub fn micros(seconds: &[f64], events: usize) -> String {
    let each: Vec<_> = seconds.iter().map(|seconds| format!("{:.2}", seconds * 1e6 / events as f64)).collect();
    format!("{} µs", each.join("   "))
}

/// A number from the environment, such as `BENCH_EVENTS`, or its default.
///
/// # Panics
/// When it is set to something that is no number.
#[must_use]
pub fn setting(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")),
        _ => default,
    }
}

/// The middle one.
///
/// # Panics
/// Of nothing.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The number below or at which the share `q` of all lies.
///
/// # Panics
/// Of nothing.
#[must_use]
pub fn percentile(numbers: &[f64], q: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(1_234_567.6), "1,234,568");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(-1_000.0), "-1,000");
    }
}
