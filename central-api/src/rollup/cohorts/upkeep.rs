//! Dirty visitors into rows and sums.

use std::borrow::Borrow;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool, QueryBuilder};
use uuid::Uuid;

use super::facts::{self, Part, Visitors};
use crate::rollup::upkeep::Take;
use crate::site::Site;

/// A visitor is left alone for so long after the first mark, since the events of a visit come one after another.
const WAIT: TimeDelta = TimeDelta::seconds(30);

/// With more dirty visitors than this, and than an eighth of all, the site is begun anew: that takes a fraction of the time for each.
const MANY_DIRTY: i64 = 50_000;

/// Any fixed number: one process at a time keeps cohorts.
const LOCK: i64 = 0x7564_636f_686f;

impl Take {
    /// Visitors brought up to date in one transaction: beside writers so few that they do not wait for it.
    const fn visitors_at_once(self) -> i64 {
        match self {
            Self::Due => 100,
            Self::Closed => 20_000,
        }
    }

    /// Sessions whose visitors' rows are made in one transaction when a site is begun anew; beside writers likewise.
    const fn sessions_at_once(self) -> i64 {
        match self {
            Self::Due => 500,
            Self::Closed => 100_000,
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

/// One round of upkeep: begins a site anew whose zone is another one than its rows', or goes on with that, and brings some dirty
/// visitors up to date.
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
    round_of(pool, sites, now, which, which.sessions_at_once()).await
}

/// [`round`], with the visitors of so many sessions in one transaction when a site is begun anew.
///
/// # Errors
/// As [`round`].
pub async fn round_of(
    pool: &PgPool,
    sites: &[impl Borrow<Site>],
    now: DateTime<Utc>,
    which: Take,
    sessions: i64,
) -> sqlx::Result<Option<Round>> {
    let mut tx = pool.begin().await?;
    if !lock(&mut tx).await? {
        return Ok(None);
    }
    let mut round = Round::default();
    for site in sites.iter().map(Borrow::borrow) {
        if !is_begun(&mut *tx, site).await?
            || super::is_kept(&mut *tx, site).await? && many_dirty(&mut *tx, site.id).await?
        {
            begin_anew(&mut tx, site).await?;
        }
        if !super::is_kept(&mut *tx, site).await? {
            round.visitors += go_on(&mut tx, site, sessions).await?;
            round.more = true;
            continue;
        }
        let left = which.visitors_at_once() - round.visitors as i64;
        let visitors = take(&mut tx, site.id, now, which, left.max(0)).await?;
        if !visitors.is_empty() {
            bring_up_to_date(&mut tx, site, &visitors).await?;
        }
        round.visitors += visitors.len();
        round.more |= visitors.len() as i64 >= left;
    }
    tx.commit().await?;
    Ok(Some(round))
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

/// Whether a site was begun with its present settings.
async fn is_begun(db: impl PgExecutor<'_>, site: &Site) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from cohort_sites where site_id = $1 and time_zone = $2 and revenue_from_events = $3) as "begun!""#,
        site.id,
        site.time_zone.name(),
        site.settings.revenue_from_events
    )
    .fetch_one(db)
    .await
}

async fn many_dirty(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select d.many and (select count(*) from cohort_dirty where site_id = $1) * 8
             > (select coalesce(sum(visitors), 0) from cohort_cells where site_id = $1 and part = $3) as "many!"
           from (select count(*) > $2::bigint as many from (select from cohort_dirty where site_id = $1 limit $2::bigint + 1) d) d"#,
        site_id,
        MANY_DIRTY,
        Part::Visitors.name()
    )
    .fetch_one(db)
    .await
}

/// Empties a site's sums, and lets every visitor's row be made anew by [`go_on`]. Whoever was dirty before need not be any more.
async fn begin_anew(db: &mut PgConnection, site: &Site) -> sqlx::Result<()> {
    sqlx::query!("delete from cohort_cells where site_id = $1", site.id)
        .execute(&mut *db)
        .await?;
    sqlx::query!("delete from cohort_dirty where site_id = $1", site.id)
        .execute(&mut *db)
        .await?;
    sqlx::query!(
        "insert into cohort_sites (site_id, time_zone, revenue_from_events, next_visitor) values ($1, $2, $3, $4)
         on conflict (site_id) do update set time_zone = excluded.time_zone, revenue_from_events = excluded.revenue_from_events,
           next_visitor = excluded.next_visitor",
        site.id,
        site.time_zone.name(),
        site.settings.revenue_from_events,
        Uuid::nil()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes the rows of the next visitors of a site that was begun anew, in the order of their ids, and adds them to the sums. Who changes
/// later is dirty as ever.
async fn go_on(db: &mut PgConnection, site: &Site, sessions: i64) -> sqlx::Result<usize> {
    let first = sqlx::query_scalar!(
        r#"select next_visitor as "first!" from cohort_sites where site_id = $1 and next_visitor is not null"#,
        site.id
    )
    .fetch_one(&mut *db)
    .await?;
    // After the first visitor at least, however many sessions that one has.
    let end = sqlx::query_scalar!(
        r#"select greatest(n.visitor_id, next.visitor_id) as "end!"
           from (select visitor_id from sessions where site_id = $1 and visitor_id >= $2 order by visitor_id offset $3 limit 1) n
           cross join (select visitor_id from sessions where site_id = $1 and visitor_id > $2 order by visitor_id limit 1) next"#,
        site.id,
        first,
        sessions
    )
    .fetch_optional(&mut *db)
    .await?;
    let visitors = Visitors::Between(first, end);
    // What is sorted and grouped here fits into that.
    sqlx::query("set local work_mem = '64MB'").execute(&mut *db).await?;
    let mut sql = QueryBuilder::new("delete from cohort_visitors v where ");
    visitors.condition(&mut sql, site.id, "v");
    sql.build().persistent(false).execute(&mut *db).await?;
    let columns = facts::columns();
    let mut sql = QueryBuilder::new("with ");
    facts::fresh(&mut sql, site, visitors);
    sql.push(format_args!(
        " insert into cohort_visitors (site_id, visitor_id, {columns}) select "
    ));
    sql.push_bind(site.id);
    // By day, as they are read.
    sql.push(format_args!(
        ", visitor_id, {columns} from fresh order by first_day, visitor_id"
    ));
    let made = sql.build().persistent(false).execute(&mut *db).await?.rows_affected();
    add(db, site.id, visitors, "1").await?;
    sqlx::query!(
        "update cohort_sites set next_visitor = $2 where site_id = $1",
        site.id,
        end
    )
    .execute(db)
    .await?;
    Ok(made as usize)
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
    add(db, site.id, Visitors::Listed(visitors), "-1").await?;
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
    facts::fresh(&mut sql, site, Visitors::Listed(visitors));
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
    add(db, site.id, Visitors::Listed(visitors), "1").await
}

/// Adds `sign` times what is kept of some visitors to the sums.
async fn add(db: &mut PgConnection, site_id: i32, visitors: Visitors<'_>, sign: &'static str) -> sqlx::Result<()> {
    let mut sql =
        QueryBuilder::new("with kept as materialized (select v.*, 1::bigint as visitors from cohort_visitors v where ");
    visitors.condition(&mut sql, site_id, "v");
    sql.push(") insert into cohort_cells as c (site_id, part, first_day, at, visitors, orders, revenue) select ");
    sql.push_bind(site_id);
    sql.push(format_args!(
        ", part, first_day, at, {sign} * visitors, {sign} * orders, {sign} * revenue from ({}) u order by part, first_day, at \
         on conflict (site_id, part, first_day, at) do update set visitors = c.visitors + excluded.visitors, \
         orders = c.orders + excluded.orders, revenue = c.revenue + excluded.revenue",
        facts::sums(&Part::ALL, "kept", "kept")
    ));
    sql.build().execute(&mut *db).await?;
    Ok(())
}
