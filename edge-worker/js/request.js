// A request as one text, so that it crosses into the WASM once: see src/request.rs for its lines. No line can hold a line break: the
// runtime refuses them in URLs and headers, and a field of `request.cf` that has one is left out.

/** The browser's own word for a page: what the finer rules would find out from other headers is known then. */
export const DOCUMENT = "document";

/** The lines of `request` for `url`; `site` says which headers and fields of its place are read. `document`: the browser declared one. */
export function describe(request, url, site, document = false) {
  const { headers, cf } = request;
  const { always, hints, undeclared } = site.headers;
  let text = `${document ? "GET" : request.method}\n${url}`;
  let value = null;
  // One look-up for each costs half of walking over all that a browser sends.
  for (const name of always) {
    value = headers.get(name);
    text += value === null ? "\n" : `\n${value}`;
  }
  if (value === null) text += "\n".repeat(hints.length);
  else for (const name of hints) text += `\n${headers.get(name) ?? ""}`;
  if (document) text += `\n${DOCUMENT}${"\n".repeat(undeclared.length - 1)}`;
  else for (const name of undeclared) text += `\n${headers.get(name) ?? ""}`;
  if (!cf) return text;
  for (const name of site.place) text += `\n${plain(cf[name])}`;
  const bots = cf.botManagement;
  return bots ? `${text}\n${plain(bots.score)}\n${plain(bots.verifiedBot)}` : text;
}

function plain(value) {
  switch (typeof value) {
    case "string":
      return value.includes("\n") ? "" : value;
    case "number":
    case "boolean":
      return value;
    default:
      return "";
  }
}
