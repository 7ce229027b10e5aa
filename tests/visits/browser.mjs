// A browser as the worker sees it: keeps cookies, follows redirects, sends what its kind of browser sends. Node's own fetch() writes
// Sec-Fetch-* itself, so requests go out through node:http.
import { Agent, request as httpRequest } from "node:http";

import { NAVIGATION } from "./devices.mjs";

const agent = new Agent({ keepAlive: true, maxSockets: 16 });

/**
 * One browser in front of `base` (the worker's address). `headers` are sent with everything, `cf` is what the platform would know
 * about the connection.
 */
export function browser({ base, headers = {}, cf, language, consent, address }) {
  const cookies = new Map(Object.entries(consent ?? {}));
  // What stands in the address bar: the shop's name where the test gives one.
  const site = headers.host ? `http://${headers.host}` : new URL(base).origin;
  let current;

  async function send(method, path, { extra = {}, body, type } = {}) {
    const sent = {
      ...headers,
      ...(language && { "accept-language": language }),
      ...(cookies.size > 0 && { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") }),
      // How the local runtime is told what the edge knows about a connection.
      ...(cf && { "mf-cf-blob": JSON.stringify({ clientAcceptEncoding: "", ...cf }).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`) }),
      ...(address && { "cf-connecting-ip": address }),
      ...(body !== undefined && { "content-type": type, "content-length": Buffer.byteLength(body) }),
      ...extra,
    };
    const answer = await exchange(new URL(path, base), method, sent, body);
    for (const line of answer.headers["set-cookie"] ?? []) keep(line);
    return answer;
  }

  function keep(line) {
    const [pair, ...attributes] = line.split(/;\s*/);
    const name = pair.slice(0, pair.indexOf("="));
    if (attributes.some((one) => /^max-age=(0|-\d+)$/i.test(one))) cookies.delete(name);
    else cookies.set(name, pair.slice(pair.indexOf("=") + 1));
  }

  const person = {
    cookies,
    /** Comes from elsewhere: by a link on another site (`referrer`), from an app, or by typing. */
    arrive(path, options) {
      current = undefined;
      return person.open(path, options);
    },
    /** Navigates as a click on the page that is open does, following redirects; answers the last response. */
    async open(path, { referrer, extra = {} } = {}) {
      for (let hop = 0; hop < 5; hop++) {
        const answer = await send("GET", path, { extra: { ...NAVIGATION, "sec-fetch-site": siteOf(referrer, current), ...(referrer && { referer: referrer }), ...(!referrer && current && { referer: new URL(current, site).href }), ...extra } });
        current = path;
        if (answer.status < 300 || answer.status >= 400 || !answer.headers.location) return answer;
        path = answer.headers.location;
      }
      throw new Error(`${path} keeps redirecting`);
    },
    /** Submits a form of the shop, following the redirect. */
    async submit(path, fields) {
      const answer = await send("POST", path, { body: new URLSearchParams(fields).toString(), type: "application/x-www-form-urlencoded", extra: { ...NAVIGATION, "sec-fetch-site": "same-origin", origin: site } });
      if (answer.status !== 303) throw new Error(`${path} answered ${answer.status}: ${answer.body.slice(0, 300)}`);
      return { location: answer.headers.location, page: await this.open(answer.headers.location) };
    },
    /** Loads something that is not a page. */
    load: (path, extra = {}) => send("GET", path, { extra: { accept: "*/*", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script", "sec-fetch-site": "same-origin", ...extra } }),
    /** What the browser script sends: sendBeacon of a text. */
    beacon: (path, message, extra = {}) => send("POST", path, { body: typeof message === "string" ? message : JSON.stringify(message), type: "text/plain;charset=UTF-8", extra: { accept: "*/*", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "empty", "sec-fetch-site": "same-origin", origin: site, referer: new URL(current ?? "/", site).href, ...extra } }),
    /** Any other request. */
    send,
    get page() { return current; },
  };
  return person;
}

const siteOf = (referrer, current) => (referrer ? "cross-site" : current ? "same-origin" : "none");

function exchange(url, method, headers, body) {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent, timeout: 30_000 }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts).toString("utf8") }));
    });
    request.on("timeout", () => request.destroy(new Error(`${method} ${url} took longer than 30 s`)));
    request.on("error", reject);
    request.end(body);
  });
}
