//! Every path in one table, grouped by who calls.

use axum::Router;
use axum::response::IntoResponse;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::Config;
use crate::endpoints::{account, health, ingest, orders, session, utm};
use crate::error::ApiError;
use crate::state::AppState;

/// The whole API, and its description made from the same table.
pub fn build(state: AppState) -> (Router, utoipa::openapi::OpenApi) {
    let config = state.config.clone();
    let (router, api) = OpenApiRouter::new()
        // operators
        .routes(routes!(health::healthz))
        // programs: the shop's backend
        .routes(routes!(orders::send))
        .routes(routes!(orders::show))
        .routes(routes!(orders::put_rates))
        // the edge
        .routes(routes!(ingest::batch))
        // people: the panel
        .routes(routes!(session::log_in, session::log_out, session::who_am_i))
        .routes(routes!(session::list))
        .routes(routes!(session::revoke))
        .routes(routes!(account::change_password))
        // analytics
        .merge(utm::routes())
        .with_state(state)
        .split_for_parts();
    (router.layer(same_origin(&config)), api)
}

/// Refuses what another site makes a visitor's browser send: a request that changes something must come from the panel's own origin or
/// an allowed one. Programs send neither `Origin` nor `Sec-Fetch-Site` and pass: they have no cookie of anybody's.
fn same_origin(config: &Config) -> CsrfLayer<impl FnMut(ProtectionError) -> axum::response::Response + Clone + use<>> {
    let mut layer = CsrfLayer::new();
    for origin in config.own_and_allowed_origins() {
        match layer.clone().add_trusted_origin(&origin) {
            Ok(with_it) => layer = with_it,
            // Checked when the configuration was read.
            Err(error) => tracing::error!(%error, origin, "this origin is not trusted"),
        }
    }
    layer.with_rejection_response(|_| ApiError::Forbidden("this request came from another site").into_response())
}
