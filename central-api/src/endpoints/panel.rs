//! The panel's files, embedded: a page, its style and its modules, which ask the public API and no other host.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

/// Path, media type, content.
const FILES: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", include_str!("../../ui/index.html")),
    (
        "/ui/app.css",
        "text/css; charset=utf-8",
        include_str!("../../ui/app.css"),
    ),
    (
        "/ui/api.js",
        "text/javascript; charset=utf-8",
        include_str!("../../ui/api.js"),
    ),
    (
        "/ui/main.js",
        "text/javascript; charset=utf-8",
        include_str!("../../ui/main.js"),
    ),
    (
        "/ui/texts.js",
        "text/javascript; charset=utf-8",
        include_str!("../../ui/texts.js"),
    ),
];

/// The routes of the panel. The policy that allows nothing but the panel itself is every path's (see the router).
pub fn routes() -> Router {
    FILES.iter().fold(Router::new(), |router, (path, media_type, content)| {
        // Without validators a browser must ask again, or a new version would meet old modules.
        let file = ([(CONTENT_TYPE, *media_type), (CACHE_CONTROL, "no-cache")], *content);
        router.route(path, get(move || async move { file }))
    })
}
