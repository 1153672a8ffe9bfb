//! Memory that this process has taken from the machine, at its highest.

use std::fs;

/// The high-water mark from a moment on.
#[derive(Debug)]
pub struct Peak {
    before: u64,
}

impl Peak {
    /// The mark is what is taken now.
    ///
    /// # Panics
    /// Without Linux's `/proc`.
    #[must_use]
    pub fn begin() -> Self {
        fs::write("/proc/self/clear_refs", "5").expect("Linux lowers the high-water mark");
        Self { before: status("VmRSS:") }
    }

    /// Bytes more than at the beginning, at the highest.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        status("VmHWM:").saturating_sub(self.before)
    }
}

fn status(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux tells a process its memory");
    let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kilobytes * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_still_counts() {
        let peak = Peak::begin();
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        assert!(peak.bytes() >= 63 << 20, "{}", peak.bytes());
    }
}
