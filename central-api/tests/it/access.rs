//! Who may call what, over every path that the API describes: a path that is added is in these tests without anybody thinking of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use central_api::auth::{Role, Scope};
use central_api::business::upkeep;
use central_api::site::Site;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::TestApp;
use crate::utm_data::Data;

/// Open to everybody by design: logging in, the very first admin, a link from an e-mail, and the description of the API itself.
const OPEN: [(&str, &str); 6] = [
    ("post", "/api/v1/session"),
    ("get", "/api/v1/setup"),
    ("post", "/api/v1/setup"),
    ("post", "/api/v1/account/password-link"),
    ("get", "/api/openapi.json"),
    ("get", "/api/docs"),
];

/// What somebody who may only look may send: what changes nothing, or only what is their own.
const VIEWERS_MAY: [(&str, &str); 4] = [
    ("post", "/api/utm/query"),
    ("delete", "/api/v1/session"),
    ("delete", "/api/v1/sessions/{id}"),
    ("post", "/api/v1/account/password"),
];

/// Stands in every text of the other site.
const CANARY: &str = "canary";

/// A described operation.
#[derive(Debug, Clone)]
struct Operation {
    method: Method,
    /// As described, with `{…}`.
    path: String,
    /// Parameters of the query that it cannot do without, or that make it answer more, with a value that is allowed.
    query: String,
}

impl Operation {
    fn is(&self, list: &[(&str, &str)]) -> bool {
        let method = self.method.as_str().to_lowercase();
        list.contains(&(method.as_str(), self.path.as_str()))
    }

    fn with_ids(&self, id: &str) -> String {
        let mut filled = self.path.clone();
        while let (Some(from), Some(to)) = (filled.find('{'), filled.find('}')) {
            filled.replace_range(from..=to, id);
        }
        filled
    }
}

/// A value for a parameter that some endpoint requires.
fn value_of(name: &str) -> Option<&'static str> {
    match name {
        "start_date" => Some("2026-01-01"),
        "end_date" => Some("2026-12-31"),
        "metrics" => Some("sessions"),
        "campaign" => Some("sale"),
        "currency" => Some("EUR"),
        "month" => Some("2026-11"),
        "date" => Some("2026-11-01"),
        _ => None,
    }
}

/// Every operation under /api, /internal and /ingest that is not open.
fn described(app: &TestApp) -> Vec<Operation> {
    let (_, description) = central_api::router::build(app.state.clone());
    let document = serde_json::to_value(&description).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            let mut query: Vec<String> = Vec::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let reference = parameter["$ref"].as_str().map(|r| r.strip_prefix('#').unwrap());
                let parameter = reference.map_or(parameter, |r| document.pointer(r).unwrap());
                let name = parameter["name"].as_str().unwrap();
                if parameter["in"] == "query"
                    && let Some(value) = value_of(name)
                {
                    query.push(format!("{name}={value}"));
                }
            }
            let operation = Operation {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                path: path.clone(),
                query: query.join("&"),
            };
            let guarded = ["/api/", "/internal/", "/ingest/"]
                .iter()
                .any(|prefix| path.starts_with(prefix));
            if guarded && !operation.is(&OPEN) {
                found.push(operation);
            }
        }
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

/// Some identifier that nothing has.
const NOBODY: &str = "00000000000000000000000000000000";

#[tokio::test]
async fn nobody_gets_anything_without_credentials_or_with_bad_ones() {
    let app = TestApp::start().await;
    app.site("shop").await;
    for operation in described(&app) {
        let path = operation.with_ids(NOBODY);
        for (name, value) in [
            ("accept", "*/*"),
            (
                "authorization",
                "Bearer ud_0000000000000000000000000000000000000000000000000000000000000000",
            ),
            ("authorization", "Basic YWRtaW46YWRtaW4="),
            (
                "cookie",
                "ud_admin=0000000000000000000000000000000000000000000000000000000000000000",
            ),
        ] {
            let method = operation.method.clone();
            let request = app.client.request(method.clone(), app.url(&path)).header(name, value);
            let answer = request.json(&json!({})).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{method} {path} with {name}: {value}");
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["error"]["code"], "unauthorized", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn whoever_may_only_look_is_refused_every_change() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let viewer = app.logged_in(Role::Viewer, Some(&site)).await;
    let reader = app.bearer(&site, &[Scope::Read]).await;
    let everything = app.bearer(&site, &[Scope::Read, Scope::Orders, Scope::Events]).await;
    let before = everything_of(&app, &site).await;
    let mut asked = 0;
    for operation in described(&app) {
        if operation.method == Method::GET || operation.is(&VIEWERS_MAY) {
            continue;
        }
        asked += 1;
        let url = app.url(&operation.with_ids("shop"));
        for (who, client) in [("viewer", &viewer), ("reader", &reader)] {
            let request = client.request(operation.method.clone(), &url);
            let status = request.json(&json!({"name": "x"})).send().await.unwrap().status();
            assert!([401, 403].contains(&status.as_u16()), "{who}: {operation:?}: {status}");
        }
    }
    assert!(asked > 10, "{asked}");
    // What a shop's program may send is orders, rates and events; settings are for people.
    let change = everything
        .patch(app.url("/api/v1/sites/shop"))
        .json(&json!({"name": "x"}));
    assert_eq!(change.send().await.unwrap().status(), 401);
    assert_eq!(everything_of(&app, &site).await, before);
}

/// What is read by admins alone: who logs in, what programs hold keys, who did what, what was refused, and who a customer is.
const ADMINS_READ: [&str; 9] = [
    "/api/v1/analytics/customers/{customer}",
    "/api/v1/api-keys",
    "/api/v1/audit-log",
    "/api/v1/dead-letters",
    "/api/v1/ingest-keys",
    "/api/v1/orders/{order_id} (programs)",
    "/api/v1/report-runs",
    "/api/v1/report-schedules",
    "/api/v1/users",
];

#[tokio::test]
async fn a_viewer_reads_every_path_but_those_for_admins() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let viewer = app.logged_in(Role::Viewer, Some(&site)).await;
    let admin = app.admin().await;
    let mut refused = Vec::new();
    for operation in described(&app) {
        if operation.method != Method::GET || !operation.path.starts_with("/api/") {
            continue;
        }
        let url = app.url(&format!("{}?{}", operation.with_ids("1"), operation.query));
        let status = viewer.get(&url).send().await.unwrap().status().as_u16();
        if [401, 403].contains(&status) {
            let admins = admin.get(&url).send().await.unwrap().status().as_u16();
            // What asks for a key is for programs, whoever the user is.
            assert!(
                status == admins || status == 403,
                "{operation:?}: {status} and {admins}"
            );
            refused.push(format!(
                "{}{}",
                operation.path,
                if status == admins { " (programs)" } else { "" }
            ));
        }
    }
    assert_eq!(refused, ADMINS_READ);
}

/// Names of the tables with a column `site_id`, and their text columns.
async fn tables(app: &TestApp) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "select c.table_name::text, t.column_name::text from information_schema.columns c
        join pg_class k on k.relname = c.table_name and not k.relispartition and k.relkind in ('r', 'p')
        left join information_schema.columns t on t.table_schema = c.table_schema and t.table_name = c.table_name and t.data_type = 'text'
        where c.table_schema = 'public' and c.column_name = 'site_id' order by 1, 2",
    )
    .fetch_all(&app.db.pool)
    .await
    .unwrap();
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in rows {
        tables.entry(table).or_default().extend(column);
    }
    tables
}

/// Every row of a site in every table, as text.
async fn everything_of(app: &TestApp, site: &Site) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for table in tables(app).await.into_keys() {
        let sql = format!(
            "select coalesce(string_agg(t::text, E'\\n' order by t::text), '') from {table} t where site_id = {}",
            site.id
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&app.db.pool)
            .await
            .unwrap();
        found.insert(table, rows);
    }
    // Filled by the one upkeep of all sites, and by looking at what a key was last used for.
    for table in ["api_keys", "rollups", "rollup_dirty", "rollup_marks"] {
        found.remove(table);
    }
    found
}

/// Two shops with data of every kind; every text of the second that may hold it holds the canary.
async fn two_shops(app: &TestApp) -> (Arc<Site>, Arc<Site>) {
    let (one, two) = (app.site("one").await, app.site("two").await);
    for (seed, site) in [(1, &one), (2, &two)] {
        Data::generate(seed, 60).store(&app.db.pool, site.id).await;
        let token = app.bearer(site, &[Scope::Orders, Scope::Events]).await;
        let orders = json!([
            {"order_id": "1", "order_number": "N1", "total": "10", "payment_status": "paid", "email": "a@b.example", "items": [{"name": "thing"}]},
            {"order_id": "2", "total": "-1", "payment_status": "paid"}
        ]);
        let answer = token
            .post(app.url("/api/v1/orders"))
            .json(&orders)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let admin = app.logged_in(Role::Admin, Some(site)).await;
        let report = "date,source,campaign,amount\n2026-11-01,facebook,winter,10\n";
        let answer = admin
            .post(app.url("/api/v1/ad-spend"))
            .body(report)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        app.ingest_key(site).await;
        app.logged_in(Role::Viewer, Some(site)).await;
        let campaign = json!({"site": site.key, "name": "sale", "discount_type": "none", "start_day": "2026-11-01", "promo_codes": ["x"]});
        let answer = admin
            .post(app.url("/api/v1/analytics/campaigns"))
            .json(&campaign)
            .send();
        assert_eq!(answer.await.unwrap().status(), 201);
        let (pool, secret) = (&app.state.pool, &app.state.config.secret);
        upkeep::catch_up(pool, secret, site, chrono::Utc::now()).await.unwrap();
    }
    for (table, columns) in tables(app).await {
        for column in columns {
            let sql = format!(
                "update {table} set {column} = '{CANARY}-' || {column} where site_id = {}",
                two.id
            );
            // A column of fixed values refuses it; the others are enough.
            let _ = sqlx::query(AssertSqlSafe(sql)).execute(&app.db.pool).await;
        }
    }
    // The row of the site itself is known by its key; everybody else must not see its name.
    let sql = "update sites set site_key = 'two', name = 'canary', time_zone = 'Europe/Kyiv' where site_id = $1";
    sqlx::query(sql).bind(two.id).execute(&app.db.pool).await.unwrap();
    app.state.keys.forget();
    app.reload_sites().await;
    (one, app.state.sites.by_key("two").unwrap())
}

#[tokio::test]
async fn whoever_belongs_to_one_site_sees_and_changes_nothing_of_another_on_any_path() {
    let app = TestApp::start().await;
    let (one, two) = two_shops(&app).await;
    let clients: [(&str, Client); 3] = [
        (
            "token",
            app.bearer(&one, &[Scope::Read, Scope::Orders, Scope::Events]).await,
        ),
        ("admin", app.logged_in(Role::Admin, Some(&one)).await),
        ("viewer", app.logged_in(Role::Viewer, Some(&one)).await),
    ];
    // What the other site's things are called, for paths that name one.
    let mut ids: Vec<String> = vec!["two".into(), two.id.to_string()];
    for sql in [
        "select order_id from orders where site_id = $1 limit 2",
        "select session_id::text from sessions where site_id = $1 limit 1",
        "select visitor_id::text from sessions where site_id = $1 limit 1",
        "select key_id from api_keys where site_id = $1",
        "select key_id from ingest_keys where site_id = $1",
        "select user_id::text from users where site_id = $1",
        "select dead_letter_id::text from dead_letters where site_id = $1",
        "select campaign_id::text from campaigns where site_id = $1",
        "select customer_no::text from customer_metrics where site_id = $1 limit 2",
    ] {
        let found: Vec<String> = sqlx::query_scalar(sql)
            .bind(two.id)
            .fetch_all(&app.db.pool)
            .await
            .unwrap();
        assert!(!found.is_empty(), "{sql}");
        ids.extend(found);
    }
    // Somebody who may see the other site does see the canary: it is there to be found.
    let seen = app
        .admin()
        .await
        .get(app.url("/api/utm/sources?site=two&period=all_time"));
    assert!(seen.send().await.unwrap().text().await.unwrap().contains(CANARY));
    let before = everything_of(&app, &two).await;
    let mut answered = BTreeMap::new();
    for operation in described(&app) {
        if operation.is(&VIEWERS_MAY[1..]) {
            // Their own session; it is needed for what follows.
            continue;
        }
        let named = operation.path.contains('{');
        let targets = if named { &ids[..] } else { &ids[..1] };
        for (who, client) in &clients {
            for id in targets {
                let path = operation.with_ids(&id.replace('%', "%25").replace(' ', "%20"));
                let mut texts = Vec::new();
                for site in [None, Some("one"), Some("two"), Some("six")] {
                    let mut url = format!("{path}?{}", operation.query);
                    if let Some(site) = site {
                        url = format!("{url}&site={site}");
                    }
                    let mut request = client.request(operation.method.clone(), app.url(&url));
                    if operation.method != Method::GET {
                        request = request.json(&json!({"site": site.unwrap_or("two")}));
                    }
                    let answer = request.send().await.unwrap();
                    let status = answer.status().as_u16();
                    assert!(status < 500, "{who} {operation:?} {url}: {status}");
                    let text = answer.text().await.unwrap();
                    // A path's own id may be repeated; nothing else of the other site.
                    let text_without_id = text.replace(id.as_str(), "");
                    assert!(!text_without_id.contains(CANARY), "{who} {operation:?} {url}: {text}");
                    if operation.method == Method::GET && status == 200 && !named {
                        answered.insert(operation.path.clone(), ());
                    }
                    texts.push((status, text));
                }
                let (foreign, unknown) = (&texts[2], &texts[3]);
                assert_eq!(
                    foreign, unknown,
                    "{who} {operation:?}: a foreign site can be told from none"
                );
            }
        }
    }
    assert_eq!(
        everything_of(&app, &two).await,
        before,
        "something of the other site changed"
    );
    // The test asked for something: nearly every path that needs no id gave this site its own figures.
    let unanswered: Vec<_> = described(&app)
        .into_iter()
        .filter(|o| o.method == Method::GET && !o.path.contains('{') && !answered.contains_key(&o.path))
        .map(|o| o.path)
        .collect();
    assert!(
        unanswered.len() <= 2,
        "never answered 200, so nothing was tried there: {unanswered:?}"
    );
}
