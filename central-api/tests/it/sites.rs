use central_api::auth::{Role, Scope};
use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test]
async fn everybody_sees_their_own_sites_only() {
    let app = TestApp::start().await;
    let one = app.site("one").await;
    app.site("two").await;
    let keys = async |client: &reqwest::Client| {
        let sites: Vec<Value> = client
            .get(app.url("/api/v1/sites"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        sites
            .iter()
            .map(|site| site["key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&app.admin().await).await, ["one", "two"]);
    assert_eq!(keys(&app.logged_in(Role::Viewer, Some(&one)).await).await, ["one"]);
    assert_eq!(keys(&app.bearer(&one, &[Scope::Read]).await).await, ["one"]);
}

#[tokio::test]
async fn a_change_holds_at_once_and_leaves_the_rest() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    let change = async |body: Value| {
        let answer = admin
            .patch(app.url("/api/v1/sites/shop"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{body}");
        answer.json::<Value>().await.unwrap()
    };
    let site = change(
        json!({"name": "Крамниця", "currency": "EUR", "settings": {"look_back_days": 7, "points": {"lead": 60}}}),
    )
    .await;
    assert_eq!(
        (&site["name"], &site["currency"], &site["country"]),
        (&json!("Крамниця"), &json!("EUR"), &json!("UA"))
    );
    let site = change(json!({"settings": {"retention_days": 90}})).await;
    assert_eq!(site["settings"]["look_back_days"], 7);
    assert_eq!(site["settings"]["points"]["lead"], 60);
    let site = change(json!({"settings": {"look_back_days": null}})).await;
    assert_eq!(site["settings"]["look_back_days"], 30);
    assert_eq!(app.state.sites.by_key("shop").unwrap().settings.retention_days, 90);
}

#[tokio::test]
async fn two_changes_at_once_both_hold() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    let send = |body: Value| admin.patch(app.url("/api/v1/sites/shop")).json(&body).send();
    for round in 1..10 {
        let (one, two) = tokio::join!(
            send(json!({"settings": {"look_back_days": round}})),
            send(json!({"settings": {"retention_days": 100 + round}}))
        );
        assert!(one.unwrap().status().is_success() && two.unwrap().status().is_success());
        app.reload_sites().await;
        let settings = &app.state.sites.by_key("shop").unwrap().settings;
        assert_eq!((settings.look_back_days, settings.retention_days), (round, 100 + round));
    }
}

#[tokio::test]
async fn what_follows_from_a_change_follows_from_what_is_stored_not_from_what_this_process_read() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    // Another process made it count in euros, and this one has not read that yet.
    sqlx::query("update sites set currency = 'EUR'")
        .execute(&app.db.pool)
        .await
        .unwrap();
    let answer = admin
        .patch(app.url("/api/v1/sites/shop"))
        .json(&json!({"currency": "UAH"}))
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["currency"], "UAH");
    assert_eq!(answer["effects"][0]["code"], "orders_revalued", "{answer}");
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_by_field_and_changes_nothing() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "a\u{0}b"}), "name"),
        (json!({"name": "x".repeat(1_000)}), "name"),
        (json!({"name": 5}), "name"),
        (json!({"key": "other"}), "key"),
        (json!({"domains": ["https://shop.example/"]}), "domains"),
        (json!({"time_zone": "Mars/Olympus"}), "time_zone"),
        (json!({"currency": "грн"}), "currency"),
        (json!({"country": "ukraine"}), "country"),
        (json!({"language": "de"}), "language"),
        (json!({"settings": {"look_back_day": 1}}), "settings.look_back_day"),
        (json!({"settings": {"look_back_days": -1}}), "settings.look_back_days"),
        (json!({"settings": {"retention_days": 1}}), "settings.retention_days"),
        (json!({"settings": {"points": {"fly": 1}}}), "settings.points"),
        (json!({"settings": {"max_cpa_share": "1.5"}}), "settings.max_cpa_share"),
        (
            json!({"settings": {"blocked_contacts": ["a\u{0}"]}}),
            "settings.blocked_contacts",
        ),
        (
            json!({"settings": {"payment_hosts": ["https://pay"]}}),
            "settings.payment_hosts",
        ),
        (
            json!({"settings": {"channel_rules": [{"channel": "email"}]}}),
            "settings.channel_rules",
        ),
        (
            json!({"settings": {"channel_rules": [{"channel": "mail", "source": "a"}]}}),
            "settings.channel_rules",
        ),
        (json!({"settings": {"worker": {"ip": "some"}}}), "settings.worker"),
        (
            json!({"settings": {"worker": {"secure_cookies": false}}}),
            "settings.worker",
        ),
        (
            json!({"settings": {"worker": {"session_life_hours": 0}}}),
            "settings.worker.session_life_hours",
        ),
        (
            json!({"settings": {"worker": {"consent": {"mode": "respect", "cookie": "c"}}}}),
            "settings.worker.consent.accepted",
        ),
        (
            json!({"settings": {"public_url": "https://evil.example/"}}),
            "settings.public_url",
        ),
        (
            json!({"settings": {"public_url": "ftp://shop.example/"}}),
            "settings.public_url",
        ),
        (
            json!({"settings": {"public_url": "https://u:p@shop.example/"}}),
            "settings.public_url",
        ),
    ] {
        let answer = admin
            .patch(app.url("/api/v1/sites/shop"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["error"]["field"], field, "{body}: {error}");
    }
    let body = vec![b'x'; 300_000];
    let answer = admin
        .patch(app.url("/api/v1/sites/shop"))
        .header("content-type", "application/json")
        .body(body)
        .send();
    assert_eq!(answer.await.unwrap().status(), 413);
    app.reload_sites().await;
    assert_eq!(app.state.sites.by_key("shop").unwrap().name, "shop");
}

#[tokio::test]
async fn an_admin_of_one_site_cannot_change_another() {
    let app = TestApp::start().await;
    let one = app.site("one").await;
    app.site("two").await;
    let admin = app.logged_in(Role::Admin, Some(&one)).await;
    let patch = async |key: &str| {
        let url = app.url(&format!("/api/v1/sites/{key}"));
        admin
            .patch(url)
            .json(&json!({"name": "mine"}))
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(patch("one").await, 200);
    assert_eq!(patch("two").await, 400);
    assert_eq!(patch("three").await, 400);
}

async fn changed(app: &TestApp, client: &reqwest::Client, body: Value) -> Value {
    let answer = client
        .patch(app.url("/api/v1/sites/shop"))
        .json(&body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(status, 200, "{answer}");
    answer
}

fn codes(answer: &Value) -> Vec<&str> {
    let effects = answer["effects"].as_array().unwrap();
    effects.iter().map(|effect| effect["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_change_says_in_both_languages_what_follows_and_stands_in_the_log() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    assert_eq!(
        codes(&changed(&app, &admin, json!({"name": "Крамниця"})).await),
        [] as [&str; 0]
    );
    for (body, expected) in [
        (
            json!({"time_zone": "Europe/Warsaw"}),
            vec!["rates_by_day", "periods_moved"],
        ),
        (
            json!({"settings": {"source_aliases": {"fbk": "facebook"}}}),
            vec!["from_now_on"],
        ),
        (
            json!({"settings": {"worker": {"bots": "drop"}}}),
            vec!["worker_follows"],
        ),
        (
            json!({"domains": ["shop.example", "shop.test"]}),
            vec!["worker_follows"],
        ),
        (
            json!({"settings": {"blocked_contacts": ["info@shop.example"]}}),
            vec!["customers_regrouped"],
        ),
        (
            json!({"settings": {"retention_days": 90}}),
            vec!["data_will_be_deleted"],
        ),
        (
            json!({"settings": {"revenue_from_events": true}}),
            vec!["revenue_source_switched"],
        ),
    ] {
        let answer = changed(&app, &admin, body.clone()).await;
        assert_eq!(codes(&answer), expected, "{body}");
        let first = &answer["effects"][0];
        assert!(first["uk"].as_str().unwrap().len() > 20 && first["en"].as_str().unwrap().len() > 20);
    }
    let log: Value = admin
        .get(app.url("/api/v1/audit-log"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(log[0]["detail"], json!({"settings.revenue_from_events": [false, true]}));
    assert_eq!(
        log[2]["detail"]["settings.blocked_contacts"],
        json!([{"entries": 0}, {"entries": 1}])
    );
    assert!(
        !log.to_string().contains("info@shop.example"),
        "contacts stay out of the log"
    );
}

#[tokio::test]
async fn another_currency_values_every_order_anew() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let shop = app.bearer(&site, &[Scope::Orders]).await;
    let order = |id: &str, currency: &str, rate: Option<&str>| {
        json!({"order_id": id, "total": "100.00", "currency": currency, "rate": rate, "payment_status": "paid",
            "created_at": "2026-01-01T10:00:00Z", "updated_at": "2026-01-01T10:00:00Z"})
    };
    for order in [
        order("1", "UAH", None),
        order("2", "EUR", Some("50")),
        order("3", "USD", None),
    ] {
        let sent = shop.post(app.url("/api/v1/orders")).json(&order).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    }
    let revenue = async || {
        let rows: Vec<(String, Option<rust_decimal::Decimal>)> =
            sqlx::query_as("select order_id, trim_scale(revenue) from orders order by order_id")
                .fetch_all(&app.db.pool)
                .await
                .unwrap();
        rows.into_iter()
            .map(|row| row.1.map(|sum| sum.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(revenue().await, [Some("100".into()), Some("5000".into()), None]);
    let admin = app.admin().await;
    let answer = changed(&app, &admin, json!({"currency": "EUR"})).await;
    assert_eq!(
        (&answer["effects"][0]["code"], &answer["effects"][0]["rows"]),
        (&json!("orders_revalued"), &json!(3))
    );
    let site = app.state.sites.by_key("shop").unwrap();
    let now = app.state.clock.now() + chrono::TimeDelta::seconds(1);
    central_api::orders::store::refresh_due(&app.db.pool, &site, now)
        .await
        .unwrap();
    assert_eq!(revenue().await, [None, Some("100".into()), None]);
}

#[tokio::test]
async fn a_site_is_added_by_an_admin_of_every_site() {
    let app = TestApp::start().await;
    let one = app.site("one").await;
    let admin = app.admin().await;
    let add = async |client: &reqwest::Client, body: Value| {
        let answer = client.post(app.url("/api/v1/sites")).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let new = json!({"key": "two", "name": "Two", "domains": ["Two.example"], "currency": "EUR"});
    let (status, site) = add(&admin, new.clone()).await;
    assert_eq!(
        (status, &site["domains"], &site["currency"], &site["time_zone"]),
        (201, &json!(["two.example"]), &json!("EUR"), &json!("Europe/Kyiv"))
    );
    assert_eq!(add(&admin, new.clone()).await.0, 409);
    assert_eq!(
        add(&app.logged_in(Role::Admin, Some(&one)).await, new.clone()).await.0,
        403
    );
    assert_eq!(add(&app.logged_in(Role::Viewer, None).await, new).await.0, 403);
    for (body, field) in [
        (json!({"key": "Two!", "name": "x", "domains": []}), "key"),
        (json!({"key": "three", "name": "", "domains": []}), "name"),
        (json!({"key": "three", "name": "x", "domains": ["a b"]}), "domains"),
        (
            json!({"key": "three", "name": "x", "domains": [], "time_zone": "x"}),
            "time_zone",
        ),
    ] {
        let (status, error) = add(&admin, body).await;
        assert_eq!((status, &error["error"]["field"]), (400, &json!(field)));
    }
}

#[tokio::test]
async fn the_worker_is_served_what_the_panel_set_signed_with_its_own_key() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let (id, secret) = app.ingest_key(&site).await;
    let admin = app.admin().await;
    let ask = async |secret: &str| {
        let now = app.state.clock.now().timestamp();
        let signature = shared::signature::sign(&id, secret.as_bytes(), now, b"{}");
        let url = app.url("/internal/worker-settings");
        app.client
            .post(url)
            .header(shared::signature::HEADER, signature)
            .body("{}")
            .send()
            .await
            .unwrap()
    };
    assert_eq!(ask("another secret").await.status(), 401);
    let version = async || {
        let answer = ask(&secret).await;
        assert_eq!(answer.status(), 200);
        let header = answer.headers()[shared::signature::HEADER].to_str().unwrap().to_owned();
        let body = answer.text().await.unwrap();
        let signed = shared::signature::parse(&header).unwrap();
        signed
            .verify(secret.as_bytes(), app.state.clock.now().timestamp(), body.as_bytes())
            .unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        (body["version"].as_str().unwrap().to_owned(), body["settings"].clone())
    };
    let (first, settings) = version().await;
    assert_eq!(settings, json!({"hosts": ["shop.example"]}));
    let consent = json!({"mode": "respect", "cookie": "c", "accepted": ["yes"]});
    let change = json!({"settings": {"worker": {"ip": "none", "consent": consent}, "payment_hosts": ["pay.example"]}});
    let answer = changed(&app, &admin, change).await;
    let (second, settings) = version().await;
    assert!(first != second && answer["worker_version"] == second);
    assert_eq!(
        (&settings["ip"], &settings["consent"]["gpc"], &settings["payment_hosts"]),
        (&json!("none"), &json!("refuse"), &json!(["pay.example"]))
    );
}

#[tokio::test]
async fn own_channel_rules_and_payment_hosts_decide_what_an_event_is_stored_as() {
    use shared::event::{Event, Touch};
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    let rules = json!([{"channel": "affiliate", "source": "partner-*"}]);
    changed(
        &app,
        &admin,
        json!({"settings": {"channel_rules": rules, "payment_hosts": ["pay.example"]}}),
    )
    .await;
    let site = app.state.sites.by_key("shop").unwrap();
    let stored = |touch: Touch| {
        let aliases = shared::attribution::Aliases::default();
        let id = shared::ids::uuid_v7(1_800_000_000_000, [1; 10]);
        let event: Event = serde_json::from_value(
            json!({"id": id, "at": 1_800_000_000_000_i64, "action": "page_view", "origin": "edge",
            "consent": "refused", "touch": touch}),
        )
        .unwrap();
        let rules = central_api::ingest::validate::Rules {
            site: &site,
            aliases: &aliases,
            devices: &app.state.ingest.devices,
            now_ms: 1_800_000_000_000,
            max_age_ms: None,
        };
        match central_api::ingest::validate::record(event, &rules).unwrap() {
            central_api::ingest::record::Record::Anonymous(hit) => (hit.channel.unwrap().to_owned(), hit.bot_reason),
            other => panic!("{other:?}"),
        }
    };
    let touch = |source: Option<&str>, referrer: Option<&str>| Touch {
        utm_source: source.map(str::to_owned),
        referrer_host: referrer.map(str::to_owned),
        ..Touch::default()
    };
    assert_eq!(stored(touch(Some("Partner-7"), None)).0, "affiliate");
    assert_eq!(stored(touch(None, Some("pay.example"))).0, "direct");
    assert_eq!(stored(touch(None, Some("blog.example"))).0, "referral");
    assert_eq!(
        stored(touch(Some("ud-check"), None)).1,
        Some(shared::event::BotReason::Test.code())
    );
}

#[tokio::test]
async fn a_list_that_was_read_before_a_change_does_not_stand_in_place_of_one_read_after_it() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let sites = central_api::site::Sites::default();
    let (answer, answered) = tokio::sync::oneshot::channel();
    let before = sites.read(answered);
    let after = sites.read(std::future::ready(Ok::<_, sqlx::Error>(vec![(*site).clone()])));
    let (before, after, sent) = tokio::join!(before, after, async {
        tokio::task::yield_now().await;
        answer.send(Vec::new()).is_ok()
    });
    assert!(before.is_ok() && after.is_ok() && sent);
    assert_eq!(sites.all().len(), 1);
}
