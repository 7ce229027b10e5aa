//! A report as sums by day and tags. It is read whole: rows that differ only in what is not kept (ad set, placement, age) add up.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use rust_decimal::Decimal;
use shared::attribution::{self, Aliases};
use shared::event::Touch;

use super::layout::{Field, Header, Layout, OWN_COLUMNS};
use super::{Key, Spend};
use crate::currency;
use crate::import::csv_rows::Rows;
use crate::import::source::{Content, Row};
use crate::number;
use crate::record::{FieldError, Record, money_limit};
use crate::site::Site;

/// Characters of a tag; what sessions keep of theirs.
const MAX_TAG_CHARS: usize = 255;
/// Rows in front of the header: Google puts a title and the period there.
const MAX_PREAMBLE: usize = 10;

/// What rows that do not say take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `utm_source`; without one that of the platform whose report it is.
    pub source: Option<String>,
    /// `utm_medium`; without one that of the platform's ads.
    pub medium: Option<String>,
    /// ISO 4217; without one the site's.
    pub currency: Option<String>,
}

/// A report that was read.
#[derive(Debug)]
pub struct Report {
    /// Whose.
    pub layout: Layout,
    /// Rows below the header.
    pub rows: u64,
    /// Rows of totals, which are not counted again.
    pub totals: u64,
    /// The sums, sorted.
    pub spend: BTreeMap<Key, Spend>,
    /// Rows that cannot be read, with the reason.
    pub refused: Vec<(Row, FieldError)>,
}

/// What reading a row needs beside the row.
struct Reader<'a> {
    site: &'a Site,
    aliases: Aliases,
    defaults: &'a Defaults,
    header: Header,
    names: Arc<Vec<String>>,
    /// The latest day that can have been paid for.
    last_day: NaiveDate,
}

/// Reads a report: CSV (comma, semicolon or tab) in UTF-8 or, as Google Ads writes for Excel, UTF-16.
///
/// # Errors
/// There is no header that names a day and an amount, or it has a column of our own layout that is not known.
pub fn read(bytes: &[u8], site: &Site, defaults: &Defaults, now: DateTime<Utc>) -> Result<Report, FieldError> {
    let text = as_utf8(bytes);
    let (header, names, separator, skip) = find_header(&text)?;
    if let Some(at) = header.unknown {
        let name: String = names[at].chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(FieldError {
            code: "unknown_field",
            message: format!(
                "{name:?} is not a column here, or stands there twice; known are {}",
                OWN_COLUMNS.join(", ")
            ),
            field: Some(name),
        });
    }
    let reader = Reader {
        site,
        aliases: crate::endpoints::ingest::aliases(site),
        defaults,
        names: Arc::new(names),
        last_day: now.with_timezone(&site.time_zone).date_naive() + Days::new(1),
        header,
    };
    let mut report = Report {
        layout: reader.header.layout,
        rows: 0,
        totals: 0,
        spend: BTreeMap::new(),
        refused: Vec::new(),
    };
    for (line, row) in rows(&text, separator).skip(skip) {
        match row {
            Ok(record) => report.take(&reader, line, &record),
            Err(reason) => report.refuse(line, reason),
        }
    }
    Ok(report)
}

/// The rows of a table, each with the line that it begins on; as in an import, a quote that is never closed costs its line and no other.
fn rows(text: &[u8], separator: u8) -> impl Iterator<Item = (u64, Result<csv::ByteRecord, String>)> {
    let mut rows = Rows::new(text, separator);
    // Read from memory: there is nothing that could fail.
    std::iter::from_fn(move || rows.chunk().ok().flatten()).flat_map(move |chunk| {
        let mut found = Vec::new();
        for record in csv_reader(&chunk.bytes, separator).byte_records() {
            let Ok(record) = record else { break };
            let line = record.position().map_or(1, csv::Position::line) + chunk.line - 1;
            found.push((line, Ok(record)));
        }
        found.extend(chunk.refused.map(|(line, reason)| (line, Err(reason))));
        found
    })
}

fn csv_reader(text: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .has_headers(false)
        .from_reader(text)
}

/// UTF-16 as UTF-8, without the byte order mark; everything else as it is.
fn as_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let wide = |read: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Cow::Owned(text.into_bytes())
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => Cow::Borrowed(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
    }
}

/// The header, its names, the separator, and how many rows it and what stands before it are.
fn find_header(text: &[u8]) -> Result<(Header, Vec<String>, u8, usize), FieldError> {
    for separator in [b',', b';', b'\t'] {
        for (before, (_, row)) in rows(text, separator).take(MAX_PREAMBLE).enumerate() {
            let Ok(record) = row else { continue };
            let cells: Vec<&str> = record
                .iter()
                .map(|cell| str::from_utf8(cell).unwrap_or_default())
                .collect();
            if let Some(header) = Header::of(&cells) {
                let names = cells.into_iter().map(|cell| cell.trim().to_owned()).collect();
                return Ok((header, names, separator, before + 1));
            }
        }
    }
    Err(FieldError {
        code: "missing_field",
        field: Some("date".to_owned()),
        message: format!(
            "there is no header with the columns date and amount; known are {}, and the exports of Meta Ads Manager, Google Ads and TikTok Ads \
             Manager by day, with English headers",
            OWN_COLUMNS.join(", ")
        ),
    })
}

impl Report {
    fn take(&mut self, reader: &Reader<'_>, line: u64, record: &csv::ByteRecord) {
        // A line of nothing but separators, as spreadsheets leave them behind.
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            return;
        }
        let cells: Result<Vec<String>, _> = record
            .iter()
            .map(|cell| str::from_utf8(cell).map(str::to_owned))
            .collect();
        let Ok(cells) = cells else {
            self.refuse(line, "the row is not UTF-8".to_owned());
            return;
        };
        if reader.is_total(&cells) {
            self.totals += 1;
            return;
        }
        self.rows += 1;
        let done = reader
            .row(&cells)
            .and_then(|(key, spend)| self.add(reader, key, &spend));
        if let Err(error) = done {
            let row = Row {
                line,
                content: Ok(Content::Cells(reader.names.clone(), cells)),
            };
            self.refused.push((row, error));
        }
    }

    /// A row that cannot be read at all.
    fn refuse(&mut self, line: u64, reason: String) {
        self.rows += 1;
        let error = FieldError {
            code: "unreadable",
            field: None,
            message: reason.clone(),
        };
        let content = Err(reason);
        self.refused.push((Row { line, content }, error));
    }

    fn add(&mut self, reader: &Reader<'_>, key: Key, spend: &Spend) -> Result<(), FieldError> {
        match self.spend.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(spend.clone());
            }
            Entry::Occupied(mut entry) => {
                let sum = entry.get_mut();
                let amount = sum.amount + spend.amount;
                if amount >= money_limit() {
                    return Err(reader.refuse(Field::Amount, "adds up to more than can be kept"));
                }
                let plus = |a: Option<i64>, b: Option<i64>| match (a, b) {
                    (Some(a), Some(b)) => Some(a.saturating_add(b)),
                    (a, b) => a.or(b),
                };
                sum.amount = amount.normalize();
                sum.clicks = plus(sum.clicks, spend.clicks);
                sum.impressions = plus(sum.impressions, spend.impressions);
            }
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// The header's own name of a field, or ours.
    fn name(&self, field: Field) -> &str {
        match (self.header.position(field), field) {
            (Some(at), _) => &self.names[at],
            (None, Field::Day | Field::LastDay) => "date",
            (None, Field::Source) => "source",
            (None, Field::Medium) => "medium",
            (None, Field::Campaign) => "campaign",
            (None, Field::Content) => "content",
            (None, Field::Amount) => "amount",
            (None, Field::Currency) => "currency",
            (None, Field::Clicks) => "clicks",
            (None, Field::Impressions) => "impressions",
        }
    }

    fn refuse(&self, field: Field, allowed: impl std::fmt::Display) -> FieldError {
        FieldError::invalid(self.name(field), allowed)
    }

    fn cell<'c>(&self, cells: &'c [String], field: Field) -> Option<&'c str> {
        let cell = cells.get(self.header.position(field)?)?.trim();
        (!cell.is_empty()).then_some(cell)
    }

    /// A platform's row of totals: its label stands where a row begins, and it is of no day.
    fn is_total(&self, cells: &[String]) -> bool {
        let labelled = cells
            .iter()
            .find(|cell| !cell.trim().is_empty())
            .is_some_and(|cell| cell.trim().to_lowercase().starts_with("total"));
        self.header.layout != Layout::Own
            && labelled
            && self.cell(cells, Field::Day).is_none_or(|day| day_of(day).is_none())
    }

    fn row(&self, cells: &[String]) -> Result<(Key, Spend), FieldError> {
        if cells.len() > self.names.len() && cells[self.names.len()..].iter().any(|cell| !cell.trim().is_empty()) {
            return Err(FieldError {
                code: "unreadable",
                field: None,
                message: format!("the row has {} cells, the header {}", cells.len(), self.names.len()),
            });
        }
        let record = Record::from_row(&self.names, cells.iter().map(String::as_str));
        let day = self.day(cells)?;
        let text = |field, max| match self.header.position(field) {
            Some(at) => record.text(&self.names[at], max),
            None => Ok(None),
        };
        let tag = |field| text(field, MAX_TAG_CHARS);
        let source = tag(Field::Source)?.or_else(|| self.header.source(self.defaults).map(str::to_owned));
        let touch = Touch {
            utm_source: Some(Record::required(self.name(Field::Source), source)?),
            utm_medium: tag(Field::Medium)?.or_else(|| self.defaults.medium.clone()),
            utm_campaign: tag(Field::Campaign)?,
            utm_content: tag(Field::Content)?,
            ..Touch::default()
        };
        if self.header.layout != Layout::Own && touch.utm_campaign.is_none() {
            // A summary row, most likely; taken as spend it would count everything twice.
            return Err(FieldError {
                code: "missing_field",
                field: Some(self.name(Field::Campaign).to_owned()),
                message: "the row names no campaign; export by campaign, without a summary row".to_owned(),
            });
        }
        let found = attribution::resolve(&touch, &self.site.domains, &self.aliases);
        let amount = self
            .cell(cells, Field::Amount)
            .ok_or_else(|| FieldError {
                code: "missing_field",
                field: Some(self.name(Field::Amount).to_owned()),
                message: format!("{} is required", self.name(Field::Amount)),
            })
            .and_then(|text| self.amount(text))?;
        let key = Key {
            day,
            source: found.utm_source.unwrap_or_default(),
            medium: found.utm_medium.unwrap_or_default(),
            campaign: found.utm_campaign.unwrap_or_default(),
            content: found.utm_content.unwrap_or_default(),
            currency: self.currency(text(Field::Currency, 8)?)?,
        };
        let spend = Spend {
            amount,
            clicks: self.count(cells, Field::Clicks)?,
            impressions: self.count(cells, Field::Impressions)?,
            channel: found.channel.name(),
        };
        Ok((key, spend))
    }

    fn day(&self, cells: &[String]) -> Result<NaiveDate, FieldError> {
        let read = |field| match self.cell(cells, field) {
            None => Ok(None),
            Some(text) => day_of(text)
                .map(Some)
                .ok_or_else(|| self.refuse(field, "must be a day like 2026-11-20")),
        };
        let day = Record::required(self.name(Field::Day), read(Field::Day)?)?;
        if read(Field::LastDay)?.is_some_and(|last| last != day)
            && self.header.layout == Layout::Meta
            && !self.has_day_column()
        {
            return Err(self.refuse(Field::LastDay, "is another day: export with the breakdown by day"));
        }
        let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default();
        if day < first || day > self.last_day {
            return Err(self.refuse(Field::Day, "must lie between 2000-01-01 and tomorrow"));
        }
        Ok(day)
    }

    /// Meta's breakdown by day has a column of its own beside the period of the whole report.
    fn has_day_column(&self) -> bool {
        self.name(Field::Day).eq_ignore_ascii_case("day")
    }

    fn amount(&self, text: &str) -> Result<Decimal, FieldError> {
        number::amount(text)
            .map(|amount| amount.normalize())
            .filter(|amount| amount.scale() <= 4 && *amount < money_limit())
            .ok_or_else(|| {
                self.refuse(
                    Field::Amount,
                    format_args!(
                        "must be an amount from 0 to below {} with at most 4 places, such as 1234.50; a comma before three digits could mean two amounts",
                        money_limit()
                    ),
                )
            })
    }

    fn count(&self, cells: &[String], field: Field) -> Result<Option<i64>, FieldError> {
        number::whole(self.cell(cells, field).unwrap_or_default())
            .ok()
            .filter(|count| count.is_none_or(|count| count <= i64::from(u32::MAX)))
            .ok_or_else(|| self.refuse(field, format_args!("must be a whole number from 0 to {}", u32::MAX)))
    }

    fn currency(&self, cell: Option<String>) -> Result<String, FieldError> {
        let code = cell
            .or_else(|| self.header.currency.clone())
            .or_else(|| self.defaults.currency.clone())
            .unwrap_or_else(|| self.site.currency.clone());
        currency::read(&code).ok_or_else(|| self.refuse(Field::Currency, currency::ALLOWED))
    }
}

/// A day as ISO 8601 writes it, perhaps with a midnight behind it.
fn day_of(text: &str) -> Option<NaiveDate> {
    let text = text
        .strip_suffix(" 00:00:00")
        .or(text.strip_suffix(" 00:00"))
        .or(text.strip_suffix("T00:00:00"))
        .unwrap_or(text);
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
