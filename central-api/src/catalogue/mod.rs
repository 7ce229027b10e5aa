//! Every metric and dimension, once: key, names, unit, definition and SQL. The API, the export, the panel and the reports ask here,
//! so that a figure means the same wherever it stands.
//!
//! A metric is an aggregate over sessions, an aggregate over orders, or a ratio of two other metrics. A dimension is an expression
//! over one session, or over one order when money is dated by the order. Nothing else writes SQL for a figure.

mod dimension;
mod metric;
mod metric_rows;

pub use dimension::{Dimension, DimensionDefinition, NamedValue, Side};
pub use metric::{Better, Formula, Metric, MetricDefinition, Unit};
pub use metric_rows::CONVERTED;

use serde::Serialize;
use utoipa::ToSchema;

/// A name or sentence in the panel's two languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Text {
    /// Ukrainian.
    pub uk: &'static str,
    /// English.
    pub en: &'static str,
}

impl Text {
    /// The text in a site's language: `uk` or `en`.
    pub fn get(&self, language: &str) -> &'static str {
        if language == "en" { self.en } else { self.uk }
    }
}
