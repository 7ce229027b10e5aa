//! Marks into facts, customers, days; and everything anew.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Days, NaiveDate, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::{customer_blocks, customers, days, facts, metrics, order_blocks};
use crate::db::order_marks;
use crate::orders::identity::{ContactHash, Identifier};
use crate::reports::period::start_of_day;
use crate::secret::{Secret, hex};
use crate::site::Site;

/// Orders of one transaction.
const AT_ONCE: i64 = 1_000;
/// With so many marks waiting (an import), making everything anew is faster.
const REBUILD_FROM: i64 = 50_000;
/// Days of one transaction when a range is made anew.
const DAYS_AT_ONCE: u64 = 7;

/// A class of advisory locks that nobody else uses ("bu" in the upper half): one process at a time keeps a site's figures.
const LOCK: i32 = 0x6275_0000;

/// What the figures of a site stand on beside its orders.
#[derive(Debug, Clone)]
pub struct Rules {
    blocked: HashSet<ContactHash>,
    join: String,
    segments: String,
}

impl Rules {
    /// As the site's settings say now.
    pub fn of(secret: &Secret, site: &Site) -> Self {
        let identifier = Identifier::new(secret, site);
        let blocked = identifier.blocked().clone();
        let mut sorted: Vec<&ContactHash> = blocked.iter().collect();
        sorted.sort_unstable();
        let list = sorted
            .into_iter()
            .fold(Sha256::new(), |digest, hash| digest.chain_update(hash));
        let segments = &site.settings.customer_segments;
        Self {
            join: format!(
                "5 {} {} {} {}",
                site.time_zone.name(),
                site.currency,
                hex(&list.finalize()[..16]),
                order_blocks::layout()
            ),
            segments: format!(
                "3 {segments:?} {:?} {}",
                site.settings.ltv_bands,
                customer_blocks::layout()
            ),
            blocked,
        }
    }
}

/// Whether the site's figures were made, with these rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They stand; orders of the last seconds may be missing.
    Built,
    /// The segments were made by other thresholds; everything else stands.
    OldSegments,
    /// They were never made, or by another time zone or block list.
    Unbuilt,
}

/// How the site's figures stand.
///
/// # Errors
/// The database's.
pub async fn standing(db: impl PgExecutor<'_>, site_id: i32, rules: &Rules) -> sqlx::Result<Standing> {
    let state = sqlx::query!(
        "select join_rules, segment_rules from business_states where site_id = $1",
        site_id
    )
    .fetch_optional(db)
    .await?;
    Ok(match state {
        Some(state) if state.join_rules != rules.join => Standing::Unbuilt,
        Some(state) if state.segment_rules != rules.segments => Standing::OldSegments,
        Some(_) => Standing::Built,
        None => Standing::Unbuilt,
    })
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Orders looked at; all of them in a rebuild are not counted.
    pub orders: usize,
    /// Whether marks may be left.
    pub more: bool,
}

/// One round: what is not built is built, else some marks are worked off. `None`: another process is at it.
///
/// # Errors
/// The database's; nothing is lost by one.
pub async fn round(pool: &PgPool, secret: &Secret, site: &Site, now: DateTime<Utc>) -> sqlx::Result<Option<Round>> {
    let rules = Rules::of(secret, site);
    let mut tx = pool.begin().await?;
    if !try_lock(&mut tx, site.id).await? {
        return Ok(None);
    }
    let mut round = Round::default();
    let many = order_marks::count(&mut *tx, site.id, REBUILD_FROM).await? == REBUILD_FROM;
    match standing(&mut *tx, site.id, &rules).await? {
        _ if many => rebuild_in(&mut tx, site, &rules, now, |_| {}).await?,
        Standing::Unbuilt => rebuild_in(&mut tx, site, &rules, now, |_| {}).await?,
        Standing::OldSegments => {
            metrics::rebuild(&mut tx, site, |_| {}).await?;
            set_state(&mut tx, site.id, &rules, now).await?;
            round.more = true;
        }
        Standing::Built => {
            let orders = order_marks::take(&mut tx, site.id, AT_ONCE).await?;
            round.more = orders.len() as i64 >= AT_ONCE / 2;
            round.orders = orders.len();
            apply(&mut tx, site, &rules, &orders, &[]).await?;
            days::stale_campaigns(&mut tx, site.id).await?;
        }
    }
    tx.commit().await?;
    Ok(Some(round))
}

/// Rounds until no mark is left.
///
/// # Errors
/// The database's.
pub async fn catch_up(pool: &PgPool, secret: &Secret, site: &Site, now: DateTime<Utc>) -> sqlx::Result<usize> {
    let mut done = 0;
    loop {
        match round(pool, secret, site, now).await? {
            Some(round) => {
                done += round.orders;
                if order_marks::count(pool, site.id, 1).await? == 0 && !round.more {
                    return Ok(done);
                }
            }
            None => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Orders into customers.
    Customers,
    /// Orders into facts.
    Facts,
    /// Customers summed up so far.
    Metrics(usize),
    /// Days summed up.
    Days,
}

/// Makes all figures of the site anew, in one transaction: readers see the old ones until it is done. Waits for whoever is at it.
///
/// # Errors
/// The database's.
pub async fn rebuild(
    pool: &PgPool,
    secret: &Secret,
    site: &Site,
    now: DateTime<Utc>,
    progress: impl Fn(Stage),
) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    lock(&mut tx, site.id).await?;
    rebuild_in(&mut tx, site, &Rules::of(secret, site), now, progress).await?;
    tx.commit().await
}

/// Takes the site's figures for never made, so that the next round makes all of them: for whoever writes many orders past their marks.
/// Waits for whoever is at it.
///
/// # Errors
/// The database's.
pub async fn forget(pool: &PgPool, site_id: i32) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    lock(&mut tx, site_id).await?;
    sqlx::query!("delete from business_states where site_id = $1", site_id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Compares the facts of the orders placed on these local days with the orders, corrects them, and makes the sums of every one of the
/// days anew. `progress` is told the days done.
///
/// # Errors
/// The database's.
pub async fn rebuild_days(
    pool: &PgPool,
    secret: &Secret,
    site: &Site,
    (first, last): (NaiveDate, NaiveDate),
    progress: impl Fn(u64),
) -> sqlx::Result<usize> {
    let rules = Rules::of(secret, site);
    let (mut day, mut done, mut corrected) = (first, 0, 0);
    while day <= last {
        let end = (day + Days::new(DAYS_AT_ONCE - 1)).min(last);
        let mut tx = pool.begin().await?;
        lock(&mut tx, site.id).await?;
        let (from, to) = (
            start_of_day(day, site.time_zone),
            start_of_day(end + Days::new(1), site.time_zone),
        );
        let mut orders = facts::stale(&mut *tx, site.id, from, to, (day, end)).await?;
        orders.sort_unstable();
        orders.dedup();
        corrected += orders.len();
        let all: Vec<NaiveDate> = day.iter_days().take_while(|day| *day <= end).collect();
        apply(&mut tx, site, &rules, &orders, &all).await?;
        tx.commit().await?;
        done += all.len() as u64;
        progress(done);
        day = end + Days::new(1);
    }
    Ok(corrected)
}

/// Brings facts, customers and days up to date with these orders; `more` days are made anew whatever changed.
async fn apply(
    conn: &mut PgConnection,
    site: &Site,
    rules: &Rules,
    orders: &[String],
    more: &[NaiveDate],
) -> sqlx::Result<()> {
    let mut touched = customers::Touched::default();
    if !orders.is_empty() {
        let changed = facts::refresh(conn, site.id, orders).await?;
        touched = customers::rejoin(conn, site.id, &rules.blocked, &changed).await?;
        let referrers: Vec<Vec<u8>> = changed
            .iter()
            .flat_map(|order| [&order.old_referred_by, &order.new_referred_by])
            .flatten()
            .cloned()
            .collect();
        let renumbered = metrics::recompute(conn, site, &touched.customers, &referrers).await?;
        touched.days.extend(renumbered);
    }
    let days: BTreeSet<NaiveDate> = touched.days.into_iter().chain(more.iter().copied()).collect();
    let days: Vec<NaiveDate> = days.into_iter().collect();
    days::recompute(conn, site.id, &days).await
}

async fn rebuild_in(
    conn: &mut PgConnection,
    site: &Site,
    rules: &Rules,
    now: DateTime<Utc>,
    progress: impl Fn(Stage),
) -> sqlx::Result<()> {
    // Sorting a million orders in the default memory would go to disk several times.
    sqlx::query("set local work_mem = '128MB'").execute(&mut *conn).await?;
    // Marks first: what comes later is marked again and worked off afterwards.
    order_marks::clear(conn, site.id).await?;
    progress(Stage::Customers);
    facts::set_aside(conn, site.id).await?;
    customers::rebuild(conn, site.id, &rules.blocked).await?;
    // The planner takes a site that was filled just now for empty, beside another whose rows it knows, and would join each of its
    // customers with each. So it is told what was written as soon as it is.
    sqlx::query("analyze customer_contacts").execute(&mut *conn).await?;
    progress(Stage::Facts);
    facts::rebuild(conn, site.id).await?;
    sqlx::query("analyze order_facts").execute(&mut *conn).await?;
    metrics::rebuild(conn, site, |done| progress(Stage::Metrics(done))).await?;
    progress(Stage::Days);
    let all = days::all(&mut *conn, site.id).await?;
    days::recompute(conn, site.id, &all).await?;
    set_state(conn, site.id, rules, now).await
}

async fn set_state(conn: &mut PgConnection, site_id: i32, rules: &Rules, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into business_states (site_id, join_rules, segment_rules, built_at) values ($1, $2, $3, $4)
        on conflict (site_id) do update set join_rules = excluded.join_rules, segment_rules = excluded.segment_rules, built_at = excluded.built_at",
        site_id,
        rules.join,
        rules.segments,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn try_lock(conn: &mut PgConnection, site_id: i32) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1, $2) as "ours!""#, LOCK, site_id)
        .fetch_one(conn)
        .await
}

async fn lock(conn: &mut PgConnection, site_id: i32) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1, $2)", LOCK, site_id)
        .fetch_one(conn)
        .await?;
    Ok(())
}
