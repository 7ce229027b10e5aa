// What the demo shop sells. Prices in hryvnias.
export const CURRENCY = "UAH";

export const PRODUCTS = [
  { id: "tee-black", name: "Heavy tee, black", price: "890.00", hue: 210 },
  { id: "tee-sand", name: "Heavy tee, sand", price: "890.00", hue: 40 },
  { id: "hoodie-zip", name: "Zip hoodie", price: "2190.00", hue: 265 },
  { id: "cap-cord", name: "Corduroy cap", price: "640.00", hue: 20 },
  { id: "tote-canvas", name: "Canvas tote", price: "450.00", hue: 145 },
  { id: "socks-three", name: "Socks, three pairs", price: "320.00", hue: 330 },
];

export const product = (id) => PRODUCTS.find((one) => one.id === id);

/** Hundredths of a hryvnia, so that no price meets a binary fraction. */
export const cents = (price) => Math.round(Number(price.replace(".", "")));
export const price = (hundredths) => `${Math.trunc(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")}`;
