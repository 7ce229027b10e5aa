//! Stored ad spend beside what sessions and orders brought.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::{PgPool, QueryBuilder, Row as _};
use utoipa::ToSchema;

use super::figure::Figure;
use super::scope::Scope;
use super::spend_rows::spend_in_other_currencies;
use super::sql::Question;
use super::table::{self, Row};
use crate::catalogue::{Dimension, Metric};

/// What is asked of the spend.
const SPEND: [Metric; 3] = [Metric::AdSpend, Metric::AdClicks, Metric::AdImpressions];

/// Money that is in no sum because its exchange rate is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WithoutRate {
    /// ISO 4217.
    pub currency: String,
    /// Sum in that currency.
    pub amount: Figure,
}

/// The scope as far as spend knows it, and the dimensions whose filters it does not know.
pub fn known(scope: &Scope) -> (Scope, Vec<&'static str>) {
    let filters = scope.filters.only(|dimension| dimension.spend_sql().is_some());
    let unknown = scope.filters.iter().map(|(dimension, _)| dimension);
    let unknown = unknown
        .filter(|d| d.spend_sql().is_none())
        .map(Dimension::key)
        .collect();
    (
        Scope {
            filters,
            ..scope.clone()
        },
        unknown,
    )
}

/// One group's figures: of the sessions and orders, and of the spend. A group that only one of the two has gets zeros for the other.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The dimension's value; none: not set.
    pub value: Option<String>,
    /// What was asked of sessions and orders.
    pub brought: Row,
    /// Spend, clicks and impressions.
    pub spent: Row,
}

/// Both sides of a scope, split by one dimension that spend has.
///
/// # Errors
/// The database's.
pub async fn joined(pool: &PgPool, scope: &Scope, by: Dimension, metrics: &[Metric]) -> sqlx::Result<Vec<Joined>> {
    let (spend_scope, _) = known(scope);
    let by = [by];
    let (brought, spent) = (question(scope, &by, metrics), question(&spend_scope, &by, &SPEND));
    let (brought, spent) = tokio::try_join!(table::ask(pool, &brought), table::ask(pool, &spent))?;
    let mut groups: BTreeMap<Option<String>, (Option<Row>, Option<Row>)> = BTreeMap::new();
    let key = by[0].key();
    for row in brought.rows {
        let value = row.text(key).map(str::to_owned);
        groups.entry(value).or_default().0 = Some(row);
    }
    for row in spent.rows {
        let value = row.text(key).map(str::to_owned);
        groups.entry(value).or_default().1 = Some(row);
    }
    let joined = groups.into_iter().map(|(value, (brought, spent))| Joined {
        value,
        brought: brought.unwrap_or_else(|| Row(table::empty_row(metrics))),
        spent: spent.unwrap_or_else(|| Row(table::empty_row(&SPEND))),
    });
    Ok(joined.collect())
}

/// Both sides of a whole scope.
///
/// # Errors
/// The database's.
pub async fn totals(pool: &PgPool, scope: &Scope, metrics: &[Metric]) -> sqlx::Result<Joined> {
    let (spend_scope, _) = known(scope);
    let (brought, spent) = (question(scope, &[], metrics), question(&spend_scope, &[], &SPEND));
    let (brought, spent) = tokio::try_join!(table::totals(pool, &brought), table::totals(pool, &spent))?;
    Ok(Joined {
        value: None,
        brought,
        spent,
    })
}

/// Spend of the scope whose exchange rate is unknown, by currency.
///
/// # Errors
/// The database's.
pub async fn without_rate(pool: &PgPool, scope: &Scope) -> sqlx::Result<Vec<WithoutRate>> {
    let mut statement = QueryBuilder::new("select a.currency, sum(a.amount) as amount from ");
    spend_in_other_currencies(&mut statement, scope);
    statement.push(" and a.in_site_currency is null group by 1 order by 1");
    let rows = statement.build().persistent(false).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            Ok(WithoutRate {
                currency: row.try_get("currency")?,
                amount: row.try_get::<Decimal, _>("amount")?.into(),
            })
        })
        .collect()
}

fn question<'a>(scope: &'a Scope, dimensions: &'a [Dimension], metrics: &'a [Metric]) -> Question<'a> {
    Question {
        scope,
        dimensions,
        metrics,
        sort: None,
        limit: None,
        offset: 0,
    }
}
