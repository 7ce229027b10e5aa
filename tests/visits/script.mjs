// What the browser script (edge-worker/script/t.js) puts on the wire, for browsers that run no JavaScript.
const KEYS = { name: "n", path: "p", product: "pr", quantity: "q", value: "v", currency: "c", order: "o", amount: "am", label: "l" };

/** The script on the page that `person` has open. */
export function script(person) {
  const page = Math.random().toString(36).slice(2, 10);
  async function send(message) {
    const answer = await person.beacon("/_ud/e", message);
    if (answer.status !== 204) throw new Error(`/_ud/e answered ${answer.status}: ${answer.body.slice(0, 300)}`);
  }
  return {
    /** The script is loaded and somebody moves: a person. */
    async ready() {
      const loaded = await person.load("/_ud/t.js");
      if (loaded.status !== 200) throw new Error(`/_ud/t.js answered ${loaded.status}`);
      await send({ e: [], h: { maxTouchPoints: 5 }, hu: true });
    },
    /** `ud(action, fields)`. */
    act(action, fields) {
      const event = { a: action, p: new URL(person.page, "http://shop.invalid").pathname, u: page, t: 0 };
      for (const [name, value] of Object.entries(fields)) {
        if (KEYS[name]) event[KEYS[name]] = value;
        else (event.x ??= {})[name] = value;
      }
      return send({ e: [event], hu: true });
    },
  };
}
