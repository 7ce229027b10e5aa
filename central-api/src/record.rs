//! A record from outside, a JSON object or a row of a table, read field by field: every error names its field.
//!
//! The API and the import read the same fields with the same rules; they differ only in where a cell comes from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Duration, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use shared::limits::MAX_CLOCK_AHEAD_MS;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use uuid::Uuid;

use crate::number::{amount, exact};

/// In the API's description: a number that may stand as a JSON number or as decimal text, and is read exactly either way.
pub struct NumberOrText;

impl utoipa::PartialSchema for NumberOrText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Number, Type::String]))
            .description(Some("A JSON number or decimal text, read exactly."))
            .into()
    }
}

impl utoipa::ToSchema for NumberOrText {}

/// Why a record is refused: the field, and a sentence that says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    /// Machine-readable reason: `invalid_json`, `missing_field`, `unknown_field`, `duplicate_field`, `invalid_field`, `too_large`.
    pub code: &'static str,
    /// The field at fault, as the sender named it; absent when the record as a whole cannot be read.
    pub field: Option<String>,
    /// Sentence for people.
    pub message: String,
}

impl FieldError {
    /// A value that is not allowed; `allowed` says what is.
    pub fn invalid(field: &str, allowed: impl std::fmt::Display) -> Self {
        Self {
            code: "invalid_field",
            field: Some(field.to_owned()),
            message: format!("{field} {allowed}"),
        }
    }

    /// The same error of a field inside another one: `items[2].price`.
    pub fn inside(mut self, outer: &str) -> Self {
        let inner = self.field.take().map_or_else(String::new, |field| format!(".{field}"));
        self.message = format!("{outer}: {}", self.message);
        self.field = Some(format!("{outer}{inner}"));
        self
    }
}

#[derive(Debug, Clone, Copy)]
enum Cell<'a> {
    Json(&'a str),
    Text(&'a str),
}

/// Fields by name. A JSON `null` and an empty cell of a table are absent.
#[derive(Debug)]
pub struct Record<'a> {
    cells: BTreeMap<Cow<'a, str>, Cell<'a>>,
    /// Of a table's times that name none.
    zone: Tz,
}

/// The earliest time that a record may carry: nothing that this product measures is older, and a wrong unit or epoch shows.
fn earliest() -> DateTime<Utc> {
    Utc.timestamp_opt(946_684_800, 0).single().unwrap_or_default()
}

impl<'a> Record<'a> {
    /// Reads a JSON object; a key that stands twice is an error, since nobody can say which value was meant.
    pub fn from_json(text: &'a str) -> Result<Self, FieldError> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    // Far more than any record has; a hostile one does not get to fill the memory.
                    if fields.len() == 1_000 {
                        return Err(M::Error::custom("more than 1000 fields"));
                    }
                    fields.push((Cow::Owned(name), value));
                }
                Ok(fields)
            }
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let fields = reader
            .deserialize_map(Fields)
            .and_then(|fields| reader.end().map(|()| fields))
            .map_err(|error| FieldError {
                code: "invalid_json",
                field: None,
                message: format!("this is not a JSON object that can be read: {error}"),
            })?;
        let mut cells = BTreeMap::new();
        for (name, value) in fields {
            if cells.contains_key(&name) {
                return Err(FieldError {
                    code: "duplicate_field",
                    message: format!("{} stands there twice", shown(&name)),
                    field: Some(shown(&name)),
                });
            }
            cells.insert(name, Cell::Json(value.get()));
        }
        Ok(Self {
            cells: cells
                .into_iter()
                .filter(|(_, cell)| !matches!(cell, Cell::Json("null")))
                .collect(),
            zone: Tz::UTC,
        })
    }

    /// A row of a table: columns by header, in any order. Missing cells at the end are absent.
    pub fn from_row<'b: 'a>(headers: &'b [String], row: impl Iterator<Item = &'b str>) -> Self {
        Self {
            cells: headers
                .iter()
                .zip(row)
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(name, cell)| (Cow::Borrowed(name.as_str()), Cell::Text(cell)))
                .collect(),
            zone: Tz::UTC,
        }
    }

    /// The record with times of `zone` where a table's cell names no zone.
    #[must_use]
    pub fn in_zone(self, zone: Tz) -> Self {
        Self { zone, ..self }
    }

    /// An error that names the first field which is not among `allowed`, and lists them.
    pub fn only(&self, allowed: &[&str]) -> Result<(), FieldError> {
        match self.cells.keys().find(|name| !allowed.contains(&name.as_ref())) {
            None => Ok(()),
            Some(name) => Err(FieldError {
                code: "unknown_field",
                message: format!(
                    "{} is not a field here; allowed are {}",
                    shown(name),
                    allowed.join(", ")
                ),
                field: Some(shown(name)),
            }),
        }
    }

    /// The record without some fields.
    pub fn without(&self, fields: &[&str]) -> Self {
        Self {
            cells: self
                .cells
                .iter()
                .filter(|(name, _)| !fields.contains(&name.as_ref()))
                .map(|(name, cell)| (name.clone(), *cell))
                .collect(),
            zone: self.zone,
        }
    }

    /// Whether the field is there.
    pub fn has(&self, field: &str) -> bool {
        self.cells.contains_key(field)
    }

    /// The value, or an error that the field is missing.
    pub fn required<T>(field: &str, value: Option<T>) -> Result<T, FieldError> {
        value.ok_or_else(|| FieldError {
            code: "missing_field",
            field: Some(field.to_owned()),
            message: format!("{field} is required"),
        })
    }

    /// Text, trimmed, of at most `max` characters; absent when nothing is left. Line breaks and tabs become spaces.
    pub fn text(&self, field: &str, max: usize) -> Result<Option<String>, FieldError> {
        let text = match self.cells.get(field) {
            None => return Ok(None),
            Some(Cell::Text(text)) => Cow::Borrowed(*text),
            Some(Cell::Json(json)) => Cow::Owned(
                serde_json::from_str::<String>(json).map_err(|_| FieldError::invalid(field, "must be text"))?,
            ),
        };
        clean(field, &text, max)
    }

    /// An identifier of the sender's: text, or a whole number as databases count.
    pub fn id(&self, field: &str, max: usize) -> Result<Option<String>, FieldError> {
        match self.cells.get(field) {
            Some(Cell::Json(json)) if json.bytes().all(|b| b.is_ascii_digit()) => clean(field, json, max),
            Some(Cell::Json(json)) if !json.starts_with('"') => {
                Err(FieldError::invalid(field, "must be text or a whole number"))
            }
            _ => self.text(field, max),
        }
    }

    /// An exact decimal number of at most `scale` places, not negative and below `limit`: a JSON number or text, never through a float.
    /// A table's cell may have a decimal comma and spaces between thousands, as spreadsheets write them in most of Europe: a comma in a
    /// cell separates nothing else. Before exactly three digits it is refused, for it could group thousands as well.
    pub fn decimal(&self, field: &str, scale: u32, limit: Decimal) -> Result<Option<Decimal>, FieldError> {
        let text = match self.cells.get(field) {
            None => return Ok(None),
            Some(Cell::Text(text)) => Cow::Borrowed(text.trim()),
            Some(Cell::Json(json)) if json.starts_with('"') => match self.text(field, 64)? {
                None => return Ok(None),
                Some(text) => Cow::Owned(text),
            },
            Some(Cell::Json(json)) => Cow::Borrowed(*json),
        };
        let mut allowed = format!("must be a decimal number from 0 to below {limit} with at most {scale} places");
        let is_cell = matches!(self.cells.get(field), Some(Cell::Text(_)));
        if is_cell && text.contains(',') {
            allowed.push_str("; a comma before three digits could mean two amounts");
        }
        exact(&text)
            .or_else(|| amount(&text).filter(|_| is_cell))
            .map(|number| number.normalize())
            .filter(|number| !number.is_sign_negative() && *number < limit && number.scale() <= scale)
            .map(Some)
            .ok_or_else(|| FieldError::invalid(field, allowed))
    }

    /// Money: numeric(18, 4), not negative.
    pub fn money(&self, field: &str) -> Result<Option<Decimal>, FieldError> {
        self.decimal(field, 4, money_limit())
    }

    /// A whole number from 0 to `max`.
    pub fn whole(&self, field: &str, max: u32) -> Result<Option<u32>, FieldError> {
        let number = self
            .decimal(field, 0, Decimal::from(max) + Decimal::ONE)
            .map_err(|_| FieldError::invalid(field, format_args!("must be a whole number from 0 to {max}")))?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    /// A UUID in any of its usual spellings.
    pub fn uuid(&self, field: &str) -> Result<Option<Uuid>, FieldError> {
        let must = || FieldError::invalid(field, "must be a UUID");
        let text = self.text(field, 64).map_err(|_| must())?;
        text.map(|text| Uuid::try_parse(&text).map_err(|_| must())).transpose()
    }

    /// A point in time from 2000 to ten minutes after `now`, to the microsecond. JSON: RFC 3339. A table's cell may also be written the
    /// way databases do, `2026-11-20 10:00:00.5+02`; without a zone it is of the record's, UTC by default.
    pub fn time(&self, field: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, FieldError> {
        let must = || FieldError::invalid(field, "must be an RFC 3339 time with zone, like 2026-11-20T10:00:00Z");
        let time = match self.cells.get(field) {
            None => return Ok(None),
            Some(Cell::Text(text)) => table_time(text.trim(), self.zone).ok_or_else(|| {
                FieldError::invalid(
                    field,
                    "must be a time like 2026-11-20T10:00:00Z or 2026-11-20 12:00:00+02",
                )
            })?,
            Some(Cell::Json(_)) => {
                let text = self.text(field, 64).map_err(|_| must())?.ok_or_else(must)?;
                DateTime::parse_from_rfc3339(&text).map_err(|_| must())?.to_utc()
            }
        };
        if time < earliest() || time > now + Duration::milliseconds(MAX_CLOCK_AHEAD_MS) {
            return Err(FieldError::invalid(
                field,
                "must lie between the year 2000 and ten minutes from now",
            ));
        }
        // What Postgres keeps, so that a state read back compares equal.
        Ok(DateTime::from_timestamp_micros(time.timestamp_micros()))
    }

    /// Yes or no: `true`, `false`, and in tables also `t`, `f`, `1`, `0`.
    pub fn flag(&self, field: &str) -> Result<Option<bool>, FieldError> {
        match self.cells.get(field) {
            None => Ok(None),
            Some(Cell::Json("true") | Cell::Text("true" | "True" | "TRUE" | "t" | "1")) => Ok(Some(true)),
            Some(Cell::Json("false") | Cell::Text("false" | "False" | "FALSE" | "f" | "0")) => Ok(Some(false)),
            Some(_) => Err(FieldError::invalid(field, "must be true or false")),
        }
    }

    /// A list of JSON objects, read one by one; in a table's cell the same as JSON text.
    pub fn objects(&self, field: &str, max: usize) -> Result<Option<Vec<Record<'a>>>, FieldError> {
        let (Cell::Json(json) | Cell::Text(json)) = match self.cells.get(field) {
            None => return Ok(None),
            Some(cell) => *cell,
        };
        let list: Vec<&'a RawValue> =
            serde_json::from_str(json).map_err(|_| FieldError::invalid(field, "must be a list of objects"))?;
        if list.len() > max {
            return Err(FieldError::invalid(
                field,
                format_args!("must have at most {max} entries"),
            ));
        }
        list.into_iter()
            .enumerate()
            .map(|(index, raw)| {
                Record::from_json(raw.get()).map_err(|error| error.inside(&format!("{field}[{index}]")))
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A JSON object of at most `max_bytes`, as it is; in a table's cell the same as JSON text.
    pub fn object(
        &self,
        field: &str,
        max_bytes: usize,
    ) -> Result<Option<serde_json::Map<String, serde_json::Value>>, FieldError> {
        let must = || {
            FieldError::invalid(
                field,
                format_args!("must be a JSON object of at most {max_bytes} bytes without NUL"),
            )
        };
        match self.cells.get(field) {
            None => Ok(None),
            Some(Cell::Json(json) | Cell::Text(json)) if json.len() > max_bytes || json.contains("\\u0000") => {
                Err(must())
            }
            Some(Cell::Json(json) | Cell::Text(json)) => serde_json::from_str(json).map(Some).map_err(|_| must()),
        }
    }
}

/// The first amount that numeric(18, 4) cannot hold.
pub fn money_limit() -> Decimal {
    Decimal::new(100_000_000_000_000, 0)
}

/// The largest amount that numeric(18, 4) can hold, at which sums stop.
pub fn most_money() -> Decimal {
    Decimal::new(999_999_999_999_999_999, 4)
}

/// A field's name as it is safe to repeat to the sender.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn clean(field: &str, text: &str, max: usize) -> Result<Option<String>, FieldError> {
    if text.len() > max * 4 || text.chars().count() > max {
        return Err(FieldError {
            code: "too_large",
            field: Some(field.to_owned()),
            message: format!("{field} must have at most {max} characters"),
        });
    }
    let spaced: String = text
        .chars()
        .map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c })
        .collect();
    if spaced.chars().any(char::is_control) {
        return Err(FieldError::invalid(field, "must not contain control characters"));
    }
    let trimmed = spaced.trim();
    Ok((!trimmed.is_empty()).then(|| trimmed.to_owned()))
}

fn table_time(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return Some(time.to_utc());
        }
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            // An hour that stands twice is the first; one that the clock jumped over is told by the clock of before.
            let local = |time: NaiveDateTime| zone.from_local_datetime(&time).earliest();
            let jumped = || local(time.checked_sub_signed(Duration::hours(3))?)?.checked_add_signed(Duration::hours(3));
            return local(time).or_else(jumped).map(|time| time.to_utc());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_cell_of_a_table_may_have_a_decimal_comma_where_it_can_mean_nothing_else() {
        let headers = ["total".to_owned()];
        let money = |cell| Record::from_row(&headers, std::iter::once(cell)).money("total");
        for (cell, value) in [
            ("1250,50", "1250.5"),
            ("0,5", "0.5"),
            ("1 250,50", "1250.5"),
            ("1\u{a0}250,5", "1250.5"),
            ("1.250,50", "1250.5"),
            ("1,250.50", "1250.5"),
            ("1250.50", "1250.5"),
        ] {
            assert_eq!(money(cell).unwrap().unwrap().to_string(), value, "{cell}");
        }
        for cell in ["1,250", "12,34,5", "1,2345678", ",", "-1,5"] {
            let error = money(cell).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("total"), "{cell}");
            assert!(
                error.message.contains("could mean two amounts"),
                "{cell}: {}",
                error.message
            );
        }
        let whole = Record::from_row(&headers, std::iter::once("1,5")).whole("total", 10);
        assert!(whole.is_err(), "no whole number");
        // JSON has one way to write a number.
        assert!(
            Record::from_json(r#"{"total":"1250,50"}"#)
                .unwrap()
                .money("total")
                .is_err()
        );
    }

    #[test]
    fn money_is_read_exactly_or_refused_with_its_field() {
        for (json, value) in [
            ("10", "10"),
            ("10.10", "10.1"),
            ("0.1", "0.1"),
            ("\"19.99\"", "19.99"),
            ("1e3", "1000"),
            ("1.5E+2", "150"),
            ("25e-2", "0.25"),
            ("99999999999999.9999", "99999999999999.9999"),
            ("0", "0"),
            ("-0", "0"),
        ] {
            let text = format!(r#"{{"total":{json}}}"#);
            let record = Record::from_json(&text).unwrap();
            assert_eq!(record.money("total").unwrap().unwrap().to_string(), value, "{json}");
        }
        for json in [
            "-1",
            "-0.0001",
            "100000000000000",
            "1e14",
            "1e400",
            "1e-400",
            "1e99999999999",
            "0.00001",
            "10.123456",
            "\"NaN\"",
            "\"1,5\"",
            "\"1 000\"",
            "\"0x10\"",
            "\"1_000\"",
            "\"+5\"",
            "true",
            "[]",
            "{}",
            "\"\\u0000\"",
            "123456789012345678901234567890",
        ] {
            let text = format!(r#"{{"total":{json}}}"#);
            let error = Record::from_json(&text).unwrap().money("total").unwrap_err();
            assert_eq!(error.field.as_deref(), Some("total"), "{json}");
        }
    }

    #[test]
    fn a_time_needs_a_zone_and_a_sane_year() {
        for (json, ok) in [
            ("\"2026-11-20T10:00:00Z\"", true),
            ("\"2026-11-20T12:00:00.123456789+02:00\"", true),
            ("\"2026-11-20T10:09:59Z\"", true),
            ("\"2026-11-20T10:10:01Z\"", false),
            ("\"0000-01-01T00:00:00Z\"", false),
            ("\"9999-12-31T23:59:59Z\"", false),
            ("\"1999-12-31T23:59:59Z\"", false),
            ("\"2026-11-20 10:00:00\"", false),
            ("\"2026-11-20\"", false),
            ("1763600000", false),
            ("\"\"", false),
        ] {
            let text = format!(r#"{{"created_at":{json}}}"#);
            let result = Record::from_json(&text).unwrap().time("created_at", now());
            assert_eq!(result.is_ok(), ok, "{json}");
            if let Err(error) = result {
                assert_eq!(error.field.as_deref(), Some("created_at"));
            }
        }
    }

    #[test]
    fn a_table_may_write_times_the_way_databases_do() {
        let headers = ["t".to_owned()];
        for text in [
            "2026-11-20 10:00:00+00",
            "2026-11-20 12:00:00.000+02",
            "2026-11-20 10:00:00.000000",
            "2026-11-20T10:00:00Z",
            "2026-11-20 12:00:00+02:00",
        ] {
            let record = Record::from_row(&headers, [text].into_iter());
            assert_eq!(record.time("t", now()).unwrap(), Some(now()), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_of_the_zone_that_the_table_is_written_in() {
        let headers = ["t".to_owned()];
        for (text, utc) in [
            ("2026-01-20 10:00:00", "2026-01-20T08:00:00Z"),
            ("2026-07-20T10:00:00.5", "2026-07-20T07:00:00.5Z"),
            ("2026-01-20 10:00:00+00", "2026-01-20T10:00:00Z"),
            // The clock went from 3 to 4, and in autumn from 4 back to 3.
            ("2026-03-29 03:30:00", "2026-03-29T01:30:00Z"),
            ("2026-10-25 03:30:00", "2026-10-25T00:30:00Z"),
        ] {
            let record = Record::from_row(&headers, [text].into_iter()).in_zone(Tz::Europe__Kyiv);
            let utc: DateTime<Utc> = utc.parse().unwrap();
            assert_eq!(record.without(&["x"]).time("t", now()).unwrap(), Some(utc), "{text}");
        }
    }

    #[test]
    fn a_field_that_stands_twice_or_is_unknown_is_named() {
        let error = Record::from_json(r#"{"a":1,"a":2}"#).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), ("duplicate_field", Some("a")));
        let error = Record::from_json(r#"{"totel":1}"#)
            .unwrap()
            .only(&["total"])
            .unwrap_err();
        assert_eq!(error.message, "totel is not a field here; allowed are total");
    }

    #[test]
    fn what_is_no_object_is_refused_without_panic() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{\"a\":1}x",
            "{\"\\ud800\":1}",
            "nul",
            deep.as_str(),
        ] {
            if let Ok(record) = Record::from_json(text) {
                assert!(record.text("a", 10).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in ".*") {
            if let Ok(record) = Record::from_json(&text) {
                let _ = record.only(&[]);
            }
            let json = serde_json::json!({"f": text}).to_string();
            let record = Record::from_json(&json).unwrap();
            let _ = (record.text("f", 100), record.id("f", 100), record.money("f"), record.time("f", now()), record.uuid("f"));
        }
    }
}
