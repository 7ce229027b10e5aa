//! When creatives ran and what they brought, with the help of sums and without.

use std::collections::BTreeMap;
use std::sync::Arc;

use central_api::catalogue::{Dimension, Metric};
use central_api::db::sites;
use central_api::demo::{DemoOptions, generate};
use central_api::reports::creatives::{Creative, of_question};
use central_api::reports::params::Params;
use central_api::reports::scope::Scope;
use central_api::reports::sql::Question;
use central_api::reports::table;
use central_api::rollup::upkeep;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sqlx::PgPool;

use crate::support::TestDb;

fn until() -> DateTime<Utc> {
    "2026-10-27T13:37:11Z".parse().unwrap()
}

/// Word by word, over the sessions.
async fn plain(pool: &PgPool, scope: &Scope, campaign: &str) -> BTreeMap<String, Creative> {
    let sessions: Vec<(String, DateTime<Utc>, Decimal)> = sqlx::query_as(
        "select utm_content, first_seen, revenue from sessions
         where utm_campaign = $1 and utm_content is not null and bot_reason is null and first_seen >= $2 and first_seen < $3",
    )
    .bind(campaign)
    .bind(scope.period.from.unwrap_or_default())
    .bind(scope.period.to)
    .fetch_all(pool)
    .await
    .unwrap();
    let mut found: BTreeMap<String, Creative> = BTreeMap::new();
    for (content, at, revenue) in sessions {
        let creative = found.entry(content).or_insert(Creative {
            first: at,
            last: at,
            paying: Vec::new(),
        });
        creative.first = creative.first.min(at);
        creative.last = creative.last.max(at);
        let ten_thousandths = (revenue * Decimal::from(10_000)).to_i64().unwrap();
        creative.paying.extend((!revenue.is_zero()).then_some(ten_thousandths));
        creative.paying.sort();
    }
    found
}

#[tokio::test]
async fn creatives_are_the_same_before_and_after_upkeep_and_after_changes() {
    let db = TestDb::new().await;
    sqlx::query("insert into sites (site_key, name) values ('demo', 'Demo')")
        .execute(&db.pool)
        .await
        .unwrap();
    let site = Arc::new(sites::all(&db.pool).await.unwrap().remove(0));
    let options = DemoOptions {
        sessions: 4_000,
        orders: 800,
        // More than what one connection reads: all time is read in halves.
        days: 100,
        until: until(),
        seed: 7,
    };
    generate(&db.pool, &site, options, |_| {}).await.unwrap();
    let campaigns: Vec<String> = sqlx::query_scalar(
        "select utm_campaign from sessions where utm_campaign is not null and utm_content is not null and bot_reason is null
         group by 1 order by count(*) desc, 1 limit 3",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    for step in ["dirty", "clean", "changed"] {
        if step == "clean" {
            upkeep::catch_up(&db.pool, until(), |_| {}).await.unwrap();
        }
        if step == "changed" {
            // The first of all goes elsewhere, and one of an old day comes in, each with its mark.
            sqlx::query(
                "with changed as (update sessions set utm_content = 'late' where session_id in (
                   select session_id from sessions where utm_campaign = $1 and utm_content is not null and bot_reason is null
                   order by first_seen limit 3) returning site_id, visitor_id, first_seen)
                 insert into rollup_marks select site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from changed",
            )
            .bind(&campaigns[0])
            .execute(&db.pool)
            .await
            .unwrap();
        }
        for campaign in &campaigns {
            for period in [
                "period=month",
                "period=all_time",
                "start_date=2026-08-01&end_date=2026-10-25",
                "start_date=2026-10-20&end_date=2026-10-20",
                "period=today",
            ] {
                let query = format!("{period}&campaign={campaign}");
                let scope = Scope::take(&mut Params::new(&query), site.clone(), until()).unwrap();
                let question = Question {
                    scope: &scope,
                    dimensions: &[Dimension::UtmContent],
                    metrics: &[Metric::Sessions],
                    sort: None,
                    limit: None,
                    offset: 0,
                };
                let told = of_question(&db.pool, &question).await.unwrap();
                assert_eq!(told, plain(&db.pool, &scope, campaign).await, "{query}, {step}");
                let mut tx = table::snapshot(&db.pool).await.unwrap();
                let days = table::rolled(&mut tx, &question).await.unwrap().unwrap().plan.days;
                if period == "period=month" {
                    assert_eq!(days.is_empty(), step == "dirty", "{query}, {step}");
                }
                assert!(!told.is_empty() || period != "period=month");
            }
        }
    }
}
