//! `search` in the rows of lists and of `query`.

use std::sync::Arc;

use central_api::auth::Scope;
use central_api::clock::Clock;
use central_api::site::Site;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::utm_data::Data;

struct Shop {
    app: TestApp,
    _site: Arc<Site>,
    client: reqwest::Client,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start_at(Clock::from_fn(|| "2026-11-20T23:10:00Z".parse().unwrap())).await;
        let site = app.site("shop").await;
        Data::generate(11, 160).store(&app.db.pool, site.id).await;
        let channels = "update sessions set channel = (array['paid_search', 'organic_search', 'direct'])[1 + event_count % 3], \
                        landing_path = case when event_count % 2 = 0 then '/Колекція/Зима' else landing_path end where site_id = $1";
        sqlx::query(channels).bind(site.id).execute(&app.db.pool).await.unwrap();
        let client = app.bearer(&site, &[Scope::Read]).await;
        Self {
            app,
            _site: site,
            client,
        }
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
        let parameters = [("period", "all_time")].iter().chain(query);
        let url = reqwest::Url::parse_with_params(&self.app.url(&format!("/api/utm/{path}")), parameters).unwrap();
        let answer = self.client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn rows(&self, list: &str, query: &[(&str, &str)]) -> (Vec<Value>, Value) {
        let (status, body) = self.ask(list, query).await;
        assert_eq!(status, 200, "{list}: {body}");
        let rows = body[list.replace('-', "_")].as_array().unwrap().clone();
        (rows, body)
    }
}

#[tokio::test]
async fn a_search_finds_the_rows_that_contain_it_and_no_others_on_every_page() {
    let shop = Shop::open().await;
    for (list, dimensions, searched) in [
        ("campaigns", &["utm_campaign", "utm_source"][..], "ЗИМА"),
        ("campaigns", &["utm_campaign", "utm_source"], "oo"),
        ("campaigns", &["utm_campaign", "utm_source"], "b,c&%"),
        ("content", &["utm_content", "utm_campaign"], "_AD_"),
        ("landing-pages", &["landing_page"], "колекція"),
        ("sources", &["utm_source"], "%"),
    ] {
        let (all, whole) = shop.rows(list, &[("limit", "1000"), ("sort", "-revenue")]).await;
        let wanted: Vec<_> = all
            .into_iter()
            .filter(|row| {
                dimensions.iter().any(|key| {
                    let text = row[*key].as_str().unwrap_or_default();
                    text.to_lowercase().contains(&searched.to_lowercase())
                })
            })
            .collect();
        let (found, body) = shop
            .rows(list, &[("limit", "1000"), ("sort", "-revenue"), ("search", searched)])
            .await;
        assert_eq!(found, wanted, "{list}: {searched}");
        assert_eq!(wanted.is_empty(), searched == "%", "{list}: {searched}");
        assert_eq!(body["totals"], whole["totals"], "totals are those of all rows");
        if wanted.len() > 1 {
            assert_eq!(body["total_rows"], wanted.len());
            let query = [
                ("limit", "1"),
                ("offset", "1"),
                ("sort", "-revenue"),
                ("search", searched),
            ];
            let (second, body) = shop.rows(list, &query).await;
            assert_eq!(second, wanted[1..2]);
            assert_eq!(body["total_rows"], wanted.len());
        }
    }
}

#[tokio::test]
async fn what_people_read_is_found_too_a_channels_name_and_what_is_not_set() {
    let shop = Shop::open().await;
    let (found, _) = shop.rows("channels", &[("search", "пошук")]).await;
    let mut keys: Vec<_> = found.iter().map(|row| row["channel"].as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["organic_search", "paid_search"]);
    let (found, _) = shop.rows("cities", &[("search", "польщ")]).await;
    assert!(
        !found.is_empty() && found.iter().all(|row| row["country"] == "PL"),
        "{found:?}"
    );
    for absent in ["(not set)", "не вказано"] {
        let (found, _) = shop.rows("terms", &[("search", absent)]).await;
        assert_eq!(found.len(), 1, "{absent}");
        assert_eq!(found[0]["utm_term"], json!(null));
    }
}

#[tokio::test]
async fn the_query_searches_likewise_and_says_where_it_cannot() {
    let shop = Shop::open().await;
    let query = [
        ("metrics", "sessions"),
        ("dimensions", "city,country"),
        ("sort", "-sessions"),
        ("search", "LVIV"),
    ];
    let (status, body) = shop.ask("query", &query).await;
    assert_eq!(status, 200, "{body}");
    let rows = body["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["city"] == "Lviv"), "{body}");
    assert_eq!(body["total_rows"], rows.len());
    for query in [
        &[("metrics", "sessions"), ("search", "x")][..],
        &[
            ("metrics", "sessions"),
            ("dimensions", "city"),
            ("bucket", "day"),
            ("search", "x"),
        ],
        &[("metrics", "sessions"), ("dimensions", "city"), ("search", "a\0")],
    ] {
        let (status, body) = shop.ask("query", query).await;
        assert_eq!((status, &body["error"]["field"]), (400, &json!("search")), "{body}");
    }
}

/// Values of a session as the API shows it that a search looks in.
const OF_SESSION: [&str; 15] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
    "channel",
    "referrer",
    "landing_page",
    "region",
    "city",
    "device_type",
    "device_brand",
    "device_model",
    "os_name",
    "browser_name",
];

/// All pages of the sessions' list, joined.
async fn all_pages(shop: &Shop, query: &[(&str, &str)]) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let mut after = None::<String>;
    for _ in 0..1_000 {
        let mut query = query.to_vec();
        query.extend(after.as_deref().map(|after| ("after", after)));
        let (rows, body) = shop.rows("sessions", &query).await;
        let limit = usize::try_from(body["limit"].as_i64().unwrap()).unwrap();
        assert!(rows.len() <= limit);
        // A page that is not full either ends the list or says how far it looked.
        let stopped = rows.len() < limit && !body["next"].is_null();
        assert_eq!(!body["searched_to"].is_null(), stopped, "{body}");
        found.extend(rows);
        match body["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return found,
        }
    }
    panic!("the pages do not end");
}

#[tokio::test]
async fn sessions_are_searched_page_by_page_in_either_order_without_gap_or_repeat() {
    let shop = Shop::open().await;
    let devices = "update sessions set device_type = case when event_count % 2 = 0 then 'mobile' else 'tablet' end";
    sqlx::query(devices).execute(&shop.app.db.pool).await.unwrap();
    let mut all = all_pages(&shop, &[("limit", "1000")]).await;
    assert!(all.len() > 100);
    let oldest = all_pages(&shop, &[("limit", "7"), ("sort", "first_seen")]).await;
    all.reverse();
    assert_eq!(oldest, all);
    all.reverse();
    let contains = |text: &str| {
        let text = text.to_lowercase();
        move |row: &Value| {
            OF_SESSION.iter().any(|key| {
                row[*key]
                    .as_str()
                    .is_some_and(|value| value.to_lowercase().contains(&text))
            })
        }
    };
    type Wanted = Box<dyn Fn(&Value) -> bool>;
    let searches: [(&str, Wanted); 9] = [
        ("ЗИМА", Box::new(contains("ЗИМА"))),
        ("oo", Box::new(contains("oo"))),
        ("b,c&%", Box::new(contains("b,c&%"))),
        ("LVIV", Box::new(contains("LVIV"))),
        ("польщ", Box::new(|row| row["country"] == "PL")),
        ("телефон", Box::new(|row| row["device_type"] == "mobile")),
        (
            "пошук",
            Box::new(|row| {
                ["organic_search", "paid_search"]
                    .iter()
                    .any(|one| row["channel"] == *one)
            }),
        ),
        (
            "(not set)",
            // Some campaigns are called so.
            Box::new(move |row| {
                let absent = ["utm_source", "utm_campaign", "channel"]
                    .iter()
                    .any(|key| row[*key].is_null());
                absent || contains("(not set)")(row)
            }),
        ),
        ("a\u{1f}b", Box::new(|_| false)),
    ];
    for (text, wanted) in &searches {
        let mut wanted: Vec<_> = all.iter().filter(|row| wanted(row)).cloned().collect();
        assert_eq!(wanted.is_empty(), *text == "a\u{1f}b", "{text}");
        for sort in ["-first_seen", "first_seen"] {
            // Pages that end where they are full, where the search stops, where both come together, and one for all.
            for (limit, look_at) in [
                ("7", "100000"),
                ("40", "13"),
                ("9", "9"),
                ("5", "12"),
                ("1000", "100000"),
            ] {
                let query = [("limit", limit), ("look_at", look_at), ("sort", sort), ("search", text)];
                assert_eq!(all_pages(&shop, &query).await, wanted, "{query:?}");
            }
            wanted.reverse();
        }
    }
    let one = &all[all.len() / 2];
    for key in ["id", "visitor_id"] {
        let wanted: Vec<_> = all.iter().filter(|row| row[key] == one[key]).cloned().collect();
        let id = one[key].as_str().unwrap().to_uppercase();
        assert_eq!(
            all_pages(&shop, &[("limit", "1"), ("search", &id)]).await,
            wanted,
            "{key}"
        );
    }
    for (name, value, told) in [
        ("sort", "-revenue", "allowed are -first_seen, first_seen"),
        ("search", "a\0", "NUL"),
        ("look_at", "0", "1 to 100000"),
        ("look_at", "100001", "1 to 100000"),
    ] {
        let (status, body) = shop.ask("sessions", &[(name, value)]).await;
        assert_eq!((status, &body["error"]["field"]), (400, &json!(name)), "{body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(told), "{body}");
    }
}
