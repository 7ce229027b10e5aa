//! Dirty visitors into rows and sums.

use std::borrow::Borrow;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool, QueryBuilder};
use uuid::Uuid;

use super::facts::{self, Part};
use crate::rollup::upkeep::Take;
use crate::site::Site;

/// A visitor is left alone for so long after the first mark, since the events of a visit come one after another.
const WAIT: TimeDelta = TimeDelta::seconds(30);

/// Any fixed number: one process at a time keeps cohorts.
const LOCK: i64 = 0x7564_636f_686f;

impl Take {
    /// Visitors brought up to date in one transaction.
    const fn visitors_at_once(self) -> i64 {
        match self {
            Self::Due => 2_000,
            Self::Closed => 20_000,
        }
    }
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Visitors brought up to date.
    pub visitors: usize,
    /// Whether some to take may be left.
    pub more: bool,
}

/// One round of upkeep: begins a site anew whose zone is another one than its rows', and brings some dirty visitors up to date.
/// Marks become dirty visitors in [`crate::rollup::upkeep::round`]. `None`: another process is at it.
///
/// # Errors
/// The database's; nothing is lost by one.
pub async fn round(
    pool: &PgPool,
    sites: &[impl Borrow<Site>],
    now: DateTime<Utc>,
    which: Take,
) -> sqlx::Result<Option<Round>> {
    let mut tx = pool.begin().await?;
    if !lock(&mut tx).await? {
        return Ok(None);
    }
    let mut done = 0;
    for site in sites.iter().map(Borrow::borrow) {
        if !super::is_kept(&mut *tx, site).await? {
            begin_anew(&mut tx, site, now).await?;
        }
        let visitors = take(&mut tx, site.id, now, which, which.visitors_at_once() - done as i64).await?;
        if !visitors.is_empty() {
            bring_up_to_date(&mut tx, site, &visitors).await?;
        }
        done += visitors.len();
    }
    tx.commit().await?;
    Ok(Some(Round {
        visitors: done,
        more: done as i64 == which.visitors_at_once(),
    }))
}

/// Rounds until no visitor that was marked is dirty; `progress` is told the visitors done so far.
///
/// # Errors
/// The database's.
pub async fn catch_up(pool: &PgPool, site: &Site, now: DateTime<Utc>, progress: impl Fn(usize)) -> sqlx::Result<usize> {
    let mut done = 0;
    loop {
        match round(pool, &[site], now, Take::Closed).await? {
            Some(round) => {
                done += round.visitors;
                progress(done);
                if !round.more {
                    return Ok(done);
                }
            }
            None => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

/// Lets the next round begin a site anew, and reports not use what stands there until then: for those about to write sessions or
/// orders past the writers, and again when they have.
///
/// # Errors
/// The database's.
pub async fn forget(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<()> {
    sqlx::query!("delete from cohort_sites where site_id = $1", site_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Visitors of a site that wait.
///
/// # Errors
/// The database's.
pub async fn waiting(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from cohort_dirty where site_id = $1"#,
        site_id
    )
    .fetch_one(db)
    .await
}

async fn lock(db: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "ours!""#, LOCK)
        .fetch_one(db)
        .await
}

/// Empties a site's rows and sums and makes every visitor dirty: in the order in which they first came, so that their rows lie by day.
async fn begin_anew(db: &mut PgConnection, site: &Site, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from cohort_visitors where site_id = $1", site.id)
        .execute(&mut *db)
        .await?;
    sqlx::query!("delete from cohort_cells where site_id = $1", site.id)
        .execute(&mut *db)
        .await?;
    sqlx::query!(
        "insert into cohort_dirty (site_id, visitor_id, marked_at)
         select site_id, visitor_id, least(min(first_seen), $2) from sessions where site_id = $1
         group by site_id, visitor_id order by site_id, visitor_id
         on conflict (site_id, visitor_id) do update set marked_at = excluded.marked_at",
        site.id,
        now - WAIT
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "insert into cohort_sites (site_id, time_zone, revenue_from_events) values ($1, $2, $3)
         on conflict (site_id) do update set time_zone = excluded.time_zone, revenue_from_events = excluded.revenue_from_events",
        site.id,
        site.time_zone.name(),
        site.settings.revenue_from_events
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes some dirty visitors off the list, those who wait longest; they are dirty again if the transaction fails.
async fn take(
    db: &mut PgConnection,
    site_id: i32,
    now: DateTime<Utc>,
    which: Take,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "delete from cohort_dirty where site_id = $1 and visitor_id = any(array(
           select visitor_id from cohort_dirty where site_id = $1 and (marked_at <= $2 or $3) order by marked_at limit $4
         )) returning visitor_id",
        site_id,
        now - WAIT,
        which == Take::Closed,
        limit
    )
    .fetch_all(db)
    .await
}

/// Replaces what is kept of some visitors by what their sessions and orders say now: their sums are taken off, their rows written anew
/// where they differ, their sums put on again.
async fn bring_up_to_date(db: &mut PgConnection, site: &Site, visitors: &[Uuid]) -> sqlx::Result<()> {
    add(db, site.id, visitors, "-1").await?;
    sqlx::query!(
        "delete from cohort_visitors v where site_id = $1 and visitor_id = any($2) and not exists (
           select from sessions s where s.site_id = v.site_id and s.visitor_id = v.visitor_id and s.bot_reason is null)",
        site.id,
        visitors
    )
    .execute(&mut *db)
    .await?;
    let columns = facts::columns();
    let names = || columns.split(", ");
    let mut sql = QueryBuilder::new("with ");
    facts::fresh(&mut sql, site, visitors);
    sql.push(format_args!(
        " insert into cohort_visitors as v (site_id, visitor_id, {columns}) select "
    ));
    sql.push_bind(site.id);
    sql.push(format_args!(
        ", visitor_id, {columns} from fresh order by visitor_id on conflict (site_id, visitor_id) do update set {} \
         where ({}) is distinct from ({})",
        names()
            .map(|name| format!("{name} = excluded.{name}"))
            .collect::<Vec<_>>()
            .join(", "),
        names().map(|name| format!("v.{name}")).collect::<Vec<_>>().join(", "),
        names()
            .map(|name| format!("excluded.{name}"))
            .collect::<Vec<_>>()
            .join(", "),
    ));
    sql.build().execute(&mut *db).await?;
    add(db, site.id, visitors, "1").await
}

/// Adds `sign` times what is kept of some visitors to the sums.
async fn add(db: &mut PgConnection, site_id: i32, visitors: &[Uuid], sign: &'static str) -> sqlx::Result<()> {
    let statement = format!(
        "with kept as materialized (select * from cohort_visitors where site_id = $1 and visitor_id = any($2)) \
         insert into cohort_cells as c (site_id, part, first_day, at, visitors, orders, revenue) \
         select $1, part, first_day, at, {sign} * visitors, {sign} * orders, {sign} * revenue from ({}) u order by part, first_day, at \
         on conflict (site_id, part, first_day, at) do update set visitors = c.visitors + excluded.visitors, \
         orders = c.orders + excluded.orders, revenue = c.revenue + excluded.revenue",
        facts::sums(&Part::ALL, "kept")
    );
    sqlx::query(AssertSqlSafe(statement))
        .bind(site_id)
        .bind(visitors)
        .execute(db)
        .await?;
    Ok(())
}
