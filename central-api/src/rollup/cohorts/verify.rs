//! Whether what is kept is what the sessions and orders say.

use sqlx::{AssertSqlSafe, PgPool, QueryBuilder};
use uuid::Uuid;

use super::facts::{self, Part, Visitors};
use crate::site::Site;

/// Visitors compared at once.
const AT_ONCE: i64 = 20_000;

/// What was found wrong; nothing, unless something wrote past the writers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrong {
    /// Visitors that are not dirty and whose rows are not what their sessions and orders say.
    pub visitors: u64,
    /// Sums that are not those of the visitors' rows.
    pub sums: u64,
}

/// Compares everything that is kept of a site; `progress` is told the visitors compared so far. `None` when nothing is kept, or what is
/// kept belongs to another zone.
///
/// # Errors
/// The database's.
pub async fn verify(pool: &PgPool, site: &Site, progress: impl Fn(u64)) -> sqlx::Result<Option<Wrong>> {
    let mut wrong = Wrong::default();
    let mut compared = 0;
    let mut after = Uuid::nil();
    loop {
        // One snapshot: a visitor who changes meanwhile is seen with the mark or not at all.
        let mut tx = pool
            .begin_with("begin isolation level repeatable read read only")
            .await?;
        if !super::is_kept(&mut *tx, site).await? {
            return Ok(None);
        }
        // With rows or with sessions.
        let mut visitors: Vec<Uuid> = sqlx::query_scalar!(
            r#"select visitor_id as "visitor_id!" from (
                 (select visitor_id from cohort_visitors where site_id = $1 and visitor_id > $2 order by visitor_id limit $3)
                 union
                 (select distinct visitor_id from sessions where site_id = $1 and visitor_id > $2 order by visitor_id limit $3)
               ) v order by visitor_id limit $3"#,
            site.id,
            after,
            AT_ONCE
        )
        .fetch_all(&mut *tx)
        .await?;
        let Some(last) = visitors.last().copied() else {
            wrong.sums = sums(&mut tx, site.id).await?;
            return Ok(Some(wrong));
        };
        after = last;
        compared += visitors.len() as u64;
        let dirty: std::collections::HashSet<Uuid> = sqlx::query_scalar!(
            r#"select visitor_id as "visitor_id!" from cohort_dirty where site_id = $1 and visitor_id = any($2)
               union select visitor_id from rollup_marks where site_id = $1 and visitor_id = any($2)"#,
            site.id,
            &visitors
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .collect();
        visitors.retain(|visitor| !dirty.contains(visitor));
        let mut sql = QueryBuilder::new("with ");
        facts::fresh(&mut sql, site, Visitors::Listed(&visitors));
        let columns = format!("visitor_id, {}", facts::columns());
        sql.push(format_args!(
            ", kept as (select {columns} from cohort_visitors where site_id = "
        ));
        sql.push_bind(site.id)
            .push(" and visitor_id = any(")
            .push_bind(visitors.clone());
        sql.push(")) select count(distinct visitor_id) from ((table fresh except table kept) union all (table kept except table fresh)) d");
        let differ: i64 = sql.build_query_scalar().persistent(false).fetch_one(&mut *tx).await?;
        wrong.visitors += differ.unsigned_abs();
        progress(compared);
    }
}

/// How many sums are not those of the rows, dirty ones included: the sums follow the rows in the same transaction.
async fn sums(db: &mut sqlx::PgConnection, site_id: i32) -> sqlx::Result<u64> {
    let statement = format!(
        "with v as (select *, 1::bigint as visitors from cohort_visitors where site_id = $1), told as ({}), \
         kept as (select part, first_day, at, visitors, orders, revenue from cohort_cells where site_id = $1 \
         and (visitors <> 0 or orders <> 0 or revenue <> 0)) \
         select count(*) from (select distinct part, first_day, at from \
         ((table told except table kept) union all (table kept except table told)) u) d",
        facts::sums(&Part::ALL, "v", "v")
    );
    let wrong: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(site_id)
        .fetch_one(db)
        .await?;
    Ok(wrong.unsigned_abs())
}
