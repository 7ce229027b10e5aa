//! `/api/utm/…`: the analytics. Each endpoint is one row of a table that makes its route and its description; parameters and columns come from the catalogue.

mod ab_test;
mod asked;
mod catalogue;
mod cohorts;
pub(crate) mod compare;
mod coverage;
pub(crate) mod customers;
mod describe;
pub(crate) mod export;
pub(crate) mod funnel;
pub(crate) mod general;
mod geo;
pub(crate) mod lists;
pub(crate) mod ltv;
mod query;
mod returning;
mod reuse;
mod roi;
mod session_detail;
mod sessions;
pub(crate) mod time_series;
mod touches;

use axum::routing::MethodRouter;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Paths, RefOr};
use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

pub use describe::{common_parameters, error as error_answer};
pub use reuse::{InFlight, reuse};

/// One endpoint: where, what answers, how it is described.
struct Endpoint {
    /// Without `/api/utm` and without the trailing slash.
    path: &'static str,
    /// Spelt differently by the original module.
    alias: Option<&'static str>,
    handler: MethodRouter<AppState>,
    operations: Vec<(HttpMethod, Operation)>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// Every route of the analytics.
pub fn routes() -> OpenApiRouter<AppState> {
    let endpoints = [
        general::endpoint(),
        compare::endpoint(),
        funnel::endpoint(),
        geo::endpoint(),
        returning::endpoint(),
        sessions::endpoint(),
        session_detail::endpoint(),
        time_series::endpoint(),
        roi::endpoint(),
        cohorts::endpoint(),
        ltv::endpoint(),
        touches::endpoint(),
        customers::endpoint(),
        ab_test::endpoint(),
        coverage::endpoint(),
        coverage::freshness_endpoint(),
        query::endpoint(),
        export::endpoint(),
        catalogue::endpoint(),
    ];
    let mut router = OpenApiRouter::new();
    for endpoint in endpoints.into_iter().chain(lists::endpoints()) {
        let path = format!("/api/utm/{}", endpoint.path);
        let mut paths = Paths::new();
        for (method, operation) in endpoint.operations {
            paths.add_path_operation(&path, vec![method], operation);
        }
        router = router.route(&format!("{path}/"), endpoint.handler.clone()).routes((
            endpoint.schemas,
            paths,
            endpoint.handler.clone(),
        ));
        if let Some(alias) = endpoint.alias {
            router = router
                .route(&format!("/api/utm/{alias}"), endpoint.handler.clone())
                .route(&format!("/api/utm/{alias}/"), endpoint.handler);
        }
    }
    router
}
