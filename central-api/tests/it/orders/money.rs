//! Revenue to the cent: refunds, currencies.

use central_api::auth::{Role, Scope};
use central_api::orders::store::refresh_in;
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Shop, dec, uuid};
use crate::support::waits_for_a_lock;

#[tokio::test]
async fn refunds_and_cancellations_change_revenue_to_the_cent() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(2), None).await;
    let mut minute = 0;
    for (status, refunded, revenue, money) in [
        ("unpaid", "0", "0", (1, 0, 0, "0")),
        ("prepaid", "0", "0", (1, 1, 0, "0")),
        ("paid", "0", "1234.56", (1, 0, 1, "1234.56")),
        ("partially_refunded", "0.07", "1234.49", (1, 0, 1, "1234.49")),
        ("refunded", "1234.56", "0", (1, 0, 0, "0")),
        ("paid", "0", "1234.56", (1, 0, 1, "1234.56")),
        ("cancelled", "0", "0", (1, 0, 0, "0")),
    ] {
        minute += 1;
        let answer = shop
            .ok(json!({"order_id": "A1", "session_id": uuid(11), "total": 1234.56, "refunded": refunded, "payment_status": status,
                "created_at": "2026-11-20T09:30:00Z", "updated_at": format!("2026-11-20T09:3{minute}:00Z")}))
            .await;
        assert_eq!(dec(answer["revenue"].as_str().unwrap()), dec(revenue), "{status}");
        assert_eq!(answer["linked_by"], "session");
        let (orders, leads, paid, sum) = shop.money(11).await;
        assert_eq!(
            (orders, leads, paid, sum),
            (money.0, money.1, money.2, dec(money.3)),
            "{status}"
        );
        let marks = shop.marks().await;
        let hours: Vec<String> = marks.iter().map(|mark| mark.1.format("%H").to_string()).collect();
        assert_eq!(
            (marks[0].0, hours),
            (Uuid::from_u128(1), vec!["08".to_owned(), "09".to_owned()]),
            "session's hour and order's"
        );
    }
}

#[tokio::test]
async fn orders_are_valued_in_the_currency_that_the_site_has_also_by_a_process_that_has_not_read_it_yet() {
    let shop = Shop::open().await;
    // With a contact it is looked at again later, without one never.
    let order = |id: &str, currency: &str, email: Option<&str>| {
        json!({"order_id": id, "email": email, "total": 100, "currency": currency, "payment_status": "paid",
            "created_at": "2026-11-20T09:00:00Z", "updated_at": "2026-11-20T09:00:00Z"})
    };
    shop.ok(order("before", "UAH", Some("ann@shop.example"))).await;
    sqlx::query("update sites set currency = 'EUR'")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(shop.ok(order("after", "EUR", None)).await["revenue"], "100");
    assert_eq!(shop.ok(order("foreign", "UAH", None)).await["revenue"], Value::Null);
    shop.wait(TimeDelta::minutes(1));
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.get("before").await["revenue"], Value::Null);
}

/// Another process changes the currency of the site: it holds the site until it is through.
struct CurrencyChange(sqlx::PgTransaction<'static>);

impl CurrencyChange {
    async fn begin(shop: &Shop) -> Self {
        let mut transaction = shop.app.db.pool.begin().await.unwrap();
        sqlx::query("select 1 from sites for update")
            .execute(&mut *transaction)
            .await
            .unwrap();
        Self(transaction)
    }

    async fn commit_euros(mut self) {
        sqlx::query("update sites set currency = 'EUR'")
            .execute(&mut *self.0)
            .await
            .unwrap();
        self.0.commit().await.unwrap();
    }
}

#[tokio::test]
async fn an_order_waits_for_the_change_of_currency_that_values_all_orders_anew() {
    let shop = Shop::open().await;
    let change = CurrencyChange::begin(&shop).await;
    let order = json!({"order_id": "meanwhile", "total": 100, "currency": "EUR", "payment_status": "paid"});
    let url = shop.app.url("/api/v1/orders");
    let sent = tokio::spawn(shop.client.post(url).body(order.to_string()).send());
    assert!(waits_for_a_lock(&shop.app.db.pool, &sent).await);
    change.commit_euros().await;
    let answer: Value = sent.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["revenue"], "100", "{answer}");
}

#[tokio::test]
async fn an_order_without_a_currency_is_in_the_one_that_the_site_has_not_in_the_one_that_this_process_read() {
    let shop = Shop::open().await;
    sqlx::query("update sites set currency = 'EUR'")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    let order = |id: &str, money: Value| {
        let mut order =
            json!({"order_id": id, "total": 100, "payment_status": "paid", "updated_at": "2026-11-20T09:00:00Z"});
        order
            .as_object_mut()
            .unwrap()
            .extend(money.as_object().unwrap().clone());
        order
    };
    assert_eq!(shop.ok(order("unsaid", json!({}))).await["revenue"], "100");
    assert_eq!(shop.get("unsaid").await["currency"], "EUR");
    // A rate to what the site counted in before is none of its own currency.
    let own = shop.ok(order("own", json!({"currency": "EUR", "rate": 48}))).await;
    assert_eq!(own["revenue"], "100");
}

#[tokio::test]
async fn rates_in_units_of_a_currency_that_the_site_has_no_more_are_not_stored() {
    let shop = Shop::open().await;
    let put = |currency: &str| {
        let rates = json!([{"currency": currency, "day": "2026-11-20", "rate": 41}]);
        let url = shop.app.url("/api/v1/exchange-rates");
        tokio::spawn(shop.client.put(url).body(rates.to_string()).send())
    };
    let change = CurrencyChange::begin(&shop).await;
    let sent = put("USD");
    assert!(waits_for_a_lock(&shop.app.db.pool, &sent).await);
    change.commit_euros().await;
    let answer = sent.await.unwrap().unwrap();
    assert_eq!(answer.status(), 409);
    let error: Value = answer.json().await.unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("EUR"), "{error}");
    let stored: i64 = sqlx::query_scalar("select count(*) from exchange_rates")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(stored, 0);
    shop.app.reload_sites().await;
    assert_eq!(put("USD").await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn orders_of_absurd_amounts_in_one_session_keep_no_other_order_out() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    let order = |id: &str, total: &str| json!({"order_id": id, "session_id": uuid(11), "total": total, "payment_status": "paid"});
    let list = json!([
        order("a", "60000000000000"),
        order("b", "60000000000000"),
        order("c", "10")
    ]);
    let answer = shop.ok(list).await;
    assert_eq!(answer["orders"].as_array().map(Vec::len), Some(3), "{answer}");
    assert_eq!(shop.money(11).await, (3, 0, 3, dec("99999999999999.9999")));
}

/// Purchases, those of known value and the average order, the same by either date of money.
async fn average_order(shop: &Shop) -> [Value; 3] {
    let reader = shop.app.bearer(&shop.site, &[Scope::Read]).await;
    let mut found = Vec::new();
    for date in ["session", "order"] {
        let query = "metrics=purchases,valued_purchases,avg_order_value&period=all_time";
        let url = shop.app.url(&format!("/api/utm/query?{query}&attribution_date={date}"));
        let answer: Value = reader.get(url).send().await.unwrap().json().await.unwrap();
        let row = answer["rows"][0].clone();
        found.push(["purchases", "valued_purchases", "avg_order_value"].map(|key| row[key].clone()));
    }
    assert_eq!(found[0], found[1]);
    found.remove(0)
}

#[tokio::test]
async fn two_currencies_are_summed_in_the_sites_one() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    let order = |id: &str, rest: Value| {
        let mut order = json!({"order_id": id, "session_id": uuid(11), "total": "10.10", "currency": "EUR", "payment_status": "paid",
            "created_at": "2026-11-20T09:00:00Z", "updated_at": "2026-11-20T09:00:00Z"});
        order.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        order
    };
    let given = shop.ok(order("given", json!({"rate": "48.5"}))).await;
    assert_eq!(dec(given["revenue"].as_str().unwrap()), dec("489.85"));
    let waiting = shop.ok(order("waiting", json!({}))).await;
    assert_eq!(waiting["revenue"], Value::Null);
    assert!(waiting["warnings"][0].as_str().unwrap().contains("exchange rate"));
    shop.ok(order("home", json!({"currency": "UAH", "total": 100}))).await;
    assert_eq!(shop.money(11).await, (3, 0, 3, dec("589.85")));
    // The purchase that waits for its rate is in no average either.
    assert_eq!(average_order(&shop).await, [json!(3), json!(2), json!(294.93)]);

    let put = async |rates: Value| {
        let answer = shop
            .client
            .put(shop.app.url("/api/v1/exchange-rates"))
            .body(rates.to_string())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    // Six days before: the fallback. Then the day itself.
    assert_eq!(
        put(json!([{"currency": "EUR", "day": "2026-11-14", "rate": 40}])).await,
        (200, json!({"changed": 1, "orders": 1}))
    );
    assert_eq!(shop.money(11).await, (3, 0, 3, dec("993.85")));
    assert_eq!(average_order(&shop).await, [json!(3), json!(3), json!(331.28)]);
    put(json!([{"currency": "EUR", "day": "2026-11-20", "rate": "50.00"}])).await;
    assert_eq!(shop.money(11).await, (3, 0, 3, dec("1094.85")));
    assert_eq!(
        put(json!([{"currency": "EUR", "day": "2026-11-20", "rate": "50"}]))
            .await
            .1,
        json!({"changed": 0, "orders": 0})
    );
    // Too old for a fallback; another shop's key; nonsense.
    put(json!([{"currency": "EUR", "day": "2026-11-12", "rate": 1}])).await;
    assert_eq!(shop.money(11).await.3, dec("1094.85"));
    for (rates, field) in [
        (
            json!([{"currency": "UAH", "day": "2026-11-20", "rate": 1}]),
            "[0].currency",
        ),
        (
            json!([{"currency": "EUR", "day": "2026-11-20", "rate": 1}, {"currency": "xxz", "day": "2026-11-20", "rate": 1}]),
            "[1].currency",
        ),
        (json!([{"currency": "EUR", "day": "2026-02-30", "rate": 1}]), "[0].day"),
        (json!([{"currency": "EUR", "day": "2026-11-20", "rate": 0}]), "[0].rate"),
        (
            json!([{"currency": "EUR", "day": "2026-11-20", "rate": -3}]),
            "[0].rate",
        ),
        (json!([{"currency": "EUR", "day": "2026-11-20"}]), "[0].rate"),
        (
            json!([{"currency": "EUR", "day": "2026-11-20", "rate": 1}, {"currency": "eur", "day": "2026-11-20", "rate": 2}]),
            "day",
        ),
    ] {
        let (status, answer) = put(rates.clone()).await;
        assert_eq!(
            (status, answer["error"]["field"].as_str()),
            (400, Some(field)),
            "{rates}"
        );
    }
}

#[tokio::test]
async fn a_rate_of_one_shop_does_not_change_another() {
    let shop = Shop::open().await;
    let other = shop.app.site("other").await;
    let theirs = shop.app.bearer(&other, &[Scope::Orders]).await;
    let rates = json!([{"currency": "EUR", "day": "2026-11-20", "rate": 1}]);
    theirs
        .put(shop.app.url("/api/v1/exchange-rates"))
        .body(rates.to_string())
        .send()
        .await
        .unwrap();
    let answer = shop
        .ok(json!({"order_id": "1", "total": 1, "currency": "EUR", "payment_status": "paid"}))
        .await;
    assert_eq!(answer["revenue"], Value::Null);
    let missing = theirs.get(shop.app.url("/api/v1/orders/1")).send().await.unwrap();
    assert_eq!(missing.status(), 404, "a site's key sees that site only");
}

#[tokio::test]
async fn a_change_of_the_zone_and_orders_that_are_stored_meanwhile_do_not_wait_for_each_other() {
    let shop = Shop::open().await;
    let admin = shop.app.admin().await;
    // In this order they lie in the table, and so a change of all of them would lock them.
    for id in ["first", "second"] {
        shop.ok(json!({"order_id": id, "total": 1, "currency": "EUR", "payment_status": "paid"}))
            .await;
    }
    let mut storing = shop.app.db.pool.begin().await.unwrap();
    let look = async |conn: &mut sqlx::PgConnection, id: &str| {
        refresh_in(conn, &shop.site, shop.now(), &[id.to_owned()]).await
    };
    look(&mut storing, "second").await.unwrap();
    let asked = admin
        .patch(shop.app.url("/api/v1/sites/shop"))
        .json(&json!({"time_zone": "America/New_York"}))
        .send();
    let asked = tokio::spawn(asked);
    assert!(waits_for_a_lock(&shop.app.db.pool, &asked).await);
    look(&mut storing, "first").await.unwrap();
    storing.commit().await.unwrap();
    let answer: Value = asked.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["time_zone"], json!("America/New_York"));
    assert_eq!(answer["effects"][0]["rows"], json!(2));
}

#[tokio::test]
async fn an_admin_stores_rates_too_and_anybody_who_may_look_sees_them_and_what_waits_for_one() {
    let shop = Shop::open().await;
    let admin = shop.app.admin().await;
    let url = shop.app.url("/api/v1/exchange-rates");
    let list = async |query: &str| {
        let answer = admin.get(format!("{url}{query}")).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let placed = |id: &str, currency: &str, at: &str| json!({"order_id": id, "total": 10, "currency": currency, "payment_status": "paid", "created_at": at, "updated_at": at});
    // 22:30 UTC is the next day in Kyiv.
    for (id, currency, at) in [
        ("1", "eur", "2026-11-18T22:30:00Z"),
        ("2", "EUR", "2026-11-19T10:00:00Z"),
        ("3", "USD", "2026-11-19T10:00:00Z"),
        ("4", "UAH", "2026-11-19T10:00:00Z"),
    ] {
        shop.ok(placed(id, currency, at)).await;
    }
    let waiting = |currency: &str, orders: i64| json!({"currency": currency, "orders": orders, "first_day": "2026-11-19", "last_day": "2026-11-19"});
    assert_eq!(
        list("").await,
        (
            200,
            json!({"currency": "UAH", "rates": [], "total_rates": 0, "waiting": [waiting("EUR", 2), waiting("USD", 1)]})
        )
    );

    let rates = json!([{"currency": "EUR", "day": "2026-11-19", "rate": "48.9500"}, {"currency": "EUR", "day": "2026-11-18", "rate": 47}, {"currency": "EUR", "day": "2026-11-20", "rate": 49}]);
    let put = async || {
        let answer = admin.put(&url).body(rates.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(
        put().await,
        (200, json!({"changed": 3, "orders": 2})),
        "an order that two of them reach is one order"
    );
    assert_eq!(put().await.1, json!({"changed": 0, "orders": 0}));
    let (_, page) = list("?limit=1").await;
    assert_eq!(
        page,
        json!({"currency": "UAH", "rates": [{"currency": "EUR", "day": "2026-11-20", "rate": "49"}], "total_rates": 3, "waiting": [waiting("USD", 1)]})
    );
    let (_, page) = list("?limit=1&offset=1&currency=eur").await;
    assert_eq!(page["rates"][0]["rate"], "48.95");
    assert_eq!(list("?currency=USD").await.1["rates"], json!([]));
    for (query, field) in [
        ("?currency=xxz", "currency"),
        ("?limit=0", "limit"),
        ("?offset=-1", "offset"),
        ("?site=no", "site"),
    ] {
        let (status, answer) = list(query).await;
        assert_eq!(
            (status, answer["error"]["field"].as_str()),
            (400, Some(field)),
            "{query}"
        );
    }
    let noted: Vec<(String, String, Value)> =
        sqlx::query_as("select action, actor, detail from audit_log where action like 'exchange%'")
            .fetch_all(&shop.app.db.pool)
            .await
            .unwrap();
    assert_eq!(noted.len(), 1, "what changed nothing is no change");
    assert_eq!(
        (noted[0].0.as_str(), &noted[0].2),
        ("exchange_rates.put", &json!({"rates": 3, "orders": 2}))
    );

    let delete = async |query: &str| {
        let answer = admin.delete(format!("{url}?{query}")).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let wrong = [
        ("start_date=2026-11-19&end_date=2026-11-19", "currency"),
        ("currency=xxz&start_date=2026-11-19&end_date=2026-11-19", "currency"),
        ("currency=EUR&start_date=2026-11-19", "end_date"),
        ("currency=EUR&start_date=2026-11-20&end_date=2026-11-19", "end_date"),
        ("currency=EUR&start_date=1969-11-20&end_date=2026-11-19", "start_date"),
    ];
    for (query, field) in wrong {
        let (status, answer) = delete(query).await;
        assert_eq!(
            (status, answer["error"]["field"].as_str()),
            (400, Some(field)),
            "{query}"
        );
    }
    let revenue = async || -> Vec<Option<rust_decimal::Decimal>> {
        sqlx::query_scalar("select revenue from orders where currency = 'EUR' order by order_id")
            .fetch_all(&shop.app.db.pool)
            .await
            .unwrap()
    };
    assert_eq!(revenue().await, [Some(dec("489.5")); 2]);
    assert_eq!(
        delete("currency=eur&start_date=2026-11-19&end_date=2026-11-30").await,
        (200, json!({"changed": 2, "orders": 2}))
    );
    assert_eq!(revenue().await, [Some(dec("470")); 2], "the rate of the day before");
    delete("currency=EUR&start_date=2026-01-01&end_date=2026-11-30").await;
    assert_eq!(revenue().await, [None; 2]);
    let (_, page) = list("").await;
    assert_eq!(
        (&page["rates"], &page["waiting"]),
        (&json!([]), &json!([waiting("EUR", 2), waiting("USD", 1)]))
    );
    assert_eq!(
        delete("currency=EUR&start_date=2026-01-01&end_date=2026-11-30").await.1,
        json!({"changed": 0, "orders": 0})
    );
    let deletions: Vec<Value> =
        sqlx::query_scalar("select detail from audit_log where action = 'exchange_rates.delete' order by audit_id")
            .fetch_all(&shop.app.db.pool)
            .await
            .unwrap();
    assert_eq!(
        deletions,
        [json!({"rates": 2, "orders": 2}), json!({"rates": 1, "orders": 2})]
    );

    // A viewer and a key that only reads look; neither stores nor deletes.
    let viewer = shop.app.logged_in(Role::Viewer, Some(&shop.site)).await;
    let reader = shop.app.bearer(&shop.site, &[Scope::Read]).await;
    for client in [&viewer, &reader] {
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
        assert_eq!(
            client.put(&url).body(rates.to_string()).send().await.unwrap().status(),
            403
        );
        let gone = client.delete(format!("{url}?currency=EUR&start_date=2026-11-19&end_date=2026-11-19"));
        assert_eq!(gone.send().await.unwrap().status(), 403);
    }
    assert_eq!(
        shop.client.get(&url).send().await.unwrap().status(),
        403,
        "a key for orders alone"
    );
    let foreign = shop.client.put(format!("{url}?site=other")).body(rates.to_string());
    assert_eq!(foreign.send().await.unwrap().status(), 400, "not the key's site");
}
