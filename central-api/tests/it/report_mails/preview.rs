//! A report as it is shown before it is sent.

use central_api::auth::Scope;
use serde_json::Value;

use super::Office;
use crate::utm_data::Data;

#[tokio::test]
async fn a_preview_shows_the_figures_and_runs_nothing_that_a_campaign_s_name_holds() {
    let office = Office::open("2026-11-20T23:10:00Z").await;
    Data::generate(7, 120).store(&office.app.db.pool, office.site.id).await;
    sqlx::query("update sessions set utm_source = '<script>alert(1)</script>' where utm_source = 'facebook'")
        .execute(&office.app.db.pool)
        .await
        .unwrap();
    let reader = office.app.bearer(&office.site, &[Scope::Read]).await;
    let get = async |path: &str| reader.get(office.app.url(path)).send().await.unwrap();
    let stats: Value = get("/api/utm/general-stats?period=all_time")
        .await
        .json()
        .await
        .unwrap();
    let answer = get("/api/v1/report-preview?period=all_time").await;
    assert_eq!(answer.status(), 200);
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("sandbox"),
        "{policy}"
    );
    let html = answer.text().await.unwrap();
    assert!(html.contains("UTM Аналітика — звіт за весь час"));
    assert!(html.contains("data:image/png;base64,iVBOR"));
    assert!(!html.contains("<script"), "escaped");
    assert!(
        html.contains("&#60;script&#62;alert(1)") || html.contains("&lt;script&gt;alert(1)"),
        "the source's name is shown as text"
    );
    let text = get("/api/v1/report-preview?period=all_time&format=text&language=en")
        .await
        .text()
        .await
        .unwrap();
    assert!(
        text.contains(&format!("Sessions: {}", stats["total_sessions"])),
        "{text}"
    );
    assert!(text.contains("<script>alert(1)</script>"), "text needs no escaping");
    for (query, field) in [
        ("period=year", "period"),
        ("format=pdf", "format"),
        ("language=ru", "language"),
        ("schedule=x", "schedule"),
        ("bots=only&nonsense=1", "nonsense"),
    ] {
        let refused = get(&format!("/api/v1/report-preview?{query}")).await;
        assert_eq!(refused.status(), 400, "{query}");
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["error"]["field"], field, "{refused}");
    }
    assert_eq!(get("/api/v1/report-preview?schedule=99").await.status(), 404);
}

#[tokio::test]
async fn a_large_history_whose_customers_were_never_joined_holds_no_report_up() {
    let office = Office::open("2026-11-20T23:10:00Z").await;
    Data::generate(7, 60).store(&office.app.db.pool, office.site.id).await;
    let reader = office.app.bearer(&office.site, &[Scope::Read]).await;
    let shown = async |query: &str| {
        let path = format!("/api/v1/report-preview?period=all_time&{query}");
        let answer = reader.get(office.app.url(&path)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    // So few orders are joined for the one report.
    assert!(shown("format=text&language=en").await.contains("Repeat rate: "));
    let many = "insert into orders (site_id, order_id, currency, total, payment_status, created_at, updated_at) \
                select $1, 'old-' || n, 'UAH', 1, 'unpaid', timestamptz '2026-01-01Z' + n * interval '1 minute', now() \
                from generate_series(1, 100001) n";
    sqlx::query(many)
        .bind(office.site.id)
        .execute(&office.app.db.pool)
        .await
        .unwrap();
    for (query, says, other) in [
        (
            "format=text&language=en",
            "Customers are still being joined",
            "Repeat rate: ",
        ),
        ("language=uk", "Клієнтів ще об’єднують", "Частка повторних"),
    ] {
        let report = shown(query).await;
        assert!(report.contains(says) && !report.contains(other), "{report}");
    }
}

#[tokio::test]
async fn a_report_of_orders_without_a_visit_does_not_say_that_there_is_nothing() {
    let office = Office::open("2026-11-20T23:10:00Z").await;
    let shop = office.app.bearer(&office.site, &[Scope::Read, Scope::Orders]).await;
    let shown = async || {
        let path = "/api/v1/report-preview?period=week&format=text&language=en";
        shop.get(office.app.url(path))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let nothing = "There is nothing in this period.";
    assert!(shown().await.contains(nothing));
    let order = serde_json::json!({"order_id": "1", "total": 100, "payment_status": "paid", "created_at": "2026-11-20T10:00:00Z"});
    let answer = shop
        .post(office.app.url("/api/v1/orders"))
        .json(&order)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let text = shown().await;
    assert!(!text.contains(nothing), "{text}");
}
