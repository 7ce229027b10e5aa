import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

import { world } from "./world.mjs";

// `npm run dev -w central-api/ui` shows changes at once and asks a central-api that runs here.
const centre = process.env["UD_DEV_PANEL_API"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte(), world()],
  build: {
    target: "es2022",
    assetsDir: "assets",
    // build.mjs empties it, but for the file that keeps the folder.
    emptyOutDir: false,
    // Inlined files would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: Object.fromEntries(["/api", "/healthz", "/readyz"].map((path) => [path, { target: centre, changeOrigin: true }])) },
  test: { include: ["src/**/*.test.ts"] },
});
