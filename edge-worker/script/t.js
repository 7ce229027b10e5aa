// The browser script: confirms that a person is there, counts what never reaches the edge (pages of single-page apps, pages from the
// back/forward cache, pages that were prefetched or prerendered), and sends what the shop reports with ud(action, fields).
// It reads and writes no cookie and no storage; who may be measured is decided by the server. Body format: edge-core's collect.rs.
//
//   <script async src="/_ud/t.js"></script>
//   <script>window.ud = window.ud || function () { (ud.q = ud.q || []).push(arguments) }</script>
//   ud("add_to_cart", { product: "sku-1", quantity: 2, value: "12.50", currency: "UAH" })
const endpoint = document.currentScript.src.replace(/t\.js(\?.*)?$/, "e");
const KEYS = { name: "n", path: "p", product: "pr", quantity: "q", value: "v", currency: "c", order: "o", amount: "am", label: "l", _from: "r" };

let waiting = [];
let timer;
let hints;
let person;
let page, path, since, depth, depthSent;

const now = Date.now;
const on = (target, type, listener) => target.addEventListener(type, listener, { capture: true, passive: true });

function ud(action, fields) {
  const event = { a: action, p: path, u: page, t: now() };
  for (const name in fields) {
    if (KEYS[name]) event[KEYS[name]] = fields[name];
    else (event.x = event.x || {})[name] = fields[name];
  }
  waiting.push(event);
  later();
}

function later() {
  timer = timer || setTimeout(send, 500);
}

function send() {
  clearTimeout(timer);
  timer = 0;
  // The endpoint takes 50 events and 32 KiB at once.
  const events = waiting.splice(0, 50);
  let body;
  if (!events.length && person !== 1) return;
  for (const event of events) event.t = now() - event.t;
  for (;;) {
    body = JSON.stringify({ e: events, h: hints, hu: !!person });
    // A character has at most three bytes.
    if (body.length < 1e4 || events.length < 2) break;
    const rest = events.splice(events.length >> 1);
    for (const event of rest) event.t = now() - event.t;
    waiting.unshift(...rest);
  }
  hints = undefined;
  person = person && 2;
  if (!navigator.sendBeacon || !navigator.sendBeacon(endpoint, body)) fetch(endpoint, { method: "POST", body, keepalive: true }).catch(() => {});
  if (waiting.length) later();
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
  const [navigation] = performance.getEntriesByType("navigation");
  // From a cache or a prefetch the page came without passing the edge, or the edge did not count it.
  show(navigation && (navigation.activationStart > 0 || navigation.deliveryType), { _from: document.referrer });

  if (document.referrer.split("/")[2] !== location.host) {
    hints = { maxTouchPoints: navigator.maxTouchPoints };
    const data = navigator.userAgentData;
    if (data) data.getHighEntropyValues(["platformVersion", "model", "formFactors"]).then((values) => { hints = Object.assign(values, hints); }, () => {});
  }

  for (const type of ["pointerdown", "pointermove", "keydown", "touchstart", "wheel"]) on(window, type, seen);
  // The page's own scripts scroll too: that says how far, not that somebody is there.
  on(window, "scroll", () => {
    depth = Math.max(depth, Math.min(100, Math.round((100 * (scrollY + innerHeight)) / document.documentElement.scrollHeight)));
  });
  on(document, "visibilitychange", () => {
    if (document.hidden) {
      leave();
      send();
    } else since = now();
  });
  on(window, "pagehide", () => {
    leave();
    send();
  });
  on(window, "pageshow", (event) => event.persisted && show(1));

  if (window.navigation) on(window.navigation, "currententrychange", moved);
  else {
    const push = history.pushState;
    history.pushState = function () {
      push.apply(this, arguments);
      moved();
    };
    on(window, "popstate", moved);
  }

  const early = (window.ud && window.ud.q) || [];
  window.ud = ud;
  for (const call of early) ud(...call);
}

if (document.prerendering) on(document, "prerenderingchange", begin);
else begin();
