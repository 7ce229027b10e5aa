// A request as one text, so that it crosses into the WASM once: URL, request.cf, and a line for each header. No line can hold a line
// break: the runtime refuses them in URLs and headers, and JSON escapes them.

/** What of `request.cf` the capture reads. All of it may be missing. */
function place(cf) {
  if (!cf) return "";
  return JSON.stringify({
    country: cf.country,
    region: cf.region,
    city: cf.city,
    timezone: cf.timezone,
    continent: cf.continent,
    asn: cf.asn,
    asOrganization: cf.asOrganization,
    verifiedBotCategory: cf.verifiedBotCategory,
    botManagement: cf.botManagement && { score: cf.botManagement.score, verifiedBot: cf.botManagement.verifiedBot },
  });
}

export function describe(request) {
  return `${request.method}\n${request.url}\n${place(request.cf)}\n${[...request.headers].join("\n")}`;
}
