//! What is refused, with which field, and who may ask at all.

use central_api::auth::Scope;
use serde_json::{Value, json};

use super::Shop;

#[tokio::test]
async fn a_list_is_judged_one_by_one_and_what_is_refused_is_kept() {
    let shop = Shop::open().await;
    let good = |id: &str| json!({"order_id": id, "total": 5, "payment_status": "paid"});
    let answer = shop
        .ok(json!([good("1"), {"order_id": "2", "total": -5, "payment_status": "paid"}, good("3"), {"order_id": "4", "total": 5, "payment_status": "payed"}, 7]))
        .await;
    assert_eq!(answer["orders"].as_array().unwrap().len(), 2);
    assert_eq!(answer["rejected"][0]["index"], 1);
    assert_eq!(answer["rejected"][0]["field"], "total");
    assert_eq!(answer["rejected"][1]["field"], "payment_status");
    assert_eq!(
        answer["rejected"][1]["message"],
        "payment_status must be one of unpaid, prepaid, paid, refunded, partially_refunded, cancelled"
    );
    assert_eq!(answer["rejected"][2]["code"], "invalid_json");
    let kept: Vec<(String, String, Vec<u8>)> =
        sqlx::query_as("select kind, code, payload from dead_letters order by dead_letter_id")
            .fetch_all(&shop.app.db.pool)
            .await
            .unwrap();
    assert_eq!(kept.len(), 3);
    let number = kept.iter().find(|letter| letter.2 == b"7").unwrap();
    assert_eq!((number.0.as_str(), number.1.as_str()), ("orders", "invalid_json"));
}

#[tokio::test]
async fn hostile_orders_are_refused_with_their_field_and_nothing_breaks() {
    let shop = Shop::open().await;
    let long = "x".repeat(1_000_000);
    let with =
        |field: &str, value: &str| format!(r#"{{"order_id":"h","total":1,"payment_status":"paid","{field}":{value}}}"#);
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let cases = [
        (
            r#"{"order_id":"a\u0000b","total":1,"payment_status":"paid"}"#.to_owned(),
            "order_id",
        ),
        (
            r#"{"order_id":"","total":1,"payment_status":"paid"}"#.to_owned(),
            "order_id",
        ),
        (
            r#"{"order_id":1.5,"total":1,"payment_status":"paid"}"#.to_owned(),
            "order_id",
        ),
        (r#"{"total":1,"payment_status":"paid"}"#.to_owned(), "order_id"),
        (r#"{"order_id":"h","payment_status":"paid"}"#.to_owned(), "total"),
        (
            r#"{"order_id":"h","total":null,"payment_status":"paid"}"#.to_owned(),
            "total",
        ),
        (r#"{"order_id":"h","total":1}"#.to_owned(), "payment_status"),
        (with("total", "2"), "total"),
        (with("order_number", "\"\\ud800\""), "order_number"),
        (with("discount", "-0.01"), "discount"),
        (with("tax", "100000000000000000000"), "tax"),
        (with("shipping", "1e20"), "shipping"),
        (with("shipping", "1e-20"), "shipping"),
        (with("refunded", "1.01"), "refunded"),
        (with("rate", "0"), "rate"),
        (with("rate", "2"), "rate"),
        (with("currency", "\"u a h\""), "currency"),
        (with("currency", "\"EURO\""), "currency"),
        (with("currency", "\"XXZ\""), "currency"),
        (with("created_at", "\"0000-01-01T00:00:00Z\""), "created_at"),
        (with("paid_at", "\"9999-12-31T23:59:59Z\""), "paid_at"),
        (with("updated_at", "\"2026-11-20T10:20:00Z\""), "updated_at"),
        (with("session_id", "\"not-a-uuid\""), "session_id"),
        (with("visitor_id", "{}"), "visitor_id"),
        (with("items", &format!(r#"[{{"name":"{long}"}}]"#)), "items[0].name"),
        (with("items", r#"[{"sku":"a","price":-1}]"#), "items[0].price"),
        (with("items", r#"[{"sku":"a"},{"skuu":"b"}]"#), "items[1].skuu"),
        (with("items", r#"[{}]"#), "items[0]"),
        (with("items", &deep), "items[0]"),
        (with("items", "{}"), "items"),
        (with("unheard_of", "1"), "unheard_of"),
        (with("loyalty_earned", "\"many\""), "loyalty_earned"),
        (with("subscription_active", "\"yes\""), "subscription_active"),
    ];
    for (body, field) in cases {
        let answer = shop
            .client
            .post(shop.app.url("/api/v1/orders"))
            .body(body.clone())
            .send()
            .await
            .unwrap();
        let shown: String = body.chars().take(120).collect();
        assert_eq!(answer.status(), 400, "{shown}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"]["field"], field, "{shown}: {answer}");
    }
    for body in ["", "nonsense", "[1,", "\u{feff}[]", "[\"\u{0}\"]"] {
        let answer = shop
            .client
            .post(shop.app.url("/api/v1/orders"))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{body:?}");
    }
    let bytes = shop
        .client
        .post(shop.app.url("/api/v1/orders"))
        .body(vec![0xff, 0xfe])
        .send()
        .await
        .unwrap();
    assert_eq!(bytes.status(), 400);
    let big = shop
        .client
        .post(shop.app.url("/api/v1/orders"))
        .body(vec![b' '; 3_000_000])
        .send()
        .await
        .unwrap();
    assert_eq!(big.status(), 413);
    let many = vec![json!(1); 501];
    assert_eq!(shop.post(&json!(many)).await.0, 413);
    let stored: i64 = sqlx::query_scalar("select count(*) from orders")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(stored, 0);
    // The largest amount that is allowed, kept to the last digit.
    shop.ok(json!({"order_id": "max", "total": "99999999999999.9999", "payment_status": "paid"}))
        .await;
    assert_eq!(shop.get("max").await["revenue"], "99999999999999.9999");
}

#[tokio::test]
async fn only_a_key_with_the_scope_may_send_or_see_orders() {
    let shop = Shop::open().await;
    let reader = shop.app.bearer(&shop.site, &[Scope::Read]).await;
    let url = shop.app.url("/api/v1/orders");
    assert_eq!(reader.post(&url).body("[]").send().await.unwrap().status(), 403);
    assert_eq!(reader.get(format!("{url}/1")).send().await.unwrap().status(), 403);
    assert_eq!(
        reader
            .put(shop.app.url("/api/v1/exchange-rates"))
            .body("[]")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    assert_eq!(
        shop.app.client.post(&url).body("[]").send().await.unwrap().status(),
        401
    );
    assert_eq!(
        shop.client.get(format!("{url}/a%00b")).send().await.unwrap().status(),
        404
    );
}
