//! Rows as a workbook, in flat memory: rows go to a temporary file, and from there compressed to the reader.

use std::io::Write;

use rust_decimal::prelude::ToPrimitive;
use rust_xlsxwriter::{Format, FormatAlign, Workbook, Worksheet, XlsxError};

use super::sheet::{Cell, Column, Kind, Part};

/// Rows of one sheet, by the format's definition; one is the header's.
const MAX_ROWS: u32 = 1_048_576;
/// Characters of one cell, by the format's definition.
const MAX_CELL_CHARS: usize = 32_767;

/// Writes a workbook: header frozen, numbers as numbers and days as dates with a format, text as text, totals at the end. Rows beyond what a sheet holds go
/// on in another one. Blocks.
///
/// # Errors
/// The temporary file or the writer fails, or the parts end without totals: then nothing whole was written.
pub fn write(
    columns: &[Column],
    name: &str,
    mut parts: impl FnMut() -> Option<Part>,
    out: impl Write + Send,
) -> anyhow::Result<()> {
    let mut workbook = Workbook::new();
    let formats = Formats::new(columns);
    let mut sheets = 1;
    let mut totals = None;
    let mut rows = Vec::<Vec<Cell>>::new().into_iter();
    while totals.is_none() {
        let sheet = workbook.add_worksheet_with_constant_memory()?;
        let title = if sheets == 1 {
            name.to_owned()
        } else {
            format!("{name} {sheets}")
        };
        sheet.set_name(title.replace(['-', '/'], " "))?;
        begin(sheet, columns, &formats)?;
        let mut at = 1;
        // One row is kept for the totals.
        while at < MAX_ROWS - 1 {
            match rows.next() {
                Some(cells) => {
                    row(sheet, at, &cells, &formats.plain)?;
                    at += 1;
                }
                None => match parts() {
                    Some(Part::Rows(more)) => rows = more.into_iter(),
                    Some(Part::Totals(cells)) => {
                        row(sheet, at, &cells, &formats.bold)?;
                        totals = Some(());
                        break;
                    }
                    None => anyhow::bail!("the rows broke off"),
                },
            }
        }
        sheets += 1;
    }
    workbook.save_to_writer(out)?;
    Ok(())
}

struct Formats {
    header: Format,
    plain: Vec<Format>,
    bold: Vec<Format>,
}

impl Formats {
    fn new(columns: &[Column]) -> Self {
        let plain: Vec<Format> = columns
            .iter()
            .map(|column| match column.kind {
                Kind::Text => Format::new(),
                Kind::Count => Format::new().set_num_format("#,##0"),
                Kind::Fraction => Format::new().set_num_format("#,##0.00"),
                Kind::Day => Format::new().set_num_format("yyyy-mm-dd"),
                Kind::Time => Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
            })
            .collect();
        Self {
            header: Format::new().set_bold().set_align(FormatAlign::Top).set_text_wrap(),
            bold: plain.iter().cloned().map(Format::set_bold).collect(),
            plain,
        }
    }
}

fn begin(sheet: &mut Worksheet, columns: &[Column], formats: &Formats) -> Result<(), XlsxError> {
    sheet.set_freeze_panes(1, 0)?;
    for (at, column) in (0..).zip(columns) {
        let width = match column.kind {
            Kind::Text => 20.0,
            Kind::Time => 19.0,
            Kind::Count | Kind::Fraction | Kind::Day => 14.0,
        };
        sheet.set_column_width(at, width)?;
        sheet.write_string_with_format(0, at, column.label.as_ref(), &formats.header)?;
    }
    Ok(())
}

fn row(sheet: &mut Worksheet, at: u32, cells: &[Cell], formats: &[Format]) -> Result<(), XlsxError> {
    for ((column, cell), format) in (0..).zip(cells).zip(formats) {
        match cell {
            Cell::Nothing => {}
            // Written as a string, whatever it looks like: nothing here is ever a formula.
            Cell::Text(text) => {
                let cut: String;
                let text = if text.len() > MAX_CELL_CHARS {
                    cut = text.chars().take(MAX_CELL_CHARS / 2).collect();
                    &cut
                } else {
                    text
                };
                sheet.write_string_with_format(at, column, text, format)?;
            }
            // A workbook's numbers are binary floats by its definition; up to 15 digits are shown as they are.
            Cell::Number(number) => match number.to_f64() {
                Some(float) => drop(sheet.write_number_with_format(at, column, float, format)?),
                None => drop(sheet.write_string(at, column, number.to_string())?),
            },
            Cell::Day(day) => drop(sheet.write_datetime_with_format(at, column, day, format)?),
            Cell::Time(time) => drop(sheet.write_datetime_with_format(at, column, time, format)?),
        }
    }
    Ok(())
}
