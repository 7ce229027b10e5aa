//! One error type for every answer: a status, a code for programs, a sentence for people, and the field at fault.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::database::{Fault, fault, was_cancelled};
use crate::record::FieldError;

/// What an endpoint answers when it cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 400: a parameter or field has a value that is not allowed; the message names the allowed ones.
    #[error("{message}")]
    Invalid {
        /// Machine-readable reason.
        code: &'static str,
        /// The parameter or field.
        field: Option<String>,
        /// Sentence for people.
        message: String,
    },
    /// 401: nobody is logged in, or the key or signature is not valid.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// 403: known, but not allowed.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 404.
    #[error("{0}")]
    NotFound(&'static str),
    /// 405.
    #[error("this path does not know this method")]
    MethodNotAllowed,
    /// 504: the work was given up after the configured time.
    #[error("the request took too long and was given up")]
    TimedOut,
    /// 409: it exists already, or its state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// 408: the body was awaited for this many seconds.
    #[error("the body did not arrive in full within {0} s")]
    BodyTooSlow(u64),
    /// 413.
    #[error("{0}")]
    TooLarge(String),
    /// 415.
    #[error("{0}")]
    UnsupportedMediaType(&'static str),
    /// 429, with Retry-After in seconds.
    #[error("too many requests; try again in {0} s")]
    TooManyRequests(u32),
    /// 503, with Retry-After in seconds: the database cannot take it now. Nothing was stored.
    #[error("the database cannot take this now; try again in {0} s")]
    Unavailable(u32),
    /// 500: ours. The detail goes to the log, never to the caller.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

/// The body of every error answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// See [`ErrorBody`].
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorDetail {
    /// Machine-readable reason.
    pub code: &'static str,
    /// Sentence that says what is allowed.
    pub message: String,
    /// The parameter or field at fault, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl ApiError {
    /// A 400 for `field` with the code `invalid_parameter`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            code: "invalid_parameter",
            field: Some(field.into()),
            message: message.into(),
        }
    }

    /// A 400 for a body that is no JSON, or none of the kind that is taken: `detail` says what is wrong.
    pub fn unreadable(detail: &str) -> Self {
        Self::Invalid {
            code: "invalid_json",
            field: None,
            message: format!("the body cannot be read: {detail}"),
        }
    }

    /// Status and code of the answer.
    pub fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid { code, .. } => (StatusCode::BAD_REQUEST, code),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed_out"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::BodyTooSlow(_) => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::TooManyRequests(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status();
        if let Self::Internal(source) = &self {
            tracing::error!(error = format!("{source:#}"), "request failed");
        }
        let retry_after = match &self {
            Self::TooManyRequests(seconds) | Self::Unavailable(seconds) => Some(*seconds),
            _ => None,
        };
        let message = self.to_string();
        let field = match self {
            Self::Invalid { field, .. } => field,
            _ => None,
        };
        let mut response = (
            status,
            Json(ErrorBody {
                error: ErrorDetail { code, message, field },
            }),
        )
            .into_response();
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<FieldError> for ApiError {
    fn from(FieldError { code, field, message }: FieldError) -> Self {
        Self::Invalid { code, field, message }
    }
}

impl From<sqlx::Error> for ApiError {
    /// A statement that took too long is a 504, a database that cannot be reached or is overloaded a 503; everything else is a fault of ours.
    fn from(error: sqlx::Error) -> Self {
        if was_cancelled(&error) {
            tracing::warn!(%error, "the database gave a statement up");
            Self::TimedOut
        } else if fault(&error) == Fault::Passing {
            tracing::warn!(%error, "database unavailable");
            Self::Unavailable(5)
        } else {
            Self::Internal(error.into())
        }
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_internal_error_tells_the_caller_nothing() {
        let response = ApiError::from(anyhow::anyhow!("password is hunter2")).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(body, r#"{"error":{"code":"internal","message":"internal error"}}"#);
    }

    #[test]
    fn a_pool_that_timed_out_is_a_503_with_retry_after() {
        let response = ApiError::from(sqlx::Error::PoolTimedOut).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "5");
    }

    #[test]
    fn a_row_that_is_missing_is_not_taken_for_an_outage() {
        assert_eq!(
            ApiError::from(sqlx::Error::RowNotFound).status().0,
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
