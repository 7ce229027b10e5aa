// The shop's pages. Everything that came from outside goes through `text`.
import { cents, price, PRODUCTS, product } from "./catalog.mjs";

const text = (value) => String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function page(title, body, cart) {
  const pieces = Object.values(cart).reduce((sum, n) => sum + n, 0);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)} · Demo shop</title>
<link rel="icon" href="/static/logo.svg">
<link rel="stylesheet" href="/static/shop.css">
<script>window.ud = window.ud || function () { (ud.q = ud.q || []).push(arguments) }</script>
<script src="/_ud/t.js" async></script>
<script src="/static/shop.js" defer></script>
</head>
<body>
<header><a class="brand" href="/"><img src="/static/logo.svg" alt="" width="28" height="28"> Demo shop</a>
<form action="/search" role="search"><input name="q" aria-label="Search" placeholder="Search"></form>
<a href="/cart">Cart (${pieces})</a></header>
<main>${body}</main>
<footer>A stand-in for your shop. Orders placed here are sent to the centre by the shop's backend.</footer>
</body>
</html>
`;
}

const card = (one) => `<a class="card" href="/product/${one.id}"><span class="picture" style="--hue:${one.hue}"></span>
<strong>${text(one.name)}</strong><span>${one.price} UAH</span></a>`;

export const home = (cart) => page("Home", `<h1>Six things, no more</h1><div class="grid">${PRODUCTS.map(card).join("")}</div>`, cart);

export function search(phrase, cart) {
  const found = PRODUCTS.filter((one) => one.name.toLowerCase().includes(phrase.toLowerCase()));
  return page("Search", `<h1 data-search="${text(phrase)}">${found.length} found for “${text(phrase)}”</h1><div class="grid">${found.map(card).join("")}</div>`, cart);
}

export const productPage = (one, cart) => page(one.name, `<article class="product" data-product="${one.id}" data-price="${one.price}">
<span class="picture" style="--hue:${one.hue}"></span>
<div><h1>${text(one.name)}</h1><p class="price">${one.price} UAH</p>
<form method="post" action="/cart" data-ud="add_to_cart"><input type="hidden" name="product" value="${one.id}"><button>Add to cart</button></form></div></article>`, cart);

export const total = (cart) => Object.entries(cart).reduce((sum, [id, n]) => sum + cents(product(id).price) * n, 0);

export function cartPage(cart) {
  const rows = Object.entries(cart).map(([id, n]) => `<tr data-product="${id}" data-price="${product(id).price}"><td>${text(product(id).name)}</td><td>${n}</td><td>${price(cents(product(id).price) * n)} UAH</td>
<td><form method="post" action="/cart" data-ud="remove_from_cart"><input type="hidden" name="remove" value="${id}"><button class="quiet">Remove</button></form></td></tr>`);
  const body = rows.length === 0 ? `<p>Nothing here yet. <a href="/">Look around</a></p>`
    : `<table>${rows.join("")}<tr><th>Total</th><th></th><th>${price(total(cart))} UAH</th><th></th></tr></table><p><a class="button" href="/checkout">Check out</a></p>`;
  return page("Cart", `<h1>Cart</h1>${body}`, cart);
}

export const checkoutPage = (cart) => page("Checkout", `<h1>Checkout</h1><form class="checkout" method="post" action="/checkout" data-checkout="${price(total(cart))}">
<label>Name <input name="name" autocomplete="name" required value="Test Buyer"></label>
<label>E-mail <input name="email" type="email" autocomplete="email" required value="buyer@example.com"></label>
<label>Phone <input name="phone" autocomplete="tel" value="067 123 45 67"></label>
<fieldset><legend>Payment</legend>
<label><input type="radio" name="payment" value="card" checked> Card, all of it now (a purchase)</label>
<label><input type="radio" name="payment" value="prepay"> 200 UAH now, the rest on delivery (a lead)</label>
<label><input type="radio" name="payment" value="cash"> On delivery (unpaid)</label></fieldset>
<button>Place the order · ${price(total(cart))} UAH</button></form>`, cart);

export const thanksPage = (order, cart) => page("Thank you", `<h1>Thank you</h1><p data-order="${text(order.order_id)}" data-status="${order.payment_status}" data-total="${order.total}">Order ${text(order.order_number)}, ${order.total} UAH, ${order.payment_status}.</p>
<form method="post" action="/orders/${encodeURIComponent(order.order_id)}/refund"><button class="quiet">Play the back office: refund it</button></form>`, cart);

export const notFound = (cart) => page("Not found", "<h1>There is no such page</h1>", cart);
