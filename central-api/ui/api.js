// Every call to the server. An answer that is not 2xx becomes an Error with the server's own sentence and its status.
async function call(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => null);
  if (answer.ok) return body;
  throw Object.assign(new Error(body?.error?.message ?? answer.statusText), { status: answer.status });
}

const utm = (name, query) => call(`/api/utm/${name}?${new URLSearchParams(query)}`);

export const whoAmI = () => call("/api/v1/session");
export const logIn = (email, password) =>
  call("/api/v1/session", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ email, password }) });
export const logOut = () => call("/api/v1/session", { method: "DELETE" });
export const catalogue = (site) => utm("catalogue", { site });
export const generalStats = (query) => utm("general-stats", query);
export const sources = (query) => utm("sources", { ...query, limit: 20 });
export const sessions = (query) => utm("sessions", { ...query, limit: 30 });
export const exportUrl = (query) => `/api/utm/export-csv?${new URLSearchParams({ ...query, type: "sources" })}`;
