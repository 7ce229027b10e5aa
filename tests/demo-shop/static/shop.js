// What a shop's theme adds to its pages: a call per thing worth counting. Calls made before /_ud/t.js ran wait in a queue.
(() => {
  const of = (element) => element?.closest("[data-product]")?.dataset ?? {};

  const product = document.querySelector("article[data-product]");
  if (product) ud("product_view", { product: product.dataset.product, value: product.dataset.price });
  const phrase = document.querySelector("[data-search]");
  if (phrase) ud("search", { label: phrase.dataset.search });
  const checkout = document.querySelector("[data-checkout]");
  if (checkout) ud("initiate_checkout", { value: checkout.dataset.checkout });
  const order = document.querySelector("[data-order]");
  if (order?.dataset.status === "paid") ud("purchase", { order: order.dataset.order, value: order.dataset.total });
  if (order?.dataset.status === "prepaid") ud("lead", { order: order.dataset.order, value: order.dataset.total });

  document.addEventListener("submit", (event) => {
    const { ud: action } = event.target.dataset;
    const { product: id, price } = of(event.target);
    if (action) ud(action, { product: id, quantity: 1, value: price });
  });
})();
