//! What a visitor did, as both sides name it, and the points that it earns unless the site says otherwise.

use serde::{Deserialize, Serialize};

/// The type of an event. Text on the wire (`add_to_cart`), a small number in the database ([`Action::code`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A page was shown: a navigation seen by the edge, or a change of page inside a single-page app.
    PageView,
    /// A product's page was shown.
    ProductView,
    /// A product went into the cart.
    AddToCart,
    /// A product left the cart.
    RemoveFromCart,
    /// The checkout was entered.
    InitiateCheckout,
    /// A contact or a prepayment was left.
    Lead,
    /// The purchase was completed, as the browser or the shop's backend says; money comes from orders.
    Purchase,
    /// The shop's search was used.
    Search,
    /// Something worth counting was clicked.
    Click,
    /// The page was scrolled to a depth.
    Scroll,
    /// Seconds that the page was in front.
    TimeOnPage,
    /// An account was made.
    SignUp,
    /// Anything else; the event carries its name.
    Custom,
}

impl Action {
    /// Every action, in the order of their codes.
    pub const ALL: [Action; 13] = [
        Action::PageView,
        Action::ProductView,
        Action::AddToCart,
        Action::RemoveFromCart,
        Action::InitiateCheckout,
        Action::Lead,
        Action::Purchase,
        Action::Search,
        Action::Click,
        Action::Scroll,
        Action::TimeOnPage,
        Action::SignUp,
        Action::Custom,
    ];

    /// The number stored in the database. Never reused, never changed.
    pub const fn code(self) -> i16 {
        match self {
            Action::PageView => 1,
            Action::ProductView => 2,
            Action::AddToCart => 3,
            Action::RemoveFromCart => 4,
            Action::InitiateCheckout => 5,
            Action::Lead => 6,
            Action::Purchase => 7,
            Action::Search => 8,
            Action::Click => 9,
            Action::Scroll => 10,
            Action::TimeOnPage => 11,
            Action::SignUp => 12,
            Action::Custom => 13,
        }
    }

    /// The action with this code.
    pub fn from_code(code: i16) -> Option<Action> {
        Self::ALL.into_iter().find(|action| action.code() == code)
    }

    /// The name on the wire and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Action::PageView => "page_view",
            Action::ProductView => "product_view",
            Action::AddToCart => "add_to_cart",
            Action::RemoveFromCart => "remove_from_cart",
            Action::InitiateCheckout => "initiate_checkout",
            Action::Lead => "lead",
            Action::Purchase => "purchase",
            Action::Search => "search",
            Action::Click => "click",
            Action::Scroll => "scroll",
            Action::TimeOnPage => "time_on_page",
            Action::SignUp => "sign_up",
            Action::Custom => "custom",
        }
    }

    /// The action with this name.
    pub fn from_name(name: &str) -> Option<Action> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Points that it earns unless the site's settings say otherwise (the table of the original module).
    pub const fn default_points(self) -> i32 {
        match self {
            Action::PageView => 1,
            Action::ProductView => 3,
            Action::AddToCart => 10,
            Action::RemoveFromCart => -5,
            Action::InitiateCheckout => 20,
            Action::Lead => 50,
            Action::Purchase => 100,
            Action::Search => 2,
            Action::Click => 1,
            Action::Scroll | Action::TimeOnPage | Action::Custom => 0,
            Action::SignUp => 5,
        }
    }

    /// Whether a lead's or purchase's value earns one more point for each full 100 units of the site's currency.
    pub const fn earns_points_by_value(self) -> bool {
        matches!(self, Action::Lead | Action::Purchase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_found_again_by_code_and_by_name() {
        for action in Action::ALL {
            assert_eq!(Action::from_code(action.code()), Some(action));
            assert_eq!(Action::from_name(action.name()), Some(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        assert_eq!(Action::from_code(0), None);
        assert_eq!(Action::from_name("Page_View"), None);
    }
}
