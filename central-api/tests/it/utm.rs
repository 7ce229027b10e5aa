//! `/api/utm/…` over HTTP.

use std::sync::Arc;

use central_api::auth::{Role, Scope};
use central_api::clock::Clock;
use central_api::site::Site;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::utm_data::Data;

/// Every endpoint that needs nothing but a period.
const PLAIN: [&str; 19] = [
    "general-stats",
    "sources",
    "campaigns",
    "content",
    "mediums",
    "terms",
    "channels",
    "landing-pages",
    "referrers",
    "devices",
    "browsers",
    "operating-systems",
    "funnel",
    "geo",
    "returning-visitors",
    "sessions",
    "compare",
    "time-series",
    "coverage",
];

/// A shop with generated sessions, and who asks for its figures.
pub(crate) struct Shop {
    pub(crate) app: TestApp,
    pub(crate) site: Arc<Site>,
    client: reqwest::Client,
    pub(crate) data: Data,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let app = TestApp::start_at(Clock::from_fn(|| "2026-11-20T23:10:00Z".parse().unwrap())).await;
        let site = app.site("shop").await;
        let data = Data::generate(7, 120);
        data.store(&app.db.pool, site.id).await;
        let client = app.bearer(&site, &[Scope::Read]).await;
        Self {
            app,
            site,
            client,
            data,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self
            .client
            .get(self.app.url(&format!("/api/utm/{path}")))
            .send()
            .await
            .unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub(crate) async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

#[tokio::test]
async fn every_answer_says_what_it_is_about_with_and_without_a_trailing_slash() {
    let shop = Shop::open().await;
    for path in PLAIN {
        let body = shop.ok(&format!("{path}?period=week")).await;
        assert_eq!(body["period"]["name"], "week", "{path}");
        assert_eq!(body["period"]["time_zone"], "Europe/Kyiv");
        assert_eq!(body["period"]["from"], "2026-11-14T22:00:00Z");
        assert_eq!(body["period"]["start_date"], "2026-11-15");
        assert_eq!(body["period"]["end_date"], "2026-11-21");
        assert_eq!(body["currency"], "UAH");
        assert_eq!(body["attribution_date"], "session");
        assert_eq!(body["filters"], json!({}));
        assert_eq!(body, shop.ok(&format!("{path}/?period=week")).await);
    }
}

#[tokio::test]
async fn nobody_reads_without_the_scope_and_nobody_reads_another_site() {
    let shop = Shop::open().await;
    let other = shop.app.site("other").await;
    Data::generate(9, 40).store(&shop.app.db.pool, other.id).await;
    let writer = shop.app.bearer(&shop.site, &[Scope::Orders, Scope::Events]).await;
    let stranger = shop.app.bearer(&other, &[Scope::Read]).await;
    let viewer = shop.app.logged_in(Role::Viewer, Some(&other)).await;
    let id = shop.data.sessions[0].id;
    let detail = format!("{id}/session-detail");
    for path in PLAIN
        .into_iter()
        .chain(["roi", "query", "catalogue", "freshness", &detail])
    {
        let url = |site: &str| {
            let mut url = shop.app.url(&format!("/api/utm/{path}?site={site}"));
            if path == "roi" {
                url += "&ad_spend=1";
            }
            if path == "query" {
                url += "&metrics=sessions";
            }
            url
        };
        assert_eq!(
            shop.app.client.get(url("shop")).send().await.unwrap().status(),
            401,
            "{path}"
        );
        assert_eq!(writer.get(url("shop")).send().await.unwrap().status(), 403, "{path}");
        for client in [&stranger, &viewer] {
            let foreign = client.get(url("shop")).send().await.unwrap();
            assert_eq!(foreign.status(), 400, "{path}");
            let foreign: Value = foreign.json().await.unwrap();
            let unknown: Value = client.get(url("nowhere")).send().await.unwrap().json().await.unwrap();
            assert_eq!(foreign, unknown, "{path}");
            if path != detail {
                assert_eq!(client.get(url("other")).send().await.unwrap().status(), 200, "{path}");
            } else {
                assert_eq!(client.get(url("other")).send().await.unwrap().status(), 404);
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_a_400_that_names_the_parameter_and_what_is_allowed() {
    let shop = Shop::open().await;
    for (path, field, says) in [
        ("general-stats?period=year", "period", "today, week, month, all_time"),
        ("general-stats?perod=week", "perod", "attribution_date"),
        (
            "general-stats?start_date=2026-13-01&end_date=2026-13-02",
            "start_date",
            "YYYY-MM-DD",
        ),
        ("general-stats?bots=maybe", "bots", "exclude, include, only"),
        ("general-stats?confirmed=1", "confirmed", "true, false"),
        (
            "general-stats?attribution_date=paid",
            "attribution_date",
            "session, order",
        ),
        ("general-stats?utm_source=", "utm_source", "(not set)"),
        ("general-stats?utm_source=%00", "utm_source", "NUL"),
        ("general-stats?limit=5", "limit", "no such parameter"),
        ("sources?device_type=phone", "device_type", "desktop, mobile, tablet"),
        ("sources?channel=!foo", "channel", "organic_search"),
        ("sources?country=Ukraine", "country", "alpha-2"),
        ("general-stats?visitor_type=neww", "visitor_type", "new, returning"),
        (
            "sources?bots=include&bot_reason=nonsense",
            "bot_reason",
            "declared_crawler",
        ),
        ("sources?limit=0", "limit", "1 to 1000"),
        ("sources?limit=1001", "limit", "1 to 1000"),
        ("sources?offset=-1", "offset", "0 to"),
        ("sources?sort=-profit", "sort", "utm_source, sessions"),
        ("sources?period=week&period=month", "period", "once"),
        ("sessions?after=x", "after", "next"),
        ("sessions?offset=5", "offset", "no such parameter"),
        ("funnel?strict=yes", "strict", "true, false"),
        ("time-series?bucket=year", "bucket", "hour, day, week, month"),
        (
            "time-series?bucket=hour&start_date=1990-01-01&end_date=2020-01-01",
            "bucket",
            "10000",
        ),
        ("roi?ad_spend=5&by=day", "by", "cannot be split"),
        ("roi?by=country", "by", "utm_source, utm_medium"),
        ("roi?ad_spend=-5", "ad_spend", "digits"),
        ("query", "metrics", "at least one"),
        ("query?metrics=sessions,nope", "metrics", "conversion_rate"),
        ("query?metrics=sessions&dimensions=day", "dimensions", "utm_source"),
        ("query?metrics=sessions&sort=revenue", "sort", "sessions"),
        ("coverage?utm_source=a", "utm_source", "no filters"),
        ("123/session-detail", "id", "UUID"),
        ("general-stats?site=%00", "site", "no such site"),
    ] {
        let (status, body) = shop.get(path).await;
        assert_eq!(status, 400, "{path}: {body}");
        assert_eq!(body["error"]["field"], field, "{path}: {body}");
        assert!(
            body["error"]["message"].as_str().unwrap().contains(says),
            "{path}: {body}"
        );
    }
}

#[tokio::test]
async fn tile_table_series_funnel_and_query_agree() {
    let shop = Shop::open().await;
    for scope in [
        "period=all_time",
        "period=all_time&attribution_date=order",
        "start_date=2026-10-25&end_date=2026-11-01&bots=include",
    ] {
        let general = shop.ok(&format!("general-stats?{scope}")).await;
        let sources = shop.ok(&format!("sources?{scope}&limit=1000")).await;
        let sum = |rows: &Value, key: &str| {
            rows.as_array()
                .unwrap()
                .iter()
                .map(|r| r[key].as_f64().unwrap())
                .sum::<f64>()
        };
        assert_eq!(
            sum(&sources["sources"], "sessions"),
            general["total_sessions"].as_f64().unwrap()
        );
        assert_eq!(sources["totals"]["revenue"], general["total_revenue"], "{scope}");
        assert_eq!(sources["totals"]["visitors"], general["unique_visitors"]);
        assert_eq!(sources["totals"]["conversion_rate"], general["conversion_rate"]);
        assert_eq!(
            sources["total_rows"].as_u64().unwrap() as usize,
            sources["sources"].as_array().unwrap().len()
        );
        let series = shop.ok(&format!("time-series?{scope}&bucket=month")).await;
        assert_eq!(sum(&series["series"], "orders"), general["orders"].as_f64().unwrap());
        let funnel = shop.ok(&format!("funnel?{scope}")).await;
        assert_eq!(funnel["total"], general["total_sessions"]);
        let queried = shop
            .ok(&format!("query?{scope}&metrics=sessions,revenue&dimensions=utm_source"))
            .await;
        assert_eq!(queried["totals"]["revenue"], general["total_revenue"]);
        let compared = shop.ok(&format!("compare?{scope}")).await;
        assert_eq!(compared["current"]["avg_order_value"], general["avg_order_value"]);
        let returning = shop.ok(&format!("returning-visitors?{scope}")).await;
        assert_eq!(returning["total"]["sessions"], general["total_sessions"]);
        let roi = shop.ok(&format!("roi?{scope}&ad_spend=1000")).await;
        assert_eq!(roi["revenue"], general["total_revenue"]);
    }
}

#[tokio::test]
async fn money_leaves_as_an_exact_number_and_a_quotient_by_zero_as_null() {
    let shop = Shop::open().await;
    let text = shop
        .client
        .get(shop.app.url("/api/utm/general-stats?period=all_time"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let revenue: rust_decimal::Decimal = shop
        .data
        .orders
        .iter()
        .filter(|o| o.session.is_some_and(|i| shop.data.sessions[i].bot_reason.is_none()))
        .filter_map(|o| o.revenue)
        .sum();
    assert!(
        text.contains(&format!("\"total_revenue\":{},", revenue.normalize())),
        "{text}"
    );
    let empty = shop.ok("general-stats?start_date=2020-01-01&end_date=2020-01-31").await;
    assert_eq!(empty["total_sessions"], 0);
    assert_eq!(empty["total_revenue"], 0);
    for ratio in [
        "conversion_rate",
        "avg_order_value",
        "bounce_rate",
        "avg_session_duration",
    ] {
        assert_eq!(empty[ratio], Value::Null, "{ratio}");
    }
    let roi = shop
        .ok("roi?start_date=2020-01-01&end_date=2020-01-31&ad_spend=0")
        .await;
    assert_eq!(
        (roi["roi"].clone(), roi["cpa"].clone(), roi["profit"].clone()),
        (Value::Null, Value::Null, json!(0))
    );
}

#[tokio::test]
async fn filters_combine_repeat_exclude_and_take_values_as_data() {
    let shop = Shop::open().await;
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let count = |body: &Value| body["total_sessions"].as_u64().unwrap();
    let campaign = |value: &str| format!("general-stats?period=all_time&utm_campaign={}", encode(value));
    let with = |value: Option<&str>| {
        let people = shop.data.sessions.iter().filter(|s| s.bot_reason.is_none());
        people
            .filter(|s| {
                s.texts
                    .iter()
                    .any(|(k, v)| *k == "utm_campaign" && v.as_deref() == value)
            })
            .count() as u64
    };
    assert_eq!(count(&shop.ok(&campaign("a|b,c&%")).await), with(Some("a|b,c&%")));
    assert_eq!(count(&shop.ok(&campaign("(not set)")).await), with(None));
    assert_eq!(count(&shop.ok(&campaign("\\(not set)")).await), with(Some("(not set)")));
    assert_eq!(count(&shop.ok(&campaign("\\!x")).await), with(Some("!x")));
    let both = shop.ok(&format!("{}&campaign=sale", campaign("\\!x"))).await;
    assert_eq!(count(&both), with(Some("!x")) + with(Some("sale")));
    assert_eq!(both["filters"], json!({"utm_campaign": ["\\!x", "sale"]}));
    let all = count(&shop.ok("general-stats?period=all_time").await);
    assert_eq!(count(&shop.ok(&campaign("!sale")).await), all - with(Some("sale")));
}

#[tokio::test]
async fn how_a_filter_is_spelt_does_not_matter_where_stored_values_are_normalised() {
    let shop = Shop::open().await;
    for (asked, stored) in [
        ("utm_source=Facebook", "utm_source=facebook"),
        ("utm_source=%20GOOGLE%20", "utm_source=google"),
        ("utm_medium=CPC", "utm_medium=cpc"),
        ("utm_campaign=SALE", "utm_campaign=sale"),
        ("country=ua", "country=UA"),
        ("country=!ua", "country=!UA"),
    ] {
        let of = async |filter: &str| shop.ok(&format!("sources?period=all_time&{filter}")).await;
        let body = of(asked).await;
        assert!(!body["sources"].as_array().unwrap().is_empty(), "{asked}: {body}");
        assert_eq!(body, of(stored).await, "{asked}");
    }
}

#[tokio::test]
async fn a_query_reads_the_same_from_its_body_as_from_its_address() {
    let shop = Shop::open().await;
    let by_address = shop
        .ok("query?period=all_time&metrics=sessions,revenue&dimensions=utm_source,country&country=UA&country=PL&sort=-revenue&limit=5")
        .await;
    let body = json!({
        "period": "all_time", "metrics": ["sessions", "revenue"], "dimensions": ["utm_source", "country"],
        "filters": {"country": ["UA", "PL"]}, "sort": "-revenue", "limit": 5
    });
    let answer = shop
        .client
        .post(shop.app.url("/api/utm/query/"))
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap(), by_address);
    let revenues: Vec<f64> = by_address["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["revenue"].as_f64().unwrap())
        .collect();
    assert!(revenues.is_sorted_by(|a, b| a >= b) && !revenues.is_empty());
    let series = shop
        .ok("query?start_date=2026-10-25&end_date=2026-10-25&metrics=sessions&bucket=hour")
        .await;
    assert_eq!(series["rows"].as_array().unwrap().len(), 25);
}

#[tokio::test]
async fn coverage_and_freshness_tell_what_is_not_seen() {
    let shop = Shop::open().await;
    let now: chrono::DateTime<chrono::Utc> = "2026-11-20T23:10:00Z".parse().unwrap();
    let placed: Vec<_> = shop.data.orders.iter().filter(|o| o.created_at < now).collect();
    let unlinked = placed.iter().filter(|o| o.session.is_none()).count();
    let body = shop.ok("coverage?period=all_time").await;
    assert_eq!(body["orders"]["orders"], placed.len());
    assert_eq!(body["orders"]["unlinked"], unlinked);
    let cause = body["by_link"]
        .as_array()
        .unwrap()
        .iter()
        .find(|l| l["cause"] == "no_match")
        .unwrap();
    assert_eq!(cause["orders"], unlinked);
    let general = shop.ok("general-stats?period=all_time").await;
    assert_eq!(general["coverage"], body["orders"]);
    let fresh = shop.ok("freshness").await;
    assert_eq!(fresh["now"], "2026-11-20T23:10:00Z");
    let newest = shop.data.sessions.iter().map(|s| s.first_seen).max().unwrap();
    assert_eq!(fresh["session_age_seconds"], (now - newest).num_seconds().max(0));
}

#[tokio::test]
async fn the_share_without_consent_compares_page_views_with_page_views() {
    let shop = Shop::open().await;
    let views = shop.ok("general-stats?period=all_time").await["page_views"]
        .as_i64()
        .unwrap();
    sqlx::query("create table if not exists anonymous_hits_2026_11 partition of anonymous_hits for values from ('2026-11-01Z') to ('2026-12-01Z')")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    // One visitor's pages, what the shop's server told of them, and a crawler.
    for (number, action, bot) in (0..views)
        .map(|n| (n, 1, None))
        .chain([(views, 7, None), (views + 1, 1, Some(1))])
    {
        let minted: chrono::DateTime<chrono::Utc> = "2026-11-10T10:00:00Z".parse().unwrap();
        sqlx::query(
            "insert into anonymous_hits (site_id, event_id, minted_at, consent, action, bot_reason) values ($1, $2, $3, 3, $4, $5)",
        )
        .bind(shop.site.id)
        .bind(uuid::Uuid::from_u128(number as u128))
        .bind(minted)
        .bind(action as i16)
        .bind(bot.map(|code: i32| code as i16))
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    }
    let body = shop.ok("coverage?period=all_time").await;
    assert_eq!(
        body["anonymous"],
        serde_json::json!([{"consent": "refused", "hits": views}])
    );
    assert_eq!(body["page_views"], views);
    assert_eq!(
        body["anonymous_percent"], 50,
        "half of the pages, however many visits they were: {body}"
    );
}

#[tokio::test]
async fn the_funnel_narrows_when_it_is_strict() {
    let shop = Shop::open().await;
    let loose = shop.ok("funnel?period=all_time").await;
    let strict = shop.ok("funnel?period=all_time&strict=true").await;
    for stage in ["add_to_cart", "initiate_checkout", "leads", "purchases"] {
        assert!(strict[stage].as_u64() <= loose[stage].as_u64(), "{stage}");
    }
    assert!(strict["initiate_checkout"].as_u64() <= strict["add_to_cart"].as_u64());
    assert!(strict["add_to_cart"].as_u64() <= strict["product_views"].as_u64());
    assert_eq!(loose["stages"].as_array().unwrap().len(), 6);
    let rate = loose["purchases"].as_f64().unwrap() * 100.0 / loose["total"].as_f64().unwrap();
    assert!((loose["purchase_rate"].as_f64().unwrap() - rate).abs() < 0.006);
}

#[tokio::test]
async fn the_catalogue_lists_what_query_takes() {
    let shop = Shop::open().await;
    let catalogue = shop.ok("catalogue").await;
    let keys = |name: &str, filter: bool| -> Vec<String> {
        let all = catalogue[name].as_array().unwrap().iter();
        all.filter(|d| !filter || d["filter"] == true)
            .map(|d| d["key"].as_str().unwrap().to_owned())
            .collect()
    };
    let metrics = keys("metrics", false).join(",");
    for dimension in keys("dimensions", true) {
        let body = shop
            .ok(&format!(
                "query?period=all_time&metrics={metrics}&dimensions={dimension}"
            ))
            .await;
        assert!(!body["rows"].as_array().unwrap().is_empty(), "{dimension}");
    }
    assert_eq!(catalogue["metrics"][0]["label"]["uk"], "Сесії");
    let dimensions = catalogue["dimensions"].as_array().unwrap();
    let channel = dimensions.iter().find(|one| one["key"] == "channel").unwrap();
    let paid = channel["values"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["key"] == "paid_social");
    assert_eq!(paid.unwrap()["label"]["uk"], "Платні соцмережі");
}

#[tokio::test]
async fn an_export_holds_every_row_of_its_list_and_nothing_that_a_spreadsheet_computes() {
    let shop = Shop::open().await;
    let file = async |query: &str| {
        let url = shop.app.url(&format!("/api/utm/export-csv?period=all_time&{query}"));
        let answer = shop.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(&bytes[..3], b"\xef\xbb\xbf");
        let mut reader = csv::Reader::from_reader(&bytes[3..]);
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        (name, header, rows)
    };
    let (name, header, rows) = file("type=sources").await;
    assert_eq!(name, "attachment; filename=\"utm_sources.csv\"");
    assert_eq!(header[..2], ["Джерело", "Сесії"]);
    let list = shop.ok("sources?period=all_time&limit=1000").await;
    assert_eq!(rows.len(), list["sources"].as_array().unwrap().len());
    for (row, listed) in rows.iter().zip(list["sources"].as_array().unwrap()) {
        assert_eq!(&row[0], listed["utm_source"].as_str().unwrap_or("(not set)"));
        assert_eq!(row[1], listed["sessions"].to_string());
        assert_eq!(row[5].parse::<f64>().unwrap(), listed["revenue"].as_f64().unwrap());
    }
    let (_, header, rows) = file("type=content&locale=en").await;
    assert_eq!(header[..2], ["Content", "Campaign"]);
    assert!(rows.iter().any(|row| &row[0] == "'=1+1") && rows.iter().all(|row| !row[0].starts_with('=')));
    let (_, _, rows) = file("type=sessions&bots=include").await;
    let now: chrono::DateTime<chrono::Utc> = "2026-11-20T23:10:00Z".parse().unwrap();
    assert_eq!(
        rows.len(),
        shop.data.sessions.iter().filter(|s| s.first_seen < now).count()
    );
    for kind in ["countries", "cities", "landing-pages", "operating-systems"] {
        assert!(!file(&format!("type={kind}")).await.2.is_empty(), "{kind}");
    }
    let (status, body) = shop.get("export-csv?type=everything").await;
    assert_eq!(
        (status, body["error"]["field"].as_str()),
        (StatusCode::BAD_REQUEST, Some("type"))
    );
}
