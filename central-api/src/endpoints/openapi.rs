//! The API's description, as JSON for programs and as a page for people. Both are made once, when the router is built.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::Server;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, PathItem, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use super::reference_page;

/// What every answer of the page and its style allows: nothing but itself.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("../../assets/docs/style.css");

/// How callers show who they are: the names of the schemes in the description.
pub mod caller {
    /// Nobody needs to.
    pub const ANYBODY: &[&str] = &[];
    /// The worker signs what it sends.
    pub const WORKER: &[&str] = &["signature"];
    /// A shop's own program has a token.
    pub const BACKEND: &[&str] = &["bearer"];
    /// Who may look has a token or is logged in.
    pub const VIEWER: &[&str] = &["bearer", "session"];
    /// Who uses the panel is logged in.
    pub const USER: &[&str] = &["session"];
}

/// Describes who may call the operations of a group, where an operation does not say so itself.
pub fn called_by<S: Clone + Send + Sync + 'static>(mut group: OpenApiRouter<S>, schemes: &[&str]) -> OpenApiRouter<S> {
    let mut wanted: Vec<_> = schemes
        .iter()
        .map(|scheme| SecurityRequirement::new::<_, _, String>(*scheme, []))
        .collect();
    if wanted.is_empty() {
        wanted.push(SecurityRequirement::default());
    }
    for operation in group.get_openapi_mut().paths.paths.values_mut().flat_map(operations) {
        operation.security.get_or_insert_with(|| wanted.clone());
    }
    group
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ];
    all.into_iter().flatten()
}

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
    // The installation that serves this page.
    api.servers = Some(vec![Server::new("/")]);
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
    components.add_security_scheme(
        "signature",
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            shared::signature::HEADER,
            "`v1;k=<key id>;t=<unix seconds>;s=<hex HMAC-SHA256 of t.body>`, with a key made by `central-api create-key --kind ingest`.",
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
            .security(SecurityRequirement::default())
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
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        answers_of_all(operation);
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
    let known_by = |scheme: &str| {
        let wanted = SecurityRequirement::new::<_, _, String>(scheme, []);
        operation.security.iter().flatten().any(|one| *one == wanted)
    };
    let (by_token, by_login, by_signature) = (known_by("bearer"), known_by("session"), known_by("signature"));
    for (status, possible, description) in [
        (
            "401",
            by_token || by_login || by_signature,
            "Who asks is not known: nobody is logged in, or the token or signature is not valid.",
        ),
        ("403", by_token, "The token lacks the scope that this needs."),
        (
            "429",
            by_token || by_login,
            "Too many are asking at once; Retry-After says when to ask again.",
        ),
        (
            "400",
            with_body || with_parameters,
            "A parameter or the body cannot be read, or is not allowed; the message names the field.",
        ),
        ("408", with_body, "The body took too long to arrive."),
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
