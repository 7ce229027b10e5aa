//! Hours and days made anew from the sessions: read one by one as the database counts each, added up by [`super::fold`], written by COPY.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row, ValueRef};
use uuid::Uuid;

use super::fold::{Code, Fold, Sessions, Texts};
use super::statements::{Kind, dimensions, insert_days, kind, sessions_before, sessions_of_hours, table_columns};
use super::{blocks, columns, order_sums, payers, split_numbers};
use crate::db::copy::{self, Rows};

/// Sessions held in memory at once, unless a single hour has more: some 20 MiB.
const SESSIONS_AT_ONCE: i64 = 50_000;
/// Bytes of one COPY.
const CHUNK: usize = 4 << 20;

/// Replaces the sums of these hours, sorted, by what the sessions and orders say now, and those of their days by the sums of the hours.
pub(super) async fn recompute(db: &mut PgConnection, site_id: i32, hours: &[DateTime<Utc>]) -> sqlx::Result<()> {
    // For days that are summed up from their hours: groups are few beside the rows, and with this much memory they are hashed.
    sqlx::query("set local work_mem = '32MB'").execute(&mut *db).await?;
    // The splits are named so that the index finds the rows; else every row of the site would be looked at.
    let splits = split_numbers();
    let mut days: BTreeMap<DateTime<Utc>, Vec<DateTime<Utc>>> = BTreeMap::new();
    for hour in hours {
        let day = hour.duration_trunc(TimeDelta::days(1)).unwrap_or(*hour);
        days.entry(day).or_default().push(*hour);
    }
    let starts: Vec<_> = days.keys().copied().collect();
    sqlx::query!(
        "delete from rollups where site_id = $1 and split = any($4)
         and (hours = 1 and start = any($2) or hours = 24 and start = any($3))",
        site_id,
        hours,
        &starts,
        &splits
    )
    .execute(&mut *db)
    .await?;
    let kinds = columns().map(|(metric, _)| kind(metric)).collect();
    let mut fold = Fold::new(site_id, kinds);
    let mut rows = Rows::new();
    let mut parts = Vec::new();
    for (day, hours) in days {
        let whole = hours.len() == 24;
        for hours in by_size(db, site_id, &hours).await? {
            let sessions = read(db, &mut fold, site_id, &hours).await?;
            fold.add(sessions, whole, &mut rows).map_err(encode)?;
            if rows.len() > CHUNK {
                write(db, &mut rows).await?;
            }
        }
        if whole {
            fold.end_day(day.timestamp(), &mut rows).map_err(encode)?;
        } else {
            parts.push(day);
        }
    }
    write(db, &mut rows).await?;
    sqlx::query(AssertSqlSafe(insert_days()))
        .bind(site_id)
        .bind(&parts)
        .bind(&splits)
        .execute(&mut *db)
        .await?;
    blocks::recompute(&mut *db, site_id, hours).await?;
    payers::recompute(&mut *db, site_id, &starts).await?;
    order_sums::recompute(db, site_id, hours, &starts).await
}

fn encode(error: super::fold::TooLarge) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error))
}

async fn write(db: &mut PgConnection, rows: &mut Rows) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = format!("copy rollups ({}) from stdin (format binary)", table_columns());
    copy::send(db, &statement, rows.take()).await
}

/// The hours in groups that fit into memory, each without a gap.
async fn by_size(
    db: &mut PgConnection,
    site_id: i32,
    hours: &[DateTime<Utc>],
) -> sqlx::Result<Vec<Vec<DateTime<Utc>>>> {
    let counted = sqlx::query!(
        r#"select h.start as "start!", c.sessions as "sessions!" from unnest($2::timestamptz[]) as h(start)
         cross join lateral (select count(*) as sessions from sessions x where x.site_id = $1 and x.first_seen >= h.start
           and x.first_seen < h.start + interval '1 hour') c
         order by h.start"#,
        site_id,
        hours
    )
    .fetch_all(db)
    .await?;
    let mut groups: Vec<Vec<DateTime<Utc>>> = Vec::new();
    let mut held = 0;
    for hour in counted {
        held += hour.sessions;
        match groups.last_mut() {
            Some(group)
                if held <= SESSIONS_AT_ONCE && group.last().copied() == Some(hour.start - TimeDelta::hours(1)) =>
            {
                group.push(hour.start);
            }
            _ => {
                held = hour.sessions;
                groups.push(vec![hour.start]);
            }
        }
    }
    Ok(groups)
}

/// Reads the sessions of some hours, sorted and without a gap, and the earlier ones of their visitors.
async fn read(db: &mut PgConnection, fold: &mut Fold, site_id: i32, hours: &[DateTime<Utc>]) -> sqlx::Result<Sessions> {
    let mut sessions = fold.sessions();
    let values = dimensions().len();
    let integers = columns().filter(|(metric, _)| kind(*metric) != Kind::Numeric).count();
    let figures = columns().count();
    let mut codes = vec![0; values];
    let (mut whole, mut others): (Vec<i64>, Vec<Decimal>) =
        (vec![0; integers], vec![Decimal::ZERO; figures - integers]);
    {
        let mut rows = sqlx::query(AssertSqlSafe(sessions_of_hours()))
            .bind(site_id)
            .bind(hours)
            .fetch(&mut *db);
        while let Some(row) = rows.try_next().await? {
            let (visitor, id, at) = read_session(&row, &mut codes, &mut fold.texts)?;
            for (place, share) in whole.iter_mut().enumerate() {
                *share = row.try_get_unchecked(3 + values + place)?;
            }
            for (place, share) in others.iter_mut().enumerate() {
                // A quotient has as many decimals as numeric gives it; without those that say nothing, sums of many stay exact.
                *share = row
                    .try_get_unchecked::<Decimal, _>(3 + values + integers + place)?
                    .normalize();
            }
            sessions.counted(
                visitor,
                at,
                id,
                codes.iter().copied(),
                whole.iter().copied(),
                others.iter().copied(),
            );
        }
    }
    let mut rows = sqlx::query(AssertSqlSafe(sessions_before()))
        .bind(site_id)
        .bind(sessions.visitors())
        .bind(hours.first())
        .fetch(&mut *db);
    while let Some(row) = rows.try_next().await? {
        let (visitor, id, at) = read_session(&row, &mut codes, &mut fold.texts)?;
        sessions.earlier(visitor, at, id, codes.iter().copied());
    }
    Ok(sessions)
}

/// Visitor, session and when it began (microseconds since 1970); its values into `codes`.
fn read_session(row: &PgRow, codes: &mut [Code], texts: &mut Texts) -> sqlx::Result<(Uuid, Uuid, i64)> {
    let at: DateTime<Utc> = row.try_get_unchecked(2)?;
    for (place, code) in codes.iter_mut().enumerate() {
        let value = row.try_get_raw(3 + place)?;
        let text = match value.is_null() {
            true => None,
            false => Some(value.as_str().map_err(sqlx::Error::Decode)?),
        };
        *code = texts.code(text);
    }
    Ok((
        row.try_get_unchecked(0)?,
        row.try_get_unchecked(1)?,
        at.timestamp_micros(),
    ))
}
