//! Answers that need not be computed: those that did not change since the asker got them, and those that somebody else is just having
//! computed.
//!
//! A period that is over gets an `ETag` when nothing of it waits to be summed up. The tag holds everything that the answer is made of: the
//! program, the site with all its settings, the question, and the version of the site's data. It is looked up before the answer is computed,
//! so an answer can be newer than its tag, never older.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::lists::LISTS;
use crate::auth::Viewer;
use crate::db::data_versions;
use crate::error::ApiError;
use crate::reports::params::Params;
use crate::reports::period::{Period, PeriodName};
use crate::secret::hex;
use crate::site::Site;
use crate::state::AppState;

/// Endpoints, beside the lists, whose answers are made of sessions that began before the period's end, their orders, orders placed before
/// it, and spend: what `data_versions` counts. Cohorts and customers look beyond the period; coverage counts what leaves no mark.
const OF_THE_PERIOD: [&str; 9] = [
    "general-stats",
    "compare",
    "funnel",
    "geo",
    "returning-visitors",
    "time-series",
    "roi",
    "query",
    "sessions",
];

/// A question as far as it decides the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    site_id: i32,
    /// Which of the viewers with the same rights it is does not matter, the rights do.
    rights: String,
    path: String,
    query: String,
    /// Of the answer: one that was begun before a change must not be kept by the tag of after it.
    tag: Option<HeaderValue>,
}

/// A whole answer.
#[derive(Debug, Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        // A body made in memory cannot fail.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Answers being computed. The first who asks computes; who asks the same meanwhile waits and gets the same. A failure is nobody else's:
/// the next in line tries anew, also when the first goes away.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashMap<Question, Arc<OnceCell<Answer>>>>);

/// A place at an answer; the last to leave clears up, and whoever sees it finished.
struct Place<'a> {
    in_flight: &'a InFlight,
    question: &'a Question,
    cell: Arc<OnceCell<Answer>>,
}

impl InFlight {
    fn join<'a>(&'a self, question: &'a Question) -> Place<'a> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Place {
            in_flight: self,
            question,
            cell: cells.entry(question.clone()).or_default().clone(),
        }
    }

    /// How many different questions are being answered.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut cells = self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = cells
            .get(self.question)
            .is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // Two hold it: the map and this place.
        if ours && (self.cell.initialized() || Arc::strong_count(&self.cell) <= 2) {
            cells.remove(self.question);
        }
    }
}

/// The layer around the analytics; exports pass, since they are streams.
///
/// # Errors
/// 401, 403: nobody who may ask.
pub async fn reuse(State(state): State<AppState>, request: Request, next: Next) -> Result<Response, ApiError> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let name = path.strip_prefix("/api/utm/").unwrap_or_default();
    if request.method() != Method::GET || name.starts_with("export") {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let viewer = Viewer::from_request_parts(&mut parts, &state).await?;
    parts.extensions.insert(viewer.clone());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let mut params = Params::new(&query);
    let site = params
        .one("site")
        .and_then(|key| viewer.site(&state.sites, key.as_deref()));
    let Ok(site) = site else {
        // The endpoint says what is wrong.
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let tag = tag(&state, &site, name, &query, &mut params).await?;
    if let Some(tag) = &tag
        && is_known(&parts.headers, tag)
    {
        metrics::counter!("ud_reports_not_modified_total").increment(1);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        keep(&mut response, tag);
        return Ok(response);
    }

    let question = Question {
        site_id: site.id,
        rights: viewer.rights(),
        path,
        query,
        tag,
    };
    let place = state.in_flight.join(&question);
    let mut computed = false;
    let answer = place
        .cell
        .get_or_try_init(|| async {
            computed = true;
            let answer = Answer::of(next.run(Request::from_parts(parts, body)).await).await;
            if answer.status == StatusCode::OK {
                Ok(answer)
            } else {
                Err(answer)
            }
        })
        .await
        .cloned();
    if !computed {
        metrics::counter!("ud_reports_shared_total").increment(1);
    }
    let mut response = match answer {
        Ok(answer) => answer.into_response(),
        Err(refused) => return Ok(refused.into_response()),
    };
    if let Some(tag) = &question.tag {
        keep(&mut response, tag);
    }
    Ok(response)
}

/// The tag of the answer; none where it may change by itself.
async fn tag(
    state: &AppState,
    site: &Site,
    name: &str,
    query: &str,
    params: &mut Params,
) -> Result<Option<HeaderValue>, ApiError> {
    if !OF_THE_PERIOD.contains(&name) && !LISTS.iter().any(|list| list.path == name) {
        return Ok(None);
    }
    let now = state.clock.now();
    let mut one = |name| params.one(name).ok().flatten();
    let (period, start, end) = (one("period"), one("start_date"), one("end_date"));
    let period = Period::parse(period.as_deref(), start.as_deref(), end.as_deref(), site.time_zone, now);
    let Some(period) = period.ok().filter(|p| p.name == PeriodName::Custom && p.to <= now) else {
        return Ok(None);
    };
    let Some(version) = data_versions::before(&state.read_pool, site.id, period.to).await? else {
        return Ok(None);
    };
    // A site has no other state than this, so everything that an answer takes from it is in here.
    let told = format!("{}\n{site:?}\n{name}\n{query}\n{version}", program());
    let digest: [u8; 32] = Sha256::digest(told.as_bytes()).into();
    Ok(HeaderValue::from_str(&format!("\"{}\"", hex(&digest[..16]))).ok())
}

/// What tells one build of the program from another: its figures may be computed in another way.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let file = std::env::current_exe().and_then(std::fs::metadata);
        let built = file.and_then(|file| Ok((file.len(), file.modified()?)));
        match built {
            Ok(built) => format!("{} {built:?}", env!("CARGO_PKG_VERSION")),
            // Unknown: no other process has the same.
            Err(_) => format!("{:032x}", rand::random::<u128>()),
        }
    })
}

/// Whether the asker has the answer already (RFC 9110, 13.1.2: weak comparison).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == "*" || known.as_bytes() == tag.as_bytes())
}

/// The asker may keep it and must ask each time whether it still holds; nobody between may.
fn keep(response: &mut Response, tag: &HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("authorization, cookie"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(path: &str) -> Question {
        Question {
            site_id: 1,
            rights: "token".into(),
            path: path.into(),
            query: String::new(),
            tag: None,
        }
    }

    fn answer(body: &'static str) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[tokio::test]
    async fn who_asks_meanwhile_gets_the_same_and_who_asks_later_a_new_one() {
        let (in_flight, asked) = (InFlight::default(), question("a"));
        let (first, second) = (in_flight.join(&asked), in_flight.join(&asked));
        assert_eq!(in_flight.len(), 1);
        first.cell.get_or_init(|| async { answer("one") }).await;
        drop(first);
        // The finished one is out of the way at once, though somebody still reads it.
        assert!(in_flight.is_empty());
        let later = in_flight.join(&asked);
        assert!(!later.cell.initialized());
        assert_eq!(second.cell.get_or_init(|| async { answer("two") }).await.body, "one");
        drop(second);
        // Leaving an old answer does not take the new one away.
        assert_eq!(in_flight.len(), 1);
        drop(later);
        assert!(in_flight.is_empty());
    }

    #[tokio::test]
    async fn when_the_first_fails_or_goes_away_the_next_computes() {
        let (in_flight, asked) = (InFlight::default(), question("a"));
        let (first, second) = (in_flight.join(&asked), in_flight.join(&asked));
        assert!(first.cell.get_or_try_init(|| async { Err(()) }).await.is_err());
        drop(first);
        assert_eq!(in_flight.len(), 1);
        assert_eq!(second.cell.get_or_init(|| async { answer("two") }).await.body, "two");
        drop(second);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn a_known_tag_is_found_in_any_of_its_spellings() {
        let tag = HeaderValue::from_static("\"abc\"");
        for (sent, known) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("abc", false),
            ("\"abcd\"", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(sent).unwrap())]);
            assert_eq!(is_known(&headers, &tag), known, "{sent}");
        }
    }
}
