// Builds the panel into dist/: types from the API's description, then Vite, then a gzip and a brotli file beside each one, as
// central-api embeds them.
//   --types        the types alone
//   --if-changed   nothing when dist/ is newer than every source
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import openapiTS, { astToString } from "openapi-typescript";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "dist");
const DESCRIPTION = join(HERE, "../openapi.json");
const TYPES = join(HERE, "src/api/schema.d.ts");

const flags = new Set(process.argv.slice(2));
if (flags.has("--if-changed") && isNewer()) process.exit(0);
writeIfOther(TYPES, astToString(await openapiTS(JSON.parse(readFileSync(DESCRIPTION, "utf8")))));
if (flags.has("--types")) process.exit(0);

// The folder itself and the file that keeps it stay.
for (const entry of readdirSync(DIST)) if (entry !== ".gitignore") rmSync(join(DIST, entry), { recursive: true });
const { build } = await import("vite");
await build({ root: HERE, configFile: join(HERE, "vite.config.ts"), logLevel: "warn" });
let total = 0;
const made = files(DIST).filter((file) => !file.endsWith(".gitignore"));
for (const file of made) {
  const content = readFileSync(file);
  const gzipped = gzipSync(content, { level: 9 });
  total += gzipped.length;
  writeFileSync(`${file}.gz`, gzipped);
  writeFileSync(`${file}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }));
}
console.log(`the panel: ${made.length} files, ${(total / 1024).toFixed(0)} KiB gzipped in all`);

function files(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** A file that stays the same keeps its time, so that nothing that depends on it is made again. */
function writeIfOther(file, text) {
  if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
}

function isNewer() {
  const index = join(DIST, "index.html");
  if (!existsSync(index) || !existsSync(TYPES)) return false;
  const built = statSync(index).mtimeMs;
  const own = readdirSync(HERE, { withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(HERE, entry.name));
  const sources = [...own, ...files(join(HERE, "src")).filter((file) => file !== TYPES), ...(existsSync(join(HERE, "public")) ? files(join(HERE, "public")) : []), DESCRIPTION, join(HERE, "../../package-lock.json")];
  return sources.every((file) => statSync(file).mtimeMs < built);
}
