// Secrets of a local installation: random, written once, readable by their owner alone.
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

export const newSecrets = () => ({
  installation: randomBytes(32).toString("hex"),
  cookieKeys: `k1:${randomBytes(32).toString("base64")}`,
  hashKey: randomBytes(32).toString("base64"),
});

/** What a file keeps between two runs, made by `make` the first time; `save` writes changes. */
export function kept(file, make) {
  const first = !existsSync(file);
  const values = first ? make() : JSON.parse(readFileSync(file, "utf8"));
  const save = () => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(values, null, 1)}\n`, { mode: 0o600 });
  };
  if (first) save();
  return { values, first, save };
}
