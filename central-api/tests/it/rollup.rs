//! Figures from rollups equal figures from the sessions, at every moment.

use std::sync::Arc;

use central_api::catalogue::{Dimension, Metric};
use central_api::db::{coverage, rollup_marks};
use central_api::demo::{DemoOptions, generate};
use central_api::reports::filter::Filters;
use central_api::reports::period::Period;
use central_api::reports::scope::{AttributionDate, Bots, Scope};
use central_api::reports::sql::{Question, statement};
use central_api::reports::table::{read, rolled};
use central_api::rollup::collect;
use central_api::rollup::statements::kind;
use central_api::rollup::upkeep::{self, Take};
use central_api::rollup::{SPLITS, columns};
use central_api::site::Site;
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use sqlx::PgPool;

use crate::support::TestDb;

fn until() -> DateTime<Utc> {
    // Two and a half days after the clocks went back in Kyiv.
    "2026-10-27T13:37:11Z".parse().unwrap()
}

async fn demo_site(db: &TestDb, sessions: u64) -> Site {
    sqlx::query("insert into sites (site_key, name) values ('demo', 'Demo')")
        .execute(&db.pool)
        .await
        .unwrap();
    let site = central_api::db::sites::all(&db.pool).await.unwrap().remove(0);
    let options = DemoOptions {
        sessions,
        orders: sessions / 5,
        days: 40,
        until: until(),
        seed: 7,
    };
    generate(&db.pool, &site, options, |_| {}).await.unwrap();
    site
}

/// Every split and some that no rollup holds, over several periods, zones and both dates of money: from the rollups and without.
async fn assert_rollups_tell_the_truth(db: &TestDb, site: &Site) {
    let metrics: Vec<Metric> = Metric::all().collect();
    let mut splits: Vec<Vec<Dimension>> = SPLITS.iter().map(|split| split.to_vec()).collect();
    splits.extend([
        vec![Dimension::UtmSource],
        vec![Dimension::City],
        vec![Dimension::Day],
        vec![Dimension::Hour, Dimension::Channel],
    ]);
    let mut used = 0;
    for (nth, zone) in [chrono_tz::Europe::Kyiv, chrono_tz::Asia::Kathmandu]
        .into_iter()
        .enumerate()
    {
        let site = Arc::new(Site {
            time_zone: zone,
            ..site.clone()
        });
        let day = |text: &str| text.parse().unwrap();
        let periods = [
            Period::parse(Some("month"), None, None, zone, until()).unwrap(),
            Period::parse(Some("all_time"), None, None, zone, until()).unwrap(),
            Period::of_days(day("2026-10-24"), day("2026-10-25"), zone),
        ];
        for (period, attribution_date) in periods.into_iter().zip([
            AttributionDate::Session,
            AttributionDate::Session,
            AttributionDate::Order,
        ]) {
            assert_coverage_is_exact(&db.pool, &site, &period, "coverage").await;
            let scope = Scope {
                site: site.clone(),
                period,
                filters: Filters::default(),
                bots: Bots::Exclude,
                confirmed: false,
                attribution_date,
            };
            // Every other split in the second zone: the hours are cut differently, the sums are the same ones.
            for dimensions in splits.iter().step_by(nth + 1) {
                let question = Question {
                    scope: &scope,
                    dimensions,
                    metrics: &metrics,
                    sort: None,
                    limit: None,
                    offset: 0,
                };
                let rolled = rolled(&mut db.pool.acquire().await.unwrap(), &question).await.unwrap();
                used += usize::from(rolled.is_some());
                let mut answers = Vec::new();
                for source in [rolled.as_ref(), None] {
                    let rows = statement(&question, source, None)
                        .build()
                        .persistent(false)
                        .fetch_all(&db.pool)
                        .await
                        .unwrap();
                    let rows: Vec<_> = rows.iter().map(|row| read(row, &question).unwrap()).collect();
                    answers.push(rows);
                }
                assert!(!answers[1].is_empty());
                assert_eq!(answers[0], answers[1], "{dimensions:?} {period:?} {attribution_date:?}");
            }
        }
    }
    assert!(used > 40, "rollups answered {used} questions");
}

/// Coverage of a period, from the sums where they are up to date, against the orders one by one.
pub async fn assert_coverage_is_exact(pool: &PgPool, site: &Site, period: &Period, told: &str) {
    let (total, by_link) = coverage::of_orders(pool, site, period).await.unwrap();
    type Counted = (Option<String>, Option<String>, bool, i64, i64, Decimal);
    let plain: Vec<Counted> = sqlx::query_as(
        "select link_method, unlinked_cause, session_id is not null, count(*), count(*) filter (where revenue is null),
            coalesce(sum(revenue), 0)
         from orders where site_id = $1 and created_at >= $2 and created_at < $3 group by 1, 2, 3 order by 4 desc, 1, 2",
    )
    .bind(site.id)
    .bind(period.from_or_beginning())
    .bind(period.to)
    .fetch_all(pool)
    .await
    .unwrap();
    let found: Vec<_> = by_link
        .into_iter()
        .map(|row| (row.method, row.cause, row.orders, row.revenue))
        .collect();
    let expected: Vec<_> = (plain.iter())
        .map(|row| (row.0.clone(), row.1.clone(), row.3, row.5.into()))
        .collect();
    assert_eq!(found, expected, "{told}: {period:?}");
    let sum = |of: fn(&Counted) -> i64| plain.iter().map(of).sum::<i64>();
    assert_eq!(
        (total.orders, total.linked, total.unlinked, total.purchases_without_rate),
        (
            sum(|row| row.3),
            sum(|row| if row.2 { row.3 } else { 0 }),
            sum(|row| if row.2 { 0 } else { row.3 }),
            sum(|row| row.4)
        ),
        "{told}: {period:?}"
    );
}

#[tokio::test]
async fn every_additive_metric_has_its_column_of_its_kind() {
    let db = TestDb::new().await;
    let mut found: Vec<(String, String)> = sqlx::query_as(
        "select column_name::text, data_type::text from information_schema.columns where table_name = 'rollups'
         and column_name not in ('site_id', 'hours', 'split', 'start', 'v0', 'v1', 'returns', 'previous')",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let mut expected: Vec<(String, String)> = columns()
        .map(|(metric, _)| (metric.key().to_owned(), kind(metric).name().to_owned()))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn sums_that_are_added_up_session_by_session_are_those_that_one_statement_makes() {
    let db = TestDb::new().await;
    let site = demo_site(&db, 4_000).await;
    // What invented data lacks: money and points below zero, a session of many visits, values that are empty, two sessions at once.
    sqlx::raw_sql(
        "update sessions set revenue = -12.3456, points = -7, utm_source = '' where extract(second from first_seen) < 3;
         update sessions set first_seen = '2026-10-20T12:00:00Z', utm_term = 'shoes' where visitor_id in
           (select visitor_id from sessions where bot_reason is null group by 1 having count(*) > 1 order by 1 limit 20);
         update sessions set active = range_agg from (select range_agg(int8range(n * 3600000 + 1, n * 3600000 + 1800007)) from generate_series(1, 50) n) r
           where extract(second from first_seen) between 3 and 5",
    )
    .execute(&db.pool)
    .await
    .unwrap();
    upkeep::catch_up(&db.pool, until(), |_| {}).await.unwrap();
    let (sums, returns): (i64, i64) =
        sqlx::query_as("select count(*), sum(returns) from rollups where hours = 24 and start > '2026-10-01'")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    assert!(sums > 2_000 && returns > 2_000, "{sums} {returns}");
    let (from, to) = (until() - TimeDelta::days(41), until());
    let wrong = upkeep::verify(&db.pool, site.id, from, to, |_| {}).await.unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn figures_are_the_same_before_during_and_after_upkeep_and_after_changes() {
    let db = TestDb::new().await;
    let site = demo_site(&db, 3_000).await;
    assert_rollups_tell_the_truth(&db, &site).await;

    for _ in 0..10 {
        upkeep::round(&db.pool, until(), Take::Closed).await.unwrap();
    }
    assert_rollups_tell_the_truth(&db, &site).await;

    upkeep::catch_up(&db.pool, until(), |_| {}).await.unwrap();
    let left = upkeep::dirty(&db.pool, site.id, until() - TimeDelta::days(50), until())
        .await
        .unwrap();
    assert_eq!(left.len(), 1, "only the open hour is left: {left:?}");
    assert_rollups_tell_the_truth(&db, &site).await;

    // Late events and refunds, each with its marks in the same transaction, as the writers leave them.
    let changes = "with changed as (
        update sessions set page_views = page_views + 1, revenue = revenue / 2, points = points - 3, utm_source = 'late'
        where site_id = 1 and extract(second from first_seen) < 2 returning site_id, visitor_id, session_id, first_seen),
        marks as (insert into rollup_marks select site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from changed)
        select site_id, visitor_id, session_id from changed";
    let mut tx = db.pool.begin().await.unwrap();
    let changed: Vec<(i32, uuid::Uuid, uuid::Uuid)> = sqlx::query_as(changes).fetch_all(&mut *tx).await.unwrap();
    rollup_marks::insert_later(&mut tx, &changed).await.unwrap();
    tx.commit().await.unwrap();
    assert_rollups_tell_the_truth(&db, &site).await;
    upkeep::round(&db.pool, until(), Take::Closed).await.unwrap();
    assert_rollups_tell_the_truth(&db, &site).await;
    upkeep::catch_up(&db.pool, until(), |_| {}).await.unwrap();
    assert_rollups_tell_the_truth(&db, &site).await;
}

#[tokio::test]
async fn an_hour_whose_sessions_are_gone_counts_nothing_once_it_is_marked() {
    let db = TestDb::new().await;
    let site = demo_site(&db, 500).await;
    upkeep::catch_up(&db.pool, until(), |_| {}).await.unwrap();
    let (from, to) = (until() - TimeDelta::days(41), until());
    sqlx::query("delete from sessions where first_seen < $1")
        .bind(until() - TimeDelta::days(10))
        .execute(&db.pool)
        .await
        .unwrap();
    assert!(upkeep::mark_period(&db.pool, site.id, from, to).await.unwrap() > 0);
    assert_rollups_tell_the_truth(&db, &site).await;
    upkeep::catch_up(&db.pool, until(), |_| {}).await.unwrap();
    assert_rollups_tell_the_truth(&db, &site).await;
}

#[tokio::test]
async fn demo_sessions_hold_what_their_events_say_and_the_same_seed_tells_the_same_story() {
    let db = TestDb::new().await;
    demo_site(&db, 2_000).await;
    let other = TestDb::new().await;
    demo_site(&other, 2_000).await;
    let digest = "select md5(string_agg(s::text, '' order by visitor_id, session_id)) from sessions s";
    let digests: Vec<String> = vec![
        sqlx::query_scalar(digest).fetch_one(&db.pool).await.unwrap(),
        sqlx::query_scalar(digest).fetch_one(&other.pool).await.unwrap(),
    ];
    assert_eq!(digests[0], digests[1]);
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from sessions s join lateral (
           select count(*) as events, count(*) filter (where action = 1) as pages, sum(points) as points, min(occurred_at) as first,
                  max(occurred_at) as last, max(visit_no) as visits,
                  range_agg(int8range((extract(epoch from occurred_at) * 1000)::bigint, (extract(epoch from occurred_at) * 1000)::bigint + 1800000)) as active,
                  min(occurred_at) filter (where action = 7) as bought
           from events e where e.site_id = s.site_id and e.visitor_id = s.visitor_id and e.session_id = s.session_id) e on true
         left join lateral (
           select count(*) as orders, coalesce(sum(revenue), 0) as revenue, count(*) filter (where payment_status = 'prepaid') as leads
           from orders o where o.site_id = s.site_id and o.session_id = s.session_id and o.visitor_id = s.visitor_id) o on true
         where (s.event_count, s.page_views, s.points, s.first_seen, s.last_seen, s.visit_count, s.active, s.orders, s.revenue, s.lead_orders)
               is distinct from (e.events, e.pages, e.points, e.first, e.last, e.visits, e.active, o.orders, o.revenue, o.leads)
            or s.purchase_at is distinct from e.bought",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    let (sessions, events): (i64, i64) =
        sqlx::query_as("select (select count(*) from sessions), (select count(*) from events)")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    assert!(
        sessions > 1_990 && (4.0..6.0).contains(&(events as f64 / sessions as f64)),
        "{sessions} {events}"
    );
}

#[tokio::test]
async fn verify_finds_the_hour_that_was_changed_past_the_writers_and_nothing_else() {
    let db = TestDb::new().await;
    let site = demo_site(&db, 500).await;
    upkeep::catch_up(&db.pool, until(), |_| {}).await.unwrap();
    let (from, to) = (until() - TimeDelta::days(41), until());
    assert!(
        upkeep::verify(&db.pool, site.id, from, to, |_| {})
            .await
            .unwrap()
            .is_empty()
    );
    let changed: DateTime<Utc> = sqlx::query_scalar(
        "update sessions set page_views = page_views + 1 where session_id =
           (select session_id from sessions where bot_reason is null and first_seen < $1 order by first_seen desc limit 1)
         returning date_trunc('hour', first_seen, 'UTC')",
    )
    .bind(until() - TimeDelta::days(3))
    .fetch_one(&db.pool)
    .await
    .unwrap();
    let wrong = upkeep::verify(&db.pool, site.id, from, to, |_| {}).await.unwrap();
    assert_eq!(wrong.into_iter().collect::<Vec<_>>(), [changed]);

    let ordered: DateTime<Utc> = sqlx::query_scalar(
        "update orders set revenue = revenue + 1 where order_id =
           (select order_id from orders where revenue is not null and created_at < $1 order by created_at desc limit 1)
         returning date_trunc('hour', created_at, 'UTC')",
    )
    .bind(changed)
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert!(ordered < changed);
    let wrong = upkeep::verify(&db.pool, site.id, from, to, |_| {}).await.unwrap();
    assert_eq!(wrong.into_iter().collect::<Vec<_>>(), [ordered, changed]);
}

#[tokio::test]
async fn an_hour_that_keeps_being_marked_is_recomputed_when_it_is_quiet_or_an_hour_later() {
    let db = TestDb::new().await;
    let site = demo_site(&db, 300).await;
    upkeep::catch_up(&db.pool, until(), |_| {}).await.unwrap();
    let (pool, hour) = (&db.pool, "2026-10-20T10:00:00Z".parse::<DateTime<Utc>>().unwrap());
    // One round `seconds` after the first mark; `marked` says whether the hour was marked just before. Answers whether it is still dirty.
    let after = |seconds: i64, marked: bool| async move {
        if marked {
            sqlx::query("insert into rollup_marks values (1, gen_random_uuid(), $1)")
                .bind(hour)
                .execute(pool)
                .await
                .unwrap();
        }
        upkeep::round(pool, until() + TimeDelta::seconds(seconds), Take::Due)
            .await
            .unwrap()
            .unwrap();
        !upkeep::dirty(pool, 1, hour, hour + TimeDelta::hours(1))
            .await
            .unwrap()
            .is_empty()
    };
    assert_eq!(site.id, 1);
    assert!(after(0, true).await);
    assert!(after(59, true).await, "marked again before it was quiet");
    assert!(
        after(100, false).await,
        "not quiet for long enough since the second mark"
    );
    assert!(!after(119, false).await, "quiet");

    assert!(after(200, true).await);
    for seconds in (240..3_780).step_by(40) {
        assert!(
            after(seconds, true).await,
            "{seconds} s: within an hour of the first mark"
        );
    }
    assert!(
        !after(3_800, true).await,
        "an hour after the first mark, although it was marked again"
    );
    assert!(after(3_801, true).await, "and the next mark waits anew");
}

#[tokio::test]
async fn many_marks_go_in_bites_and_each_is_in_one_table_or_the_other_all_the_while() {
    let db = TestDb::new().await;
    let (pool, now) = (&db.pool, until());
    let (from, hours) = (now - TimeDelta::hours(30), 20);
    // Ids that were all made in one moment.
    sqlx::query(
        "insert into rollup_marks
         select 1, ('019ac000-0000-7' || substr(gen_random_uuid()::text, 16))::uuid,
            date_trunc('hour', $1::timestamptz, 'UTC') + n % $2 * interval '1 hour' from generate_series(1, 9000) as n",
    )
    .bind(from)
    .bind(hours)
    .execute(pool)
    .await
    .unwrap();
    let count = |table: &'static str| async move {
        let sql = format!("select count(*) from {table}");
        sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql))
            .fetch_one(pool)
            .await
            .unwrap()
    };
    let both = "(select visitor_id from rollup_marks union select visitor_id from cohort_dirty) v";
    // Another process is at it.
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(x'75646d61726b'::bigint)")
        .execute(&mut *tx)
        .await
        .unwrap();
    let moved = collect::collect(pool, now, |_| std::future::ready(true)).await.unwrap();
    assert_eq!((moved, count("rollup_marks").await), (None, 9_000));
    tx.rollback().await.unwrap();

    // Stopped after the first bite.
    let moved = collect::collect(pool, now, |_| std::future::ready(false))
        .await
        .unwrap();
    let moved = i64::try_from(moved.unwrap()).unwrap();
    assert!((200..500).contains(&moved), "{moved}");
    assert_eq!(count("rollup_marks").await, 9_000 - moved);
    assert_eq!(count("cohort_dirty").await, moved);

    let rests = std::sync::atomic::AtomicUsize::new(0);
    let look = |_| async {
        rests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(count(both).await, 9_000);
        let dirty = upkeep::dirty(pool, 1, from, now).await.unwrap();
        assert_eq!(dirty.len(), usize::try_from(hours).unwrap());
        true
    };
    let rest = collect::collect(pool, now, look).await.unwrap();
    assert_eq!(rest, Some(9_000 - moved.unsigned_abs()));
    assert_eq!(rests.into_inner(), 32);
    assert_eq!((count("rollup_marks").await, count("cohort_dirty").await), (0, 9_000));
    assert_eq!(count("rollup_dirty").await, hours);
}

/// Notes hours as dirty, each due so many seconds before [`until`].
async fn soil(pool: &PgPool, hours: &[(&str, i64)]) {
    for (hour, seconds) in hours {
        sqlx::query("insert into rollup_dirty (site_id, hour, marked_at, due_at) values (1, $1, $2, $2)")
            .bind(hour.parse::<DateTime<Utc>>().unwrap())
            .bind(until() - TimeDelta::seconds(*seconds))
            .execute(pool)
            .await
            .unwrap();
    }
}

async fn still_dirty(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select to_char(hour at time zone 'UTC', 'DD HH24') from rollup_dirty where hour < '2026-10-27' order by hour",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_day_that_waits_longest_comes_first_so_that_old_ones_that_keep_changing_hold_up_no_other() {
    let db = TestDb::new().await;
    let (pool, site) = (&db.pool, demo_site(&db, 300).await);
    upkeep::catch_up(pool, until(), |_| {}).await.unwrap();
    assert_eq!(site.id, 1);
    let hours = [
        ("2026-10-05T10:00:00Z", 10),
        ("2026-10-20T09:00:00Z", 20),
        ("2026-10-20T10:00:00Z", 300),
        ("2026-10-20T11:00:00Z", -30),
    ];
    soil(pool, &hours).await;
    let round = || async { upkeep::renew(pool, until(), Take::Due).await.unwrap().unwrap() };
    assert_eq!(round().await.hours, 2, "what is due of one day at once");
    assert_eq!(still_dirty(pool).await, ["05 10", "20 11"]);
    assert_eq!(round().await.hours, 1);
    assert_eq!(still_dirty(pool).await, ["20 11"]);
}

#[tokio::test]
async fn a_day_that_cannot_be_summed_up_holds_up_no_other() {
    let db = TestDb::new().await;
    let (pool, site) = (&db.pool, demo_site(&db, 300).await);
    upkeep::catch_up(pool, until(), |_| {}).await.unwrap();
    assert_eq!(site.id, 1);
    soil(pool, &[("2026-10-05T10:00:00Z", 300), ("2026-10-20T10:00:00Z", 20)]).await;
    // As a sum that no column holds.
    for statement in [
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'numeric field overflow'; end $$",
        "create trigger refuse before insert on rollups for each row
         when (new.start >= '2026-10-05' and new.start < '2026-10-06') execute function refuse()",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    let round = |seconds| upkeep::renew(pool, until() + TimeDelta::seconds(seconds), Take::Due);
    round(0).await.unwrap_err();
    assert_eq!(round(1).await.unwrap().unwrap().hours, 1);
    assert_eq!(still_dirty(pool).await, ["05 10"], "reports read it from the sessions");
    sqlx::query("drop trigger refuse on rollups")
        .execute(pool)
        .await
        .unwrap();
    assert_eq!(round(1_200).await.unwrap().unwrap().hours, 1, "tried again later");
    assert_eq!(still_dirty(pool).await, Vec::<String>::new());
}
