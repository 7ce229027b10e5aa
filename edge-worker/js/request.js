// A request as one text, so that it crosses into the WASM once: see src/request.rs for its lines. No line can hold a line break: the
// runtime refuses them in URLs and headers, and a field of `request.cf` that has one is left out.

/** The lines of `request`; `site` says which headers and fields of its place are read. */
export function describe(request, site) {
  const { headers, cf } = request;
  let text = `${request.method}\n${request.url}`;
  // One look-up for each costs half of walking over all that a browser sends.
  for (const name of site.headers) text += `\n${headers.get(name) ?? ""}`;
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
