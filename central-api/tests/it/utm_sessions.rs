//! Sessions one by one over HTTP: their list, page after page, and each in detail.

use reqwest::StatusCode;

use crate::utm::Shop;

#[tokio::test]
async fn sessions_come_page_by_page_without_gap_or_repeat() {
    let shop = Shop::open().await;
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = shop
            .ok(&format!("sessions?period=all_time&limit=7&bots=include{after}"))
            .await;
        seen.extend(
            page["sessions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|s| s["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let mut expected: Vec<_> = shop
        .data
        .sessions
        .iter()
        .filter(|s| s.first_seen < "2026-11-20T23:10:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap())
        .collect();
    expected.sort_by_key(|s| std::cmp::Reverse((s.first_seen.timestamp_micros(), s.visitor, s.id)));
    assert_eq!(seen, expected.iter().map(|s| s.id.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_is_shown_with_its_visits_actions_orders_and_neighbours() {
    let shop = Shop::open().await;
    let (i, s) = shop
        .data
        .sessions
        .iter()
        .enumerate()
        .find(|(i, s)| {
            s.visits.len() > 1
                && shop.data.orders.iter().any(|o| o.session == Some(*i))
                && shop
                    .data
                    .sessions
                    .iter()
                    .any(|p| p.visitor == s.visitor && p.first_seen < s.first_seen)
        })
        .expect("the data holds such a session");
    sqlx::query("create table events_here partition of events default")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    // From the edge, one by the shop's backend three hours after the last visit, and one of the browser that came in late.
    let ends = s.visits.last().unwrap().1;
    let visits = s.visits.iter().zip(1i16..);
    let told = visits.flat_map(|((from, to), visit)| [(*from, visit, 1i16), (*to, visit, 1)]);
    let others = [
        (ends + 3 * 3_600_000, s.visits.len() as i16, 3),
        (s.visits[1].0 + 1, 1, 2),
    ];
    for (n, (at, visit, origin)) in told.chain(others).enumerate() {
        sqlx::query(
            "insert into events (site_id, visitor_id, event_id, minted_at, session_id, occurred_at, action, origin, visit_no, points, path)
            values ($1, $2, $3, $4, $5, $4, 2, $6, $7, 3, '/p/1')",
        )
        .bind(shop.site.id)
        .bind(s.visitor)
        .bind(shared::ids::uuid_v7(at, [n as u8; 10]))
        .bind(chrono::DateTime::from_timestamp_millis(at).unwrap())
        .bind(s.id)
        .bind(origin)
        .bind(visit)
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    }
    for path in ["session-detail", "session-detail/", "session_detail", "session_detail/"] {
        let body = shop.ok(&format!("{}/{path}", s.id)).await;
        assert_eq!(body["session"]["id"], s.id.to_string());
        assert_eq!(body["visits"].as_array().unwrap().len(), s.visits.len());
        for (shown, ((from, to), number)) in body["visits"].as_array().unwrap().iter().zip(s.visits.iter().zip(1..)) {
            let at = |name: &str| {
                shown[name]
                    .as_str()
                    .unwrap()
                    .parse::<chrono::DateTime<chrono::Utc>>()
                    .unwrap()
                    .timestamp_millis()
            };
            assert_eq!(
                (shown["number"].as_i64(), at("started_at"), at("ended_at")),
                (Some(number), *from, (*to).max(if number == 2 { from + 1 } else { 0 }))
            );
        }
        assert_eq!(body["actions"][0]["action_type"], "product_view");
        assert_eq!(body["actions"][0]["path"], "/p/1");
        let orders = shop.data.orders.iter().filter(|o| o.session == Some(i)).count();
        assert_eq!(body["orders"].as_array().unwrap().len(), orders);
        let other = |earlier: bool| {
            shop.data
                .sessions
                .iter()
                .filter(|p| p.visitor == s.visitor && p.id != s.id && (p.first_seen < s.first_seen) == earlier)
                .count()
        };
        assert_eq!(body["touches_before"].as_array().unwrap().len(), other(true));
        assert_eq!(body["touches_after"].as_array().unwrap().len(), other(false));
    }
    let (status, body) = shop.get(&format!("{}/session-detail", uuid::Uuid::nil())).await;
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (StatusCode::NOT_FOUND, Some("not_found"))
    );
}
