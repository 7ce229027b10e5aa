// The shop's backend side: what it knows about an order and how it tells the centre.
import { cents, CURRENCY, price, product } from "./catalog.mjs";
import { total } from "./pages.mjs";

const STATUS = { card: "paid", prepay: "prepaid", cash: "unpaid" };

/** An order as `POST /api/v1/orders` takes it. `ids` are the X-UD-* headers that the worker put on the request. */
export function makeOrder({ id, number, cart, buyer, payment, ids, now }) {
  const status = STATUS[payment];
  return {
    order_id: id,
    order_number: number,
    session_id: ids.session,
    visitor_id: ids.visitor,
    email: buyer.email || undefined,
    phone: buyer.phone || undefined,
    customer_id: buyer.customer || undefined,
    total: price(total(cart)),
    currency: CURRENCY,
    payment_method: payment,
    payment_status: status,
    sales_channel: "web",
    items: Object.entries(cart).map(([id, quantity]) => ({ product_id: id, name: product(id).name, quantity, price: product(id).price })),
    created_at: now.toISOString(),
    paid_at: status === "paid" ? now.toISOString() : undefined,
    updated_at: now.toISOString(),
  };
}

/** The same order after `amount` (all of it by default) went back. */
export function refund(order, now, amount = order.total) {
  return {
    ...order,
    payment_status: cents(amount) === cents(order.total) ? "refunded" : "partially_refunded",
    refunded: amount,
    refunded_at: now.toISOString(),
    updated_at: now.toISOString(),
  };
}

/**
 * Sends an order to the centre. 429, 503 and a centre that cannot be reached are tried again for a while, as a shop's backend should;
 * any other refusal is an error that quotes the centre's answer.
 */
export async function send({ centre, key }, order, { attempts = 8 } = {}) {
  for (let attempt = 1; ; attempt++) {
    let problem;
    try {
      const response = await fetch(`${centre}/api/v1/orders`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
        body: JSON.stringify(order),
      });
      if (response.ok) return await response.json();
      problem = `${response.status} ${await response.text()}`;
      if (response.status !== 429 && response.status < 500) throw new Refused(problem);
    } catch (error) {
      if (error instanceof Refused) throw error;
      problem ??= error.message;
    }
    if (attempt === attempts) throw new Error(`the centre did not take order ${order.order_id}: ${problem}`);
    await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt));
  }
}

class Refused extends Error {}
