//! What was paid for ads: uploaded, imported, and beside what it brought.

use std::sync::Arc;

use central_api::auth::{Role, Scope};
use central_api::clock::Clock;
use central_api::commands::import::{Args, import};
use central_api::site::Site;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::TestApp;

const REPORT: &str = "date,source,medium,campaign,content,amount,currency,clicks,impressions\n\
    2026-11-01,fb,cpc,Winter,video,100.50,,10,1000\n\
    2026-11-01,facebook,cpc,winter,photo,50,,5,\n\
    2026-11-02,google,cpc,brand,,200,UAH,20,2000\n\
    2026-11-02,tiktok,cpc,drop,,10,EUR,2,200\n";

struct Shop {
    app: TestApp,
    site: Arc<Site>,
    admin: reqwest::Client,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start_at(Clock::from_fn(|| "2026-11-20T12:00:00Z".parse().unwrap())).await;
        let site = app.site("shop").await;
        let admin = app.admin().await;
        Self { app, site, admin }
    }

    async fn upload(&self, query: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let url = self.app.url(&format!("/api/v1/ad-spend?{query}"));
        let answer = self.admin.post(url).header("content-type", "text/csv").body(body);
        let answer = answer.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.admin.get(self.app.url(path)).send().await.unwrap();
        let status = answer.status();
        let body = answer.json().await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn stored(&self) -> Vec<Value> {
        sqlx::query_scalar("select to_jsonb(a) from ad_spend a order by a::text")
            .fetch_all(&self.app.db.pool)
            .await
            .unwrap()
    }

    /// A session with what its order brought, and the mark that every writer of sessions leaves.
    async fn session(&self, at: &str, source: Option<&str>, campaign: &str, country: &str, revenue: i32) {
        sqlx::query(
            "with written as (insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views,
                points, utm_source, utm_medium, utm_campaign, channel, country, orders, paid_orders, revenue)
            values ($1, gen_random_uuid(), gen_random_uuid(), $2::timestamptz, $2::timestamptz, 1, '{}', 1, 1, 1, $3, 'cpc', $4, 'paid_social', $5,
                ($6 > 0)::int, ($6 > 0)::int, $6) returning site_id, visitor_id, first_seen)
            insert into rollup_marks select site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from written",
        )
        .bind(self.site.id)
        .bind(at.parse::<chrono::DateTime<chrono::Utc>>().unwrap())
        .bind(source)
        .bind(campaign)
        .bind(country)
        .bind(revenue)
        .execute(&self.app.db.pool)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn the_same_report_twice_changes_nothing_and_a_corrected_one_replaces_it() {
    let shop = Shop::open().await;
    let (status, first) = shop.upload("", REPORT).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(
        (&first["new"], &first["changed"], &first["unchanged"]),
        (&json!(4), &json!(0), &json!(0))
    );
    assert_eq!(first["days"], json!(["2026-11-01", "2026-11-02"]));
    assert_eq!(
        first["amounts"],
        json!([{"currency": "EUR", "amount": "10"}, {"currency": "UAH", "amount": "350.5"}])
    );
    let before = shop.stored().await;
    let (_, again) = shop.upload("", REPORT).await;
    assert_eq!(
        (&again["new"], &again["changed"], &again["unchanged"]),
        (&json!(0), &json!(0), &json!(4))
    );
    assert_eq!(shop.stored().await, before);

    let corrected = REPORT.replace("100.50", "101.50");
    let (_, dry) = shop.upload("dry_run=true", corrected.clone()).await;
    assert_eq!(
        (&dry["new"], &dry["changed"], &dry["dry_run"]),
        (&json!(0), &json!(1), &json!(true))
    );
    assert_eq!(shop.stored().await, before);
    let (_, real) = shop.upload("", corrected).await;
    assert_eq!((&real["changed"], &real["unchanged"]), (&json!(1), &json!(3)));
    assert_eq!(shop.stored().await.len(), 4);
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_told_and_the_others_are_stored() {
    let shop = Shop::open().await;
    let (status, answer) = shop
        .upload(
            "",
            "date,source,amount\n2026-11-01,google,5\n2026-11-01,google,-5\nyesterday,google,5\n",
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!((&answer["new"], &answer["refused_rows"]), (&json!(1), &json!(2)));
    let told: Vec<_> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (&r["line"], &r["field"]))
        .collect();
    assert_eq!(told, [(&json!(3), &json!("amount")), (&json!(4), &json!("date"))]);
    for (query, body, status, field) in [
        ("", "", 400, "date"),
        ("", "date,amount,campain\n", 400, "campain"),
        ("currency=uah", REPORT, 400, "currency"),
        ("source=", REPORT, 400, "source"),
        ("source=%00", REPORT, 400, "source"),
        ("dry_run=maybe", REPORT, 400, "dry_run"),
        ("sight=shop", REPORT, 400, "sight"),
        ("site=nope", REPORT, 400, "site"),
    ] {
        let (found, answer) = shop.upload(query, body).await;
        assert_eq!(
            (found.as_u16(), &answer["error"]["field"]),
            (status, &json!(field)),
            "{query} {answer}"
        );
    }
    let (status, _) = shop.upload("", vec![b'x'; 16 * 1024 * 1024 + 1]).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn only_an_admin_changes_spend_and_nobody_that_of_another_site() {
    let shop = Shop::open().await;
    shop.upload("", REPORT).await;
    let other = shop.app.site("other").await;
    let range = "start_date=2026-11-01&end_date=2026-11-30";
    let viewer = shop.app.logged_in(Role::Viewer, Some(&shop.site)).await;
    let stranger = shop.app.logged_in(Role::Admin, Some(&other)).await;
    let token = shop
        .app
        .bearer(&shop.site, &[Scope::Read, Scope::Orders, Scope::Events])
        .await;
    let url = |query: &str| shop.app.url(&format!("/api/v1/ad-spend?{query}"));
    for (client, query, statuses) in [
        (&viewer, "site=shop", [403, 403, 200]),
        (&token, "site=shop", [401, 401, 200]),
        (&stranger, "site=shop", [400, 400, 400]),
    ] {
        let ranged = format!("{query}&{range}");
        let found = [
            client.post(url(query)).body(REPORT).send().await.unwrap().status(),
            client.delete(url(&ranged)).send().await.unwrap().status(),
            client.get(url(&ranged)).send().await.unwrap().status(),
        ];
        assert_eq!(found.map(|status| status.as_u16()), statuses);
    }
    let own: Value = stranger.get(url(range)).send().await.unwrap().json().await.unwrap();
    assert_eq!(own, json!({"rows": [], "total_rows": 0}));
    let answer: Value = stranger.delete(url(range)).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["deleted"], 0);
    assert_eq!(shop.stored().await.len(), 4);
}

#[tokio::test]
async fn stored_rows_are_listed_by_day_and_deleted_by_range_and_source() {
    let shop = Shop::open().await;
    shop.upload("", REPORT).await;
    let page = shop
        .get("/api/v1/ad-spend?start_date=2026-11-01&end_date=2026-11-30&limit=1&offset=2")
        .await;
    assert_eq!(page["total_rows"], 4);
    assert_eq!(
        page["rows"],
        json!([{"date": "2026-11-01", "source": "facebook", "medium": "cpc", "campaign": "winter", "content": "photo",
            "channel": "paid_social", "amount": "50", "currency": "UAH", "clicks": 5, "impressions": null}])
    );
    for query in [
        "",
        "?start_date=2026-11-02&end_date=2026-11-01",
        "?start_date=2026-11-01&end_date=x",
        "?start_date=0000-01-01&end_date=9999-12-31",
    ] {
        let answer = shop
            .admin
            .get(shop.app.url(&format!("/api/v1/ad-spend{query}")))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{query}");
        assert!(answer.json::<Value>().await.unwrap()["error"]["field"].is_string());
    }
    let url = shop
        .app
        .url("/api/v1/ad-spend?start_date=2026-11-02&end_date=2026-11-02&source=google");
    let answer: Value = shop.admin.delete(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["deleted"], 1);
    assert_eq!(shop.stored().await.len(), 3);
}

#[tokio::test]
async fn spend_without_sessions_and_sessions_without_spend_both_stand_in_the_answer() {
    let shop = Shop::open().await;
    shop.upload("", REPORT).await;
    shop.session("2026-11-01T10:00:00Z", Some("facebook"), "winter", "UA", 600)
        .await;
    shop.session("2026-11-01T11:00:00Z", Some("facebook"), "winter", "PL", 0)
        .await;
    shop.session("2026-11-02T11:00:00Z", Some("newsletter"), "weekly", "UA", 90)
        .await;
    // Before midnight in Kyiv of the day before.
    shop.session("2026-10-31T20:00:00Z", Some("facebook"), "winter", "UA", 1_000)
        .await;
    let roi = shop
        .get("/api/utm/roi?start_date=2026-11-01&end_date=2026-11-30&by=utm_source")
        .await;
    assert_eq!(
        (&roi["ad_spend"], &roi["revenue"], &roi["spend_from"]),
        (&json!(350.5), &json!(690), &json!("stored"))
    );
    assert_eq!(
        (&roi["roas"], &roi["cpa"], &roi["ad_clicks"]),
        (&json!(1.97), &json!(175.25), &json!(37))
    );
    assert_eq!(roi["spend_without_rate"], json!([{"currency": "EUR", "amount": 10}]));
    let rows: Vec<_> = roi["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            json!([
                r["value"],
                r["ad_spend"],
                r["sessions"],
                r["revenue"],
                r["roas"],
                r["cost_per_session"],
                r["cpa"]
            ])
        })
        .collect();
    assert_eq!(
        rows,
        [
            json!(["google", 200, 0, 0, 0, null, null]),
            json!(["facebook", 150.5, 2, 600, 3.99, 75.25, 150.5]),
            json!(["newsletter", 0, 1, 90, null, 0, 0]),
            json!(["tiktok", 0, 0, 0, null, null, null]),
        ]
    );
    // A rate that is stored later counts at once.
    let orders = shop.app.bearer(&shop.site, &[Scope::Orders]).await;
    let rate = json!([{"currency": "EUR", "day": "2026-10-30", "rate": "48.5"}]);
    let answer = orders
        .put(shop.app.url("/api/v1/exchange-rates"))
        .json(&rate)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let roi = shop.get("/api/utm/roi?start_date=2026-11-01&end_date=2026-11-30").await;
    assert_eq!(
        (&roi["ad_spend"], &roi["spend_without_rate"], &roi["rows"]),
        (&json!(835.5), &json!([]), &json!([]))
    );
}

#[tokio::test]
async fn what_would_pay_for_the_spend_is_told_by_the_purchases_whose_value_is_known() {
    let shop = Shop::open().await;
    let orders = shop.app.bearer(&shop.site, &[Scope::Orders]).await;
    let paid = |id: &str, total: &str, currency: &str| {
        json!({"order_id": id, "total": total, "currency": currency, "payment_status": "paid", "created_at": "2026-11-20T10:00:00Z",
            "updated_at": "2026-11-20T10:00:00Z"})
    };
    let placed = json!([paid("1", "100", "UAH"), paid("2", "300", "UAH"), paid("3", "50", "USD")]);
    let answer = orders
        .post(shop.app.url("/api/v1/orders"))
        .json(&placed)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let roi = shop
        .get("/api/utm/roi?period=today&attribution_date=order&ad_spend=800")
        .await;
    // 800 / 200: the third purchase has no exchange rate and is in no sum.
    assert_eq!(
        (&roi["purchases"], &roi["revenue"], &roi["break_even_purchases"]),
        (&json!(3), &json!(400), &json!(4))
    );
}

#[tokio::test]
async fn filters_reach_the_spend_where_it_has_them_and_the_answer_says_where_not() {
    let shop = Shop::open().await;
    shop.upload("", REPORT).await;
    shop.session("2026-11-01T10:00:00Z", Some("facebook"), "winter", "UA", 600)
        .await;
    shop.session("2026-11-01T11:00:00Z", Some("facebook"), "winter", "PL", 100)
        .await;
    let period = "start_date=2026-11-01&end_date=2026-11-30";
    let roi = shop
        .get(&format!(
            "/api/utm/roi?{period}&utm_source=facebook&country=UA&by=utm_content"
        ))
        .await;
    assert_eq!((&roi["ad_spend"], &roi["revenue"]), (&json!(150.5), &json!(600)));
    assert_eq!(roi["spend_not_filtered_by"], json!(["country"]));
    assert_eq!(roi["total_rows"], 3);
    let excluded = shop.get(&format!("/api/utm/roi?{period}&utm_source=!facebook")).await;
    assert_eq!(
        (&excluded["ad_spend"], &excluded["spend_not_filtered_by"]),
        (&json!(200), &json!([]))
    );
    // In lists, where nothing could say so, it is null rather than wrong.
    let sources = shop.get(&format!("/api/utm/sources?{period}")).await;
    let facebook = sources["sources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["utm_source"] == "facebook")
        .unwrap();
    assert_eq!(
        (&facebook["ad_spend"], &facebook["roas"]),
        (&json!(150.5), &json!(4.65))
    );
    assert_eq!(sources["total_rows"], 3);
    let sources = shop.get(&format!("/api/utm/sources?{period}&country=UA")).await;
    assert_eq!(
        (&sources["sources"][0]["ad_spend"], &sources["sources"][0]["roas"]),
        (&Value::Null, &Value::Null)
    );
    let query = shop
        .get(&format!("/api/utm/query?{period}&metrics=ad_spend,cpa&dimensions=city"))
        .await;
    assert_eq!(query["rows"], json!([{"city": null, "ad_spend": null, "cpa": null}]));
    // Of everything together it is one unknown figure, however many sessions there are.
    for (country, sessions) in [("UA", 1), ("!(not set)", 2), ("DE", 0)] {
        let unknown = json!({"ad_spend": null});
        let query = format!("/api/utm/query?{period}&metrics=ad_spend&country={country}");
        let all = shop.get(&query).await;
        assert_eq!(
            (&all["rows"], &all["total_rows"], &all["totals"]),
            (&json!([unknown]), &json!(1), &unknown),
            "{country}"
        );
        let places = shop.get(&format!("{query}&dimensions=country")).await;
        assert_eq!(
            (&places["total_rows"], &places["totals"]),
            (&json!(sessions), &unknown),
            "{country}"
        );
    }
    // So it is in a bucket of time in which nothing happened.
    for split in ["bucket=hour", "bucket=day&country=UA"] {
        let query = shop
            .get(&format!(
                "/api/utm/query?{period}&metrics=ad_spend,sessions&limit=1000&{split}"
            ))
            .await;
        let rows = query["rows"].as_array().unwrap();
        assert!(rows.iter().any(|row| row["sessions"] == 0), "{split}");
        assert!(rows.iter().all(|row| row["ad_spend"].is_null()), "{split}");
    }
    let days = shop
        .get(&format!("/api/utm/query?{period}&metrics=ad_spend&bucket=week"))
        .await;
    assert_eq!(
        (&days["rows"][0], &days["rows"][1]),
        (
            &json!({"week": "2026-10-26", "ad_spend": 150.5}),
            &json!({"week": "2026-11-02", "ad_spend": 200})
        )
    );
}

/// What the API says of the period's spend, a line for a group.
async fn told(shop: &Shop, period: &str, split: &str) -> Vec<(Value, f64, f64, f64)> {
    let query = format!("/api/utm/query?{period}&metrics=ad_spend,ad_clicks,ad_impressions&limit=1000{split}");
    let rows = shop.get(&query).await["rows"].as_array().unwrap().clone();
    let key = split.split('=').nth(1).unwrap_or_default();
    let figure = |row: &Value, metric: &str| row[metric].as_f64().unwrap();
    let mut told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.get(key).cloned().unwrap_or_default(),
                figure(row, "ad_spend"),
                figure(row, "ad_clicks"),
                figure(row, "ad_impressions"),
            )
        })
        .collect();
    told.sort_by_key(|(value, ..)| value.to_string());
    told
}

#[tokio::test]
async fn whatever_is_uploaded_corrected_and_deleted_spend_is_the_plain_sum_of_its_rows() {
    let shop = Shop::open().await;
    sqlx::query(
        "insert into exchange_rates (site_id, currency, day, rate) values ($1, 'EUR', '2026-09-20', 45.123456)",
    )
    .bind(shop.site.id)
    .execute(&shop.app.db.pool)
    .await
    .unwrap();
    let mut rng = StdRng::seed_from_u64(5);
    let first: chrono::NaiveDate = "2026-08-20".parse().unwrap();
    for round in 0..6 {
        let mut report = String::from("date,source,medium,campaign,content,amount,currency,clicks,impressions\n");
        for _ in 0..60 {
            let day = first + chrono::Days::new(rng.random_range(0..90));
            let (source, campaign, content) = (
                ["google", "facebook", ""].choose(&mut rng).unwrap(),
                rng.random_range(0..4),
                rng.random_range(0..3),
            );
            let (amount, currency) = (
                rng.random_range(0..100_000),
                ["UAH", "UAH", "EUR"].choose(&mut rng).unwrap(),
            );
            let clicks = if rng.random_bool(0.7) {
                rng.random_range(0..50).to_string()
            } else {
                String::new()
            };
            report += &format!(
                "{day},{source},cpc,c{campaign},v{content},{}.{:02},{currency},{clicks},\n",
                amount / 100,
                amount % 100
            );
        }
        // Two at once: neither leaves the other's rows out of its sums.
        let (one, other) = tokio::join!(
            shop.upload("", report.clone()),
            shop.upload("source=meta", report.replace("google", "bing"))
        );
        assert_eq!(
            (one.0, other.0),
            (StatusCode::OK, StatusCode::OK),
            "{} {}",
            one.1,
            other.1
        );
        if round % 2 == 1 {
            let from = first + chrono::Days::new(rng.random_range(0..80));
            let to = from + chrono::Days::new(rng.random_range(0..20));
            let url = shop.app.url(&format!(
                "/api/v1/ad-spend?start_date={from}&end_date={to}&source=google"
            ));
            assert_eq!(shop.admin.delete(url).send().await.unwrap().status(), 200);
        }
        for (from, to) in [
            ("2026-09-01", "2026-10-31"),
            ("2026-08-25", "2026-09-30"),
            ("2026-09-03", "2026-09-09"),
            ("2026-08-20", "2026-11-20"),
            ("2026-10-10", "2026-11-18"),
        ] {
            let period = format!("start_date={from}&end_date={to}");
            for (split, column) in [
                ("", "null"),
                ("&dimensions=utm_source", "utm_source"),
                ("&dimensions=utm_content", "utm_content"),
                ("&bucket=month", "to_char(date_trunc('month', day), 'YYYY-MM-DD')"),
                ("&dimensions=utm_campaign", "utm_campaign"),
            ] {
                let plain: Vec<(Option<String>, f64, f64, f64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "select nullif({column}, ''), coalesce(sum(case when currency = 'UAH' then amount
                         else round(amount * case when day between '2026-09-20' and '2026-09-27' then 45.123456 end, 4) end), 0)::float8,
                         coalesce(sum(clicks), 0)::float8, coalesce(sum(impressions), 0)::float8
                     from ad_spend where day between '{from}' and '{to}' group by 1"
                )))
                .fetch_all(&shop.app.db.pool)
                .await
                .unwrap();
                let mut plain: Vec<_> = plain
                    .into_iter()
                    .map(|(value, spend, clicks, seen)| (value.map_or(Value::Null, Value::String), spend, clicks, seen))
                    .collect();
                plain.sort_by_key(|(value, ..)| value.to_string());
                let told = told(&shop, &period, split).await;
                let close = told.len() == plain.len()
                    && told.iter().zip(&plain).all(|(a, b)| {
                        (a.0 == b.0 || column == "null") && (a.1 - b.1).abs() < 0.01 && a.2 == b.2 && a.3 == b.3
                    });
                assert!(close, "{period} {split}: {told:?} instead of {plain:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_given_spend_still_counts_and_cannot_be_split() {
    let shop = Shop::open().await;
    shop.upload("", REPORT).await;
    shop.session("2026-11-01T10:00:00Z", Some("facebook"), "winter", "UA", 600)
        .await;
    let period = "start_date=2026-11-01&end_date=2026-11-30";
    let roi = shop
        .get(&format!("/api/utm/roi?{period}&ad_spend=300&country=UA"))
        .await;
    assert_eq!(
        (&roi["ad_spend"], &roi["roas"], &roi["spend_from"]),
        (&json!(300), &json!(2), &json!("given"))
    );
    assert_eq!(
        (&roi["ad_clicks"], &roi["spend_not_filtered_by"]),
        (&Value::Null, &json!([]))
    );
    for (query, field) in [
        ("ad_spend=1&by=utm_source", "by"),
        ("by=country", "by"),
        ("by=hour", "by"),
        ("ad_spend=-1", "ad_spend"),
        ("limit=0", "limit"),
    ] {
        let url = shop.app.url(&format!("/api/utm/roi?{period}&{query}"));
        let answer = shop.admin.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{query}");
        assert_eq!(
            answer.json::<Value>().await.unwrap()["error"]["field"],
            field,
            "{query}"
        );
    }
}

#[tokio::test]
async fn an_import_from_a_file_is_the_upload_and_keeps_refused_rows() {
    let shop = Shop::open().await;
    let folder = std::env::temp_dir().join(format!("ud-spend-{}", uuid::Uuid::from_u128(rand::random()).simple()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("meta.csv");
    let report = "Campaign name,Ad name,Day,Amount spent (EUR),Link clicks,Impressions\nWinter,Video,2026-11-01,10.10,5,1000\nWinter,Video,2026-11-xx,1,5,1000\n";
    std::fs::write(&path, report).unwrap();
    let args = Args {
        site: None,
        sessions: Vec::new(),
        events: Vec::new(),
        orders: Vec::new(),
        spend: vec![path.to_str().unwrap().to_owned()],
        time_zone: None,
        spend_source: None,
        spend_medium: Some("cpc".into()),
        spend_currency: None,
        format: None,
        max_rows: None,
    };
    let now = shop.app.state.clock.now();
    let (pool, secret) = (&shop.app.db.pool, &shop.app.state.config.secret);
    let done = import(&args, pool, secret, &shop.site, now).await.unwrap();
    let summary = &done[0].2;
    assert_eq!(
        (done[0].1, summary.stored, summary.unchanged, summary.rejected),
        ("spend", 1, 0, 1)
    );
    let refused = std::fs::read_to_string(summary.rejected_file.as_ref().unwrap()).unwrap();
    let refused: Value = serde_json::from_str(refused.trim()).unwrap();
    assert_eq!(
        (&refused["line"], &refused["field"], &refused["row"]["Ad name"]),
        (&json!(3), &json!("Day"), &json!("Video"))
    );
    let stored = shop.stored().await;
    assert_eq!(
        (
            &stored[0]["utm_source"],
            &stored[0]["utm_medium"],
            &stored[0]["currency"]
        ),
        (&json!("facebook"), &json!("cpc"), &json!("EUR"))
    );
    let again = import(&args, pool, secret, &shop.site, now).await.unwrap();
    assert_eq!((again[0].2.stored, again[0].2.unchanged), (0, 1));
    assert_eq!(shop.stored().await, stored);
    std::fs::remove_dir_all(&folder).unwrap();
}
