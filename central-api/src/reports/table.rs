//! Runs a question and computes its ratios.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, PgTransaction, Postgres, QueryBuilder, Row as _};

use super::counted;
use super::figure::Figure;
use super::rolled::Rolled;
use super::search::Search;
use super::sql::{self, Question};
use crate::catalogue::{Formula, Metric};
use crate::rollup::upkeep;

/// An answer's rows.
#[derive(Debug, Clone)]
pub struct Table {
    /// In the order asked for.
    pub rows: Vec<Row>,
    /// How many there are without limit and offset.
    pub total_rows: i64,
}

/// One row: dimensions, then figures, each under its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(pub Vec<(&'static str, Cell)>);

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A dimension's value; none: not set.
    Text(Option<String>),
    /// A figure.
    Number(Figure),
}

impl Row {
    /// The figure under a key.
    pub fn figure(&self, metric: Metric) -> Figure {
        self.0
            .iter()
            .find_map(|(key, cell)| match cell {
                Cell::Number(figure) if *key == metric.key() => Some(*figure),
                _ => None,
            })
            .unwrap_or(Figure(None))
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|(k, cell)| match cell {
            Cell::Text(text) if *k == key => text.as_deref(),
            _ => None,
        })
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, cell)| (key, cell)))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Number(figure) => figure.serialize(serializer),
        }
    }
}

/// Asks the database.
///
/// # Errors
/// The database's.
pub async fn ask(pool: &PgPool, question: &Question<'_>) -> sqlx::Result<Table> {
    found(pool, question, None).await
}

/// [`ask`], for those rows alone that a search finds; `total_rows` are those.
///
/// # Errors
/// The database's.
pub async fn found(pool: &PgPool, question: &Question<'_>, search: Option<&Search>) -> sqlx::Result<Table> {
    let mut tx = snapshot(pool).await?;
    let table = found_in(&mut tx, question, search).await?;
    tx.commit().await?;
    Ok(table)
}

async fn found_in(db: &mut PgConnection, question: &Question<'_>, search: Option<&Search>) -> sqlx::Result<Table> {
    let mut statement = searched(&mut *db, question, search).await?;
    // Planned anew for each request: the period decides between index and scan, and a plan for any period would be wrong for most.
    let found = statement.build().persistent(false).fetch_all(db).await?;
    let total_rows = match found.first() {
        Some(row) => row.try_get("total_rows")?,
        None => 0,
    };
    let rows = found
        .iter()
        .map(|row| read(row, question))
        .collect::<sqlx::Result<_>>()?;
    Ok(Table { rows, total_rows })
}

/// Begins a snapshot and tells the planner what it cannot know: a period's sessions lie together, so finding them by index costs little
/// more than reading on, and what a worker hands over costs little beside reading it. With the defaults, distinct visitors would be counted
/// by one process, and a quarter would be looked for in the whole table. Nothing is compiled: that takes longer than what it would speed up.
const BEGIN: &str = "begin isolation level repeatable read read only; set local random_page_cost = 1.1; \
     set local parallel_tuple_cost = 0.001; set local jit = off";

/// A transaction in which [`rolled`] and the statement made with it see the same moment: a return counts in a later hour than the session
/// that it follows, so that dirty hours and sums of two moments could count a visitor twice.
///
/// # Errors
/// The database's.
pub async fn snapshot(pool: &PgPool) -> sqlx::Result<PgTransaction<'static>> {
    pool.begin_with(BEGIN).await
}

/// The statement that answers the question from whatever answers it fastest at this moment; of a search for those rows alone that it finds.
///
/// # Errors
/// The database's.
pub async fn searched(
    db: &mut PgConnection,
    question: &Question<'_>,
    search: Option<&Search>,
) -> sqlx::Result<QueryBuilder<Postgres>> {
    let rolled = rolled(&mut *db, question).await?;
    let counted = counted::count(db, question, rolled.as_ref()).await?;
    Ok(sql::searched(question, rolled.as_ref(), counted.as_ref(), search))
}

/// What of the question rollups answer at this moment; none when only the sessions can.
///
/// # Errors
/// The database's.
pub async fn rolled(db: &mut PgConnection, question: &Question<'_>) -> sqlx::Result<Option<Rolled>> {
    if !Rolled::may_answer(question) {
        return Ok(None);
    }
    let (site_id, period) = (question.scope.site.id, question.scope.period);
    let first = if Rolled::needs_first(question) {
        sqlx::query_scalar!("select min(first_seen) from sessions where site_id = $1", site_id)
            .fetch_one(&mut *db)
            .await?
    } else {
        None
    };
    let dirty = upkeep::dirty(&mut *db, site_id, period.from.unwrap_or_default(), period.to).await?;
    Ok(Rolled::of(question, first, &dirty))
}

/// The figures of the whole scope, without a split.
///
/// # Errors
/// The database's.
pub async fn totals(pool: &PgPool, question: &Question<'_>) -> sqlx::Result<Row> {
    let mut tx = snapshot(pool).await?;
    let totals = totals_in(&mut tx, question).await?;
    tx.commit().await?;
    Ok(totals)
}

/// [`totals`] at the moment of a [`snapshot`].
///
/// # Errors
/// The database's.
pub async fn totals_in(db: &mut PgConnection, question: &Question<'_>) -> sqlx::Result<Row> {
    let question = Question {
        dimensions: &[],
        sort: None,
        limit: None,
        offset: 0,
        ..question.clone()
    };
    let table = found_in(db, &question, None).await?;
    table.rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)
}

/// One database row as an answer's row.
///
/// # Errors
/// A column that is missing or of another type.
pub fn read(row: &PgRow, question: &Question<'_>) -> sqlx::Result<Row> {
    let mut cells = Vec::with_capacity(question.dimensions.len() + question.metrics.len());
    for (i, dimension) in question.dimensions.iter().enumerate() {
        cells.push((dimension.key(), Cell::Text(row.try_get(format!("d{i}").as_str())?)));
    }
    let mut found = BTreeMap::new();
    for (i, metric) in sql::aggregates(question.metrics).into_iter().enumerate() {
        let value: Decimal = row.try_get(format!("m{i}").as_str())?;
        let unknown = metric.needs_spend() && !question.spend_is_known();
        found.insert(metric, if unknown { Figure(None) } else { value.into() });
    }
    let aggregate = |metric: Metric| found.get(&metric).copied().unwrap_or(Figure(None));
    for metric in question.metrics {
        let figure = match metric.definition().formula {
            Formula::Ratio { of, per, times } => Figure::ratio(times, aggregate(of), aggregate(per)),
            _ => aggregate(*metric),
        };
        cells.push((metric.key(), Cell::Number(figure)));
    }
    Ok(Row(cells))
}

/// The figures of a group of the question that nothing belongs to: counts 0, ratios null, and so what is unknown in every group.
pub fn nothing_of(question: &Question<'_>) -> Vec<(&'static str, Cell)> {
    let mut cells = empty_row(question.metrics);
    for (metric, (_, cell)) in question.metrics.iter().zip(&mut cells) {
        if metric.needs_spend() && !question.spend_is_known() {
            *cell = Cell::Number(Figure(None));
        }
    }
    cells
}

/// The row of a group that nothing belongs to: counts 0, ratios null.
pub fn empty_row(metrics: &[Metric]) -> Vec<(&'static str, Cell)> {
    metrics
        .iter()
        .map(|metric| {
            let figure = match metric.definition().formula {
                Formula::Ratio { .. } => Figure(None),
                _ => Figure::ZERO,
            };
            (metric.key(), Cell::Number(figure))
        })
        .collect()
}
