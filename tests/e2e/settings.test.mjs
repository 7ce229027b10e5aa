// What an admin sets in the panel reaches the deployed worker by itself; and a test visit goes through the whole chain.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { centralApi } from "../stack/centre.mjs";
import { DEVICES, PLACES } from "../visits/devices.mjs";
import { HOST, install, SITE } from "./installation.mjs";

let it, cookie;
before(async () => {
  it = await install({ settingsSeconds: 0.2 });
  const password = /:\s*(\S+)\s*$/.exec(centralApi(it.env, "create-admin", "admin@shop.example").trim())[1];
  const login = await fetch(`${it.centre.url}/api/v1/session`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ email: "admin@shop.example", password }) });
  assert.equal(login.status, 200);
  cookie = login.headers.get("set-cookie").split(";")[0];
  await admin("PATCH", `/api/v1/sites/${SITE}`, { domains: [HOST, "127.0.0.1"] });
});
after(() => it?.remove());

async function admin(method, path, body) {
  const response = await fetch(`${it.centre.url}${path}`, { method, headers: { cookie, "content-type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json();
  assert.equal(response.ok, true, JSON.stringify(answer));
  return answer;
}
const remembered = async () => {
  const person = it.browser({ headers: DEVICES[0].headers, cf: PLACES[0].cf });
  await person.arrive("/?utm_source=x");
  return [...person.cookies.keys()].some((name) => /ud_v/.test(name));
};

test("a test visit passes every hop and is in no figure", async () => {
  const report = await admin("POST", "/api/v1/site-check", { site: SITE, url: `${it.base}/` });
  assert.equal(report.ok, true, JSON.stringify(report, null, 1));
  assert.deepEqual(report.hops.map(({ hop, ok }) => [hop, ok]), [["worker", true], ["page", true], ["delivery", true], ["report", true]]);
  assert.equal((await it.api("/api/utm/general-stats?period=today")).total_sessions, 0);
});

test("another consent mode in the panel holds for the next visitors, without a deployment", async () => {
  assert.equal(await remembered(), true);
  await admin("PATCH", `/api/v1/sites/${SITE}`, { settings: { worker: { consent: { mode: "off" } } } });
  await it.eventually("nobody is remembered", async () => !(await remembered()));
  await admin("PATCH", `/api/v1/sites/${SITE}`, { settings: { worker: null } });
  await it.eventually("people are remembered again", remembered);
});
