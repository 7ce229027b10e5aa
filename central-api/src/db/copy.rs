//! Rows in Postgres' binary COPY format (documentation of COPY, "Binary Format"): half the bytes and none of the parsing of text.

use rust_decimal::Decimal;
use sqlx::PgConnection;

/// Microseconds from 1970 to 2000, where Postgres' timestamps begin.
const EPOCH_2000_US: i64 = 946_684_800_000_000;

/// Signature, flags, length of the header's extension.
const HEADER: usize = 11 + 8;

/// Rows of one table, ready to be sent.
#[derive(Debug)]
pub struct Rows {
    bytes: Vec<u8>,
}

impl Rows {
    /// No row yet.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(1 << 20);
        bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
        bytes.extend_from_slice(&[0; 8]);
        Self { bytes }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The rows with their trailer; what remains is empty again.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(self).bytes;
        bytes.extend_from_slice(&(-1i16).to_be_bytes());
        bytes
    }

    /// Begins a row of `columns` values.
    pub fn row(&mut self, columns: i16) -> &mut Self {
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        self
    }

    fn value(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Null.
    pub fn null(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
        self
    }

    /// A value, or null.
    pub fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T) -> &mut Self) -> &mut Self {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    /// `uuid`.
    pub fn uuid(&mut self, id: uuid::Uuid) -> &mut Self {
        self.value(id.as_bytes())
    }

    /// `smallint`.
    pub fn i16(&mut self, n: i16) -> &mut Self {
        self.value(&n.to_be_bytes())
    }

    /// `integer`.
    pub fn i32(&mut self, n: i32) -> &mut Self {
        self.value(&n.to_be_bytes())
    }

    /// `bigint`.
    pub fn i64(&mut self, n: i64) -> &mut Self {
        self.value(&n.to_be_bytes())
    }

    /// `date`.
    pub fn date(&mut self, day: chrono::NaiveDate) -> &mut Self {
        let days = (day - chrono::NaiveDate::default()).num_days() - EPOCH_2000_US / 86_400_000_000;
        self.i32(days as i32)
    }

    /// `boolean`.
    pub fn bool(&mut self, b: bool) -> &mut Self {
        self.value(&[u8::from(b)])
    }

    /// `text`.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.value(text.as_bytes())
    }

    /// `jsonb`: its version, then the text.
    pub fn json(&mut self, text: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.push(1);
        bytes.extend_from_slice(text.as_bytes());
        self.value(&bytes)
    }

    /// `bytea`.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.value(bytes)
    }

    /// `timestamptz` from milliseconds since 1970, UTC.
    pub fn time(&mut self, ms: i64) -> &mut Self {
        self.value(&(ms * 1000 - EPOCH_2000_US).to_be_bytes())
    }

    /// `numeric` from hundredths, not negative.
    pub fn cents(&mut self, cents: i64) -> &mut Self {
        debug_assert!(cents >= 0);
        let (mut whole, fraction) = (cents / 100, (cents % 100 * 100) as u16);
        let mut groups = [0u16; 6];
        let mut count = 0;
        while whole > 0 {
            groups[count] = (whole % 10_000) as u16;
            whole /= 10_000;
            count += 1;
        }
        let digits = count + usize::from(fraction > 0);
        self.bytes.extend_from_slice(&(8 + 2 * digits as i32).to_be_bytes());
        for field in [digits as i16, count as i16 - 1, 0, 2] {
            self.bytes.extend_from_slice(&field.to_be_bytes());
        }
        for group in groups[..count].iter().rev() {
            self.bytes.extend_from_slice(&group.to_be_bytes());
        }
        if fraction > 0 {
            self.bytes.extend_from_slice(&fraction.to_be_bytes());
        }
        self
    }

    /// `numeric`.
    pub fn decimal(&mut self, number: Decimal) -> &mut Self {
        // Groups of four decimal digits; `number` is mantissa / 10^scale, so its fraction is filled up to whole groups.
        let scale = number.scale();
        let pad = (4 - scale % 4) % 4;
        let mut rest = number.mantissa().unsigned_abs() * 10u128.pow(pad);
        let fraction = ((scale + pad) / 4) as i16;
        // A mantissa has 29 digits at most, and three more of padding.
        let mut groups = [0u16; 9];
        let mut count = 0;
        while rest > 0 {
            groups[count] = (rest % 10_000) as u16;
            rest /= 10_000;
            count += 1;
        }
        let weight = count as i16 - 1 - fraction;
        let zeros = groups[..count].iter().take_while(|group| **group == 0).count();
        let groups = &groups[zeros..count];
        let sign = if number.is_sign_negative() && !groups.is_empty() {
            0x4000
        } else {
            0
        };
        self.bytes
            .extend_from_slice(&(8 + 2 * groups.len() as i32).to_be_bytes());
        let weight = if groups.is_empty() { 0 } else { weight };
        for field in [groups.len() as i16, weight, sign, scale as i16] {
            self.bytes.extend_from_slice(&field.to_be_bytes());
        }
        for group in groups.iter().rev() {
            self.bytes.extend_from_slice(&group.to_be_bytes());
        }
        self
    }

    /// `integer[]` of one dimension, without nulls.
    pub fn integers(&mut self, numbers: &[i32]) -> &mut Self {
        const INT4: i32 = 23;
        const HEADER: i32 = 5 * 4;
        self.bytes
            .extend_from_slice(&(HEADER + 8 * numbers.len() as i32).to_be_bytes());
        // Dimensions, no nulls, type; length and first index.
        for field in [1, 0, INT4, numbers.len() as i32, 1] {
            self.bytes.extend_from_slice(&field.to_be_bytes());
        }
        for number in numbers {
            self.i32(*number);
        }
        self
    }

    /// `int8multirange` of disjoint, sorted, half-open ranges.
    pub fn multirange(&mut self, ranges: &[(i64, i64)]) -> &mut Self {
        // flags (lower inclusive), then each bound with its length
        const RANGE: i32 = 1 + 2 * (4 + 8);
        self.bytes
            .extend_from_slice(&(4 + ranges.len() as i32 * (4 + RANGE)).to_be_bytes());
        self.bytes.extend_from_slice(&(ranges.len() as i32).to_be_bytes());
        for (from, to) in ranges {
            self.bytes.extend_from_slice(&RANGE.to_be_bytes());
            self.bytes.push(0x02);
            for bound in [from, to] {
                self.bytes.extend_from_slice(&8i32.to_be_bytes());
                self.bytes.extend_from_slice(&bound.to_be_bytes());
            }
        }
        self
    }
}

/// Sends rows, with their trailer, to a table: `statement` is a `copy … from stdin (format binary)`.
///
/// # Errors
/// The database's; then none of the rows is stored.
pub async fn send(db: &mut PgConnection, statement: &str, rows: Vec<u8>) -> sqlx::Result<()> {
    let mut copy = db.copy_in_raw(statement).await?;
    copy.send(rows).await?;
    copy.finish().await?;
    Ok(())
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}
