//! Rows of an export: typed cells, so that a CSV file and a workbook say the same.

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::figure::Figure;
use crate::catalogue::{Dimension, Metric, Text, Unit};

/// What a column holds, which decides how a spreadsheet shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Whole numbers.
    Count,
    /// Money, percent, quotients: two decimals.
    Fraction,
    /// A local day, also the first one of a week or month.
    Day,
    /// Date and time of day, local.
    Time,
}

impl Kind {
    /// The kind of a metric's column.
    pub fn of(metric: Metric) -> Self {
        match metric.definition().unit {
            Unit::Count | Unit::Points => Self::Count,
            Unit::Percent | Unit::Money | Unit::Seconds | Unit::Ratio => Self::Fraction,
        }
    }
}

/// A column's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// In the file's language.
    pub label: Cow<'static, str>,
    /// What it holds.
    pub kind: Kind,
}

impl Column {
    /// A column of texts.
    pub fn text(label: Text, language: &str) -> Self {
        Self::new(label, Kind::Text, language)
    }

    /// A column.
    pub fn new(label: Text, kind: Kind, language: &str) -> Self {
        Self {
            label: label.get(language).into(),
            kind,
        }
    }

    /// A column of the site's clock: what holds times of day says by which zone, since a file is read far from where it was made.
    pub fn local(label: Text, kind: Kind, zone: Tz, language: &str) -> Self {
        let mut column = Self::new(label, kind, language);
        if kind == Kind::Time {
            column.label = format!("{} ({zone})", column.label).into();
        }
        column
    }

    /// A dimension's column, named as the catalogue names it.
    pub fn by(dimension: Dimension, language: &str) -> Self {
        let kind = match dimension {
            Dimension::Day | Dimension::Week | Dimension::Month => Kind::Day,
            _ => Kind::Text,
        };
        Self::new(dimension.definition().label, kind, language)
    }

    /// A metric's column, named as the catalogue names it.
    pub fn of(metric: Metric, language: &str) -> Self {
        Self::new(metric.definition().label, Kind::of(metric), language)
    }
}

/// A whole table that is small enough to be held.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// From left to right.
    pub columns: Vec<Column>,
    /// As long as the columns, each.
    pub rows: Vec<Vec<Cell>>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text as it is; it may look like a formula.
    Text(String),
    /// A number.
    Number(Decimal),
    /// A local day.
    Day(NaiveDate),
    /// Local time.
    Time(NaiveDateTime),
    /// Nothing: a quotient by 0, or a column without a total.
    Nothing,
}

impl From<Figure> for Cell {
    fn from(figure: Figure) -> Self {
        figure.0.map_or(Self::Nothing, Self::Number)
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<Decimal> for Cell {
    fn from(number: Decimal) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<NaiveDate> for Cell {
    fn from(day: NaiveDate) -> Self {
        Self::Day(day)
    }
}

impl Cell {
    /// A value of a dimension in a column of this kind.
    pub fn value(text: &str, kind: Kind) -> Self {
        match (kind, text.parse()) {
            (Kind::Day, Ok(day)) => Self::Day(day),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// A statistic, which is a float by nature, to four decimals; nothing where it is not defined.
    pub fn statistic(value: Option<f64>) -> Self {
        value
            .and_then(Decimal::from_f64)
            .map_or(Self::Nothing, |value| Self::Number(value.round_dp(4)))
    }
}

/// What the reader of the database hands to the writer of the file.
#[derive(Debug)]
pub enum Part {
    /// Some rows.
    Rows(Vec<Vec<Cell>>),
    /// The last row; then nothing follows. A file that gets no last row is not whole.
    Totals(Vec<Cell>),
}
