//! The API's description, as JSON for programs and as a page for people. Both are made once, when the router is built.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, ResponseBuilder};

use super::reference_page;

/// What every answer of the page and its style allows: nothing but itself.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("../../assets/docs/style.css");

/// Completes the description that the routes made: what it is, how to authenticate, and the description's own two paths.
pub fn complete(mut api: OpenApi) -> OpenApi {
    api.info = InfoBuilder::new()
        .title("UTM Dispatcher")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Which click became which money. Times are UTC (RFC 3339) unless a field says local; money is an exact decimal in the \
             site's currency; rates are percent. Every error answers `{\"error\": {\"code\", \"message\", \"field\"?}}`.",
        ))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    let components = api.components.get_or_insert_with(Components::new);
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("An API key, made by `central-api create-key`."))
                .build(),
        ),
    );
    components.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            crate::auth::session::COOKIE,
            "The panel's session, made by logging in.",
        ))),
    );
    for parameter in super::utm::common_parameters() {
        components.parameters.insert(parameter.name.clone(), parameter.into());
    }
    let operation = |id: &str, summary: &str, media_type: &str| {
        let ok = ResponseBuilder::new()
            .description(summary)
            .content(media_type, ContentBuilder::new().build());
        OperationBuilder::new()
            .operation_id(Some(id))
            .tag("operations")
            .summary(Some(summary))
            .response("200", ok)
            .build()
    };
    for (path, operation) in [
        (
            "/api/openapi.json",
            operation("openapi", "This description, OpenAPI 3.1", "application/json"),
        ),
        (
            "/api/docs",
            operation("docs", "This description as a page", "text/html"),
        ),
    ] {
        api.paths.add_path_operation(path, vec![HttpMethod::Get], operation);
    }
    for item in api.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            answers_of_all(operation);
        }
    }
    api.tags = Some(
        [
            ("analytics", "Figures, lists and exports."),
            ("operations", "For whoever runs the installation."),
        ]
        .map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build())
        .to_vec(),
    );
    api
}

/// Adds what an operation may answer and its handler does not say, since extractors and layers in front of it do.
fn answers_of_all(operation: &mut Operation) {
    let with_body = operation.request_body.is_some();
    let with_parameters = operation
        .parameters
        .as_ref()
        .is_some_and(|parameters| !parameters.is_empty());
    for (status, possible, description) in [
        (
            "400",
            with_body || with_parameters,
            "A parameter or the body cannot be read, or is not allowed; the message names the field.",
        ),
        ("413", with_body, "The body is larger than this endpoint takes."),
        (
            "415",
            with_body,
            "The body is of another media type than this endpoint takes.",
        ),
        ("500", true, "A fault of ours; the log has it under the request's id."),
        (
            "503",
            true,
            "The database cannot answer now; Retry-After says when to ask again.",
        ),
        ("504", true, "It took too long and was given up."),
    ] {
        let missing = !operation.responses.responses.contains_key(status);
        if missing && possible {
            let answer = super::utm::error_answer(description);
            operation.responses.responses.insert(status.to_owned(), answer.into());
        }
    }
}

/// The routes of the description and its page.
///
/// # Errors
/// None that a build which starts could meet: the description is plain data.
pub fn routes(api: &OpenApi) -> Result<Router, serde_json::Error> {
    let json = serde_json::to_string(api)?;
    let page = reference_page::render(&serde_json::to_value(api)?);
    let fixed = |media_type: &'static str, body: String| {
        get(move || async move {
            (
                [
                    (CONTENT_TYPE, media_type),
                    (CONTENT_SECURITY_POLICY, POLICY),
                    (CACHE_CONTROL, "max-age=300"),
                ],
                body,
            )
        })
    };
    Ok(Router::new()
        .route("/api/openapi.json", fixed("application/json", json))
        .route("/api/docs", fixed("text/html; charset=utf-8", page))
        .route(
            "/api/docs/style.css",
            fixed("text/css; charset=utf-8", STYLE.to_owned()),
        ))
}
