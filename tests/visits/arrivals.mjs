// Ways to arrive at the shop, one a platform and more: the query on the landing URL, the referrer, and how often (`weight`). `query(n)` gives
// the nth visitor a click id in the form that the platform issues; `direct` ones carry no source.
const base64url = (n, length) => {
  let out = "";
  let x = (n * 2654435761) >>> 0;
  while (out.length < length) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    out += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[x >>> 26];
  }
  return out;
};
const hex = (n, length) => Buffer.from(base64url(n, length)).toString("hex").slice(0, length);
const digits = (n, length) => hex(n, length).replace(/[a-f]/g, (c) => String(c.charCodeAt(0) % 10));
const uuid = (n) => hex(n, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

const utm = (source, medium, campaign, content, term) => ({
  utm_source: source, utm_medium: medium, utm_campaign: campaign,
  ...(content && { utm_content: content }), ...(term && { utm_term: term }),
});

export const ARRIVALS = [
  // paid search
  { name: "google ads", weight: 8, referrer: "https://www.google.com/", query: (n) => ({ ...utm("google", "cpc", "brand-search", "text-a", "чорна футболка"), gclid: base64url(n, 91), gad_source: "1" }) },
  { name: "google ads, auto-tagged only", weight: 4, referrer: "https://www.google.com/", query: (n) => ({ gclid: base64url(n, 91) }) },
  { name: "google ads on iOS", weight: 2, referrer: "https://www.google.com/", query: (n) => ({ ...utm("google", "cpc", "pmax-winter"), gbraid: base64url(n, 34) }) },
  { name: "google ads, web to app", weight: 1, query: (n) => ({ wbraid: base64url(n, 40) }) },
  { name: "display & video 360", weight: 1, query: (n) => ({ ...utm("dv360", "display", "awareness"), dclid: base64url(n, 96) }) },
  { name: "google merchant listing", weight: 2, referrer: "https://www.google.com/", query: (n) => ({ srsltid: base64url(n, 56) }) },
  { name: "microsoft ads", weight: 2, referrer: "https://www.bing.com/", query: (n) => ({ ...utm("bing", "cpc", "brand-search"), msclkid: hex(n, 32) }) },
  { name: "yandex direct", weight: 1, query: (n) => ({ yclid: digits(n, 18) }) },
  // paid social
  { name: "facebook ads", weight: 9, referrer: "https://l.facebook.com/", query: (n) => ({ ...utm("facebook", "paid_social", "winter-drop", "video-1"), fbclid: `IwZXh0bg${base64url(n, 150)}` }) },
  { name: "facebook ads, second creative", weight: 7, referrer: "https://l.facebook.com/", query: (n) => ({ ...utm("fb", "paid_social", "winter-drop", "carousel-2"), fbclid: `IwZXh0bg${base64url(n, 150)}` }) },
  { name: "instagram ads", weight: 8, referrer: "https://l.instagram.com/", query: (n) => ({ ...utm("ig", "paid_social", "winter-drop", "story-3"), fbclid: `PAZXh0bg${base64url(n, 150)}` }) },
  { name: "facebook post, bare fbclid", weight: 3, referrer: "https://m.facebook.com/", query: (n) => ({ fbclid: `IwZXh0bg${base64url(n, 150)}` }) },
  { name: "tiktok ads", weight: 8, referrer: "https://www.tiktok.com/", query: (n) => ({ ...utm("tiktok", "paid_social", "spark-hoodie", "ugc-1"), ttclid: `E.C.P.${base64url(n, 180)}` }) },
  { name: "x ads", weight: 1, referrer: "https://t.co/", query: (n) => ({ ...utm("twitter", "paid_social", "launch"), twclid: `2-${base64url(n, 24)}` }) },
  { name: "linkedin ads", weight: 1, referrer: "https://www.linkedin.com/", query: (n) => ({ ...utm("linkedin", "paid_social", "corporate-gifts"), li_fat_id: uuid(n) }) },
  { name: "snapchat ads", weight: 1, query: (n) => ({ ...utm("snapchat", "paid_social", "students"), ScCid: uuid(n) }) },
  { name: "pinterest", weight: 2, referrer: "https://www.pinterest.com/", query: (n) => ({ epik: `dj0yJnU9${base64url(n, 130)}` }) },
  { name: "reddit ads", weight: 1, referrer: "https://www.reddit.com/", query: (n) => ({ ...utm("reddit", "paid_social", "r-streetwear"), rdt_cid: digits(n, 19) }) },
  { name: "quora ads", weight: 1, query: (n) => ({ ...utm("quora", "paid_social", "q-and-a"), qclid: base64url(n, 60) }) },
  // native, affiliate, e-mail
  { name: "taboola", weight: 1, query: (n) => ({ ...utm("taboola", "native", "advertorial"), tblci: base64url(n, 90) }) },
  { name: "outbrain", weight: 1, query: (n) => ({ ...utm("outbrain", "native", "advertorial"), obclickid: base64url(n, 70) }) },
  { name: "impact", weight: 1, query: (n) => ({ irclickid: base64url(n, 40), irgwc: "1" }) },
  { name: "awin", weight: 1, query: (n) => ({ awc: `12345_${digits(n, 10)}_${hex(n, 32)}` }) },
  { name: "cj", weight: 1, query: (n) => ({ cjevent: hex(n, 32) }) },
  { name: "rakuten", weight: 1, query: (n) => ({ ranMID: "40001", ranSiteID: base64url(n, 34) }) },
  { name: "mailchimp", weight: 3, query: (n) => ({ ...utm("newsletter", "email", "november"), mc_cid: hex(7, 10), mc_eid: hex(n, 10) }) },
  { name: "klaviyo", weight: 2, query: (n) => ({ ...utm("klaviyo", "email", "abandoned-cart"), _kx: base64url(n, 50) }) },
  { name: "hubspot", weight: 1, query: (n) => ({ _hsenc: base64url(n, 80), _hsmi: digits(n, 8) }) },
  // not paid
  { name: "google search", weight: 8, referrer: "https://www.google.com/", query: () => ({}) },
  { name: "bing search", weight: 2, referrer: "https://www.bing.com/", query: () => ({}) },
  { name: "assistant", weight: 2, referrer: "https://chatgpt.com/", query: () => ({ utm_source: "chatgpt.com" }) },
  { name: "instagram share", weight: 2, referrer: "https://www.instagram.com/", query: (n) => ({ igsh: base64url(n, 16) }) },
  { name: "telegram channel", weight: 3, query: () => utm("telegram", "social", "drop-announcement") },
  { name: "a blog", weight: 2, referrer: "https://blog.example.net/best-tees?from=private", query: () => ({}) },
  { name: "a friend's code", weight: 1, direct: true, query: () => ({ ref: "olena-10" }) },
  { name: "typed in", weight: 10, direct: true, query: () => ({}) },
];
