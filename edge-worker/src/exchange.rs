//! Where a request crosses into the WASM and its answer back, without an allocation of the binding's: JavaScript writes the request's text
//! straight into memory that stays in place, and reads the answer from there.

use std::cell::RefCell;

use wasm_bindgen::prelude::*;

use crate::request::{self, RANDOM_BYTES};

/// Room for all but the largest answers: it is asked for once.
const ANSWER_BYTES: usize = 16 * 1024;

thread_local! {
    static EXCHANGE: RefCell<Exchange> = RefCell::default();
}

#[derive(Default)]
struct Exchange {
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// The memory that [`exchange`] and [`answer`] point into. Its buffer is another one after it has grown.
#[wasm_bindgen]
pub fn linear_memory() -> JsValue {
    wasm_bindgen::memory()
}

/// Makes room for `bytes` bytes, random ones and a request's text, and answers where: it stays there until more is asked for.
#[wasm_bindgen]
pub fn exchange(bytes: usize) -> *const u8 {
    EXCHANGE.with_borrow_mut(|exchange| {
        if exchange.request.len() < bytes {
            exchange.request.resize(bytes, 0);
        }
        exchange.answer.reserve(ANSWER_BYTES);
        exchange.request.as_ptr()
    })
}

/// Where the latest answer stands.
#[wasm_bindgen]
pub fn answer() -> *const u8 {
    EXCHANGE.with_borrow(|exchange| exchange.answer.as_ptr())
}

/// Hands over what JavaScript wrote, random bytes and a text of `bytes` bytes, and takes the answer; says how long that is.
pub(crate) fn with(bytes: usize, decide: impl FnOnce([u8; RANDOM_BYTES], &str, &mut Vec<u8>)) -> usize {
    EXCHANGE.with_borrow_mut(|Exchange { request, answer }| {
        let (random, text) = request.split_at(RANDOM_BYTES);
        // JavaScript's encoder writes nothing but UTF-8.
        let text = std::str::from_utf8(&text[..bytes]).unwrap_or_default();
        answer.clear();
        decide(request::random(random), text, answer);
        answer.len()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes as JavaScript does and answers with the request itself.
    fn echo(random: [u8; RANDOM_BYTES], request: &[u8]) -> (Vec<u8>, usize) {
        exchange(RANDOM_BYTES + request.len());
        EXCHANGE.with_borrow_mut(|exchange| {
            exchange.request[..RANDOM_BYTES].copy_from_slice(&random);
            exchange.request[RANDOM_BYTES..RANDOM_BYTES + request.len()].copy_from_slice(request);
        });
        let bytes = with(request.len(), |random, text, answer| {
            answer.extend_from_slice(&random);
            answer.extend_from_slice(text.as_bytes());
        });
        (EXCHANGE.with_borrow(|exchange| exchange.answer.clone()), bytes)
    }

    proptest! {
        #[test]
        fn each_request_is_answered_for_itself_and_one_that_is_no_text_is_empty(
            random: u8, requests in prop::collection::vec(prop_oneof!["(?s).{0,200}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..40)], 1..6),
        ) {
            for (n, request) in requests.iter().enumerate() {
                let random = [random.wrapping_add(n as u8); RANDOM_BYTES];
                let text = std::str::from_utf8(request).unwrap_or_default();
                let expected = [&random, text.as_bytes()].concat();
                prop_assert_eq!(echo(random, request), (expected.clone(), expected.len()));
            }
        }
    }
}
