//! The records of one batch on their way to the producer.

/// The records of a batch in the order of its slots, in one piece of memory.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    ends: Vec<(u16, usize)>,
}

impl Records {
    /// Room for so many.
    #[must_use]
    pub fn with_capacity(events: usize) -> Self {
        // Most records are shorter; a longer one lets the buffer grow.
        Self { bytes: Vec::with_capacity(events * 96), ends: Vec::with_capacity(events) }
    }

    /// Adds the record for a partition that `write` appends to the buffer; returns its slot.
    pub fn push(&mut self, partition: u16, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        write(&mut self.bytes);
        self.ends.push((partition, self.bytes.len()));
        self.ends.len() - 1
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Partition and bytes of each.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        self.ends.iter().zip(starts).map(|(&(partition, end), start)| (partition, &self.bytes[start..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_partitions_and_their_bytes() {
        let mut records = Records::with_capacity(1);
        for (partition, text) in [(7, "first"), (0, ""), (11, "third")] {
            records.push(partition, |to| to.extend_from_slice(text.as_bytes()));
        }
        let all: Vec<_> = records.iter().collect();
        assert_eq!(all, [(7, &b"first"[..]), (0, &b""[..]), (11, &b"third"[..])]);
    }
}
