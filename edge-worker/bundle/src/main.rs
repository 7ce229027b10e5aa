//! Turns the compiled worker into the pair that the Workers runtime loads: `edge_worker.js` and `edge_worker_bg.wasm`.
//!
//! The wasm-bindgen command-line tool must match the crate to the last digit, or it refuses to work. Using it as a library from the
//! same Cargo.lock cannot drift and needs no installation.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(wasm), Some(folder), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        bail!("usage: edge-bundle <edge_worker.wasm> <output folder>");
    };
    Bindgen::new()
        .input_path(&wasm)
        .out_name("edge_worker")
        .web(true)?
        // The worker hands over a module that the runtime has compiled, and replaces the instance after a panic.
        .omit_default_module_path(true)
        .reset_state_function(true)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)
        .with_context(|| format!("cannot bind {} into {}", wasm.display(), folder.display()))
}
