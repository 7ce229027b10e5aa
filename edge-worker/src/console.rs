//! A panic's place in the log, and only its place: its text could quote what a visitor sent.

use std::sync::Once;

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    fn error(text: &str);
}

/// Installs the panic hook, once per instance.
pub(crate) fn log_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let (file, line) = panic.location().map_or(("?", 0), |at| (at.file(), at.line()));
            error(&format!(
                r#"{{"level":"error","message":"panic in the WASM","file":{file:?},"line":{line}}}"#
            ));
        }));
    });
}
