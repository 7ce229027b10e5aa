//! Keys as handlers meet them: through the extractors and the ring, on the real table.

use central_api::auth::{ApiKey, Scope, Viewer, token};
use central_api::clock::Clock;
use central_api::db::{api_keys, ingest_keys};
use central_api::error::ApiError;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, Mutex};

use axum::extract::FromRequestParts;
use axum::http::Request;

use crate::support::TestApp;

async fn extracted<T: FromRequestParts<central_api::state::AppState>>(
    app: &TestApp,
    token: &str,
) -> Result<T, T::Rejection> {
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    T::from_request_parts(&mut parts, &app.state).await
}

fn ticking() -> (Arc<Mutex<DateTime<Utc>>>, Clock) {
    let time = Arc::new(Mutex::new("2026-03-01T12:00:00Z".parse().unwrap()));
    let clock = {
        let time = time.clone();
        Clock::from_fn(move || *time.lock().unwrap())
    };
    (time, clock)
}

#[tokio::test]
async fn a_key_gives_its_site_for_its_scopes_only() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let token = app.api_key(&site, &[Scope::Orders]).await;
    let key: ApiKey = extracted(&app, &token).await.unwrap();
    assert_eq!(key.site(&app.state.sites, Scope::Orders).unwrap().id, site.id);
    for scope in [Scope::Read, Scope::Events] {
        assert!(matches!(key.site(&app.state.sites, scope), Err(ApiError::Forbidden(_))));
    }
    let viewer = extracted::<Viewer>(&app, &token).await;
    assert!(matches!(viewer, Err(ApiError::Forbidden(_))));
}

#[tokio::test]
async fn a_token_of_one_site_sees_nothing_of_another() {
    let app = TestApp::start().await;
    let (one, two) = (app.site("one").await, app.site("two").await);
    let token = app.api_key(&one, &[Scope::Read]).await;
    let viewer: Viewer = extracted(&app, &token).await.unwrap();
    let sites = &app.state.sites;
    assert_eq!(viewer.site(sites, None).unwrap().id, one.id);
    assert_eq!(viewer.site(sites, Some("one")).unwrap().id, one.id);
    assert_eq!(viewer.sites(sites).len(), 1);
    // A foreign site and one that does not exist cannot be told apart.
    let foreign = viewer.site(sites, Some(&two.key)).unwrap_err();
    let missing = viewer.site(sites, Some("three")).unwrap_err();
    assert_eq!(format!("{foreign:?}"), format!("{missing:?}"));
}

#[tokio::test]
async fn what_is_not_a_live_token_is_refused() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let good = app.api_key(&site, &[Scope::Read]).await;
    let mut changed = good.clone();
    let last = if changed.pop() == Some('0') { '1' } else { '0' };
    changed.push(last);
    let upper = good.to_uppercase();
    let huge = format!("ud_{}", "0".repeat(1_000_000));
    for bad in [
        "",
        "ud_",
        &changed,
        &good[..good.len() - 1],
        &upper,
        &huge,
        "ud_' or 1=1 --",
    ] {
        let refused = extracted::<ApiKey>(&app, bad).await;
        assert!(
            matches!(refused, Err(ApiError::Unauthorized(_))),
            "{}",
            &bad[..bad.len().min(80)]
        );
    }
}

#[tokio::test]
async fn a_revoked_key_dies_within_seconds_and_a_new_one_lives_within_one() {
    let (time, clock) = ticking();
    let app = TestApp::start_at(clock).await;
    let start = *time.lock().unwrap();
    let site = app.site("shop").await;
    let token = app.api_key(&site, &[Scope::Read]).await;
    let key: ApiKey = extracted(&app, &token).await.unwrap();
    // As another process would do it: this one is not told.
    assert!(api_keys::revoke(&app.db.pool, key.id(), start).await.unwrap());
    let late = token::api_token([9; 32]);
    let hash = token::digest(late.expose());
    api_keys::insert(&app.db.pool, "k_late", site.id, &hash, "late", &[Scope::Read], start)
        .await
        .unwrap();
    assert!(extracted::<ApiKey>(&app, &token).await.is_ok(), "still in the list");
    assert!(
        extracted::<ApiKey>(&app, late.expose()).await.is_err(),
        "not yet in the list"
    );
    *time.lock().unwrap() += TimeDelta::seconds(1);
    assert!(extracted::<ApiKey>(&app, late.expose()).await.is_ok());
    *time.lock().unwrap() += TimeDelta::seconds(5);
    assert!(extracted::<ApiKey>(&app, &token).await.is_err());
}

#[tokio::test]
async fn the_use_of_a_key_is_written_down_once_a_minute() {
    let (time, clock) = ticking();
    let app = TestApp::start_at(clock).await;
    let site = app.site("shop").await;
    let token = app.api_key(&site, &[Scope::Read]).await;
    let used = async |expected: DateTime<Utc>| {
        for _ in 0..200 {
            let keys = api_keys::all(&app.db.pool).await.unwrap();
            if keys[0].last_used_at == Some(expected) {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        false
    };
    let start = *time.lock().unwrap();
    extracted::<ApiKey>(&app, &token).await.unwrap();
    assert!(used(start).await);
    *time.lock().unwrap() = start + TimeDelta::seconds(59);
    extracted::<ApiKey>(&app, &token).await.unwrap();
    *time.lock().unwrap() = start + TimeDelta::seconds(61);
    extracted::<ApiKey>(&app, &token).await.unwrap();
    assert!(used(start + TimeDelta::seconds(61)).await);
}

#[tokio::test]
async fn two_ingest_keys_live_at_once_and_no_third() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let (first, first_secret) = app.ingest_key(&site).await;
    let (second, second_secret) = app.ingest_key(&site).await;
    assert_ne!(first_secret, second_secret);
    let now = app.state.clock.now();
    assert!(
        !ingest_keys::insert(&app.db.pool, "k_third", site.id, "third", now)
            .await
            .unwrap()
    );
    let site_of = async |key: &str| app.state.keys.ingest_site(&app.state, key).await.unwrap();
    assert_eq!(site_of(&first).await, Some(site.id));
    assert_eq!(site_of(&second).await, Some(site.id));
    assert_eq!(site_of("k_third").await, None);
    assert!(ingest_keys::revoke(&app.db.pool, &first, now).await.unwrap());
    app.state.keys.forget();
    assert_eq!(site_of(&first).await, None);
    assert!(
        ingest_keys::insert(&app.db.pool, "k_third", site.id, "third", now)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_flood_of_unknown_tokens_reaches_the_database_once() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let token = app.api_key(&site, &[Scope::Read]).await;
    extracted::<ApiKey>(&app, &token).await.unwrap();
    // Without a database the list in hand still answers, so no question reached it.
    app.db.pool.close().await;
    assert!(extracted::<ApiKey>(&app, &token).await.is_ok());
    let refused = extracted::<ApiKey>(&app, "ud_unknown").await;
    assert!(matches!(refused, Err(ApiError::Unauthorized(_))), "{refused:?}");
}
