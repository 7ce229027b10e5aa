import * as api from "./api.js";
import { language, t } from "./texts.js";

const $ = (id) => document.getElementById(id);
const TILES = [
  ["total_sessions", "sessions"], ["unique_visitors", "visitors"], ["total_conversions", "conversions"], ["conversion_rate", "conversion_rate"],
  ["total_revenue", "revenue"], ["avg_order_value", "avg_order_value"], ["leads", "leads"], ["purchases", "purchases"],
  ["bounce_rate", "bounce_rate"], ["pages_per_session", "pages_per_session"],
];
const SOURCE_COLUMNS = ["sessions", "visitors", "conversions", "conversion_rate", "revenue", "avg_order_value", "orders"];
let asked = 0; // Only the newest question's answer is shown.

const element = (name, text, className) => Object.assign(document.createElement(name), { textContent: text ?? "", className: className ?? "" });

function shown(value, unit, currency) {
  if (value === null || value === undefined) return "–";
  const options = unit === "money" ? { style: "currency", currency } : { maximumFractionDigits: 2 };
  return new Intl.NumberFormat(language, options).format(value);
}

function table(target, head, rows) {
  const row = (cells, name) => {
    const tr = element("tr");
    for (const { text, number } of cells) {
      const cell = element(name, text, number ? "number" : "");
      if (name === "th") cell.scope = "col";
      tr.append(cell);
    }
    return tr;
  };
  const [top, body] = [element("thead"), element("tbody")];
  top.append(row(head, "th"));
  body.append(...rows.map((cells) => row(cells, "td")));
  if (rows.length === 0) body.append(row([{ text: t("empty") }], "td"));
  target.replaceChildren(top, body);
}

async function show() {
  const mine = ++asked;
  const query = { site: $("site").value, period: $("period").value };
  history.replaceState(null, "", `?${new URLSearchParams(query)}`);
  $("message").textContent = t("loading");
  const [catalogue, general, sources, sessions] = await Promise.all([
    api.catalogue(query.site), api.generalStats(query), api.sources(query), api.sessions(query),
  ]);
  if (mine !== asked) return;
  const metrics = Object.fromEntries(catalogue.metrics.map((m) => [m.key, m]));
  const dimensions = Object.fromEntries(catalogue.dimensions.map((d) => [d.key, d]));
  const tile = (label, value, title) => {
    const box = element("div");
    box.title = title;
    box.append(element("dt", label), element("dd", value));
    return box;
  };
  $("general").replaceChildren(
    ...TILES.map(([name, key]) => tile(metrics[key].label[language], shown(general[name], metrics[key].unit, general.currency), metrics[key].definition[language])),
    tile(t("coverage"), shown(general.coverage.linked_percent), ""),
  );
  const name = (value) => value ?? t("notSet");
  table($("sources"),
    [{ text: dimensions.utm_source.label[language] }, ...SOURCE_COLUMNS.map((key) => ({ text: metrics[key].label[language], number: true }))],
    sources.sources.map((row) => [{ text: name(row.utm_source) }, ...SOURCE_COLUMNS.map((key) => ({ text: shown(row[key], metrics[key].unit, sources.currency), number: true }))]));
  const time = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "short", timeZone: sessions.period.time_zone });
  table($("sessions"),
    [t("began"), dimensions.utm_source.label[language], dimensions.utm_campaign.label[language], t("place"), t("device"), t("visits"), t("purchase"), metrics.revenue.label[language]].map((text, i) => ({ text, number: i === 5 || i === 7 })),
    sessions.sessions.map((s) => [
      { text: time.format(new Date(s.first_seen)) }, { text: name(s.utm_source) }, { text: name(s.utm_campaign) },
      { text: [s.country_name?.[language] ?? s.country, s.city].filter(Boolean).join(", ") || "–" },
      { text: [s.device_type, s.browser_name].filter(Boolean).join(", ") || "–" },
      { text: shown(s.visit_count), number: true }, { text: s.is_converted ? t("yes") : "–" },
      { text: shown(s.revenue, "money", sessions.currency), number: true },
    ]));
  $("export").href = api.exportUrl(query);
  $("figures").hidden = false;
  $("message").textContent = "";
}

function failed(error) {
  if (error.status === 401) return start();
  $("message").textContent = error.message;
}

async function start() {
  const me = await api.whoAmI().catch((error) => { if (error.status !== 401) throw error; });
  $("login").hidden = Boolean(me);
  $("bar").hidden = !me;
  $("figures").hidden = true;
  $("message").textContent = "";
  if (!me) return;
  const wanted = new URLSearchParams(location.search);
  $("site").replaceChildren(...me.sites.map((key) => new Option(key, key, false, key === wanted.get("site"))));
  if (wanted.has("period")) $("period").value = wanted.get("period");
  if (!$("period").value) $("period").value = "month";
  if (me.sites.length === 0) $("message").textContent = t("noSite");
  else await show();
}

document.documentElement.lang = language;
for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
for (const option of $("period").options) option.textContent = t(option.value);
$("period").value = "month";
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  api.logIn(form.get("email"), form.get("password")).then(() => { event.target.reset(); return start(); })
    .catch((error) => { $("message").textContent = error.message; });
});
$("log-out").addEventListener("click", () => api.logOut().then(start).catch(failed));
for (const id of ["site", "period"]) $(id).addEventListener("change", () => show().catch(failed));
start().catch(failed);
