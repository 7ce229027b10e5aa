//! Every path in one table, grouped by who calls.

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::endpoints::health;
use crate::state::AppState;

/// The whole API, and its description made from the same table.
pub fn build(state: AppState) -> (Router, utoipa::openapi::OpenApi) {
    let (router, api) = OpenApiRouter::new()
        // operators
        .routes(routes!(health::healthz))
        .with_state(state)
        .split_for_parts();
    (router, api)
}
