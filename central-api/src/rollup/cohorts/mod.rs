//! Cohorts kept beside the sessions: a narrow row per visitor, and its sums.
//!
//! Whoever changes a session or an order leaves a mark with its visitor; a marked visitor is *dirty*. Reports take the sums, put off
//! what dirty visitors had brought to them and add what their sessions and orders say now, all in one snapshot: so a matrix is exact at
//! any moment. [`upkeep`] brings dirty visitors' rows and the sums up to date; it only makes reports fast.
//!
//! Rows hold local days, so they belong to a time zone: where the site's is another one by now, nothing here is used until upkeep has
//! begun anew. Bots are left out; who asks for them is answered from the sessions.

pub mod facts;
pub mod upkeep;
pub mod verify;

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::catalogue::Dimension;
use crate::site::Site;

/// With more dirty visitors than this, reports do not use what is kept: counting everybody from the sessions costs less.
pub const DIRTY_AT_MOST: i64 = 20_000;

/// The dimensions of a visitor's first session that are kept: those that orders carry too.
pub fn dimensions() -> impl Iterator<Item = Dimension> {
    Dimension::filters().filter(|dimension| !dimension.needs_session_of_order())
}

/// The visitors of a site whose rows are not up to date, marked lately or waiting; none when what is kept cannot be used: it was made
/// for another zone, or too many are dirty. To be asked in the same snapshot as what is kept.
///
/// # Errors
/// The database's.
pub async fn dirty(db: &mut PgConnection, site: &Site) -> sqlx::Result<Option<Vec<Uuid>>> {
    if !is_kept(&mut *db, site).await? {
        return Ok(None);
    }
    let visitors = sqlx::query_scalar!(
        r#"select visitor_id as "visitor_id!" from (
             select visitor_id from cohort_dirty where site_id = $1
             union
             select visitor_id from rollup_marks where site_id = $1
           ) d limit $2"#,
        site.id,
        DIRTY_AT_MOST + 1
    )
    .fetch_all(db)
    .await?;
    Ok((visitors.len() as i64 <= DIRTY_AT_MOST).then_some(visitors))
}

/// Whether what is kept of a site is whole and was made by its present settings.
async fn is_kept(db: impl PgExecutor<'_>, site: &Site) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from cohort_sites where site_id = $1 and time_zone = $2 and revenue_from_events = $3
             and next_visitor is null) as "kept!""#,
        site.id,
        site.time_zone.name(),
        site.settings.revenue_from_events
    )
    .fetch_one(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_people_filter_by_is_kept() {
        let kept: Vec<_> = dimensions().map(Dimension::key).collect();
        assert_eq!(kept.len(), 12);
        assert!(kept.contains(&"utm_source") && kept.contains(&"landing_page"));
    }
}
