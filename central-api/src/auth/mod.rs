//! Who is asking: extractors that a handler names in its arguments, so that no handler runs for somebody who may not call it.
//!
//! | extractor | accepts | gives |
//! |---|---|---|
//! | [`ApiKey`] | `Authorization: Bearer ud_…` | the key's site, once the scope was asked for |
//! | [`Viewer`] | the admin session's cookie, or a bearer token with the scope `read` | the sites it may see |
//! | [`Admin`] | the session cookie of a user with the role `admin` | the sites it may change |
//!
//! Requests that change something and carry a cookie must come from the panel itself: the cookie is `SameSite=Strict` and the router
//! has a layer that compares `Sec-Fetch-Site` and `Origin`.

mod attempts;
mod key_ring;
pub mod password;
pub mod password_link;
pub mod session;
pub mod signed;
pub mod token;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use serde::{Deserialize, Serialize};

pub use attempts::Attempts;
pub use key_ring::{KeyRing, KnownKey};
pub use session::Session;

use crate::error::ApiError;
use crate::site::{Site, Sites};
use crate::state::AppState;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Ask for analytics.
    Read,
    /// Send orders.
    Orders,
    /// Send server-side events.
    Events,
}

impl Scope {
    /// As stored and as shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Orders => "orders",
            Self::Events => "events",
        }
    }

    /// Reads [`Scope::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Read, Self::Orders, Self::Events]
            .into_iter()
            .find(|scope| scope.name() == name)
    }
}

/// What a user of the panel may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Look only.
    Viewer,
}

impl Role {
    /// As stored and as shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }

    /// Reads [`Role::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Admin, Self::Viewer].into_iter().find(|role| role.name() == name)
    }
}

/// A live bearer token. The site comes out only by saying what for.
#[derive(Debug, Clone)]
pub struct ApiKey(Arc<KnownKey>);

impl ApiKey {
    /// The key's public id, for logs and rows.
    pub fn id(&self) -> &str {
        &self.0.key_id
    }

    /// The key's site, when the key has the scope.
    ///
    /// # Errors
    /// 403 without the scope; 401 when the site is gone.
    pub fn site(&self, sites: &Sites, scope: Scope) -> Result<Arc<Site>, ApiError> {
        if !self.0.scopes.contains(&scope) {
            return Err(ApiError::Forbidden(match scope {
                Scope::Read => "this token lacks the scope read",
                Scope::Orders => "this token lacks the scope orders",
                Scope::Events => "this token lacks the scope events",
            }));
        }
        sites
            .by_id(self.0.site_id)
            .ok_or(ApiError::Unauthorized("this token's site does not exist any more"))
    }
}

impl FromRequestParts<AppState> for ApiKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        match bearer(&parts.headers)? {
            Some(token) => state.keys.api_key(state, token).await.map(Self),
            None => Err(ApiError::Unauthorized("send Authorization: Bearer with an API key")),
        }
    }
}

/// Somebody who may look at reports, by session or token.
#[derive(Debug, Clone)]
pub enum Viewer {
    /// A user of the panel.
    User(Session),
    /// A program with a token of the scope `read`.
    Key(ApiKey),
}

impl Viewer {
    /// The site that a request means, if this viewer may see it. Somebody who sees one site only need not name it, and learns nothing of
    /// the others: a foreign site and an unknown one get the same answer.
    ///
    /// # Errors
    /// As [`Sites::wanted`].
    pub fn site(&self, sites: &Sites, key: Option<&str>) -> Result<Arc<Site>, ApiError> {
        match self.only_site() {
            None => sites.wanted(key),
            Some(id) => sites
                .by_id(id)
                .filter(|site| key.is_none_or(|key| key == site.key))
                .ok_or_else(|| ApiError::invalid("site", "there is no such site")),
        }
    }

    /// Every site this viewer may see, by key.
    pub fn sites(&self, sites: &Sites) -> Vec<Arc<Site>> {
        let only = self.only_site();
        let mut all = sites.all();
        all.retain(|site| only.is_none_or(|id| id == site.id));
        all
    }

    /// What this viewer may see, as text: equal for two who get the same answers.
    pub fn rights(&self) -> String {
        match self {
            Self::User(session) => format!("{} {:?}", session.role.name(), session.site_id),
            Self::Key(key) => format!("token {}", key.0.site_id),
        }
    }

    fn only_site(&self) -> Option<i32> {
        match self {
            Self::User(session) => session.site_id,
            Self::Key(key) => Some(key.0.site_id),
        }
    }
}

impl FromRequestParts<AppState> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        // A layer in front has asked already.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        // The header first: who sends one means it, and the cross-site check does not look at such requests.
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let key = ApiKey::from_request_parts(parts, state).await?;
            key.site(&state.sites, Scope::Read)?;
            Ok(Self::Key(key))
        } else {
            Session::from_request_parts(parts, state).await.map(Self::User)
        }
    }
}

/// A user of the panel who may change things.
#[derive(Debug, Clone)]
pub struct Admin(pub Session);

impl Admin {
    /// See [`Viewer::site`].
    ///
    /// # Errors
    /// As [`Viewer::site`].
    pub fn site(&self, sites: &Sites, key: Option<&str>) -> Result<Arc<Site>, ApiError> {
        Viewer::User(self.0.clone()).site(sites, key)
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let session = Session::from_request_parts(parts, state).await?;
        match session.role {
            Role::Admin => Ok(Self(session)),
            Role::Viewer => Err(ApiError::Forbidden("only an admin may do this")),
        }
    }
}

/// The bearer token of a request, if it sent one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Some(token.trim()))
        .ok_or(ApiError::Unauthorized(
            "the Authorization header must read: Bearer <token>",
        ))
}

/// The value of a cookie; the first one counts when there are several.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        // One by one: a neighbour may hold letters that are not ASCII.
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(name: header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, header::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        for (value, token) in [("Bearer ud_1", "ud_1"), ("bearer  ud_1 ", "ud_1"), ("BEARER x", "x")] {
            assert_eq!(bearer(&headers(header::AUTHORIZATION, &[value])).unwrap(), Some(token));
        }
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        for bad in ["", "Bearer", "Basic dXNlcjpw", "ud_1", "Bearer \u{e9}"] {
            assert!(bearer(&headers(header::AUTHORIZATION, &[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others_and_across_headers() {
        let sent = headers(header::COOKIE, &["a=1; xud_admin=no", "b; ud_admin=yes; ud_admin=late"]);
        assert_eq!(cookie(&sent, "ud_admin"), Some("yes"));
        assert_eq!(cookie(&sent, "c"), None);
    }

    #[test]
    fn names_of_scopes_and_roles_read_back() {
        for scope in [Scope::Read, Scope::Orders, Scope::Events] {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
        }
        for role in [Role::Admin, Role::Viewer] {
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
        assert_eq!(Scope::from_name("Read"), None);
        assert_eq!(Role::from_name("root"), None);
    }

    fn site(id: i32) -> Site {
        Site {
            id,
            key: format!("shop{id}"),
            name: "Shop".into(),
            domains: Vec::new(),
            time_zone: chrono_tz::Tz::Europe__Kyiv,
            currency: "UAH".into(),
            country: "UA".into(),
            language: "uk".into(),
            not_sources: Vec::new(),
            settings: crate::site::SiteSettings::default(),
        }
    }

    fn user(role: Role, site_id: Option<i32>) -> Session {
        Session {
            token_hash: [0; 32],
            user_id: uuid::Uuid::nil(),
            email: "ann@shop.example".into(),
            role,
            site_id,
            expires_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    /// Bytes that a header may hold.
    fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![8 => 32u8..127, 3 => 128u8.., 1 => Just(b'\t'), 1 => Just(b'='), 1 => Just(b' ')];
        prop::collection::vec(byte, 0..longest)
    }

    fn header_of(name: header::HeaderName, values: &[Vec<u8>]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, header::HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    proptest! {
        #[test]
        fn the_panels_cookie_is_found_beside_cookies_of_any_bytes(
            random: [u8; 32], secure: bool, before in prop::collection::vec(bytes(20), 0..3), after in prop::collection::vec(bytes(20), 0..3), several: bool,
        ) {
            let token = token::session_token(random);
            let set = session::set_cookie(&token, secure).unwrap();
            let pair = set.as_bytes().split(|byte| *byte == b';').next().unwrap().to_vec();
            // A semicolon in one of the others begins another one, which is as good.
            let pairs = [before, vec![pair], after].concat();
            let values = if several { pairs } else { vec![pairs.join(&b"; "[..])] };
            let sent = header_of(header::COOKIE, &values);
            prop_assert_eq!(cookie(&sent, session::COOKIE), Some(token.expose()));
        }

        #[test]
        fn a_cookie_of_another_name_is_never_the_panels(name in "[a-z_]{0,4}ud_admin[a-z_]{0,4}|[a-zA-Z_]{0,9}", value in "[!-:<-~]{0,12}", others in bytes(40)) {
            prop_assume!(name != session::COOKIE);
            let sent = header_of(header::COOKIE, &[[name.as_bytes(), b"=", value.as_bytes(), b";", &others].concat()]);
            prop_assert_eq!(cookie(&sent, session::COOKIE), None);
        }

        #[test]
        fn an_authorization_of_any_bytes_is_a_bearers_token_or_refused(
            scheme in "[Bb]earer|BEARER|bearer2|Basic|[!-~]{0,8}", gap in " {0,2}", token in "[!-~]{1,80}", any in bytes(60),
        ) {
            let sent = |value: &[u8]| header_of(header::AUTHORIZATION, &[value.to_vec()]);
            let good = sent(format!("{scheme}{gap}{token}").as_bytes());
            let expected = (scheme.eq_ignore_ascii_case("bearer") && !gap.is_empty()).then_some(token.as_str());
            prop_assert_eq!(bearer(&good).ok().flatten(), expected);
            if let Ok(found) = bearer(&sent(&any)) {
                let text = std::str::from_utf8(&any).unwrap();
                prop_assert!(text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")));
                prop_assert_eq!(found, Some(text[7..].trim()));
            }
        }

        #[test]
        fn whoever_belongs_to_one_site_gets_that_one_or_nothing(
            ids in prop::collection::btree_set(1i32..6, 0..5), own in 1i32..6, asked in prop::option::of("shop[1-6]|.{0,5}"),
            scopes in prop::sample::subsequence(vec![Scope::Read, Scope::Orders, Scope::Events], 0..=3), role in prop::sample::select(vec![Role::Admin, Role::Viewer]),
        ) {
            let sites = Sites::default();
            sites.replace(ids.iter().copied().map(site).collect());
            let key = ApiKey(Arc::new(KnownKey::of(own, scopes.clone())));
            for scope in [Scope::Read, Scope::Orders, Scope::Events] {
                let found = key.site(&sites, scope).ok().map(|site| site.id);
                prop_assert_eq!(found, (scopes.contains(&scope) && ids.contains(&own)).then_some(own));
            }
            for viewer in [Viewer::Key(key.clone()), Viewer::User(user(role, Some(own)))] {
                let meant = asked.as_ref().is_none_or(|key| *key == format!("shop{own}"));
                let found = viewer.site(&sites, asked.as_deref()).ok().map(|site| site.id);
                prop_assert_eq!(found, (meant && ids.contains(&own)).then_some(own));
                let listed: Vec<i32> = viewer.sites(&sites).iter().map(|site| site.id).collect();
                prop_assert_eq!(listed, ids.get(&own).copied().into_iter().collect::<Vec<_>>());
            }
            let everywhere = Viewer::User(user(role, None)).site(&sites, asked.as_deref()).ok();
            let one_of = |key: &str| ids.iter().copied().find(|id| format!("shop{id}") == key);
            let only = ids.first().copied().filter(|_| ids.len() == 1);
            prop_assert_eq!(everywhere.map(|site| site.id), asked.as_deref().map_or(only, one_of));
        }
    }
}
