//! Where a row of CSV ends. A quote that is opened and never closed makes everything after it one cell: here it costs the line that it
//! stands on, which is reported, and the rows after it are read as if that line were not there.

use std::io::{BufRead, Read};

use super::source::{MAX_ROW_BYTES, skip_line};

/// Lines that one row may go over; a comment of that length in a shop's export is not a comment.
pub const MAX_ROW_LINES: usize = 1_000;
/// Bytes of rows handed on together.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whole rows as they stand in the file, and lines that are in none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Line that `bytes` begin on, from 1.
    pub line: u64,
    /// Rows, to be parsed by themselves.
    pub bytes: Vec<u8>,
    /// The line after them that is refused, and why.
    pub refused: Option<(u64, String)>,
}

/// Cuts a text into whole rows.
pub struct Rows<R> {
    text: R,
    separator: u8,
    /// Lines read so far.
    line: u64,
    /// Read already and given back, because it stood after a line that was refused; from `taken` on it is still to be read.
    given_back: Vec<u8>,
    taken: usize,
}

enum Row {
    Whole,
    Refused(String),
    End,
}

impl<R: BufRead> Rows<R> {
    /// Of a text whose cells are separated by `separator`.
    pub fn new(text: R, separator: u8) -> Self {
        Self {
            text,
            separator,
            line: 0,
            given_back: Vec::new(),
            taken: 0,
        }
    }

    /// The first row alone, without a byte order mark.
    ///
    /// # Errors
    /// The text cannot be read, or the row has no end.
    pub fn header(&mut self) -> std::io::Result<Vec<u8>> {
        let mut row = Vec::new();
        loop {
            match self.row(&mut row)? {
                Row::Whole => {}
                Row::Refused(reason) => return Err(std::io::Error::other(reason)),
                Row::End => return Ok(Vec::new()),
            }
            let text = row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&row);
            if !text.trim_ascii().is_empty() {
                return Ok(text.to_vec());
            }
            row.clear();
        }
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// The text cannot be read.
    pub fn chunk(&mut self) -> std::io::Result<Option<Chunk>> {
        let mut chunk = Chunk {
            line: self.line + 1,
            ..Chunk::default()
        };
        let mut row = Vec::new();
        while chunk.bytes.len() < CHUNK_BYTES {
            row.clear();
            match self.row(&mut row)? {
                Row::Whole => chunk.bytes.append(&mut row),
                Row::Refused(reason) => {
                    chunk.refused = Some((self.line, reason));
                    return Ok(Some(chunk));
                }
                Row::End if chunk.bytes.is_empty() => return Ok(None),
                Row::End => break,
            }
        }
        Ok(Some(chunk))
    }

    /// Reads one row into `row`, with its line end. After a refusal the text goes on with the line after the refused one.
    fn row(&mut self, row: &mut Vec<u8>) -> std::io::Result<Row> {
        let (mut quoted, mut lines) = (false, 0);
        loop {
            let from = row.len();
            self.read_line(row)?;
            if row.len() == from {
                return Ok(match (from, quoted) {
                    (0, _) => Row::End,
                    (_, false) => Row::Whole,
                    (_, true) => self.refuse(row, lines, "before the file ends".to_owned()),
                });
            }
            lines += 1;
            self.line += 1;
            if lines == 1 && row.len() > MAX_ROW_BYTES {
                if !row.ends_with(b"\n") {
                    skip_line(&mut self.text)?;
                }
                return Ok(Row::Refused(format!("the row is longer than {MAX_ROW_BYTES} bytes")));
            }
            match ends_quoted(&row[from..], self.separator, quoted) {
                Some(false) => return Ok(Row::Whole),
                Some(true) => quoted = true,
                None => return Ok(self.refuse(row, lines, "at the end of a cell".to_owned())),
            }
            if row.len() > MAX_ROW_BYTES || lines == MAX_ROW_LINES {
                let within = format!("within {MAX_ROW_LINES} lines and {MAX_ROW_BYTES} bytes");
                return Ok(self.refuse(row, lines, within));
            }
        }
    }

    /// Gives everything after the first line back.
    fn refuse(&mut self, row: &[u8], lines: usize, within: String) -> Row {
        let first = row
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(row.len(), |end| end + 1);
        let mut rest = row[first..].to_vec();
        rest.extend_from_slice(&self.given_back[self.taken..]);
        (self.given_back, self.taken) = (rest, 0);
        self.line -= lines as u64 - 1;
        Row::Refused(format!("a quote is opened on this line and not closed {within}"))
    }

    /// The next line, or as much of it as a row may have and one byte.
    fn read_line(&mut self, line: &mut Vec<u8>) -> std::io::Result<()> {
        let given_back = &self.given_back[self.taken..];
        if !given_back.is_empty() {
            let end = given_back.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&given_back[..end.map_or(given_back.len(), |end| end + 1)]);
            self.taken += end.map_or(given_back.len(), |end| end + 1);
            if end.is_some() {
                return Ok(());
            }
        }
        (&mut self.text)
            .take(MAX_ROW_BYTES as u64 + 1)
            .read_until(b'\n', line)?;
        Ok(())
    }
}

/// Whether a quoted cell is open at the end of `line`, if one was open at its beginning. A quote counts only where a cell begins; inside an
/// unquoted cell (`5" pipe`) it is a character like others. `None`: the cell that was open is closed in the middle of a text, so that it was
/// never meant to go over lines.
fn ends_quoted(line: &[u8], separator: u8, mut quoted: bool) -> Option<bool> {
    let (mut cell_begins, mut from_before) = (!quoted, quoted);
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if quoted {
            if byte == b'"' && bytes.next_if_eq(&b'"').is_none() {
                let cell_ends = bytes
                    .peek()
                    .is_none_or(|next| *next == separator || matches!(next, b'\r' | b'\n'));
                if from_before && !cell_ends {
                    return None;
                }
                (quoted, from_before) = (false, false);
            }
        } else if byte == b'"' && cell_begins {
            quoted = true;
        }
        cell_begins = !quoted && byte == separator;
    }
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows by line, and refused lines.
    fn read(text: &[u8]) -> (Vec<(u64, Vec<u8>)>, Vec<u64>) {
        let mut rows = Rows::new(text, b',');
        let (mut whole, mut refused) = (Vec::new(), Vec::new());
        while let Some(chunk) = rows.chunk().unwrap() {
            if !chunk.bytes.is_empty() {
                whole.push((chunk.line, chunk.bytes));
            }
            refused.extend(chunk.refused.map(|(line, _)| line));
        }
        (whole, refused)
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_line_and_no_other() {
        let (rows, refused) = read(b"1,a\n2,\"b\n3,c\n4,d\n");
        assert_eq!(refused, [2]);
        assert_eq!(rows, [(1, b"1,a\n".to_vec()), (3, b"3,c\n4,d\n".to_vec())]);
    }

    #[test]
    fn a_quote_that_another_row_s_quote_seems_to_close_costs_its_line_and_no_other() {
        let (rows, refused) = read(b"1,\"b\n2,5\" pipe\n3,c\n");
        assert_eq!(refused, [1]);
        assert_eq!(rows, [(2, b"2,5\" pipe\n3,c\n".to_vec())]);
    }

    #[test]
    fn a_quoted_cell_may_go_over_lines_and_hold_quotes_and_separators() {
        for text in [
            "1,\"a\nb\",\"c\"\"\nd\"\n2,e\n",
            "1,5\" pipe,\"x\"\n2,\"\",\"\"\"\"\n",
            "1,a\"b\"\n",
            "1,\"a\"b\"\n2,c",
        ] {
            let (rows, refused) = read(text.as_bytes());
            assert_eq!(rows, [(1, text.as_bytes().to_vec())], "{text}");
            assert!(refused.is_empty());
        }
    }

    #[test]
    fn a_row_over_too_many_lines_is_refused_and_the_lines_after_it_are_rows() {
        let mut text = b"1,\"open\n".to_vec();
        (0..3 * MAX_ROW_LINES).for_each(|n| text.extend(format!("{n},x\n").bytes()));
        let (rows, refused) = read(&text);
        assert_eq!(refused, [1]);
        assert_eq!(rows.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), text.len() - 8);
        assert_eq!(rows[0].0, 2);
    }

    #[test]
    fn a_line_without_end_is_refused_without_being_kept() {
        let mut text = vec![b'x'; 3 * MAX_ROW_BYTES];
        text.extend(b"\n2,b\n");
        let (rows, refused) = read(&text);
        assert_eq!(refused, [1]);
        assert_eq!(rows, [(2, b"2,b\n".to_vec())]);
    }

    proptest! {
        #[test]
        fn every_line_is_in_one_row_or_refused(
            cells in proptest::collection::vec(proptest::sample::select(vec!["a", "\"", "\"\"", ",", "\n", "\r\n", "é", "1"]), 0..200),
        ) {
            let text = cells.concat().into_bytes();
            let (rows, refused) = read(&text);
            let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
            let mut told: Vec<u8> = Vec::new();
            let mut parts: Vec<(u64, Vec<u8>)> = rows;
            parts.extend(refused.iter().map(|line| (*line, lines[*line as usize - 1].to_vec())));
            parts.sort();
            for (_, bytes) in parts {
                told.extend(bytes);
            }
            prop_assert_eq!(told, text);
        }

        #[test]
        fn what_is_well_formed_is_read_as_the_library_reads_it(
            rows in proptest::collection::vec(proptest::collection::vec("[a\",\n é]{0,6}", 1..4), 1..20),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let (whole, refused) = read(&text);
            prop_assert!(refused.is_empty());
            prop_assert_eq!(whole.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<u8>>(), text);
        }
    }
}
