//! What the database reads for a period: the period's rows through an index, never the whole table.

use central_api::catalogue::{Dimension, Metric};
use central_api::reports::counted::count;
use central_api::reports::filter::Filters;
use central_api::reports::period::Period;
use central_api::reports::scope::{AttributionDate, Bots, Scope};
use central_api::reports::search::Search;
use central_api::reports::session::{self, Order};
use central_api::reports::sql::{self, Question};
use central_api::reports::table::{rolled, snapshot};
use central_api::rollup::statements::{days_from_hours, hours_from_sessions};
use central_api::rollup::{blocks, split_numbers, upkeep};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Execute, PgPool, Postgres, QueryBuilder};

use crate::support::TestApp;

const SESSIONS: i64 = 100_000;

/// Sessions and orders spread evenly over 400 days before 2026-11-20.
async fn fill(pool: &PgPool, site_id: i32) {
    for statement in [
        "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views, points,
            utm_source, utm_campaign, country, landing_path)
        select $1, md5((n % 60000)::text)::uuid, md5('s' || n)::uuid, t, t, 1, '{[1,1800001)}', 3, 2, 10,
            'source' || n % 7, 'campaign' || n % 50, 'UA', '/' || n % 30
        from generate_series(1, $2) n, lateral (select timestamptz '2026-11-20' - n * (interval '400 days' / $2) as t) at",
        "insert into orders (site_id, order_id, visitor_id, session_id, currency, total, revenue, payment_status, created_at, updated_at,
            utm_source)
        select $1, n::text, md5((n % 60000)::text)::uuid, md5('s' || n)::uuid, 'UAH', 10, 10, 'paid', t, t, 'source' || n % 7
        from generate_series(1, $2, 4) n, lateral (select timestamptz '2026-11-20' - n * (interval '400 days' / $2) as t) at",
    ] {
        sqlx::query(statement).bind(site_id).bind(SESSIONS).execute(pool).await.unwrap();
    }
    sqlx::query("analyze sessions").execute(pool).await.unwrap();
    sqlx::query("analyze orders").execute(pool).await.unwrap();
}

async fn plan(pool: &PgPool, mut statement: QueryBuilder<Postgres>) -> Value {
    let text = statement.sql().as_str().to_owned();
    let arguments = statement.build().take_arguments().unwrap().unwrap();
    let explain = AssertSqlSafe(format!("explain (analyze, format json) {text}"));
    sqlx::query_scalar_with(explain, arguments)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// The scans of a plan: kind, table, index, rows read in all loops.
fn scans(node: &Value, found: &mut Vec<(String, String, String, f64)>) {
    if let Some(members) = node.as_object() {
        let of = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
        if of("Node Type").ends_with("Scan") {
            let number = |key: &str| node[key].as_f64().unwrap_or_default();
            let rows = (number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops");
            found.push((of("Node Type"), of("Relation Name"), of("Index Name"), rows));
        }
        members.values().for_each(|value| scans(value, found));
    }
    node.as_array()
        .into_iter()
        .flatten()
        .for_each(|value| scans(value, found));
}

#[tokio::test]
async fn a_weeks_figures_read_a_weeks_rows() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    fill(&app.db.pool, site.id).await;
    let day = |text: &str| text.parse().unwrap();
    let period = Period::of_days(day("2026-10-12"), day("2026-10-18"), site.time_zone);
    let all: Vec<Metric> = Metric::all().collect();
    let mut filters = Filters::default();
    filters.add(Dimension::UtmSource, "source3").unwrap();
    filters.add(Dimension::Country, "!PL").unwrap();
    let week = SESSIONS as f64 / 400.0 * 7.0;
    let mut asked = 0;
    for attribution_date in [AttributionDate::Session, AttributionDate::Order] {
        for filters in [Filters::default(), filters.clone()] {
            let scope = Scope {
                site: site.clone(),
                period,
                filters,
                bots: Bots::Exclude,
                confirmed: false,
                attribution_date,
            };
            let mut statements: Vec<_> = Dimension::all()
                .map(|dimension| {
                    let question = Question {
                        scope: &scope,
                        dimensions: &[dimension],
                        metrics: &all,
                        sort: None,
                        limit: Some(20),
                        offset: 0,
                    };
                    (format!("{dimension:?}"), sql::statement(&question, None, None))
                })
                .collect();
            statements.push((
                "sessions".into(),
                session::sessions(&scope, Order::NewestFirst, None, 30),
            ));
            for (name, statement) in statements {
                let told = format!("{name} {attribution_date:?}");
                let mut found = Vec::new();
                scans(&plan(&app.db.pool, statement).await, &mut found);
                asked += 1;
                for (kind, table, index, rows) in &found {
                    assert_ne!(kind, "Seq Scan", "{told}: {found:?}");
                    // By key: a visitor's other sessions, or an order's session; a few for each row of the period.
                    let most = if index == "sessions_pkey" {
                        week * 4.0
                    } else {
                        week * 1.1
                    };
                    assert!(*rows <= most, "{told} reads {rows} rows of {table} {index}: {found:?}");
                }
                assert!(
                    found.iter().any(|scan| scan.2 == "sessions_by_first_seen"),
                    "{told}: {found:?}"
                );
            }
        }
    }
    assert_eq!(asked, 4 * (Dimension::all().count() + 1));
}

#[tokio::test]
async fn a_search_among_sessions_looks_at_as_many_as_it_may_and_at_no_more_than_it_needs() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    fill(&app.db.pool, site.id).await;
    let day = |text: &str| text.parse().unwrap();
    let scope = Scope {
        period: Period::of_days(day("2025-12-01"), day("2026-11-19"), site.time_zone),
        site,
        filters: Filters::default(),
        bots: Bots::Exclude,
        confirmed: false,
        attribution_date: AttributionDate::Session,
    };
    let id = "00000000-0000-0000-0000-000000000000";
    for order in [Order::NewestFirst, Order::OldestFirst] {
        // Each seventh session has this source; nobody has the others.
        for (text, look_at, most) in [
            ("source3", 50_000, 1_000.0),
            ("nowhere", 2_000, 2_200.0),
            (id, 2_000, 10.0),
        ] {
            let search = Search::parse(text).unwrap().unwrap();
            let statement = session::search(&scope, &search, order, None, 31, look_at);
            let mut found = Vec::new();
            scans(&plan(&app.db.pool, statement).await, &mut found);
            let read: Vec<_> = found
                .iter()
                .filter(|scan| scan.1 == "sessions" || !scan.2.is_empty())
                .collect();
            assert!(!read.is_empty(), "{text}: {found:?}");
            for (kind, _, index, rows) in read {
                assert_ne!(kind, "Seq Scan", "{text}: {found:?}");
                assert!(*rows <= most, "{text} reads {rows} rows of {index}: {found:?}");
            }
        }
    }
}

#[tokio::test]
async fn upkeep_and_reports_from_sums_read_the_hours_that_they_are_about() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    fill(&app.db.pool, site.id).await;
    let now: DateTime<Utc> = "2026-11-20T00:00:00Z".parse().unwrap();
    let day = SESSIONS as f64 / 400.0;

    let hours: Vec<_> = (1..=24).map(|hour| now - TimeDelta::hours(hour)).collect();
    let explain = format!("explain (analyze, format json) {}", hours_from_sessions());
    let found: Value = sqlx::query_scalar(AssertSqlSafe(explain))
        .bind(site.id)
        .bind(hours)
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    let mut read = Vec::new();
    scans(&found, &mut read);
    let of_sessions: Vec<_> = read.iter().filter(|scan| scan.1 == "sessions").collect();
    assert!(of_sessions.len() >= 2, "{read:?}");
    for (kind, _, index, rows) in of_sessions {
        assert_ne!(kind, "Seq Scan", "{index}: {read:?}");
        // By key: each session's predecessors.
        let most = if index == "sessions_pkey" { day * 4.0 } else { day * 1.1 };
        assert!(*rows <= most, "{index} reads {rows} rows: {read:?}");
    }

    // The last days' sums; the rest counts as hours without sessions, which is all the same to the plan.
    upkeep::mark_period(
        &app.db.pool,
        site.id,
        now - TimeDelta::days(9),
        now - TimeDelta::hours(2),
    )
    .await
    .unwrap();
    upkeep::catch_up(&app.db.pool, now, |_| {}).await.unwrap();
    // As in a new installation: the hours were made in the same transaction, so that nothing is known of the table yet.
    let mut new = app.db.pool.begin().await.unwrap();
    for sql in [
        "create temporary table kept on commit drop as select * from rollups where hours = 1",
        "truncate rollups",
        "insert into rollups select * from kept",
    ] {
        sqlx::query(sql).execute(&mut *new).await.unwrap();
    }
    let unknown: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("explain (analyze) {}", days_from_hours())))
        .bind(site.id)
        .bind((1..9).map(|days| now - TimeDelta::days(days)).collect::<Vec<_>>())
        .bind(split_numbers())
        .fetch_all(&mut *new)
        .await
        .unwrap();
    new.rollback().await.unwrap();
    let unknown = unknown.join("\n");
    assert!(
        !unknown.contains("Join Filter"),
        "every row is held against every day: {unknown}"
    );

    sqlx::query("analyze rollups").execute(&app.db.pool).await.unwrap();

    let sums: i64 = sqlx::query_scalar("select count(*) from rollups where hours = 1")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    let explain = format!("explain (analyze, format json) {}", days_from_hours());
    let found: Value = sqlx::query_scalar(AssertSqlSafe(explain))
        .bind(site.id)
        .bind([now - TimeDelta::days(3)])
        .bind(split_numbers())
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    let mut read = Vec::new();
    scans(&found, &mut read);
    let of_sums: Vec<_> = read.iter().filter(|scan| scan.1 == "rollups").collect();
    assert_eq!(of_sums.len(), 2, "{read:?}");
    for (kind, _, index, rows) in of_sums {
        assert_ne!(kind, "Seq Scan", "{read:?}");
        assert!(
            *rows <= sums as f64 / 5.0,
            "{index} reads {rows} of {sums} rows for a day: {read:?}"
        );
    }
    sqlx::query("insert into rollup_dirty (site_id, hour) values ($1, $2)")
        .bind(site.id)
        .bind(now - TimeDelta::hours(1))
        .execute(&app.db.pool)
        .await
        .unwrap();
    let metrics = [Metric::Visitors, Metric::Sessions, Metric::Revenue];
    let period = Period::parse(Some("week"), None, None, site.time_zone, now).unwrap();
    for dimensions in [
        &[][..],
        &[Dimension::UtmSource],
        &[Dimension::UtmCampaign, Dimension::UtmSource],
    ] {
        let scope = Scope {
            site: site.clone(),
            period,
            filters: Filters::default(),
            bots: Bots::Exclude,
            confirmed: false,
            attribution_date: AttributionDate::Session,
        };
        let question = Question {
            scope: &scope,
            dimensions,
            metrics: &metrics,
            sort: None,
            limit: Some(20),
            offset: 0,
        };
        let rolled = rolled(&mut snapshot(&app.db.pool).await.unwrap(), &question)
            .await
            .unwrap();
        assert!(rolled.as_ref().is_some_and(|rolled| rolled.distinct));
        let mut read = Vec::new();
        scans(
            &plan(&app.db.pool, sql::statement(&question, rolled.as_ref(), None)).await,
            &mut read,
        );
        for (kind, table, index, rows) in read.iter().filter(|scan| scan.1 == "sessions") {
            assert_ne!(kind, "Seq Scan", "{dimensions:?} {table}: {read:?}");
            // The dirty hour, and its sessions' predecessors.
            assert!(
                *rows <= day / 24.0 * 6.0,
                "{dimensions:?} {index} reads {rows} rows: {read:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_no_sum_answers_reads_the_blocks_of_its_period_and_the_dirty_hour_s_sessions() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    fill(&app.db.pool, site.id).await;
    let now: DateTime<Utc> = "2026-11-20T00:00:00Z".parse().unwrap();
    upkeep::mark_every_hour(&app.db.pool, site.id, now - TimeDelta::days(20), now)
        .await
        .unwrap();
    upkeep::catch_up(&app.db.pool, now, |_| {}).await.unwrap();
    for statement in [
        "insert into rollup_dirty (site_id, hour) select 1, timestamptz '2026-11-19 23:00:00+00'",
        "analyze session_blocks",
    ] {
        sqlx::query(statement).execute(&app.db.pool).await.unwrap();
    }
    let mut filters = Filters::default();
    filters.add(Dimension::UtmSource, "source3").unwrap();
    filters.add(Dimension::Country, "UA").unwrap();
    let scope = Scope {
        site: site.clone(),
        period: Period::parse(Some("week"), None, None, site.time_zone, now).unwrap(),
        filters,
        bots: Bots::Exclude,
        confirmed: false,
        attribution_date: AttributionDate::Session,
    };
    let question = Question {
        scope: &scope,
        dimensions: &[Dimension::LandingPage],
        metrics: &[Metric::Visitors, Metric::Revenue],
        sort: None,
        limit: Some(20),
        offset: 0,
    };
    let mut tx = snapshot(&app.db.pool).await.unwrap();
    let counted = count(&mut tx, &question, None).await.unwrap().unwrap();
    assert!(counted.rows() > 5);
    let mut read = Vec::new();
    scans(
        &plan(&app.db.pool, sql::statement(&question, None, Some(&counted))).await,
        &mut read,
    );
    let of_sessions: Vec<_> = read.iter().filter(|scan| scan.1 == "sessions").collect();
    assert!(!of_sessions.is_empty(), "{read:?}");
    for (kind, _, index, rows) in of_sessions {
        assert_ne!(kind, "Seq Scan", "{read:?}");
        assert!(
            *rows <= SESSIONS as f64 / 400.0 / 24.0 * 2.0,
            "{index} reads {rows} rows: {read:?}"
        );
    }

    let found: Value = sqlx::query_scalar(AssertSqlSafe(format!(
        "explain (analyze, format json) {}",
        blocks::OF_RANGES
    )))
    .bind(site.id)
    .bind([now - TimeDelta::days(7)])
    .bind([now])
    .bind(blocks::layout())
    .fetch_one(&app.db.pool)
    .await
    .unwrap();
    let mut read = Vec::new();
    scans(&found, &mut read);
    let kept: i64 = sqlx::query_scalar("select count(*) from session_blocks")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert!(kept > 400, "{kept}");
    let of_blocks: Vec<_> = read.iter().filter(|scan| scan.1 == "session_blocks").collect();
    assert_eq!(of_blocks.len(), 1, "{read:?}");
    // By its key, whichever way the planner walks it.
    assert_ne!(of_blocks[0].0, "Seq Scan", "{read:?}");
    assert_eq!(of_blocks[0].3, 7.0 * 24.0, "{read:?}");
}
