// Through the worker: events into the collect endpoint in workerd, through the queue to central-api, until the API answers with them.
// `node tests/bench/through.mjs [--seconds 300] [--rate 2000] [--out file]`. Budget: visible within 10 s at 2,000 events/s for five
// minutes, none lost, the queue bounded.
import { mkdirSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { dirname } from "node:path";
import { parseArgs } from "node:util";

import { HOST, install } from "../e2e/installation.mjs";

const { values: args } = parseArgs({ options: { seconds: { type: "string", default: "300" }, rate: { type: "string", default: "2000" }, out: { type: "string" } } });
const [seconds, rate] = [Number(args.seconds), Number(args.rate)];
/** Events in one beacon: the script sends what happened within some seconds together. */
const BEACON = 4;
const VISITORS = 1_000;
/** Beacons on their way at a time; more than that and the load is behind its timetable, which the figures then say. */
const MOST_IN_FLIGHT = 256;
const ACTIONS = ["page_view", "product_view", "scroll", "click"];

const it = await install({ environment: { UD_LOG: "warn" } });
const rows = [];
try {
  await measure();
} finally {
  await it.remove();
}
for (const row of rows) console.log(`${row.name}: ${row.ours.toFixed(1)} ${row.unit}${row.met === null ? "" : row.met ? ", met" : ", NOT met"}`);
if (args.out) {
  mkdirSync(dirname(args.out), { recursive: true });
  writeFileSync(args.out, JSON.stringify({ results: rows }, null, 1));
}

async function measure() {
  let sent = 0;
  const people = [];
  for (let n = 0; n < VISITORS; n += 20) {
    people.push(...await Promise.all(Array.from({ length: 20 }, (_, k) => land(n + k, `/?utm_source=through-${(n + k) % 7}&utm_medium=cpc`))));
  }
  sent += VISITORS;

  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  let inFlight = 0, most = 0, page = 0;
  /** Beacons that were not taken, by status or kind of error. */
  const refused = {};
  const refuse = (why) => { refused[why] = (refused[why] ?? 0) + 1; };
  let again = 0;
  const beacon = (person) => {
    const body = JSON.stringify({ hu: true, e: ACTIONS.map((a) => ({ a, p: `/product/${page % 500}`, u: String(page), t: 0, ...(a === "scroll" && { am: 50 }) })) });
    page += 1;
    inFlight += 1;
    const headers = { host: HOST, origin: `http://${HOST}`, referer: `http://${HOST}/`, "sec-fetch-site": "same-origin", "content-type": "text/plain;charset=UTF-8", "content-length": Buffer.byteLength(body), ...person };
    const send = () => {
      const post = request(`${it.base}/_ud/e`, { method: "POST", agent, headers }, (answer) => {
        answer.resume();
        answer.on("end", () => {
          inFlight -= 1;
          if (answer.statusCode === 204) sent += BEACON;
          else refuse(answer.statusCode);
        });
      });
      post.on("error", (error) => {
        // A connection that was kept may be closed just when it is used again; a browser opens another one then, too.
        if (post.reusedSocket && error.code === "ECONNRESET") {
          again += 1;
          return send();
        }
        inFlight -= 1;
        refuse(error.code);
      });
      post.end(body);
    };
    send();
  };

  // Every five seconds somebody comes from a source of his own, and is looked for in the API.
  const delays = [];
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1_000;
  const probes = (async () => {
    for (let n = 0; elapsed() < seconds; n++) {
      const source = `probe-${n}`;
      const at = performance.now();
      await land(VISITORS + n, `/?utm_source=${source}&utm_medium=cpc`);
      sent += 1;
      while (!JSON.stringify(await it.api("/api/utm/sources?period=today&limit=1000")).includes(`"${source}"`)) {
        if (performance.now() - at > 120_000) throw new Error(`${source} is not visible after two minutes`);
        await sleep(100);
      }
      delays.push((performance.now() - at) / 1_000);
      most = Math.max(most, sent - await it.count("events"));
      await sleep(Math.max(0, 5_000 * (n + 1) - (performance.now() - started)));
    }
  })();
  let failed;
  probes.catch((error) => (failed = error));
  let due = 0;
  while (elapsed() < seconds && !failed) {
    const wanted = Math.floor((elapsed() * rate) / BEACON);
    while (due < wanted && inFlight < MOST_IN_FLIGHT) beacon(people[due++ % people.length]);
    await sleep(10);
  }
  const took = elapsed();
  const reached = ((due - inFlight) * BEACON) / took;
  await probes;
  while (inFlight > 0) await sleep(10);
  const last = performance.now();
  let stored = 0;
  while ((stored = await it.count("events")) < sent && performance.now() - last < 60_000) await sleep(100);
  agent.destroy();

  const row = (name, unit, ours, budget, met) => rows.push({ name: `through the worker: ${name}`, unit, ours, reference: null, ratio: null, budget, met });
  row("collected", "events/s", reached, rate, reached >= 0.99 * rate);
  row("collect to visible in the API, longest", "s", Math.max(...delays), 10, Math.max(...delays) <= 10);
  row("answered 204 and not stored a minute later", "events", Math.max(0, sent - stored), 0, stored >= sent);
  row("between collect and database, most", "events", most, 10 * rate, most <= 10 * rate);
  const notTaken = Object.values(refused).reduce((sum, n) => sum + n, 0);
  row(`beacons that were not taken${notTaken > 0 ? ` ${JSON.stringify(refused)}` : ""}`, "beacons", notTaken, 0, notTaken === 0);
  row("beacons sent once more over another connection", "beacons", again, null, null);
}

/** A landing; answers what this browser sends from then on. */
async function land(n, path) {
  const address = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
  const person = it.browser({ address, headers: { "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36" } });
  // A connection that was kept may be closed just when it is used again; a browser opens another one then, too.
  const answer = await person.arrive(path).catch(() => person.arrive(path));
  if (answer.status !== 200 || person.cookies.size === 0) throw new Error(`${path} answered ${answer.status} with ${person.cookies.size} cookies`);
  return {
    cookie: [...person.cookies].map(([name, value]) => `${name}=${value}`).join("; "),
    "cf-connecting-ip": address,
    "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
  };
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
