//! Request parts whose refusals are answered like every other error: JSON, with the field at fault.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use chrono::{Datelike, NaiveDate};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::state::AppState;

/// A JSON body, in or out.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::JsonDataError(error)) => Err(data_error(&error.body_text())),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(ApiError::UnsupportedMediaType(
                "send the body as Content-Type: application/json",
            )),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::TooLarge("the body is larger than this endpoint takes".into()))
            }
            Err(error) => Err(ApiError::Invalid {
                code: "invalid_json",
                field: None,
                message: error.body_text(),
            }),
        }
    }
}

/// What serde says begins with the path of the field; both go to the caller.
fn data_error(text: &str) -> ApiError {
    let detail = text
        .strip_prefix("Failed to deserialize the JSON body into the target type: ")
        .unwrap_or(text);
    let (path, message) = detail.split_once(": ").unwrap_or(("", detail));
    // A missing or unknown field is reported at its parent; its own name stands in backticks.
    let named = message
        .strip_prefix("missing field `")
        .or_else(|| message.strip_prefix("unknown field `"))
        .or_else(|| detail.strip_prefix("missing field `"))
        .or_else(|| detail.strip_prefix("unknown field `"))
        .and_then(|rest| rest.split('`').next());
    let is_path = !path.is_empty() && !path.contains([' ', '`']);
    let field = match (is_path, named) {
        (true, Some(named)) if path != named && !path.ends_with(&format!(".{named}")) => {
            Some(format!("{path}.{named}"))
        }
        (true, _) => Some(path.to_owned()),
        (false, named) => named.map(str::to_owned),
    };
    let message = if is_path { message } else { detail };
    ApiError::Invalid {
        code: "invalid_field",
        field,
        message: message.to_owned(),
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The query string.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(error) => Err(query_error(&error)),
        }
    }
}

fn query_error(error: &QueryRejection) -> ApiError {
    let text = error.body_text();
    let detail = text
        .strip_prefix("Failed to deserialize query string: ")
        .unwrap_or(&text);
    let backticked = |prefix: &str| detail.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    let field = backticked("missing field `")
        .or_else(|| backticked("unknown field `"))
        .or_else(|| backticked("duplicate field `"))
        .or_else(|| {
            detail
                .split_once(": ")
                .map(|(field, _)| field)
                .filter(|field| !field.contains(' '))
        });
    ApiError::Invalid {
        code: "invalid_parameter",
        field: field.map(str::to_owned),
        message: detail.to_owned(),
    }
}

/// A number of the query string between two bounds, or the default.
///
/// # Errors
/// 400 naming the parameter and the bounds.
pub fn bounded(
    name: &'static str,
    value: Option<i64>,
    bounds: std::ops::RangeInclusive<i64>,
    default: i64,
) -> Result<i64, ApiError> {
    let value = value.unwrap_or(default);
    if bounds.contains(&value) {
        Ok(value)
    } else {
        let allowed = format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
        Err(ApiError::invalid(name, allowed))
    }
}

/// The days of the parameters `start_date` and `end_date`, both included.
///
/// # Errors
/// 400 naming the parameter, for years that no shop has and a last day before the first.
pub fn days(first: NaiveDate, last: NaiveDate) -> Result<(NaiveDate, NaiveDate), ApiError> {
    let allowed = |day: NaiveDate| (1970..2200).contains(&day.year());
    for (name, day) in [("start_date", first), ("end_date", last)] {
        if !allowed(day) {
            return Err(ApiError::invalid(name, "the year must be 1970 to 2199"));
        }
    }
    if last < first {
        return Err(ApiError::invalid("end_date", "end_date must not lie before start_date"));
    }
    Ok((first, last))
}

/// What stands in the path.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => Err(match error.kind() {
                ErrorKind::InvalidUtf8InPathParam { key } => {
                    ApiError::invalid(key, "must be UTF-8 once its percent signs are decoded")
                }
                _ => ApiError::NotFound("there is no such path"),
            }),
            Err(error) => Err(ApiError::Internal(error.into())),
        }
    }
}

/// Where a request came from, as text: counted by rate limits, never logged.
#[derive(Clone)]
pub struct ClientAddress(pub String);

impl FromRequestParts<AppState> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        let header = state.config.client_address_header.as_ref();
        let forwarded = header.and_then(|name| last_hop(&parts.headers, name.as_str()));
        let peer = || {
            parts
                .extensions
                .get::<ConnectInfo<std::net::SocketAddr>>()
                .map(|info| info.0.ip().to_string())
        };
        Ok(Self(forwarded.or_else(peer).unwrap_or_default()))
    }
}

/// The last element of a header that proxies append to: the one that the operator's own proxy added. What stands before it is the client's
/// to invent, in whatever bytes.
fn last_hop(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get_all(name).iter().next_back()?;
    let last = value.as_bytes().rsplit(|byte| *byte == b',').next()?;
    std::str::from_utf8(last).ok().map(|last| last.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::HeaderValue;
    use axum::http::header::CONTENT_TYPE;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code, reason = "only read by serde")]
        size: u8,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code, reason = "only read by serde")]
        name: String,
        #[allow(dead_code, reason = "only read by serde")]
        inner: Option<Inner>,
    }

    async fn refused(body: &str) -> (Option<String>, String) {
        let request = Request::post("/")
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap();
        match Json::<Outer>::from_request(request, &()).await.unwrap_err() {
            ApiError::Invalid { field, message, .. } => (field, message),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_bad_body_names_the_field() {
        for (body, field) in [
            (r#"{}"#, Some("name")),
            (r#"{"name":1}"#, Some("name")),
            (r#"{"name":"a","nmae":1}"#, Some("nmae")),
            (r#"{"name":"a","inner":{}}"#, Some("inner.size")),
            (r#"{"name":"a","inner":{"size":300}}"#, Some("inner.size")),
            (r#"{"name":"a","inner":{"size":1,"x":1}}"#, Some("inner.x")),
            (r#"{"name":"#, None),
            ("", None),
        ] {
            let (named, message) = refused(body).await;
            assert_eq!(named.as_deref(), field, "{body}: {message}");
            assert!(!message.is_empty());
        }
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[allow(dead_code, reason = "only read by serde")]
        limit: u8,
    }

    #[tokio::test]
    async fn a_bad_query_names_the_parameter() {
        for query in ["", "limit=x", "limit=300", "limit=1&limit=2"] {
            let (mut parts, ()) = Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
            let error = Query::<Asked>::from_request_parts(&mut parts, &()).await.unwrap_err();
            assert!(
                matches!(&error, ApiError::Invalid { field: Some(field), .. } if field == "limit"),
                "{query}: {error:?}"
            );
        }
    }

    /// Bytes that a header may hold.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![32u8..127, 128u8.., Just(b','), Just(b'\t')], 0..30)
    }

    proptest! {
        #[test]
        fn the_address_that_the_own_proxy_added_counts_whatever_the_client_sent(
            sent in prop::collection::vec(bytes(), 0..4), address: std::net::IpAddr, appended: bool, gap in " {0,2}",
        ) {
            let mut headers = HeaderMap::new();
            for value in &sent {
                headers.append("x-forwarded-for", HeaderValue::from_bytes(value).unwrap());
            }
            let added = match sent.last() {
                Some(last) if appended => {
                    // Proxies join what came into one value.
                    headers.remove("x-forwarded-for");
                    [last, &b","[..], gap.as_bytes(), address.to_string().as_bytes()].concat()
                }
                _ => address.to_string().into_bytes(),
            };
            headers.append("x-forwarded-for", HeaderValue::from_bytes(&added).unwrap());
            prop_assert_eq!(last_hop(&headers, "x-forwarded-for"), Some(address.to_string()));
            prop_assert_eq!(last_hop(&headers, "x-real-ip"), None);
        }
    }
}
