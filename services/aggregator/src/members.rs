//! Who has the partitions of a log, as the coordinator of a group tells it.

/// A group that is at rest, as its coordinator tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How many members it has.
    pub members: usize,
    /// How many partitions the topic has.
    pub partitions: usize,
    /// Partitions that none of them has.
    pub orphans: Vec<u16>,
}

/// The partitions of a topic in a member's assignment, as members of the consumer protocol are told it: version, topics
/// each with its partitions, then what is of no concern here. `None` if it is of another form.
pub(crate) fn assigned(mut bytes: &[u8], topic: &str) -> Option<Vec<u16>> {
    let mut found = Vec::new();
    let _version: [u8; 2] = take(&mut bytes)?;
    for _ in 0..u32::from_be_bytes(take(&mut bytes)?) {
        let length = usize::from(u16::from_be_bytes(take(&mut bytes)?));
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        for _ in 0..u32::from_be_bytes(take(&mut bytes)?) {
            let partition = u32::from_be_bytes(take(&mut bytes)?);
            if name == topic.as_bytes() {
                found.push(u16::try_from(partition).ok()?);
            }
        }
    }
    Some(found)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_as_members_are_told_it() {
        let bytes = b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\x07\0\0\0\x0b\0\x02bc\0\0\0\x01\0\0\0\x03\0\0\0\0";
        assert_eq!(assigned(bytes, "a"), Some(vec![7, 11]));
        assert_eq!(assigned(bytes, "bc"), Some(vec![3]));
        assert_eq!(assigned(bytes, "c"), Some(vec![]));
        assert_eq!(assigned(&bytes[..12], "a"), None);
        assert_eq!(assigned(b"", "a"), None);
    }
}
