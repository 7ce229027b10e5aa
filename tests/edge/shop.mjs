// What stands around the worker in tests: a shop's origin, the queue's broker and a central API, all on real sockets.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import http from "node:http";
import { gzipSync } from "node:zlib";

export const HOST = "shop.ua";
export const CENTRE = "centre.test";
const INGEST_SECRET = "an-ingest-secret-of-some-length-0123";

export const SETTINGS = { site: "shop", hosts: [HOST] };
export const BINDINGS = {
  UD_SETTINGS: JSON.stringify(SETTINGS),
  UD_CENTRE_URL: `http://${CENTRE}`,
  UD_COOKIE_KEYS: `k2:${"b".repeat(32)},k1:${"a".repeat(32)}`,
  UD_INGEST_KEY: `edge1:${INGEST_SECRET}`,
  UD_HASH_KEY: "h".repeat(32),
};
export const settings = (more) => ({ ...BINDINGS, UD_SETTINGS: JSON.stringify({ ...SETTINGS, ...more }) });

export const CF = { country: "UA", region: "Kyiv City", city: "Kyiv", timezone: "Europe/Kyiv", continent: "EU", asn: 15895, asOrganization: "Kyivstar" };
export const CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
/** Headers of a navigation from an ad, as current Chrome sends them. */
export const NAVIGATION = {
  host: HOST,
  "cf-blob": JSON.stringify(CF),
  "cf-connecting-ip": "203.0.113.77",
  "user-agent": CHROME,
  accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "accept-language": "uk-UA,uk;q=0.9",
  "sec-fetch-dest": "document",
  "sec-fetch-mode": "navigate",
  "sec-fetch-site": "cross-site",
};
export const TAGGED = "/product/42?utm_source=Google&utm_medium=cpc&utm_campaign=%D0%BE%D1%81%D1%96%D0%BD%D1%8C&gclid=EAIaIQobChMI4aXn5_abcDEF0123456789";

export const PAGE = Buffer.from(`<!doctype html><title>shop</title>${"<p>сторінка</p>".repeat(400)}`);

/** Origin and central API behind one port, told apart by Host. `requests` and `batches` hold what came in. */
export async function openShop() {
  const shop = { requests: [], batches: [], crons: [], answerBatch: null, sockets: new Set() };
  shop.server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (request.headers.host === CENTRE) return centre(shop, request, body, response);
    shop.requests.push({ method: request.method, url: request.url, headers: request.headers, raw: request.rawHeaders, body });
    await page(request, body, response);
  });
  shop.server.on("connection", (socket) => { shop.sockets.add(socket); socket.on("close", () => shop.sockets.delete(socket)); });
  shop.port = await listen(shop.server);
  shop.close = () => { for (const socket of shop.sockets) socket.destroy(); return new Promise((done) => shop.server.close(done)); };
  shop.last = () => shop.requests.at(-1);
  shop.events = () => shop.batches.flatMap(({ events }) => events);
  return shop;
}

async function page(request, body, response) {
  const path = request.url.split("?")[0];
  const html = { "content-type": "text/html; charset=utf-8" };
  switch (path) {
    case "/chunks":
      response.writeHead(200, html);
      for (let i = 0; i < 5; i++) { response.write(`<p>${i}</p>`); await new Promise((done) => setTimeout(done, 150)); }
      return response.end();
    case "/slow":
      await new Promise((done) => setTimeout(done, 400));
      return response.writeHead(200, html).end("<p>slow</p>");
    case "/gzip":
      return response.writeHead(200, { ...html, "content-encoding": "gzip", etag: '"abc"' }).end(gzipSync(PAGE));
    case "/304":
      return response.writeHead(304, { etag: '"abc"' }).end();
    case "/302":
      return response.writeHead(302, { location: "/next?a=1", "set-cookie": ["shop=1; Path=/", "lang=uk"] }).end();
    case "/to-www":
      return response.writeHead(301, { location: `https://www.${HOST}/${request.url.slice(path.length)}` }).end();
    case "/204":
      return response.writeHead(204).end();
    case "/404":
      return response.writeHead(404, html).end("<p>not here</p>");
    case "/500":
      return response.writeHead(500, html).end("<p>broken</p>");
    case "/public":
      return response.writeHead(200, { ...html, "cache-control": "public, max-age=600, s-maxage=3600" }).end(PAGE);
    case "/cookies":
      return response.writeHead(200, { ...html, "set-cookie": ["shop=1; Path=/", "cart=a=b; HttpOnly"] }).end(PAGE);
    case "/json":
      return response.writeHead(200, { "content-type": "application/json" }).end("{}");
    case "/upload":
      return response.writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify({ bytes: body.length, sha256: createHash("sha256").update(body).digest("hex"), length: request.headers["content-length"] ?? null }));
    default:
      return response.writeHead(200, { ...html, "content-length": PAGE.length }).end(request.method === "HEAD" ? undefined : PAGE);
  }
}

/** Checks the signature for real and answers as `shop.answerBatch(body, request)` says, else that all events are new. */
function centre(shop, request, body, response) {
  const [, keyId, time, mac] = /^v1;k=([^;]+);t=(\d+);s=([0-9a-f]{64})$/.exec(request.headers["x-ud-signature"] ?? "") ?? [];
  const expected = createHmac("sha256", INGEST_SECRET).update(`${time}.`).update(body).digest();
  const good = keyId === "edge1" && Math.abs(Date.now() / 1000 - Number(time)) < 300 && timingSafeEqual(Buffer.from(mac, "hex"), expected);
  if (!good) return response.writeHead(401).end();
  const text = JSON.parse(body);
  if (request.url === "/internal/worker-settings") {
    const { status = 200, secret = INGEST_SECRET, body: served = '{"version":"0","settings":{}}' } = shop.answerSettings?.() ?? {};
    const now = Math.floor(Date.now() / 1000);
    const mac = createHmac("sha256", secret).update(`${now}.${served}`).digest("hex");
    return response.writeHead(status, { "content-type": "application/json", "x-ud-signature": `v1;k=edge1;t=${now};s=${mac}` }).end(served);
  }
  if (request.url === "/internal/cron") {
    shop.crons.push(text);
    return response.writeHead(shop.answerCron?.(text) ?? 202).end();
  }
  const answer = shop.answerBatch?.(text, request) ?? {};
  if (answer.hang) return undefined;
  if (answer.cut) {
    response.writeHead(200, { "content-type": "application/json", "content-length": 1_000 }).write('{"accepted":');
    return setTimeout(() => response.destroy(), 50);
  }
  shop.batches.push({ ...text, status: answer.status ?? 200, request_id: request.headers["x-request-id"] });
  return response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers })
    .end(answer.text ?? JSON.stringify(answer.body ?? { accepted: text.events.length, duplicates: 0, rejected: [] }));
}

/** The queue's broker as workerd speaks to it. `messages` holds bodies; `broken` refuses them. */
export async function openBroker() {
  const broker = { messages: [], broken: false };
  broker.server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (broker.broken) return response.writeHead(500).end("no");
    broker.messages.push({ text: Buffer.concat(chunks).toString(), format: request.headers["x-msg-fmt"] });
    return response.writeHead(200, { "content-type": "application/json" }).end('{"metadata":{"metrics":{"backlogCount":0,"backlogBytes":0}}}');
  });
  broker.port = await listen(broker.server);
  broker.events = () => broker.messages.flatMap(({ text }) => JSON.parse(text).events);
  broker.close = () => { broker.server.closeAllConnections(); return new Promise((done) => broker.server.close(done)); };
  return broker;
}

/** One request as given, no header added but Content-Length where there is a body. Answers `{ status, headers, cookies, body, chunks }`. */
export function ask(port, path, { method = "GET", headers = NAVIGATION, body } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, path, method, headers: { ...headers, ...(body ? { "content-length": Buffer.byteLength(body) } : {}) }, agent: false, setHost: false }, (response) => {
      const chunks = [];
      response.on("data", (data) => chunks.push({ at: performance.now(), data }));
      response.on("end", () => resolve({
        status: response.statusCode, headers: response.headers, cookies: response.headers["set-cookie"] ?? [],
        chunks, body: Buffer.concat(chunks.map(({ data }) => data)),
      }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Our cookies of an answer as a Cookie header. */
export const jar = (answer) => answer.cookies.filter((cookie) => cookie.includes("ud_")).map((cookie) => cookie.split(";")[0]).join("; ");

/** Waits until everything that the worker has taken in has left it for the queue. */
export async function settled(port) {
  for (let pending = true; pending; ) {
    const { counters } = JSON.parse((await ask(port, "/_ud/health")).body);
    pending = counters.captured + counters.collected > counters.events_queued;
  }
}

export async function until(what, condition, ms = 5_000) {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    const value = await condition();
    if (value) return value;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error(`waited ${ms} ms in vain until ${what}`);
}

function listen(server) {
  return new Promise((up) => server.listen(0, "127.0.0.1", () => up(server.address().port)));
}
