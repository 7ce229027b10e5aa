// What the documents say must be there: links lead to files and headings that exist, verbs of ./dev and commands of central-api exist.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const documents = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "*.md"], { cwd: root, encoding: "utf8" }).trim().split("\n").filter((file) => existsSync(join(root, file)));
const read = (file) => readFileSync(join(root, file), "utf8");

/** A heading's anchor, as the code hosts make it. */
const anchor = (heading) => heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
const anchors = (file) => [...withoutCode(read(file)).matchAll(/^#+ (.+)$/gm)].map((match) => anchor(match[1].replace(/`/g, "")));
const withoutCode = (text) => text.replace(/^```.*?^```/gms, "");

test("there are documents to check", () => {
  for (const file of ["README.md", "ARCHITECTURE.md", "docs/deploy.md"]) assert.ok(documents.includes(file), `${file} is missing`);
});

for (const file of documents) {
  test(`links of ${file} lead somewhere`, () => {
    for (const [, target] of withoutCode(read(file)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path, heading] = target.split("#");
      const found = path === "" ? file : relative(root, join(root, dirname(file), path));
      assert.ok(existsSync(join(root, found)), `${file} links to ${target}, which is not there`);
      if (heading && statSync(join(root, found)).isFile()) assert.ok(anchors(found).includes(heading), `${file} links to ${target}, but ${found} has no such heading`);
    }
  });

  test(`files that ${file} names exist`, () => {
    for (const [, path] of read(file).matchAll(/`((?:edge-worker|central-api|shared|migrations|tests|docs|deploy)\/[A-Za-z0-9_./-]+)`/g)) {
      if (path.startsWith("edge-worker/build/")) continue;
      assert.ok(existsSync(join(root, path)), `${file} names ${path}, which is not there`);
    }
  });

  test(`verbs of ./dev that ${file} names exist`, () => {
    const help = execFileSync(join(root, "dev"), ["help"], { encoding: "utf8" });
    for (const [, verb] of read(file).matchAll(/\.\/dev ([a-z][a-z0-9]*)/g)) assert.match(help, new RegExp(`^\\./dev ${verb} `, "m"), `${file} names ./dev ${verb}`);
  });
}
