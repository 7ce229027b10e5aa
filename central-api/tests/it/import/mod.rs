//! `central-api import`: history from files.

mod refused;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use central_api::auth::Scope;
use central_api::commands::import::{Args, import};
use central_api::import::Kind;
use central_api::import::run::Summary;
use central_api::site::Site;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::support::TestApp;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ud-import-{}", uuid::Uuid::from_u128(rand::random()).simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

struct Shop {
    app: TestApp,
    site: Arc<Site>,
    folder: Folder,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start().await;
        let site = app.site("shop").await;
        Self {
            app,
            site,
            folder: Folder::new(),
        }
    }

    async fn try_import(&self, args: Args) -> anyhow::Result<Vec<Summary>> {
        let now = self.app.state.clock.now();
        let done = import(&args, &self.app.db.pool, &self.app.state.config.secret, &self.site, now).await?;
        Ok(done.into_iter().map(|(_, _, summary)| summary).collect())
    }

    async fn import(&self, args: Args) -> Vec<Summary> {
        self.try_import(args).await.unwrap()
    }

    async fn one(&self, kind: Kind, file: &str, max_rows: Option<u64>) -> Summary {
        self.import(Args {
            max_rows,
            ..args(&[(kind, file)])
        })
        .await
        .remove(0)
    }

    /// Everything that an import writes, as text, without what says only when it ran.
    async fn everything(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        for table in ["sessions", "events", "visitor_contacts"] {
            let sql = format!("select to_jsonb(t) from {table} t order by t::text");
            rows.extend(self.json(sql).await);
        }
        rows.extend(
            self.json("select to_jsonb(t) - 'recheck_at' from orders t order by order_id".into())
                .await,
        );
        rows
    }

    async fn json(&self, sql: String) -> Vec<Value> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.app.db.pool)
            .await
            .unwrap()
    }

    async fn count(&self, table: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&self.app.db.pool)
            .await
            .unwrap()
    }
}

fn args(files: &[(Kind, &str)]) -> Args {
    let of = |kind| {
        files
            .iter()
            .filter(|(k, _)| *k == kind)
            .map(|(_, file)| (*file).to_owned())
            .collect()
    };
    Args {
        site: None,
        sessions: of(Kind::Sessions),
        events: of(Kind::Events),
        orders: of(Kind::Orders),
        spend: Vec::new(),
        time_zone: None,
        spend_source: None,
        spend_medium: None,
        spend_currency: None,
        format: None,
        max_rows: None,
    }
}

fn rejected(summary: &Summary) -> Vec<Value> {
    let text = std::fs::read_to_string(summary.rejected_file.as_deref().unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// 2,500 sessions with an action and an order each, in the documented columns.
fn history(folder: &Folder) -> [(Kind, String); 3] {
    let mut sessions = String::from(
        "session_id,visitor_id,started_at,last_seen_at,visit_count,utm_source,utm_medium,utm_campaign,gclid,country,device_type,landing_page\n",
    );
    let mut events = String::new();
    let mut orders = String::from("order_id;session_id;total;payment_status;created_at;email\n");
    for n in 0..2_500 {
        let (day, minute) = (1 + n % 28, n % 60);
        let source = ["fb", "Google", "tiktok"][n % 3];
        sessions += &format!(
            "s{n},v{},2025-02-{day:02} 10:{minute:02}:00+00,2025-02-{day:02} 11:00:00+00,{},{source},cpc,winter,,UA,mobile,/catalog?x=1\n",
            n / 2,
            1 + n % 3
        );
        events += &json!({"event_id": n, "session_id": format!("s{n}"), "occurred_at": format!("2025-02-{day:02}T10:59:00Z"), "action": "add_to_cart", "product_id": n % 7, "value": "10.50"}).to_string();
        events += "\n";
        orders += &format!(
            "o{n};s{n};{}.25;paid;2025-02-{day:02}T11:00:00Z;c{}@example.com\n",
            n % 100,
            n % 50
        );
    }
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(events.as_bytes()).unwrap();
    [
        (Kind::Sessions, folder.file("sessions.csv", sessions)),
        (Kind::Events, folder.file("events.ndjson.gz", gz.finish().unwrap())),
        (Kind::Orders, folder.file("orders.csv", orders)),
    ]
}

#[tokio::test]
async fn history_comes_in_and_a_second_run_changes_nothing() {
    let shop = Shop::open().await;
    let files = history(&shop.folder);
    let list: Vec<(Kind, &str)> = files.iter().map(|(kind, file)| (*kind, file.as_str())).collect();
    let done = shop.import(args(&list)).await;
    for summary in &done {
        assert_eq!(
            (summary.stored, summary.unchanged, summary.rejected),
            (2_500, 0, 0),
            "{summary:?}"
        );
    }
    let row = shop
        .json("select to_jsonb(s) from sessions s where utm_source = 'facebook' and visit_count = 1 limit 1".into())
        .await;
    assert_eq!(row[0]["channel"], "paid_social");
    assert_eq!(row[0]["country"], "UA");
    assert_eq!(row[0]["device_type"], "mobile");
    assert_eq!(row[0]["landing_path"], "/catalog");
    assert_ne!(row[0]["add_to_cart_at"], Value::Null);
    let (linked, sum): (i64, Decimal) =
        sqlx::query_as("select count(*) filter (where link_method = 'session'), sum(revenue) from orders")
            .fetch_one(&shop.app.db.pool)
            .await
            .unwrap();
    // 25 times 0 to 99, and a quarter each.
    assert_eq!((linked, sum), (2_500, Decimal::from(25 * 4_950 + 625)));
    let by_session: Decimal = sqlx::query_scalar("select sum(revenue) from sessions")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(by_session, sum);

    let before = shop.everything().await;
    for summary in shop.import(args(&list)).await {
        assert_eq!(
            (summary.skipped, summary.stored, summary.unchanged, summary.rejected),
            (2_500, 0, 0, 0)
        );
    }
    assert_eq!(shop.everything().await, before);
    // Even where nothing remembers that the file was done, and however it is written.
    sqlx::query("delete from import_progress")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    for summary in shop.import(args(&list)).await {
        assert_eq!((summary.skipped, summary.stored, summary.unchanged), (0, 0, 2_500));
    }
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn an_import_that_was_stopped_goes_on_where_it_stopped() {
    let (shop, whole) = (Shop::open().await, Shop::open().await);
    let files = history(&shop.folder);
    for (kind, file) in &files {
        whole.one(*kind, file, None).await;
        for (max, skipped, stored) in [
            (Some(700), 0, 700),
            (Some(1_000), 700, 1_000),
            (Some(1), 1_700, 1),
            (None, 1_701, 799),
            (None, 2_500, 0),
        ] {
            let summary = shop.one(*kind, file, max).await;
            assert_eq!(
                (summary.skipped, summary.stored, summary.rejected),
                (skipped, stored, 0),
                "{kind:?}"
            );
        }
    }
    assert_eq!(shop.everything().await, whole.everything().await);
}

#[tokio::test]
async fn a_kill_between_rows_and_progress_doubles_nothing() {
    let shop = Shop::open().await;
    let files = history(&shop.folder);
    for (kind, file) in &files {
        shop.one(*kind, file, None).await;
    }
    let before = shop.everything().await;
    // As if the rows had been stored and the process killed before it could say so.
    sqlx::query("update import_progress set rows_done = 1500")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    for (kind, file) in &files {
        let summary = shop.one(*kind, file, None).await;
        assert_eq!((summary.skipped, summary.stored, summary.unchanged), (1_500, 0, 1_000));
    }
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn the_three_tables_of_the_django_module_come_in_by_column_name() {
    let shop = Shop::open().await;
    let sessions = shop.folder.file(
        "storefront_utmsession.csv",
        "\u{feff}id,session_id,session_key,visitor_id,utm_source,utm_medium,utm_campaign,utm_content,utm_term,fbclid,gclid,ttclid,fbc,fbp,ip_address,country,country_name,city,region,timezone,device_type,device_brand,device_model,os_name,os_version,browser_name,browser_version,user_agent,referrer,landing_page,visit_count,is_first_visit,is_returning_visitor,user_registered,user_registered_at,first_seen,last_seen,is_converted,converted_at,conversion_type\n\
        7,,abc123,,facebook,cpc,winter_sale_2025,video_1,,IwAR123,,,,,203.0.113.77,UA,Україна,Київ,,Europe/Kyiv,mobile,Apple,iPhone,iOS,18.1,Mobile Safari,18,,https://l.facebook.com/x?y=1,/?utm_source=facebook,3,f,t,t,2025-01-30 12:10:00+00,2025-01-30 12:00:00.5+00,2025-01-31 09:00:00+00,t,2025-01-30 12:30:00+00,purchase\n\
        8,NULL,def456,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,unknown,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,/,1,t,f,f,NULL,2025-01-30 13:00:00,2025-01-30 13:00:00,f,NULL,NULL\n",
    );
    let actions = shop.folder.file(
        "storefront_useraction.csv",
        "id,utm_session_id,site_session_id,user_id,action_type,page_path,product_id,product_name,cart_value,order_id,order_number,metadata,timestamp,points_earned\n\
        1,7,,,product_view,/p/1?a=b,11,Футболка,,,,{},2025-01-30 12:01:00+00,3\n\
        2,7,,,add_to_cart,/p/1,11,Футболка,899.00,,,\"{\"\"size\"\": \"\"XL\"\"}\",2025-01-30 12:02:00+00,10\n\
        3,7,,5,purchase,,,,,31,TWC30012025N01,{},2025-01-30 12:30:00+00,108\n\
        4,7,,,custom_print_start,/custom,,,,,,{},2025-01-30 12:03:00+00,0\n\
        5,,,,page_view,/,,,,,,{},2025-01-30 12:03:00+00,1\n\
        6,99,,,page_view,/,,,,,,{},2025-01-30 12:03:00+00,1\n",
    );
    let orders = shop.folder.file(
        "orders_order.csv",
        "id,user_id,order_number,session_key,full_name,phone,email,city,pay_type,payment_status,total_sum,discount_amount,promo_code_id,status,utm_session_id,utm_source,source,sale_source,created,updated\n\
        31,5,TWC30012025N01,abc123,Олена,0671234567,olena@example.com,Київ,online_full,paid,999.00,100.00,4,done,7,facebook,web,,2025-01-30 12:30:00+00,2025-02-01 10:00:00+00\n\
        32,,TWC30012025N02,,Ігор,0501234567,,Львів,prepay_200,partial,500.00,0.00,,new,8,,web,,2025-01-30 13:10:00+00,2025-01-30 13:10:00+00\n\
        33,,TWC30012025N03,,Ігор,050 123 45 67,,Львів,cod,paid,250.00,0.00,,cancelled,,,manual,Instagram,2025-01-30 14:00:00+00,2025-01-30 14:00:00+00\n\
        34,,TWC30012025N04,,Олена,,olena@example.com,Київ,cod,checking,250.00,0.00,,new,,,manual,,2025-01-31 14:00:00+00,2025-01-31 14:00:00+00\n",
    );
    let done = shop
        .import(args(&[
            (Kind::Orders, &orders),
            (Kind::Events, &actions),
            (Kind::Sessions, &sessions),
        ]))
        .await;
    assert_eq!((done[0].stored, done[0].rejected), (2, 0));
    assert_eq!((done[1].stored, done[1].rejected), (4, 2));
    assert_eq!((done[2].stored, done[2].rejected), (4, 0));
    let refused = rejected(&done[1]);
    assert_eq!(
        (
            refused[0]["line"].as_u64(),
            refused[0]["field"].as_str(),
            refused[0]["code"].as_str()
        ),
        (Some(6), Some("utm_session_id"), Some("missing_field"))
    );
    assert_eq!(
        (refused[1]["line"].as_u64(), refused[1]["code"].as_str()),
        (Some(7), Some("unknown_session"))
    );
    assert_eq!(refused[1]["row"]["id"], "6");

    let session = &shop
        .json("select to_jsonb(s) from sessions s where utm_source = 'facebook'".into())
        .await[0];
    assert_eq!(session["visit_count"], 3);
    assert_eq!(session["utm_campaign"], "winter_sale_2025");
    assert_eq!(session["click_ids"]["fbclid"], "IwAR123");
    assert_eq!(session["city"], "Київ");
    assert_eq!(session["ip"], "203.0.113.0");
    assert_eq!(session["os_name"], "iOS");
    assert_eq!(session["first_seen"], "2025-01-30T12:00:00.5+00:00");
    assert_eq!(session["registered_at"], "2025-01-30T12:10:00+00:00");
    for stage in ["product_view_at", "add_to_cart_at", "purchase_at"] {
        assert_ne!(session[stage], Value::Null, "{stage}");
    }
    assert_eq!(
        (session["orders"].as_i64(), session["paid_orders"].as_i64()),
        (Some(2), Some(1))
    );
    assert_eq!(session["revenue"].as_f64(), Some(899.0), "total_sum less the discount");
    let other = &shop
        .json("select to_jsonb(s) from sessions s where utm_source is distinct from 'facebook'".into())
        .await[0];
    assert_eq!(
        (other["channel"].as_str(), other["lead_orders"].as_i64()),
        (Some("direct"), Some(1))
    );
    let orders = shop.json("select jsonb_build_array(order_id, payment_status, link_method, sales_channel, revenue::text) from orders order by order_id".into()).await;
    assert_eq!(
        orders,
        [
            json!(["31", "paid", "session", "web", "899.0000"]),
            json!(["32", "prepaid", "session", "web", "0.0000"]),
            json!(["33", "cancelled", "phone", "Instagram", "0.0000"]),
            json!(["34", "unpaid", "email", "manual", "0.0000"]),
        ]
    );
}

#[tokio::test]
async fn imported_history_and_live_orders_meet() {
    let shop = Shop::open().await;
    let client = shop.app.bearer(&shop.site, &[Scope::Orders]).await;
    let live = json!({"order_id": "1", "total": "5.00", "payment_status": "refunded", "refunded": 5, "created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-03-01T00:00:00Z"});
    client
        .post(shop.app.url("/api/v1/orders"))
        .body(live.to_string())
        .send()
        .await
        .unwrap();
    let file = shop.folder.file("orders.ndjson", json!({"order_id": "1", "session_id": "s1", "total": "5.00", "payment_status": "paid", "created_at": "2025-01-01T00:00:00Z"}).to_string());
    let summary = shop.one(Kind::Orders, &file, None).await;
    assert_eq!((summary.stored, summary.unchanged), (0, 1), "the live state is later");
    // Its session comes in only now: the order knows the name from the import, and is linked at the end of the run.
    let sessions = shop.folder.file(
        "s.ndjson",
        json!({"session_id": "s1", "started_at": "2024-12-31T00:00:00Z", "utm_source": "google"}).to_string(),
    );
    shop.one(Kind::Sessions, &sessions, None).await;
    let (status, method): (String, Option<String>) = sqlx::query_as("select payment_status, link_method from orders")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!((status.as_str(), method.as_deref()), ("refunded", Some("session")));
}

#[tokio::test]
async fn what_a_session_and_an_action_both_tell_of_counts_once() {
    let shop = Shop::open().await;
    let sessions = shop.folder.file(
        "storefront_utmsession.csv",
        "id,session_key,utm_source,landing_page,visit_count,user_registered_at,first_seen,last_seen\n\
        1,a,google,https://shop.example/catalog?utm_source=google,2,2025-01-30 12:05:00+00,2025-01-30 12:00:00.4+00,2025-01-31 09:00:00+00\n\
        2,b,google,/,1,,2025-01-30 13:00:00+00,2025-01-30 13:00:10+00\n",
    );
    let actions = shop.folder.file(
        "storefront_useraction.csv",
        "id,utm_session_id,action_type,page_path,timestamp\n\
        1,1,page_view,/catalog?utm_source=google,2025-01-30 12:00:00.9+00\n\
        2,1,page_view,/p/1,2025-01-30 12:00:02+00\n\
        3,1,sign_up,,2025-01-30 12:05:01+00\n\
        4,1,page_view,/cart,2025-01-31 09:00:00+00\n\
        5,2,page_view,/,2025-01-30 12:59:58+00\n\
        6,2,page_view,/,2025-01-30 13:00:10+00\n",
    );
    for _ in 0..2 {
        shop.import(args(&[(Kind::Sessions, &sessions), (Kind::Events, &actions)]))
            .await;
        let pages = shop
            .json("select jsonb_build_array(page_views, event_count, registered_at is not null, points, visit_count) from sessions order by first_seen".into())
            .await;
        // Landing, /p/1, the last visit and the registration; the landing, how long the visit was, and / again.
        assert_eq!(pages, [json!([3, 4, true, 3 + 5, 2]), json!([2, 3, false, 2, 1])]);
        sqlx::query("delete from import_progress")
            .execute(&shop.app.db.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn who_acted_ordered_or_registered_in_a_history_is_a_confirmed_person() {
    let shop = Shop::open().await;
    let sessions = shop.folder.file(
        "sessions.csv",
        "session_id,started_at,registered_at,human,utm_source\n\
        looked,2025-01-30 12:00:00Z,,,s\nacted,2025-01-30 12:00:00Z,,,s\nordered,2025-01-30 12:00:00Z,,,s\n\
        registered,2025-01-30 12:00:00Z,2025-01-30 12:01:00Z,,s\ntold,2025-01-30 12:00:00Z,,true,s\n",
    );
    let django = shop.folder.file(
        "storefront_utmsession.csv",
        "id,session_key,utm_source,first_seen,last_seen,is_converted\n\
        1,a,d,2025-01-30 12:00:00+00,2025-01-30 12:00:00+00,t\n2,b,d,2025-01-30 12:00:00+00,2025-01-30 12:00:00+00,f\n",
    );
    let events = shop.folder.file(
        "events.csv",
        "event_id,session_id,occurred_at,action\n1,acted,2025-01-30 12:01:00Z,add_to_cart\n2,looked,2025-01-30 12:01:00Z,page_view\n",
    );
    let orders = shop.folder.file(
        "orders.csv",
        "order_id,session_id,total,payment_status,created_at\n1,ordered,10,cancelled,2025-01-30 12:30:00Z\n",
    );
    shop.import(args(&[
        (Kind::Sessions, &sessions),
        (Kind::Sessions, &django),
        (Kind::Events, &events),
        (Kind::Orders, &orders),
    ]))
    .await;
    let people = shop
        .json("select jsonb_build_array(utm_source, human_seen, count(*)) from sessions group by utm_source, human_seen order by utm_source, human_seen".into())
        .await;
    assert_eq!(
        people,
        [
            json!(["d", false, 1]),
            json!(["d", true, 1]),
            json!(["s", false, 1]),
            json!(["s", true, 4])
        ]
    );
    let marked: i64 = sqlx::query_scalar(
        "select count(distinct m.visitor_id) from rollup_marks m join sessions s using (visitor_id) where s.orders > 0",
    )
    .fetch_one(&shop.app.db.pool)
    .await
    .unwrap();
    assert_eq!(marked, 1);
}

#[tokio::test]
async fn a_table_in_local_time_is_read_in_the_zone_that_is_told() {
    let shop = Shop::open().await;
    // As MySQL exports them: nothing says that the shop's clock stood there.
    let orders = shop.folder.file(
        "orders_order.csv",
        "id,total_sum,payment_status,created,updated\n1,10,paid,2025-01-30 00:30:00,2025-07-01 00:30:00\n",
    );
    shop.import(Args {
        time_zone: Some(chrono_tz::Europe::Kyiv),
        ..args(&[(Kind::Orders, &orders)])
    })
    .await;
    let times = shop
        .json(
            "select jsonb_build_array(created_at at time zone 'UTC', updated_at at time zone 'UTC') from orders".into(),
        )
        .await;
    assert_eq!(times, [json!(["2025-01-29T22:30:00", "2025-06-30T21:30:00"])]);
}

#[tokio::test]
async fn an_imported_order_without_a_session_is_not_given_to_whoever_had_the_id_of_all_guests() {
    let shop = Shop::open().await;
    let mut sessions = String::from("session_id,visitor_id,started_at,utm_source\n");
    let mut orders = String::from("order_id,session_id,customer_id,email,total,payment_status,created_at\n");
    for n in 1..=6 {
        sessions += &format!("s{n},v{n},2025-01-30 1{n}:00:00Z,source{n}\n");
        orders += &format!("o{n},s{n},0,guest{n}@shop.example,10,paid,2025-01-30 1{n}:30:00Z\n");
    }
    orders += "stranger,,0,,10,paid,2025-01-30 20:00:00Z\nfriend,,0,guest2@shop.example,10,paid,2025-01-30 20:00:00Z\n";
    let (sessions, orders) = (
        shop.folder.file("sessions.csv", sessions),
        shop.folder.file("orders.csv", orders),
    );
    for _ in 0..2 {
        shop.import(args(&[(Kind::Sessions, &sessions), (Kind::Orders, &orders)]))
            .await;
        let linked = shop
            .json("select jsonb_build_array(order_id, link_method, unlinked_cause, utm_source) from orders where named_session_id is null order by order_id".into())
            .await;
        assert_eq!(
            linked,
            [
                json!(["friend", "email", null, "source2"]),
                json!(["stranger", null, "shared_contact", null])
            ]
        );
    }
}

#[tokio::test]
async fn what_an_import_marked_is_summed_up_when_it_says_so() {
    let shop = Shop::open().await;
    let files = history(&shop.folder);
    let list: Vec<(Kind, &str)> = files.iter().map(|(kind, file)| (*kind, file.as_str())).collect();
    shop.import(args(&list)).await;
    let period = (chrono::DateTime::UNIX_EPOCH, shop.app.state.clock.now());
    let sum_up = || central_api::commands::sums::bring_up_to_date(&shop.app.state, &shop.site, period, false);
    sum_up().await.unwrap();
    // So many that they are moved in several bites.
    sqlx::query(
        "insert into rollup_marks select 1, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions, generate_series(1, 4)",
    )
    .execute(&shop.app.db.pool)
    .await
    .unwrap();
    sum_up().await.unwrap();
    for table in ["rollup_marks", "rollup_dirty", "cohort_dirty"] {
        assert_eq!(shop.count(table).await, 0, "{table}");
    }
}
