//! What an A/B test of a campaign's creatives needs beyond the catalogue's figures: when each ran, and what each paying session brought.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgExecutor, QueryBuilder, Row as _};

use super::scope::Scope;
use super::sql::sessions_where;

/// One creative.
#[derive(Debug, Clone, PartialEq)]
pub struct Creative {
    /// Start of its first session, UTC.
    pub first: DateTime<Utc>,
    /// Start of its last session, UTC.
    pub last: DateTime<Utc>,
    /// Net revenue of every session that has any, in the site's currency.
    pub paying: Vec<Decimal>,
}

/// Creatives by utm_content; sessions without one are left out.
///
/// # Errors
/// The database's.
pub async fn of_scope(executor: impl PgExecutor<'_>, scope: &Scope) -> sqlx::Result<BTreeMap<String, Creative>> {
    let revenue = if scope.site.settings.revenue_from_events {
        "s.event_revenue"
    } else {
        "s.revenue"
    };
    let mut sql = QueryBuilder::new(format!(
        "select s.utm_content, min(s.first_seen) as first, max(s.first_seen) as last, \
         coalesce(array_agg({revenue}) filter (where {revenue} <> 0), '{{}}') as paying \
         from sessions s where s.utm_content is not null and "
    ));
    sessions_where(&mut sql, scope);
    sql.push(" group by 1");
    let rows = sql.build().persistent(false).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            let creative = Creative {
                first: row.try_get("first")?,
                last: row.try_get("last")?,
                paying: row.try_get("paying")?,
            };
            Ok((row.try_get("utm_content")?, creative))
        })
        .collect()
}
