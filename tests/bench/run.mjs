// `./dev bench [name …]`: runs the benchmarks whose name contains one of the given words (all without), prints one table and writes
// .dev/bench.json. --large: also at sizes that take long. --seconds <n>: how long ingest and through measure each load; few for a try.
// --database <name>: ingest (growth), panel, mails and export measure this one, which is filled, instead of making one; panel and mails leave
// it as it was, ingest writes to it.
// Each benchmark writes its rows, { name, unit, ours, reference, ratio, budget, met }, to the file it is given.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("../../", import.meta.url));
const out = join(root, ".dev", "bench");
const BENCHES = [
  { name: "edge", command: (file) => [process.execPath, "tests/bench/edge/run.mjs", "--out", file] },
  { name: "ingest", command: (file) => ["target/release/bench", "ingest", "--out", file, ...seconds, ...database] },
  { name: "through", command: (file) => [process.execPath, "tests/bench/through.mjs", "--out", file, ...seconds] },
  { name: "statistics", command: (file) => [process.execPath, "tests/bench/statistics/run.mjs", "--out", file] },
  { name: "reports", command: (file) => ["target/release/bench", "reports", "--out", file, ...(large ? ["--large"] : [])] },
  { name: "panel", command: (file) => [process.execPath, "tests/bench/panel.mjs", "--out", file, ...database] },
  { name: "panel-accessibility", command: (file) => [process.execPath, "tests/bench/lighthouse/run.mjs", "--out", file] },
  { name: "mails", command: (file) => [process.execPath, "tests/bench/mails.mjs", "--out", file, ...database] },
  { name: "export", command: (file) => ["target/release/bench", "export", "--out", file, ...database] },
  { name: "business", command: (file) => [process.execPath, "tests/bench/business/run.mjs", "--out", file] },
];

const { values: { large, seconds: given, database: filled }, positionals: wanted } = parseArgs({ allowPositionals: true, options: { large: { type: "boolean" }, seconds: { type: "string" }, database: { type: "string" } } });
const database = filled ? ["--database", filled] : [];
const seconds = given ? ["--seconds", given] : [];
const chosen = BENCHES.filter(({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)));
if (chosen.length === 0) {
  console.error(`there is no benchmark '${wanted.join(" ")}'; there are ${BENCHES.map(({ name }) => name).join(", ")}`);
  process.exit(1);
}

mkdirSync(out, { recursive: true });
const results = [];
for (const { name, command } of chosen) {
  console.error(`measuring ${name} …`);
  const file = join(out, `${name}.json`);
  rmSync(file, { force: true });
  const [program, ...args] = command(file);
  execFileSync(program, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  if (!existsSync(file)) throw new Error(`${name} wrote no results`);
  const written = JSON.parse(readFileSync(file, "utf8"));
  results.push(...(written.results ?? written));
}
writeFileSync(join(root, ".dev", "bench.json"), `${JSON.stringify({ at: new Date().toISOString(), results }, null, 1)}\n`);

const figure = (value) => (value === null || value === undefined ? "–" : Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US").replaceAll(",", " ") : String(Number(value.toPrecision(3))));
const rows = [["what", "ours", "reference", "unit", "ratio", "budget", "met"], ...results.map((one) => [
  one.name, figure(one.ours), figure(one.reference), one.unit, figure(one.ratio), one.budget === null || one.budget === undefined ? "–" : String(one.budget),
  one.met === null || one.met === undefined ? "–" : one.met ? "yes" : "NO",
])];
const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
for (const row of rows) console.log(row.map((cell, column) => (column === 0 || column === 3 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join("  ").trimEnd());
if (results.some((one) => one.met === false)) process.exitCode = 1;
