// The browser script: confirms that a person is there, counts what never reaches the edge (pages of single-page apps, pages from the
// back/forward cache, pages that were prefetched or prerendered), and sends what the shop reports with ud(action, fields).
// It reads and writes no cookie and no storage; who may be measured is decided by the server. Body format: edge-core's collect.rs.
//
//   <script async src="/_ud/t.js"></script>
//   <script>window.ud = window.ud || function () { (ud.q = ud.q || []).push(arguments) }</script>
//   ud("add_to_cart", { product: "sku-1", quantity: 2, value: "12.50", currency: "UAH" })
const endpoint = new URL("e", document.currentScript.src);
const KEYS = { name: "n", path: "p", product: "pr", quantity: "q", value: "v", currency: "c", order: "o", amount: "am", label: "l", _from: "r" };

let waiting = [];
let timer;
let hints;
let person;
let page, path, since, depth, depthSent;

const now = Date.now;
const on = (target, type, listener) => target.addEventListener(type, listener, { capture: true, passive: true });

function ud(action, fields) {
  const event = { a: action, p: path, u: page };
  const at = now();
  for (const name in fields) {
    try {
      // What JSON cannot hold (an element of React's, a BigInt) costs only itself.
      const value = JSON.parse(JSON.stringify(fields[name]));
      if (KEYS[name]) event[KEYS[name]] = value;
      else (event.x = event.x || {})[name] = value;
    } catch {}
  }
  waiting.push(() => ({ ...event, t: now() - at }));
  later();
}

function later() {
  timer = timer || setTimeout(send, 500);
}

function send() {
  timer = 0;
  const events = [];
  if (!waiting[0] && person !== 1) return;
  // The endpoint takes 50 events and 32 KiB at once; a character has at most three bytes.
  while (waiting[0] && !events[49] && JSON.stringify(events).length < 7e3) events.push(waiting.shift()());
  const body = JSON.stringify({ e: events, h: hints, hu: !!person });
  hints = undefined;
  person = person && 2;
  (navigator.sendBeacon && navigator.sendBeacon(endpoint, body)) || fetch(endpoint, { method: "POST", body, keepalive: true }).catch(() => {});
  if (waiting[0]) later();
}

/** A page is in front: by navigation (counted at the edge), or in a way that only the script sees. */
function show(unseen, arrival) {
  page = Math.random().toString(36).slice(2, 10);
  path = location.pathname;
  since = document.hidden ? 0 : now();
  depth = depthSent = 0;
  if (unseen) ud("page_view", arrival);
}

/** Scroll depth and time in front go out whenever the page may be gone for good. */
function leave() {
  const seconds = since ? Math.round((now() - since) / 1000) : 0;
  since = 0;
  if (depth > depthSent) ud("scroll", { amount: (depthSent = depth) });
  if (seconds) ud("time_on_page", { amount: seconds });
}

function gone() {
  leave();
  send();
}

function moved() {
  if (location.pathname === path) return;
  leave();
  show(1);
}

function seen() {
  if (person) return;
  person = 1;
  later();
}

function begin() {
  const early = (window.ud || {}).q;
  // A page with two copies of the script (in its theme and by a tag manager) counts once.
  if (early === 0) return;
  ud.q = 0;
  window.ud = ud;
  const [{ activationStart, deliveryType, transferSize } = {}] = performance.getEntriesByType("navigation");
  // From a cache or a prefetch the page came without passing the edge, or the edge did not count it.
  // One that the edge found unchanged (304) comes from the cache as well, but with the bytes of an answer.
  show(activationStart || (deliveryType == "cache" ? !transferSize : deliveryType), { _from: document.referrer });

  if (document.referrer.split("/")[2] !== location.host) {
    hints = { maxTouchPoints: navigator.maxTouchPoints };
    const data = navigator.userAgentData;
    if (data) data.getHighEntropyValues(["platformVersion", "model", "formFactors"]).then((values) => { hints = { ...values, ...hints }; }, () => {});
  }

  for (const type of ["pointerdown", "pointermove", "keydown", "touchstart", "wheel"]) on(window, type, seen);
  // The page's own scripts scroll too: that says how far, not that somebody is there.
  on(window, "scroll", () => {
    depth = Math.max(depth, Math.min(100, Math.round((100 * (scrollY + innerHeight)) / document.documentElement.scrollHeight)));
  });
  on(document, "visibilitychange", () => {
    if (document.hidden) gone();
    else since = now();
  });
  on(window, "pagehide", gone);
  on(window, "pageshow", (event) => event.persisted && show(1));

  if (window.navigation) on(window.navigation, "currententrychange", moved);
  else {
    const push = history.pushState;
    history.pushState = (...args) => {
      push.apply(history, args);
      moved();
    };
    on(window, "popstate", moved);
  }

  for (const call of early || []) ud(...call);
}

if (document.prerendering) on(document, "prerenderingchange", begin);
else begin();
