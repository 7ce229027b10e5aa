//! Every path in one table, grouped by who calls. Each group has its own limits; all of them share what [`finish`] adds.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tower::util::MapResponseLayer;
use tower::{Layer, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::normalize_path::NormalizePathLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::{Config, Origin};
use crate::endpoints::openapi::{called_by, caller};
use crate::endpoints::{
    account, ad_spend, analytics, audit_log, cron, dead_letters, exchange_rates, health, ingest, keys, openapi, orders,
    panel, privacy, report_runs, report_schedules, server_events, session, setup, site_check, sites, unsubscribe,
    users, utm, worker_settings,
};
use crate::error::ApiError;
use crate::state::AppState;
use crate::telemetry;

/// Bytes of a body that people and the worker's cron send; who takes more says so at the endpoint.
const SMALL_BODY: usize = 256 * 1024;

/// Bytes of a body that strangers send, such as a login.
const STRANGERS_BODY: usize = 16 * 1024;
/// How long the body of somebody may take of whom nothing is known before it is read.
const STRANGERS_PATIENCE: Duration = Duration::from_secs(10);

/// Requests that wait for their turn are told to come back after this.
const PATIENCE: Duration = Duration::from_secs(2);
/// Requests of shops' backends that are answered at a time. What their events take of memory is limited by ingest itself.
const BACKENDS_AT_ONCE: usize = 512;
/// Requests of the panel and of analysts that are answered at a time; reports wait for the read pool besides.
const PEOPLE_AT_ONCE: usize = 256;

/// The whole API, and its description made from the same table.
pub fn build(state: AppState) -> (Router, utoipa::openapi::OpenApi) {
    let config = state.config.clone();
    let (router, api) = routes(&config, Some(&state))
        .with_state(state.clone())
        .split_for_parts();
    let api = openapi::complete(api);
    let router = match openapi::routes(&api) {
        Ok(described) => router.merge(described),
        Err(error) => {
            tracing::error!(%error, "the API's description cannot be written; everything else works");
            router
        }
    };
    (finish(router.merge(panel::routes()), &config), api)
}

/// The API's description alone.
pub fn description(config: &Config) -> utoipa::openapi::OpenApi {
    openapi::complete(routes(config, None).into_openapi())
}

/// Without a state: to be described, not asked.
fn routes(config: &Config, state: Option<&AppState>) -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(operators())
        .merge(edge())
        .merge(backends(config))
        .merge(people(config, state))
}

/// Who runs the installation.
fn operators() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics));
    called_by(routes, caller::ANYBODY)
}

/// The worker, with signed requests.
fn edge() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(cron::tick))
        .routes(routes!(worker_settings::serve))
        .layer(middleware::from_fn(|request, next| {
            body_first(SMALL_BODY, request, next)
        }))
        // caps its body itself, before and after decompression, and waits for it no longer than it wants
        .routes(routes!(ingest::batch));
    called_by(routes, caller::WORKER)
}

/// The shop's own programs, with a token.
fn backends(config: &Config) -> OpenApiRouter<AppState> {
    let group = Group::new(BACKENDS_AT_ONCE, config);
    let routes = OpenApiRouter::new()
        .routes(routes!(orders::send))
        .routes(routes!(orders::show))
        .routes(routes!(server_events::send))
        .layer(middleware::from_fn_with_state(group, within));
    called_by(routes, caller::BACKEND)
}

/// The panel and analysts, with a session or a token.
fn people(config: &Config, state: Option<&AppState>) -> OpenApiRouter<AppState> {
    let mut figures = utm::routes();
    if let Some(state) = state {
        figures = figures.layer(middleware::from_fn_with_state(state.clone(), utm::reuse));
    }
    let group = Group::new(PEOPLE_AT_ONCE, config);
    // Where nobody is known by a header, the body comes before a place is taken: who sends it slowly would keep the others out.
    let strangers = OpenApiRouter::new()
        .routes(routes!(session::log_in, session::log_out, session::who_am_i))
        .routes(routes!(setup::state, setup::first_admin))
        .routes(routes!(setup::use_link))
        .layer(middleware::from_fn_with_state(group.clone(), within))
        .layer(middleware::from_fn(|request, next| {
            body_first(STRANGERS_BODY, request, next)
        }));
    let routes = OpenApiRouter::new()
        .routes(routes!(session::list))
        .routes(routes!(session::revoke))
        .routes(routes!(account::change_password))
        .routes(routes!(users::list, users::invite))
        .routes(routes!(users::change, users::remove))
        .routes(routes!(users::reset_password))
        .routes(routes!(keys::list_api, keys::create_api))
        .routes(routes!(keys::revoke_api))
        .routes(routes!(keys::list_ingest, keys::create_ingest))
        .routes(routes!(keys::revoke_ingest))
        .routes(routes!(audit_log::list))
        .merge(report_mails())
        .routes(routes!(privacy::find))
        .routes(routes!(privacy::export))
        .routes(routes!(privacy::erase))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::replay))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(ad_spend::upload, ad_spend::list, ad_spend::delete))
                .layer(DefaultBodyLimit::max(ad_spend::MAX_REPORT)),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(
                    exchange_rates::list,
                    exchange_rates::put,
                    exchange_rates::delete
                ))
                .layer(DefaultBodyLimit::max(exchange_rates::MAX_LIST)),
        )
        .routes(routes!(sites::list, sites::create))
        .routes(routes!(sites::change))
        .routes(routes!(site_check::check))
        .merge(called_by(figures.merge(analytics::routes()), caller::VIEWER))
        .layer(middleware::from_fn_with_state(group, within))
        .layer(DefaultBodyLimit::max(SMALL_BODY))
        .merge(strangers);
    called_by(routes, caller::USER)
}

/// Reports by e-mail.
fn report_mails() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(report_schedules::list, report_schedules::create))
        .routes(routes!(report_schedules::change, report_schedules::remove))
        .routes(routes!(report_schedules::run_now))
        .routes(routes!(report_schedules::test))
        .routes(routes!(report_schedules::preview))
        .routes(routes!(report_runs::list))
        .routes(routes!(report_runs::send_again))
        .routes(routes!(unsubscribe::ask, unsubscribe::leave))
}

/// What every path has, from the outside in: an id and a line in the log, headers, other origins, no cross-site writes, no panics.
fn finish(router: Router, config: &Config) -> Router {
    let https = config.is_https();
    // One layer made of several: each layer of a router of its own is a box, cloned for every request.
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            telemetry::observe(request, move |request| headers(https, request, next))
        }))
        .layer(other_origins(&config.cors_origins))
        .layer(same_origin(config))
        .layer(MapResponseLayer::new(IntoResponse::into_response))
        .layer(CatchPanicLayer::custom(|_| {
            ApiError::Internal(anyhow::anyhow!("a handler panicked")).into_response()
        }));
    let inner = router
        .fallback(panel::page_or_nothing)
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(layers);
    // A path is looked up after its slash is gone, so this stands around the table rather than in it.
    Router::new().fallback_service(NormalizePathLayer::trim_trailing_slash().layer(inner))
}

/// What the requests of one group share, so that one group cannot take everything from the others.
#[derive(Clone)]
struct Group {
    places: Arc<Semaphore>,
    patience: Duration,
    timeout: Duration,
}

impl Group {
    fn new(at_once: usize, config: &Config) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once)),
            patience: PATIENCE,
            timeout: Duration::from_secs(u64::from(config.request_timeout_seconds)),
        }
    }
}

/// Lets a request wait for its turn, and gives it up after a time; the database gives its statement up by its own.
async fn within(State(group): State<Group>, request: Request, next: Next) -> Response {
    let place = match group.places.try_acquire() {
        Ok(place) => Ok(Ok(place)),
        Err(_) => tokio::time::timeout(group.patience, group.places.acquire()).await,
    };
    let Ok(Ok(_place)) = place else {
        return ApiError::TooManyRequests(1).into_response();
    };
    match tokio::time::timeout(group.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::TimedOut.into_response(),
    }
}

/// Reads the body, of at most so many bytes, before anything is done for the request.
async fn body_first(most: usize, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(STRANGERS_PATIENCE, axum::body::to_bytes(body, most)).await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, body.into())).await,
        Ok(Err(error)) if is_too_long(&error) => {
            ApiError::TooLarge("the body is larger than this endpoint takes".into()).into_response()
        }
        // The connection broke, or what came is no body.
        Ok(Err(_)) => ApiError::invalid("body", "did not arrive in full").into_response(),
        Err(_) => ApiError::BodyTooSlow(STRANGERS_PATIENCE.as_secs()).into_response(),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>())
}

/// Refuses what another site makes a visitor's browser send: a request that changes something must come from the panel's own origin or
/// an allowed one. Programs send neither `Origin` nor `Sec-Fetch-Site` and pass: they have no cookie of anybody's.
fn same_origin(config: &Config) -> CsrfLayer<impl FnMut(ProtectionError) -> Response + Clone + use<>> {
    let mut layer = CsrfLayer::new();
    for origin in config.own_and_allowed_origins() {
        match layer.clone().add_trusted_origin(origin.as_str()) {
            Ok(with_it) => layer = with_it,
            // Checked when the configuration was read.
            Err(error) => tracing::error!(%error, origin = origin.as_str(), "this origin is not trusted"),
        }
    }
    layer.with_rejection_response(|_| ApiError::Forbidden("this request came from another site").into_response())
}

/// Lets pages of the allowed origins ask, with a token: cookies are not sent along.
fn other_origins(allowed: &[Origin]) -> CorsLayer {
    let allowed: Vec<HeaderValue> = allowed
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok())
        .collect();
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            telemetry::REQUEST_ID,
        ])
        .expose_headers([
            telemetry::REQUEST_ID,
            header::RETRY_AFTER,
            header::CONTENT_DISPOSITION,
            header::ETAG,
        ])
        .max_age(Duration::from_secs(3_600))
}

/// Headers that keep a browser from doing more with an answer than it should.
async fn headers(https: bool, request: Request, next: Next) -> Response {
    const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let is_api = !request.method().is_safe() || request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if https {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if is_api {
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    /// A group with one place and one path, which answers once `go` has a permit.
    fn one_at_a_time(timeout: Duration) -> (Router, Arc<Semaphore>) {
        let go = Arc::new(Semaphore::new(0));
        let group = Group {
            places: Arc::new(Semaphore::new(1)),
            patience: Duration::ZERO,
            timeout,
        };
        let waiting = go.clone();
        let answer = move || async move {
            waiting
                .acquire()
                .await
                .map(drop)
                .map_err(|_| ApiError::MethodNotAllowed)
        };
        let layer = middleware::from_fn_with_state(group, within);
        (Router::new().route("/", get(answer)).layer(layer), go)
    }

    async fn ask(router: &Router) -> Response {
        let request = Request::get("/").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn who_finds_its_group_busy_is_told_to_come_back_and_the_others_are_answered() {
        let (router, go) = one_at_a_time(Duration::from_secs(60));
        let (first, second) = (ask(&router), ask(&router));
        tokio::pin!(first);
        let waits = std::future::poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending()));
        assert!(waits.await);
        let refused = second.await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        go.add_permits(1);
        assert_eq!(first.await.status(), 200);
        assert_eq!(ask(&router).await.status(), 200);
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_given_up_and_its_place_is_free_again() {
        let (router, _go) = one_at_a_time(Duration::from_millis(1));
        for _ in 0..2 {
            assert_eq!(ask(&router).await.status(), 504);
        }
    }
}
