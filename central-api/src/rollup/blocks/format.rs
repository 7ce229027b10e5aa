//! How a block stands in its bytes: columns one after another, each packed into as few bits as its values need. Pure.
//!
//! A block is its number of rows and then its columns, in an order that writer and reader both know. Lengths are written seven bits to a
//! byte, the lowest first. The same rows always give the same bytes.

/// Any value of a packed column is read as eight bytes at once, so as many stand behind the last one.
const PADDING: usize = 8;
/// A value of more bits than this could reach into a ninth byte, unless it fills eight of its own.
const MOST_BITS: u32 = 56;
/// No hour has more; a longer one is none of ours.
const MOST_ROWS: u64 = 1 << 28;

/// Writes a block.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    rows: usize,
}

impl Writer {
    /// Begins a block of so many rows; each column has as many values.
    pub fn new(rows: usize) -> Self {
        let mut writer = Self {
            bytes: Vec::new(),
            rows,
        };
        writer.length(rows as u64);
        writer
    }

    /// The block.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend([0; PADDING]);
        self.bytes
    }

    fn length(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A column of identifiers.
    pub fn ids(&mut self, values: impl Iterator<Item = u128>) {
        let before = self.bytes.len();
        values.for_each(|id| self.bytes.extend(id.to_le_bytes()));
        debug_assert_eq!(self.bytes.len() - before, self.rows * 16);
    }

    /// A column of whole numbers: the least, what all others are multiples of from there, and how many times it each is more.
    pub fn numbers(&mut self, values: &[i64]) {
        debug_assert_eq!(values.len(), self.rows);
        let least = values.iter().copied().min().unwrap_or(0);
        let above = |value: i64| value.wrapping_sub(least) as u64;
        let unit = values.iter().fold(0, |unit, value| common_divisor(unit, above(*value)));
        let times = |value: i64| above(value).checked_div(unit).unwrap_or(0);
        let most = values.iter().map(|value| times(*value)).max().unwrap_or(0);
        let bits = match u64::BITS - most.leading_zeros() {
            bits @ ..=MOST_BITS => bits,
            _ => u64::BITS,
        };
        // Zigzag: small negative numbers are short too.
        self.length(((least << 1) ^ (least >> 63)) as u64);
        self.length(unit);
        self.bytes.push(bits as u8);
        let first = self.bytes.len();
        self.bytes.resize(first + packed_bytes(self.rows, bits), 0);
        for (row, value) in values.iter().enumerate() {
            let at = row * bits as usize;
            for (byte, part) in (times(*value) << (at % 8)).to_le_bytes().into_iter().enumerate() {
                if part != 0 {
                    self.bytes[first + at / 8 + byte] |= part;
                }
            }
        }
    }

    /// A column of texts, some absent: its different values in order, then which of them each row has.
    pub fn texts(&mut self, values: &[Option<&str>]) {
        let mut different: Vec<Option<&str>> = values.to_vec();
        different.sort_unstable();
        different.dedup();
        self.length(different.len() as u64);
        for value in &different {
            // 0 is the absent value, else one more than the length.
            self.length(value.map_or(0, |text| text.len() as u64 + 1));
            self.bytes.extend(value.unwrap_or_default().as_bytes());
        }
        let codes: Vec<i64> = values
            .iter()
            .map(|value| different.binary_search(value).unwrap_or_default() as i64)
            .collect();
        self.numbers(&codes);
    }
}

fn packed_bytes(rows: usize, bits: u32) -> usize {
    (rows * bits as usize).div_ceil(8)
}

const fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Reads a block's columns, in the order in which they were written.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    rows: usize,
}

/// A column of identifiers.
#[derive(Debug, Clone, Copy)]
pub struct Ids<'a>(&'a [[u8; 16]]);

/// A column of whole numbers.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a> {
    least: i64,
    unit: u64,
    bits: u32,
    packed: &'a [u8],
}

/// A column of texts.
#[derive(Debug)]
pub struct Texts<'a> {
    /// Its different values.
    pub values: Vec<Option<&'a str>>,
    /// Which of them each row has.
    pub codes: Numbers<'a>,
}

impl<'a> Reader<'a> {
    /// Begins to read; `None` here and below: these are not the bytes of a block.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Self { rest: bytes, rows: 0 };
        reader.rows = usize::try_from(reader.length().filter(|rows| *rows <= MOST_ROWS)?).ok()?;
        Some(reader)
    }

    /// How many rows each column has.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The next column, of identifiers.
    pub fn ids(&mut self) -> Option<Ids<'a>> {
        let bytes = self.take(self.rows.checked_mul(16)?)?;
        Some(Ids(bytes.as_chunks::<16>().0))
    }

    /// The next column, of numbers.
    pub fn numbers(&mut self) -> Option<Numbers<'a>> {
        let zigzag = self.length()?;
        let unit = self.length()?;
        let bits = u32::from(*self.take(1)?.first()?);
        if bits > MOST_BITS && bits != u64::BITS {
            return None;
        }
        let packed = self.rest;
        self.take(packed_bytes(self.rows, bits))?;
        (self.rest.len() >= PADDING).then_some(Numbers {
            least: (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64),
            unit,
            bits,
            packed,
        })
    }

    /// The next column, of texts.
    pub fn texts(&mut self) -> Option<Texts<'a>> {
        let different = usize::try_from(self.length()?).ok()?;
        let mut values = Vec::with_capacity(different.min(self.rows));
        for _ in 0..different {
            values.push(match self.length()?.checked_sub(1) {
                Some(bytes) => Some(str::from_utf8(self.take(usize::try_from(bytes).ok()?)?).ok()?),
                None => None,
            });
        }
        let codes = self.numbers()?;
        let known = |code: i64| usize::try_from(code).is_ok_and(|code| code < different);
        let valid = match codes.constant() {
            Some(code) => self.rows == 0 || known(code),
            None => (0..self.rows).all(|row| known(codes.get(row))),
        };
        valid.then_some(Texts { values, codes })
    }

    /// The same without looking at it.
    pub fn skip_texts(&mut self) -> Option<()> {
        for _ in 0..self.length()? {
            let bytes = self.length()?.saturating_sub(1);
            self.take(usize::try_from(bytes).ok()?)?;
        }
        self.numbers().map(|_| ())
    }
}

impl Ids<'_> {
    /// The value of a row.
    pub fn get(&self, row: usize) -> u128 {
        u128::from_le_bytes(self.0[row])
    }
}

impl Numbers<'_> {
    /// The value of a row.
    pub fn get(&self, row: usize) -> i64 {
        let at = row * self.bits as usize;
        let mut word = [0; 8];
        word.copy_from_slice(&self.packed[at / 8..at / 8 + 8]);
        let mask = if self.bits == u64::BITS {
            u64::MAX
        } else {
            (1 << self.bits) - 1
        };
        let times = (u64::from_le_bytes(word) >> (at % 8)) & mask;
        self.least.wrapping_add(times.wrapping_mul(self.unit) as i64)
    }

    /// The value that all rows have, if they have one.
    pub const fn constant(&self) -> Option<i64> {
        if self.bits == 0 { Some(self.least) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            Just(0),
            Just(10_000),
            -5..300i64,
            (0..90_000i64).prop_map(|n| n * 10_000),
            any::<i64>()
        ]
    }

    #[test]
    fn flags_of_a_thousand_sessions_take_a_bit_each() {
        let flags: Vec<i64> = (0..1000).map(|n| i64::from(n % 3 == 0) * 10_000).collect();
        let mut writer = Writer::new(flags.len());
        writer.numbers(&flags);
        assert!(writer.finish().len() < 125 + 20);
    }

    #[test]
    fn a_column_of_one_value_takes_no_room_for_its_rows() {
        let mut writer = Writer::new(1000);
        writer.numbers(&[-7; 1000]);
        writer.texts(&[Some("one"); 1000]);
        let block = writer.finish();
        assert!(block.len() < 30, "{}", block.len());
        let mut reader = Reader::new(&block).unwrap();
        assert_eq!(reader.numbers().unwrap().constant(), Some(-7));
        assert_eq!(reader.texts().unwrap().values, [Some("one")]);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            rows in prop::collection::vec((any::<u128>(), number(), prop::option::of("[a-zі(]{0,5}")), 0..70),
            wide in prop::collection::vec(any::<i64>(), 70),
        ) {
            let (ids, numbers): (Vec<_>, Vec<_>) = rows.iter().map(|row| (row.0, row.1)).unzip();
            let texts: Vec<Option<&str>> = rows.iter().map(|row| row.2.as_deref()).collect();
            let wide = &wide[..rows.len()];
            let mut writer = Writer::new(rows.len());
            writer.numbers(&numbers);
            writer.texts(&texts);
            writer.ids(ids.iter().copied());
            writer.texts(&texts);
            writer.numbers(wide);
            let block = writer.finish();
            let mut reader = Reader::new(&block).unwrap();
            prop_assert_eq!(reader.rows(), rows.len());
            let (read_numbers, read_texts, read_ids) = (reader.numbers().unwrap(), reader.texts().unwrap(), reader.ids().unwrap());
            reader.skip_texts().unwrap();
            let read_wide = reader.numbers().unwrap();
            for row in 0..rows.len() {
                prop_assert_eq!(read_ids.get(row), ids[row]);
                prop_assert_eq!(read_numbers.get(row), numbers[row]);
                prop_assert_eq!(read_wide.get(row), wide[row]);
                prop_assert_eq!(read_texts.values[read_texts.codes.get(row) as usize], texts[row]);
            }
        }

        #[test]
        fn bytes_that_are_no_block_are_refused_or_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(mut reader) = Reader::new(&bytes) {
                let rows = reader.rows().min(1000);
                if let Some(texts) = reader.texts() {
                    (0..rows).for_each(|row| { let _ = texts.values[texts.codes.get(row) as usize]; });
                }
                if let Some(numbers) = reader.numbers() {
                    (0..rows).for_each(|row| { numbers.get(row); });
                }
            }
        }
    }
}
