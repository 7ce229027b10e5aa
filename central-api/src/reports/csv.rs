//! Rows as CSV that a spreadsheet opens as it should: UTF-8 with a byte order mark, and no cell that it would take for a formula.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::sheet::{Cell, Column};

/// Tells spreadsheets that the file is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Text that a spreadsheet shows rather than computes: what begins like a formula gets an apostrophe before it
/// (OWASP, "CSV Injection").
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes rows and gives them away in chunks, so that memory stays flat however many there are.
pub struct Chunks {
    buffer: Shared,
    writer: csv::Writer<Shared>,
    /// Of the cell that is being written.
    text: Vec<u8>,
}

impl Default for Chunks {
    fn default() -> Self {
        let buffer = Shared(Arc::new(Mutex::new(BYTE_ORDER_MARK.to_vec())));
        Self {
            writer: csv::WriterBuilder::new()
                .terminator(csv::Terminator::CRLF)
                .from_writer(buffer.clone()),
            buffer,
            text: Vec::new(),
        }
    }
}

impl Chunks {
    /// Adds the header.
    ///
    /// # Errors
    /// None in memory.
    pub fn header(&mut self, columns: &[Column]) -> Result<(), csv::Error> {
        self.writer
            .write_record(columns.iter().map(|column| column.label.as_ref()))
    }

    /// Adds a row: numbers plain, times as ISO 8601 writes them with a space, texts harmless.
    ///
    /// # Errors
    /// Rows of different lengths.
    pub fn cells(&mut self, cells: &[Cell]) -> Result<(), csv::Error> {
        for cell in cells {
            self.text.clear();
            match cell {
                Cell::Text(text) => {
                    self.writer.write_field(harmless(text).as_bytes())?;
                    continue;
                }
                Cell::Number(number) => {
                    let _ = write!(self.text, "{}", number.normalize());
                }
                Cell::Day(day) => {
                    let _ = write!(self.text, "{day}");
                }
                Cell::Time(time) => {
                    let _ = write!(self.text, "{}", time.format("%Y-%m-%d %H:%M:%S"));
                }
                Cell::Nothing => {}
            }
            self.writer.write_field(&self.text)?;
        }
        self.writer.write_record(None::<&[u8]>)
    }

    /// Bytes written and not yet taken, as far as they left the writer's own buffer.
    pub fn gathered(&self) -> usize {
        self.buffer.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What was written and not yet taken.
    ///
    /// # Errors
    /// None in memory.
    pub fn take(&mut self) -> io::Result<Vec<u8>> {
        self.writer.flush()?;
        Ok(std::mem::take(
            &mut *self.buffer.0.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_begins_like_a_formula_is_shown_as_text() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(harmless(bad), format!("'{bad}"));
        }
        for good in ["facebook", "a=b", "'", "", "зима"] {
            assert_eq!(harmless(good), good);
        }
    }

    #[test]
    fn chunks_joined_are_one_file_with_one_mark_and_quoted_cells() {
        let mut chunks = Chunks::default();
        let text = |text: &str| Cell::Text(text.to_owned());
        chunks.cells(&[text("a"), text("b,\"c\"\r\nd")]).unwrap();
        let mut file = chunks.take().unwrap();
        chunks
            .cells(&[Cell::Number("1.00".parse().unwrap()), Cell::Nothing])
            .unwrap();
        file.extend(chunks.take().unwrap());
        assert_eq!(
            String::from_utf8(file).unwrap(),
            "\u{feff}a,\"b,\"\"c\"\"\r\nd\"\r\n1,\r\n"
        );
    }
}
