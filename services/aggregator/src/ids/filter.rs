//! A split block Bloom filter over ids: one cache line says that an id is absent, and hardly ever that it may be there
//! when it is not.
//!
//! As in the Parquet format: <https://parquet.apache.org/docs/file-format/bloomfilter/>. A filter that scatters its bits
//! waits for memory once a bit, and there is one filter for each file.

/// Bits for each id: one absent id in about 200 is not recognized.
const BITS_PER_ID: usize = 12;
/// Odd numbers of the format, one for each word of a block.
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

#[derive(Debug, Clone, Copy, Default)]
#[repr(align(32))]
struct Block([u32; 8]);

/// Which ids may be in a file.
#[derive(Debug)]
pub(super) struct Filter {
    blocks: Vec<Block>,
}

impl Filter {
    /// Without any id, and with room for so many.
    pub(super) fn with_room(ids: usize) -> Self {
        Self { blocks: vec![Block::default(); (ids * BITS_PER_ID).div_ceil(256).max(1)] }
    }

    pub(super) fn insert(&mut self, id: u128) {
        let at = self.place(id);
        for (word, mask) in self.blocks[at].0.iter_mut().zip(masks(id)) {
            *word |= mask;
        }
    }

    /// Never false for an id that was inserted.
    pub(super) fn may_have(&self, id: u128) -> bool {
        let lacking = |lacks, (word, mask): (&u32, u32)| lacks | (!word & mask);
        self.blocks[self.place(id)].0.iter().zip(masks(id)).fold(0, lacking) == 0
    }

    /// The upper quarter of the id, scaled to the number of blocks.
    fn place(&self, id: u128) -> usize {
        (((id >> 96) as u64 * self.blocks.len() as u64) >> 32) as usize
    }
}

/// A bit in each word, chosen by the second quarter of the id.
fn masks(id: u128) -> [u32; 8] {
    let hash = (id >> 64) as u32;
    SALTS.map(|salt| 1 << (hash.wrapping_mul(salt) >> 27))
}

#[cfg(test)]
mod tests {
    use domain::source::{EventId, ServiceNumber};

    use super::*;

    fn id(n: u32) -> u128 {
        EventId::new(ServiceNumber(1), &n.to_be_bytes()).0
    }

    #[test]
    fn it_has_what_was_inserted_and_hardly_anything_else() {
        let mut filter = Filter::with_room(100_000);
        (0..100_000).for_each(|n| filter.insert(id(n)));
        assert!((0..100_000).all(|n| filter.may_have(id(n))));
        let mistaken = (100_000..300_000).filter(|n| filter.may_have(id(*n))).count();
        assert!((1..2_000).contains(&mistaken), "{mistaken} of 200,000 absent ids");
    }

    #[test]
    fn an_empty_one_has_nothing() {
        assert!(!(0..1_000).any(|n| Filter::with_room(0).may_have(id(n))));
    }
}
