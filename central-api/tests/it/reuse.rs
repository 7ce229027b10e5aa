//! Answers that need not be computed again: ETag, and identical requests at once.

use std::sync::Arc;

use central_api::auth::{Role, Scope};
use central_api::clock::Clock;
use central_api::rollup::upkeep;
use central_api::site::Site;
use reqwest::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use serde_json::json;

use crate::support::{TestApp, waits_for_a_lock};
use crate::utm_data::Data;

const OVER: &str = "start_date=2026-10-01&end_date=2026-10-31";

struct Shop {
    app: TestApp,
    site: Arc<Site>,
    client: reqwest::Client,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start_at(Clock::from_fn(|| "2026-11-20T23:10:00Z".parse().unwrap())).await;
        let site = app.site("shop").await;
        Data::generate(7, 120).store(&app.db.pool, site.id).await;
        let client = app.bearer(&site, &[Scope::Read]).await;
        let shop = Self { app, site, client };
        shop.sum_up().await;
        shop
    }

    async fn sum_up(&self) {
        upkeep::catch_up(&self.app.db.pool, self.app.state.clock.now(), |_| {})
            .await
            .unwrap();
    }

    async fn tag(&self, path: &str) -> Option<String> {
        let answer = self
            .client
            .get(self.app.url(&format!("/api/utm/{path}")))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let tag = answer.headers().get(ETAG).map(|tag| tag.to_str().unwrap().to_owned());
        let kept = answer.headers()[CACHE_CONTROL].to_str().unwrap();
        assert_eq!(
            kept,
            if tag.is_some() { "private, no-cache" } else { "no-store" },
            "{path}"
        );
        tag
    }

    async fn sources(&self) -> String {
        self.tag(&format!("sources?{OVER}"))
            .await
            .expect("a period that is over has a tag")
    }

    async fn mark(&self, at: &str) {
        sqlx::query("insert into rollup_marks values ($1, gen_random_uuid(), $2::timestamptz)")
            .bind(self.site.id)
            .bind(at.parse::<chrono::DateTime<chrono::Utc>>().unwrap())
            .execute(&self.app.db.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_known_answer_about_a_period_that_is_over_is_a_304() {
    let shop = Shop::open().await;
    for path in [
        "general-stats",
        "sources",
        "campaigns",
        "devices",
        "compare",
        "funnel",
        "geo",
        "returning-visitors",
        "time-series",
        "roi",
        "sessions",
    ] {
        let path = format!("{path}?{OVER}");
        let tag = shop.tag(&path).await.expect(&path);
        assert_eq!(
            shop.tag(&path).await.as_deref(),
            Some(tag.as_str()),
            "{path}: the same as long as nothing changes"
        );
        let url = shop.app.url(&format!("/api/utm/{path}"));
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
            let answer = shop.client.get(&url).header(IF_NONE_MATCH, known).send().await.unwrap();
            assert_eq!(answer.status(), 304, "{path}");
            assert_eq!(answer.headers()[ETAG], tag);
            assert!(answer.bytes().await.unwrap().is_empty());
        }
        let answer = shop
            .client
            .get(&url)
            .header(IF_NONE_MATCH, "\"other\"")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
    // The tag is no way around the door.
    let answer = shop.app.client.get(shop.app.url(&format!("/api/utm/sources?{OVER}")));
    let tag = shop.sources().await;
    assert_eq!(answer.header(IF_NONE_MATCH, tag).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn what_may_still_change_by_itself_has_no_tag() {
    let shop = Shop::open().await;
    for path in [
        "sources",
        "sources?period=today",
        "sources?period=all_time",
        "sources?start_date=2026-10-01&end_date=2026-11-21",
        "catalogue",
        "freshness",
        "coverage?start_date=2026-10-01&end_date=2026-10-31",
        "repeat-rate?start_date=2026-10-01&end_date=2026-10-31",
    ] {
        assert_eq!(shop.tag(path).await, None, "{path}");
    }
}

#[tokio::test]
async fn every_change_that_could_move_a_figure_changes_the_tag() {
    let shop = Shop::open().await;
    let mut seen = vec![shop.sources().await];
    let pool = &shop.app.db.pool;
    // Another question, language of numbers aside: each its own.
    for query in [
        format!("sources?{OVER}&utm_medium=cpc"),
        format!("mediums?{OVER}"),
        "sources?start_date=2026-10-01&end_date=2026-10-30".into(),
    ] {
        seen.push(shop.tag(&query).await.unwrap());
    }

    // An event or order that comes late leaves a mark: no tag while it waits, another one after.
    shop.mark("2026-10-05T12:00:00Z").await;
    assert_eq!(shop.tag(&format!("sources?{OVER}")).await, None);
    shop.sum_up().await;
    seen.push(shop.sources().await);
    // Before the period too: whether a visitor is new follows from earlier sessions.
    shop.mark("2026-03-01T12:00:00Z").await;
    shop.sum_up().await;
    seen.push(shop.sources().await);
    // After it nothing of it changes.
    let last = seen.last().unwrap().clone();
    shop.mark("2026-11-05T12:00:00Z").await;
    assert_eq!(shop.sources().await, last);
    shop.sum_up().await;
    assert_eq!(shop.sources().await, last);

    // A refund by the order's own door.
    let orders = shop.app.bearer(&shop.site, &[Scope::Orders]).await;
    for status in ["paid", "refunded"] {
        let order = json!({"order_id": "late", "total": "10", "payment_status": status, "created_at": "2026-10-07T10:00:00Z",
            "updated_at": if status == "paid" { "2026-10-07T10:00:00Z" } else { "2026-11-20T10:00:00Z" }});
        let answer = orders
            .post(shop.app.url("/api/v1/orders"))
            .json(&order)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        shop.sum_up().await;
        seen.push(shop.sources().await);
    }
    // Exchange rates and ad spend.
    let rate = json!([{"currency": "USD", "day": "2026-10-01", "rate": "41"}]);
    let answer = orders
        .put(shop.app.url("/api/v1/exchange-rates"))
        .json(&rate)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    seen.push(shop.sources().await);
    let admin = shop.app.admin().await;
    let url = shop.app.url("/api/v1/ad-spend");
    let report = "date,source,amount\n2026-10-02,google,5\n";
    assert_eq!(admin.post(&url).body(report).send().await.unwrap().status(), 200);
    seen.push(shop.sources().await);
    let range = format!("{url}?{OVER}");
    assert_eq!(admin.delete(range).send().await.unwrap().status(), 200);
    seen.push(shop.sources().await);
    // Settings, zone, currency, language.
    for (column, value) in [
        ("currency", "'EUR'"),
        ("language", "'en'"),
        ("time_zone", "'Asia/Tokyo'"),
        ("settings", "'{\"revenue_from_events\":true}'"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(format!("update sites set {column} = {value}")))
            .execute(pool)
            .await
            .unwrap();
        shop.app.reload_sites().await;
        seen.push(shop.sources().await);
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "two different answers had one tag");
}

#[tokio::test]
async fn identical_requests_at_once_are_computed_once_and_never_across_rights() {
    let shop = Shop::open().await;
    let pool = shop.app.state.read_pool.clone();
    let url = shop.app.url(&format!("/api/utm/general-stats?{OVER}"));
    // A lock on what the answer is read from: whoever asks waits, so that all of them are there at once.
    let mut lock = shop.app.db.pool.begin().await.unwrap();
    sqlx::query("lock table rollups in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let same: Vec<_> = (0..20).map(|_| tokio::spawn(shop.client.get(&url).send())).collect();
    let viewer = shop.app.logged_in(Role::Viewer, None).await;
    let other = tokio::spawn(viewer.get(&url).send());
    let waited = std::time::Instant::now();
    let waiting = loop {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        if (waiting >= 2 && shop.app.state.in_flight.len() == 2) || waited.elapsed().as_secs() > 20 {
            break waiting;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(waiting, 2, "one for the twenty with the same rights, one for the other");
    assert_eq!(shop.app.state.in_flight.len(), 2);
    lock.rollback().await.unwrap();
    let mut bodies = Vec::new();
    for answer in same.into_iter().chain([other]) {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        bodies.push(answer.text().await.unwrap());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert!(shop.app.state.in_flight.is_empty());
}

#[tokio::test]
async fn an_error_is_answered_and_not_kept() {
    let shop = Shop::open().await;
    let url = shop.app.url("/api/utm/sources?limit=0");
    for _ in 0..2 {
        let answer = shop.client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert!(answer.headers().get(ETAG).is_none());
        assert!(shop.app.state.in_flight.is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_was_begun_before_a_change_is_not_given_to_who_asks_after_it() {
    let shop = Shop::open().await;
    let url = shop.app.url(&format!("/api/utm/roi?{OVER}"));
    let ask = || tokio::spawn(shop.client.get(&url).send());
    let told = async |answer: reqwest::Response| {
        assert_eq!(answer.status(), 200);
        (answer.headers()[ETAG].clone(), answer.text().await.unwrap())
    };
    // Whoever counts spend looks for rates, and waits here with what it has read so far.
    let mut held = shop.app.db.pool.begin().await.unwrap();
    sqlx::query("lock table exchange_rates in access exclusive mode")
        .execute(&mut *held)
        .await
        .unwrap();
    let before = ask();
    assert!(waits_for_a_lock(&shop.app.db.pool, &before).await);
    let report = "date,source,medium,campaign,amount\n2026-10-10,facebook,cpc,winter,1234.50\n";
    let admin = shop.app.admin().await;
    let stored = admin.post(shop.app.url("/api/v1/ad-spend")).body(report).send().await;
    assert_eq!(stored.unwrap().status(), 200);
    let after = ask();
    let began = std::time::Instant::now();
    while shop.app.state.in_flight.len() < 2 && began.elapsed() < std::time::Duration::from_secs(5) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    held.rollback().await.unwrap();
    let before = told(before.await.unwrap().unwrap()).await;
    let after = told(after.await.unwrap().unwrap()).await;
    assert_ne!(before, after);
    assert_eq!(after, told(ask().await.unwrap().unwrap()).await);
}
