import { readFileSync } from "node:fs";

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { iso31661Alpha2ToAlpha3 } from "iso-3166";
import { defineConfig } from "vitest/config";

import { world } from "./world.mjs";

// `npm run dev -w central-api/ui` shows changes at once and asks a central-api that runs here.
const centre = process.env["UD_DEV_PANEL_API"] ?? "http://127.0.0.1:8080";

const description = JSON.parse(readFileSync(new URL("../openapi.json", import.meta.url), "utf8"));
const formats = description.paths["/api/utm/export-csv"].get.parameters.find((parameter: { name?: string }) => parameter.name === "format").schema.enum;
// What /api/utm/compare takes is what every question about figures takes.
const scope = description.paths["/api/utm/compare"].get.parameters.map(({ $ref }: { $ref: string }) => description.components.parameters[$ref.replace("#/components/parameters/", "")].name);
// Kosovo has a code that everybody uses and no standard has.
const countries = [...Object.keys(iso31661Alpha2ToAlpha3), "XK"];

export default defineConfig({
  define: { __EXPORT_FORMATS__: JSON.stringify(formats), __SCOPE_PARAMETERS__: JSON.stringify(scope), __COUNTRIES__: JSON.stringify(countries) },
  plugins: [svelte(), world()],
  build: {
    target: "es2022",
    assetsDir: "assets",
    // build.mjs empties it, but for the file that keeps the folder.
    emptyOutDir: false,
    // Inlined files would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Few files: a browser has six connections, and a page asks for its figures on the same ones. What several pages use comes with the
    // first file, a page's own code is one more.
    cssCodeSplit: false,
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "shared", minShareCount: 2 }] } } },
    reportCompressedSize: false,
  },
  server: { proxy: Object.fromEntries(["/api", "/healthz", "/readyz"].map((path) => [path, { target: centre, changeOrigin: true }])) },
  test: { include: ["src/**/*.test.ts"] },
});
