//! Lists as files: CSV and XLSX, read back by another program's reader.

mod figures;

use std::io::Cursor;
use std::sync::Arc;

use calamine::{Data as Cell, Range, Reader, Xlsx};
use central_api::auth::Scope;
use central_api::clock::Clock;
use central_api::site::Site;
use reqwest::StatusCode;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;

use crate::support::TestApp;
use crate::utm_data::Data;

/// Every value of `type`, with the endpoint whose rows it holds.
const TYPES: [(&str, &str); 13] = [
    ("sources", "sources"),
    ("campaigns", "campaigns"),
    ("content", "content"),
    ("mediums", "mediums"),
    ("terms", "terms"),
    ("channels", "channels"),
    ("landing-pages", "landing-pages"),
    ("referrers", "referrers"),
    ("devices", "devices"),
    ("browsers", "browsers"),
    ("operating-systems", "operating-systems"),
    ("countries", "query?metrics=sessions&dimensions=country"),
    ("cities", "query?metrics=sessions&dimensions=city,country"),
];

struct Shop {
    app: TestApp,
    site: Arc<Site>,
    client: reqwest::Client,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start_at(Clock::from_fn(|| "2026-11-20T23:10:00Z".parse().unwrap())).await;
        let site = app.site("shop").await;
        Data::generate(7, 300).store(&app.db.pool, site.id).await;
        let client = app.bearer(&site, &[Scope::Read]).await;
        Self { app, site, client }
    }

    async fn file(&self, query: &str) -> Vec<u8> {
        let url = self.app.url(&format!("/api/utm/export-csv?period=all_time&{query}"));
        let answer = self.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        answer.bytes().await.unwrap().to_vec()
    }

    async fn sheet(&self, query: &str) -> Range<Cell> {
        let bytes = self.file(&format!("{query}&format=xlsx")).await;
        let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(bytes)).unwrap();
        let names = book.sheet_names();
        assert_eq!(names.len(), 1);
        let formulas = book.worksheet_formula(&names[0]).unwrap();
        assert!(formulas.is_empty(), "nothing is ever a formula");
        book.worksheet_range(&names[0]).unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let and = if path.contains('?') { '&' } else { '?' };
        let url = self.app.url(&format!("/api/utm/{path}{and}period=all_time&limit=1000"));
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }
}

fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Float(number) => Some(*number),
        Cell::Int(number) => number.to_f64(),
        _ => None,
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::String(text) => text.clone(),
        // Days since day 0 of a workbook.
        Cell::DateTime(at) => {
            let first = chrono::NaiveDate::from_ymd_opt(1899, 12, 30).unwrap();
            (first + chrono::TimeDelta::days(at.as_f64() as i64)).to_string()
        }
        other => panic!("{other:?} is no text"),
    }
}

#[tokio::test]
async fn every_list_is_a_workbook_of_typed_cells_with_the_rows_of_its_endpoint_and_totals() {
    let shop = Shop::open().await;
    for (kind, path) in TYPES {
        let sheet = shop.sheet(&format!("type={kind}&locale=en")).await;
        let rows: Vec<_> = sheet.rows().collect();
        let answer = shop.json(path).await;
        let total_rows = answer["total_rows"].as_u64().unwrap() as usize;
        assert_eq!(rows.len(), total_rows + 2, "{kind}: header, rows, totals");
        let at = rows[0]
            .iter()
            .position(|cell| *cell == Cell::String("Sessions".into()))
            .unwrap();
        let last = rows.last().unwrap();
        assert_eq!(text(&last[0]), "Total", "{kind}");
        assert_eq!(number(&last[at]), answer["totals"]["sessions"].as_f64(), "{kind}");
        let sum: f64 = rows[1..rows.len() - 1]
            .iter()
            .map(|row| number(&row[at]).unwrap())
            .sum();
        assert_eq!(Some(sum), number(&last[at]), "{kind}: sessions add up");
        for row in &rows[1..] {
            assert!(number(&row[at]).is_some(), "{kind}");
        }
    }
}

/// What stands in the first column, which must be dates, as a CSV file writes them.
fn days_of<'a>(rows: impl Iterator<Item = &'a [Cell]>) -> Vec<String> {
    rows.map(|row| match &row[0] {
        cell @ Cell::DateTime(_) => text(cell),
        other => panic!("{other:?} is no date"),
    })
    .collect()
}

#[tokio::test]
async fn days_weeks_and_months_are_dates_in_a_workbook_and_the_same_ones_in_text() {
    let shop = Shop::open().await;
    for query in [
        "type=day",
        "type=week",
        "type=month",
        "type=roi&by=day",
        "type=roi&by=month",
        "type=cohort-analysis&cohort_type=month",
    ] {
        let sheet = shop.sheet(&format!("{query}&locale=en")).await;
        let dated = sheet
            .rows()
            .skip(1)
            .filter(|row| !matches!(&row[0], Cell::String(name) if ["Total", "Average"].contains(&name.as_str())));
        let days = days_of(dated);
        let csv = String::from_utf8(shop.file(query).await).unwrap();
        let texts: Vec<_> = csv
            .lines()
            .skip(1)
            .map(|line| line.split(',').next().unwrap().to_owned())
            .filter(|first| first.starts_with("20"))
            .collect();
        assert!(days.len() > 2, "{query}: {days:?}");
        assert_eq!(days, texts, "{query}");
    }
    let csv = String::from_utf8(shop.file("type=day").await).unwrap();
    let days: Vec<_> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().to_owned())
        .collect();
    assert!(days.len() > 100 && days.is_sorted(), "{days:?}");
}

#[tokio::test]
async fn strings_that_look_like_formulas_stay_strings_and_money_keeps_its_cents() {
    let shop = Shop::open().await;
    let sheet = shop.sheet("type=content&locale=en").await;
    let values: Vec<_> = sheet.rows().skip(1).map(|row| text(&row[0])).collect();
    assert!(
        values.contains(&"=1+1".to_owned()),
        "as it is, without an apostrophe: {values:?}"
    );
    assert!(values.contains(&"(not set)".to_owned()));
    let csv = String::from_utf8(shop.file("type=content").await).unwrap();
    assert!(
        csv.contains("'=1+1"),
        "where a spreadsheet would compute, an apostrophe stands before it"
    );

    let sources = shop.json("sources").await;
    let sheet = shop.sheet("type=sources&locale=en").await;
    let rows: Vec<_> = sheet.rows().collect();
    let at = rows[0]
        .iter()
        .position(|cell| *cell == Cell::String("Revenue".into()))
        .unwrap();
    for source in sources["sources"].as_array().unwrap() {
        let name = source["utm_source"].as_str().unwrap_or("(not set)");
        let row = rows.iter().find(|row| row[0] == Cell::String(name.into())).unwrap();
        assert_eq!(number(&row[at]), source["revenue"].as_f64(), "{name}");
    }
}

#[tokio::test]
async fn sessions_are_exported_whole_in_both_formats_with_local_times_and_sums() {
    let shop = Shop::open().await;
    let count: i64 = sqlx::query_scalar(
        "select count(*) from sessions where site_id = $1 and bot_reason is null and first_seen < $2",
    )
    .bind(shop.site.id)
    .bind(shop.app.state.clock.now())
    .fetch_one(&shop.app.db.pool)
    .await
    .unwrap();
    let sheet = shop.sheet("").await;
    let rows: Vec<_> = sheet.rows().collect();
    assert_eq!(rows.len() as i64, count + 2);
    assert_eq!(text(&rows[0][0]), "Сесія");
    assert!(matches!(rows[1][2], Cell::DateTime(_)), "{:?}", rows[1][2]);
    assert_eq!(text(&rows.last().unwrap()[0]), "Разом");
    let figures = shop.json("query?metrics=revenue,orders,page_views").await;
    for (label, key) in [
        ("Дохід", "revenue"),
        ("Замовлення", "orders"),
        ("Перегляди сторінок", "page_views"),
    ] {
        let at = rows[0]
            .iter()
            .position(|cell| *cell == Cell::String(label.into()))
            .unwrap();
        let sum = number(&rows.last().unwrap()[at]).unwrap();
        assert!((sum - figures["totals"][key].as_f64().unwrap()).abs() < 1e-6, "{label}");
    }
    let csv = shop.file("").await;
    let mut reader = csv::Reader::from_reader(csv.strip_prefix("\u{feff}".as_bytes()).unwrap());
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len() as i64, count);
    for (record, row) in records.iter().zip(&rows[1..]) {
        assert_eq!(&record[0], text(&row[0]));
        assert_eq!(record.len(), row.len());
    }
}

#[tokio::test]
async fn an_export_of_what_is_searched_for_holds_the_rows_that_the_endpoint_finds_and_no_others() {
    let shop = Shop::open().await;
    let records = async |query: &str| {
        let csv = shop.file(query).await;
        let mut reader = csv::Reader::from_reader(csv.strip_prefix("\u{feff}".as_bytes()).unwrap());
        reader.records().map(Result::unwrap).collect::<Vec<_>>()
    };
    let all = records("").await.len();
    let visitor = shop.json("sessions?search=oo").await["sessions"][0]["visitor_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for search in ["oo", "LVIV", "(not%20set)", &visitor, "nothing%20of%20the%20kind"] {
        let found = shop.json(&format!("sessions?search={search}")).await["sessions"]
            .as_array()
            .unwrap()
            .clone();
        let exported = records(&format!("type=sessions&search={search}")).await;
        assert_eq!(found.is_empty(), search.starts_with("nothing"), "{search}");
        assert!(found.len() < all, "{search}");
        let ids: Vec<_> = found.iter().map(|session| session["id"].as_str().unwrap()).collect();
        assert_eq!(
            exported.iter().map(|record| &record[0]).collect::<Vec<_>>(),
            ids,
            "{search}"
        );
    }
    for (list, search) in [("campaigns", "oo"), ("landing-pages", "a"), ("sources", "(not%20set)")] {
        let answer = shop.json(&format!("{list}?search={search}")).await;
        let found = answer["total_rows"].as_u64().unwrap() as usize;
        assert!(found > 0, "{list}");
        let query = format!("type={list}&search={search}");
        assert_eq!(records(&query).await.len(), found, "{list}");
        assert!(records(&format!("type={list}")).await.len() > found, "{list}");
        let sheet = shop.sheet(&format!("{query}&locale=en")).await;
        let rows: Vec<_> = sheet.rows().collect();
        let at = rows[0].iter().position(|cell| text(cell) == "Sessions").unwrap();
        assert_eq!(
            number(&rows.last().unwrap()[at]),
            answer["totals"]["sessions"].as_f64(),
            "{list}"
        );
    }
    for kind in ["day", "funnel", "general-stats"] {
        let url = shop.app.url(&format!("/api/utm/export-csv?type={kind}&search=oo"));
        let answer = shop.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{kind}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["field"], "search", "{body}");
    }
}

#[tokio::test]
async fn an_export_outlives_the_statement_timeout_and_a_third_one_at_once_is_asked_to_wait() {
    let shop = Shop::open().await;
    sqlx::query("insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views, points, landing_path)
        select $1, gen_random_uuid(), gen_random_uuid(), '2026-11-01', '2026-11-01', 1, '{}', 1, 1, 1, repeat('/x', 400) from generate_series(1, 30000)")
        .bind(shop.site.id)
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    let sites = central_api::db::sites::all(&shop.app.db.pool).await.unwrap();
    // Every connection would give a statement up that takes as long as an export.
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "alter database {} set statement_timeout = '20ms'",
        shop.app.db.name
    )))
    .execute(&shop.app.db.pool)
    .await
    .unwrap();
    let options = shop.app.db.pool.connect_options();
    let impatient = sqlx::PgPool::connect_with((*options).clone()).await.unwrap();
    let timeout: String = sqlx::query_scalar("show statement_timeout")
        .fetch_one(&impatient)
        .await
        .unwrap();
    assert_eq!(timeout, "20ms");
    let state = central_api::state::AppState::new(
        central_api::config::Config::for_tests(),
        shop.app.db.pool.clone(),
        impatient,
        shop.app.state.clock.clone(),
        None,
    )
    .unwrap();
    state.sites.replace(sites);
    let (router, _) = central_api::router::build(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router.into_make_service()).await.unwrap() });
    let ask = || {
        shop.client
            .get(format!("http://{address}/api/utm/export-csv?period=all_time"))
            .send()
    };
    // Two that nobody reads: the files are larger than what fits between.
    let (first, second) = (ask().await.unwrap(), ask().await.unwrap());
    let third = ask().await.unwrap();
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(third.headers().contains_key("retry-after"));
    drop(second);
    let text = first.text().await.unwrap();
    assert!(text.lines().count() > 30_000, "{}", text.lines().count());
}

#[tokio::test]
async fn a_list_is_exported_whole_over_the_only_connection_that_there_is_for_reading() {
    let shop = Shop::open().await;
    let options = (*shop.app.db.pool.connect_options()).clone();
    let only = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(std::time::Duration::from_secs(1))
        .connect_lazy_with(options);
    let state = central_api::state::AppState::new(
        central_api::config::Config::for_tests(),
        shop.app.db.pool.clone(),
        only,
        shop.app.state.clock.clone(),
        None,
    )
    .unwrap();
    state
        .sites
        .replace(central_api::db::sites::all(&shop.app.db.pool).await.unwrap());
    let (router, _) = central_api::router::build(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router.into_make_service()).await.unwrap() });
    let url = format!("http://{address}/api/utm/export-csv?period=all_time&type=sources");
    let file = shop.client.get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(file, shop.file("type=sources").await);
}
