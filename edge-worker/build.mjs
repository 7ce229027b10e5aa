// Builds the worker into edge-worker/build/: index.js (everything JavaScript, the browser script inside) and edge_worker_bg.wasm.
//
//   node edge-worker/build.mjs            what is deployed
//   node edge-worker/build.mjs --trap     the same with a switch that makes the WASM panic, into edge-worker/build-trap/, for tests
//   … --if-changed                        only when something that it is made of is newer than what was built
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build, transform } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const trap = process.argv.includes("--trap");
const out = join(here, trap ? "build-trap" : "build");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");

const MADE_OF = ["edge-worker/src", "edge-worker/core", "edge-worker/bundle", "edge-worker/js", "edge-worker/script", "edge-worker/entry.js", "edge-worker/build.mjs",
  "edge-worker/Cargo.toml", "shared", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "package-lock.json"];
if (process.argv.includes("--if-changed") && existsSync(join(out, "index.js"))) {
  const built = statSync(join(out, "index.js")).mtimeMs;
  if (!MADE_OF.some((path) => newerThan(join(root, path), built))) process.exit(0);
}

// With vector instructions texts are checked, ids and tags written as hex digits, and queue messages searched sixteen bytes at a time, and
// what is copied goes in half as many moves. The cookies' BLAKE2s has none of them; the SHA-256 of a post's signature has.
const env = { ...process.env, CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: "-C target-feature=+simd128" };
const cargo = (...args) => execFileSync("cargo", args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });

mkdirSync(out, { recursive: true });
// With and without the trap, cargo writes to the same path; what is taken from there is what this very command made.
cargo("build", "--quiet", "--locked", "-p", "edge-worker", "--target", "wasm32-unknown-unknown", "--profile", "wasm",
  "--target-dir", target, ...(trap ? ["--features", "trap"] : []));
cargo("run", "--quiet", "--locked", "-p", "edge-bundle", "--",
  join(target, "wasm32-unknown-unknown", "wasm", "edge_worker.wasm"), out);

const wasm = join(out, "edge_worker_bg.wasm");
const wasmOpt = locate("binaryen/bin/wasm-opt");
if (wasmOpt) {
  const optimised = `${wasm}.opt`;
  execFileSync(process.execPath, [wasmOpt, "-O3", "--enable-bulk-memory", "--enable-nontrapping-float-to-int", "--enable-sign-ext",
    "--enable-mutable-globals", "--enable-simd", "--enable-reference-types", "--enable-multivalue", "--strip-producers", wasm, "-o", optimised], { stdio: "inherit" });
  renameSync(optimised, wasm);
} else {
  console.warn("binaryen is not installed (npm ci): the WASM stays as the compiler made it, a little larger");
}

const script = await transform(readFileSync(join(here, "script", "t.js"), "utf8"), { minify: true, target: "es2019", format: "iife" });
writeFileSync(join(out, "script.txt"), script.code.trim());

await build({
  absWorkingDir: root,
  entryPoints: [join(here, "entry.js")],
  outfile: join(out, "index.js"),
  bundle: true,
  format: "esm",
  target: "es2023",
  platform: "neutral",
  external: ["*.wasm", "cloudflare:*"],
  loader: { ".txt": "text" },
  alias: { "#build/edge_worker.js": join(out, "edge_worker.js"), "#build/script.txt": join(out, "script.txt") },
  define: { VERSION: JSON.stringify(version()) },
  legalComments: "none",
});
rmSync(join(out, "edge_worker.js"));

const sizes = Object.fromEntries(["edge_worker_bg.wasm", "index.js", "script.txt"].map((name) => {
  const bytes = readFileSync(join(out, name));
  return [name, `${(bytes.length / 1024).toFixed(1)} KiB, ${(gzipSync(bytes, { level: 9 }).length / 1024).toFixed(2)} KiB gzipped`];
}));
console.log(sizes);

function newerThan(path, time) {
  const stat = statSync(path);
  return stat.isDirectory() ? readdirSync(path).some((name) => newerThan(join(path, name), time)) : stat.mtimeMs > time;
}

function version() {
  return /^version = "(.+)"$/m.exec(readFileSync(join(root, "Cargo.toml"), "utf8"))[1];
}

function locate(path) {
  try {
    const found = join(dirname(createRequire(import.meta.url).resolve("binaryen/package.json")), path.slice("binaryen/".length));
    return existsSync(found) ? found : null;
  } catch {
    return null;
  }
}
