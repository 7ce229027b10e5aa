//! Tables `ad_spend`, `ad_spend_days` and `ad_spend_months`: what was spent, and its sums.

use chrono::{Datelike as _, Days, NaiveDate};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgExecutor};

use super::sites;
use crate::spend::{Key, Spend};

/// Rows of one statement.
const AT_ONCE: usize = 1_000;

/// What storing changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Keys that were not there.
    pub new: u64,
    /// Keys whose figures were others.
    pub changed: u64,
}

/// Stores sums, each replacing what stood under its key; `rows` are sorted by key. `progress` is told the rows done so far. The connection
/// has a transaction open: until its end nobody else writes spend of the site.
///
/// # Errors
/// The database's.
pub async fn upsert(
    conn: &mut PgConnection,
    site_id: i32,
    rows: &[(&Key, &Spend)],
    progress: impl Fn(usize),
) -> sqlx::Result<Changed> {
    sites::in_turn(&mut *conn, site_id).await?;
    let mut sum = Changed::default();
    for (nth, rows) in rows.chunks(AT_ONCE).enumerate() {
        let texts = |of: fn(&Key) -> &String| -> Vec<String> { rows.iter().map(|(key, _)| of(key).clone()).collect() };
        let days: Vec<NaiveDate> = rows.iter().map(|(key, _)| key.day).collect();
        let channels: Vec<String> = rows.iter().map(|(_, spend)| spend.channel.to_owned()).collect();
        let amounts: Vec<Decimal> = rows.iter().map(|(_, spend)| spend.amount).collect();
        let clicks: Vec<Option<i64>> = rows.iter().map(|(_, spend)| spend.clicks).collect();
        let impressions: Vec<Option<i64>> = rows.iter().map(|(_, spend)| spend.impressions).collect();
        let written = sqlx::query!(
            r#"insert into ad_spend (site_id, day, utm_source, utm_medium, utm_campaign, utm_content, currency, channel, amount, clicks, impressions)
            select $1, k.* from unnest($2::date[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::numeric[],
                $10::bigint[], $11::bigint[]) as k(day, utm_source, utm_medium, utm_campaign, utm_content, currency, channel, amount, clicks, impressions)
            order by k.day, k.utm_source, k.utm_medium, k.utm_campaign, k.utm_content, k.currency
            on conflict (site_id, day, utm_source, utm_medium, utm_campaign, utm_content, currency) do update set
                channel = excluded.channel, amount = excluded.amount, clicks = excluded.clicks, impressions = excluded.impressions, updated_at = now()
            where (ad_spend.channel, ad_spend.amount, ad_spend.clicks, ad_spend.impressions)
                is distinct from (excluded.channel, excluded.amount, excluded.clicks, excluded.impressions)
            returning (xmax = 0) as "new!""#,
            site_id,
            &days,
            &texts(|key| &key.source),
            &texts(|key| &key.medium),
            &texts(|key| &key.campaign),
            &texts(|key| &key.content),
            &texts(|key| &key.currency),
            &channels,
            &amounts,
            &clicks as &[Option<i64>],
            &impressions as &[Option<i64>],
        )
        .fetch_all(&mut *conn)
        .await?;
        let new = written.iter().filter(|row| row.new).count() as u64;
        sum.new += new;
        sum.changed += written.len() as u64 - new;
        progress(nth * AT_ONCE + rows.len());
    }
    if let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) {
        sum_up(conn, site_id, (first.day, last.day)).await?;
    }
    Ok(sum)
}

/// Makes the sums of some local days, both included, and of their months anew from the rows. The connection has a transaction open in which
/// the rows were written.
///
/// # Errors
/// The database's.
pub async fn sum_up(conn: &mut PgConnection, site_id: i32, (from, to): (NaiveDate, NaiveDate)) -> sqlx::Result<()> {
    sites::in_turn(&mut *conn, site_id).await?;
    sqlx::query!(
        "delete from ad_spend_days where site_id = $1 and day between $2 and $3",
        site_id,
        from,
        to
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into ad_spend_days (site_id, day, utm_source, utm_medium, channel, currency, amount, clicks, impressions)
         select site_id, day, utm_source, utm_medium, channel, currency, sum(amount), sum(clicks)::bigint, sum(impressions)::bigint
         from ad_spend where site_id = $1 and day between $2 and $3
         group by 1, 2, 3, 4, 5, 6",
        site_id,
        from,
        to
    )
    .execute(&mut *conn)
    .await?;
    let months = (from.with_day(1).unwrap_or(from), last_of_month(to));
    sqlx::query!(
        "delete from ad_spend_months where site_id = $1 and month between $2 and $3",
        site_id,
        months.0,
        months.1
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into ad_spend_months
             (site_id, month, utm_source, utm_medium, utm_campaign, utm_content, channel, currency, amount, clicks, impressions, last_day)
         select site_id, month, utm_source, utm_medium, utm_campaign, utm_content, channel, currency, sum(amount), sum(clicks)::bigint,
             sum(impressions)::bigint, max(max(day)) over (partition by month)
         from (
             select *, date_trunc('month', day::timestamp)::date as month from ad_spend where site_id = $1 and day between $2 and $3
         ) a
         group by 1, 2, 3, 4, 5, 6, 7, 8",
        site_id,
        months.0,
        months.1
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

fn last_of_month(day: NaiveDate) -> NaiveDate {
    day + Days::new(u64::from(day.num_days_in_month()) - u64::from(day.day()))
}

/// A stored row.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, where they are described")]
pub struct Row {
    pub day: NaiveDate,
    pub utm_source: String,
    pub utm_medium: String,
    pub utm_campaign: String,
    pub utm_content: String,
    pub currency: String,
    pub channel: String,
    pub amount: Decimal,
    pub clicks: Option<i64>,
    pub impressions: Option<i64>,
    /// Rows of the range, without limit and offset.
    pub total_rows: i64,
}

/// Rows of some local days, both included, the newest day first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    site_id: i32,
    (from, to): (NaiveDate, NaiveDate),
    source: Option<&str>,
    (limit, offset): (i64, i64),
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"select day, utm_source, utm_medium, utm_campaign, utm_content, currency, channel, amount, clicks, impressions,
            count(*) over () as "total_rows!"
        from ad_spend where site_id = $1 and day between $2 and $3 and ($4::text is null or utm_source = $4)
        order by day desc, utm_source, utm_medium, utm_campaign, utm_content, currency limit $5 offset $6"#,
        site_id,
        from,
        to,
        source,
        limit,
        offset
    )
    .fetch_all(db)
    .await
}

/// Deletes the rows of some local days, both included, and answers how many. The connection has a transaction open.
///
/// # Errors
/// The database's.
pub async fn delete(
    conn: &mut PgConnection,
    site_id: i32,
    (from, to): (NaiveDate, NaiveDate),
    source: Option<&str>,
) -> sqlx::Result<u64> {
    sites::in_turn(&mut *conn, site_id).await?;
    let done = sqlx::query!(
        "delete from ad_spend where site_id = $1 and day between $2 and $3 and ($4::text is null or utm_source = $4)",
        site_id,
        from,
        to,
        source
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        sum_up(conn, site_id, (from, to)).await?;
    }
    Ok(done.rows_affected())
}
