//! Reports by e-mail.
//!
//! [`plan`] is what a schedule says and [`timing`] when it is due; [`run`] claims what is due, once, and sees every recipient through;
//! [`content`] asks for the figures with the API's own functions, [`page`] and [`chart`] draw them, [`message`] packs the mail and
//! [`transport`] hands it over.
//!
//! ## Who gets a mail how often
//! A slot of a schedule is a row that can be inserted once, so that one process of many claims it, however often it is asked for. Each
//! recipient has a row, and it says `sending` before the mail is handed over and what came of it after:
//!
//! | what happened | row | sent again |
//! |---|---|---|
//! | the server answered 250 to the whole message | `sent` | never |
//! | it answered 4xx, could not be reached, or closed the connection without an answer | `pending` | after a pause, growing, with the same Message-ID |
//! | it answered 5xx to sender, recipient or message | `failed` | by a person |
//! | it had the whole message and gave no answer for minutes | `uncertain` | by a person |
//! | this process died in between | `uncertain`, set by whoever takes the run up | by a person |
//!
//! A server takes responsibility for a message by its 250 and by nothing else (RFC 5321, 4.2.5 and 6.1), so a connection that it closes
//! before is no acceptance. One that is silent may still be at work and accept later (RFC 1047), and so may one whose answer died with us.

pub mod address;
pub mod chart;
pub mod content;
pub mod message;
pub mod numbers;
pub mod page;
pub mod plan;
pub mod run;
pub mod smtp;
pub mod timing;
pub mod transport;
pub mod unsubscribe;
pub mod wording;
