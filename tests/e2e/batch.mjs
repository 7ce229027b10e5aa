// Batches as the worker's queue consumer signs and posts them, for tests that must deliver one more than once.
import { createHmac, randomBytes } from "node:crypto";

/** A UUIDv7 of a time in milliseconds. */
export function uuidv7(ms = Date.now()) {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(ms, 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 15);
  bytes[8] = 0x80 | (bytes[8] & 63);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A page view that starts a session, with its touch. */
export function landing({ at = Date.now(), visitor = uuidv7(at), session = uuidv7(at), touch = { utm_source: "google", utm_medium: "cpc" }, path = "/" } = {}) {
  return {
    id: uuidv7(at), at, action: "page_view", origin: "edge", visitor, session: { id: session, started: at, visit: 1 }, path,
    touch: { ...touch, landing_host: "shop.example", landing_path: path }, context: { country: "UA", language: "uk-UA" },
  };
}

/** A later event of the same session. */
export const next = (first, action, more = {}) => {
  const at = first.at + 1000;
  return { id: uuidv7(at), at, action, origin: "script", visitor: first.visitor, session: first.session, human: true, ...more };
};

export const envelope = (site, events) => JSON.stringify({ schema: 1, batch_id: uuidv7(), sent_at: Date.now(), site, events });

/** Posts a body as the worker does. `ingestKey` is "key_id:secret". */
export const deliver = (centre, ingestKey, body) => post(`${centre}/ingest/v1/events`, ingestKey, body);

/** Posts a signed body to any path that the worker asks. */
export function post(url, ingestKey, body) {
  const colon = ingestKey.indexOf(":");
  const t = Math.trunc(Date.now() / 1000);
  const s = createHmac("sha256", ingestKey.slice(colon + 1)).update(`${t}.${body}`).digest("hex");
  return fetch(url, {
    method: "POST", body, headers: { "content-type": "application/json", "x-ud-signature": `v1;k=${ingestKey.slice(0, colon)};t=${t};s=${s}` },
  });
}
