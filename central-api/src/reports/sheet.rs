//! Rows of an export: typed cells, so that a CSV file and a workbook say the same.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;

use super::figure::Figure;
use crate::catalogue::{Metric, Unit};

/// What a column holds, which decides how a spreadsheet shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Whole numbers.
    Count,
    /// Money, percent, quotients: two decimals.
    Fraction,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// In the file's language.
    pub label: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text as it is; it may look like a formula.
    Text(String),
    /// A number.
    Number(Decimal),
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

/// What the reader of the database hands to the writer of the file.
#[derive(Debug)]
pub enum Part {
    /// Some rows.
    Rows(Vec<Vec<Cell>>),
    /// The last row; then nothing follows. A file that gets no last row is not whole.
    Totals(Vec<Cell>),
}
