//! What is kept of one visitor or customer: found, handed out, erased.
//!
//! A visitor is a browser. A customer is the orders that share a contact, transitively, and every browser that one of those contacts or
//! orders was seen with. Asked for by what people know of themselves: the visitor's cookie, a customer id, an e-mail, a phone.

mod erase;
mod export;
mod subject;

pub use erase::{Erased, erase};
pub use export::export;
pub use subject::{Found, Subject, Who, find};
