// A small shop to stand behind the worker: home, products, search, cart, checkout, thanks. State lives in memory; the cart in a cookie
// of the shop's own, which the worker must leave alone.
//
//   SHOP_PORT=… CENTRE_URL=… CENTRE_KEY=… node tests/demo-shop/server.mjs
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

import { product } from "./catalog.mjs";
import { makeOrder, refund, send } from "./orders.mjs";
import * as pages from "./pages.mjs";

const STATIC = Object.fromEntries([["shop.css", "text/css"], ["shop.js", "text/javascript"], ["logo.svg", "image/svg+xml"]]
  .map(([name, type]) => [`/static/${name}`, { type, body: readFileSync(new URL(`static/${name}`, import.meta.url)) }]));

/** Starts a shop on `port` (0: any). `seen` gets every request's method, URL and headers. */
export function startShop({ port = 0, centre, key, seen = () => {} }) {
  const orders = new Map();
  // The ids come with the navigation; a form post may come without them, so the shop remembers them with its own session.
  const idsByBuyer = new Map();
  let number = 0;

  const server = createServer(async (request, response) => {
    try {
      seen({ method: request.method, url: request.url, headers: request.headers });
      await answer(request, response);
    } catch (error) {
      console.error(error);
      response.writeHead(502, { "content-type": "text/plain" }).end(`the shop could not do that: ${error.message}\n`);
    }
  });

  async function answer(request, response) {
    const url = new URL(request.url, "http://shop.invalid");
    const asset = STATIC[url.pathname];
    if (asset) return void response.writeHead(200, { "content-type": asset.type, "cache-control": "public, max-age=3600", "x-shop": "1" }).end(asset.body);

    const cookies = Object.fromEntries((request.headers.cookie ?? "").split("; ").filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
    const buyer = /^[0-9a-f]{16}$/.test(cookies.shop_buyer ?? "") ? cookies.shop_buyer : randomBytes(8).toString("hex");
    const cart = readCart(cookies.shop_cart);
    const ids = { session: request.headers["x-ud-session"], visitor: request.headers["x-ud-visitor"] };
    if (ids.session) idsByBuyer.set(buyer, ids);

    const html = (body, status = 200) => response.writeHead(status, { "content-type": "text/html; charset=utf-8", "cache-control": "private, no-cache", "x-shop": "1",
      "set-cookie": [`shop_buyer=${buyer}; Path=/; HttpOnly; SameSite=Lax`, `shop_cart=${writeCart(cart)}; Path=/; SameSite=Lax`] }).end(request.method === "HEAD" ? undefined : body);
    const goTo = (path) => response.writeHead(303, { location: path, "set-cookie": `shop_cart=${writeCart(cart)}; Path=/; SameSite=Lax` }).end();

    if (request.method === "GET" || request.method === "HEAD") {
      const shown = /^\/product\/([a-z-]+)$/.exec(url.pathname);
      const thanked = orders.get(url.searchParams.get("order"));
      if (url.pathname === "/") return void html(pages.home(cart));
      if (shown && product(shown[1])) return void html(pages.productPage(product(shown[1]), cart));
      if (url.pathname === "/search") return void html(pages.search(url.searchParams.get("q") ?? "", cart));
      if (url.pathname === "/cart") return void html(pages.cartPage(cart));
      if (url.pathname === "/checkout") return void html(pages.checkoutPage(cart));
      if (url.pathname === "/thanks" && thanked) return void html(pages.thanksPage(thanked, cart));
      if (url.pathname === "/moved") return void response.writeHead(302, { location: `/${url.search}` }).end();
      if (url.pathname === "/healthz") return void response.writeHead(200, { "content-type": "text/plain" }).end("ok\n");
      return void html(pages.notFound(cart), 404);
    }

    const form = new URLSearchParams(await body(request));
    const refunded = /^\/orders\/([A-Za-z0-9-]+)\/refund$/.exec(url.pathname);
    if (url.pathname === "/cart") {
      if (product(form.get("product"))) cart[form.get("product")] = Math.min(9, (cart[form.get("product")] ?? 0) + 1);
      delete cart[form.get("remove")];
      return void goTo("/cart");
    }
    if (url.pathname === "/checkout" && Object.keys(cart).length > 0) {
      const id = `D-${randomBytes(6).toString("hex")}`;
      const order = makeOrder({ id, number: `DEMO-${++number}`, cart, payment: ["card", "prepay", "cash"].find((one) => one === form.get("payment")) ?? "card",
        buyer: { email: form.get("email"), phone: form.get("phone"), customer: form.get("customer") }, ids: ids.session ? ids : idsByBuyer.get(buyer) ?? {}, now: new Date() });
      await send({ centre, key }, order);
      orders.set(id, order);
      for (const one of Object.keys(cart)) delete cart[one];
      return void goTo(`/thanks?order=${id}`);
    }
    if (refunded && orders.has(refunded[1])) {
      const order = refund(orders.get(refunded[1]), new Date(), form.get("amount") ?? undefined);
      await send({ centre, key }, order);
      orders.set(order.order_id, order);
      return void goTo(`/thanks?order=${order.order_id}`);
    }
    html(pages.notFound(cart), 404);
  }

  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve({
      port: server.address().port,
      orders,
      close: () => new Promise((done) => { server.close(done); server.closeAllConnections(); }),
    }));
  });
}

const readCart = (text = "") => Object.fromEntries(text.split("~").map((part) => part.split(".")).filter(([id, n]) => product(id) && /^[1-9]$/.test(n)).map(([id, n]) => [id, Number(n)]));
const writeCart = (cart) => Object.entries(cart).map(([id, n]) => `${id}.${n}`).join("~");

async function body(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > 100_000) throw new Error("the form is too long");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const shop = await startShop({ port: Number(process.env.SHOP_PORT ?? 0), centre: process.env.CENTRE_URL, key: process.env.CENTRE_KEY });
  console.log(`listening on http://127.0.0.1:${shop.port}`);
}
