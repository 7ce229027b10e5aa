//! Lets cargo see that the panel was built anew. A debug build reads the panel's files when it is asked for one, so only a release build
//! has to be made again.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo:rerun-if-changed=ui/dist");
        if !std::path::Path::new("ui/dist/index.html").exists() {
            println!(
                "cargo:warning=this central-api has no panel: run `npm ci` and `node central-api/ui/build.mjs`, then build it again"
            );
        }
    }
}
