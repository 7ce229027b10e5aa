//! The panel's files as `central-api/ui/build.mjs` makes them: embedded in a release build, read from the folder by a debug build, so that
//! a change of the panel needs no compiler. The panel asks the public API and no other host.

use std::borrow::Cow;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::error::ApiError;
use crate::extract::Path;

#[derive(rust_embed::Embed)]
#[folder = "ui/dist/"]
struct Files;

/// The page that every address of the panel is.
const PAGE: &str = "index.html";
/// What an encoding is called in the request, and at the end of a file's name; the smallest first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];
/// A name with a hash never gets another content.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Without a hash in the name a browser must ask again, or a new version would meet old files.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The routes of the panel's files. The policy that allows nothing but the panel itself is every path's (see the router).
pub fn routes() -> Router {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { page(&headers) }))
        .route(
            "/icon.svg",
            get(|headers: HeaderMap| async move { file("icon.svg", &headers, ASK_AGAIN).ok_or(NO_SUCH_PATH) }),
        )
        .route(
            "/assets/{name}",
            get(|Path(name): Path<String>, headers: HeaderMap| async move {
                file(&format!("assets/{name}"), &headers, FOREVER).ok_or(NO_SUCH_PATH)
            }),
        )
}

const NO_SUCH_PATH: ApiError = ApiError::NotFound("there is no such path");

/// What an address without a route answers: a browser that goes there gets the panel, which knows its own pages; a program is told.
pub async fn page_or_nothing(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let wants_page = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let is_file_or_api = ["/api/", "/ingest/", "/internal/", "/assets/"]
        .iter()
        .any(|prefix| uri.path().starts_with(prefix));
    if method.is_safe() && wants_page && !is_file_or_api {
        page(&headers)
    } else {
        NO_SUCH_PATH.into_response()
    }
}

fn page(headers: &HeaderMap) -> Response {
    file(PAGE, headers, ASK_AGAIN).unwrap_or_else(|| {
        let text = "The panel is not part of this build. Build it with `node central-api/ui/build.mjs`, then build central-api again. The API works.\n";
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    })
}

/// A file in the smallest encoding that the browser takes.
fn file(name: &str, headers: &HeaderMap, caching: HeaderValue) -> Option<Response> {
    // A debug build reads the folder, where nothing but the panel's own names may be asked for.
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return None;
    }
    let taken = headers
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let encoded = ENCODINGS
        .iter()
        .filter(|(encoding, _)| takes(taken, encoding))
        .find_map(|(encoding, ending)| Files::get(&format!("{name}{ending}")).map(|found| (found, Some(*encoding))));
    let (found, encoding) = match encoded {
        Some(found) => found,
        None => (Files::get(name)?, None),
    };
    let body = match found.data {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    let mut response = body.into_response();
    let answer = response.headers_mut();
    answer.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    answer.insert(CACHE_CONTROL, caching);
    answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        answer.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

/// Whether a list such as `gzip, br;q=0.5` has an encoding and does not refuse it.
fn takes(list: &str, encoding: &str) -> bool {
    list.split(',').any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case(encoding)
            && weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) != Some(0.0)
    })
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_used_only_where_it_is_taken() {
        for (list, taken) in [
            ("br", true),
            ("gzip, deflate, br, zstd", true),
            ("BR;q=0.1", true),
            ("br;q=0", false),
            ("br; q=0.0", false),
            ("gzip", false),
            ("brotli", false),
            ("", false),
        ] {
            assert_eq!(takes(list, "br"), taken, "{list}");
        }
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_no_file() {
        for name in [
            "../Cargo.toml",
            "assets/../../package.json",
            ".gitignore",
            "assets//x",
            "",
            "assets/",
        ] {
            assert!(file(name, &HeaderMap::new(), ASK_AGAIN).is_none(), "{name}");
        }
    }
}
