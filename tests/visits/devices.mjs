// Browsers that visit, with the headers they really send, and the machines that come along.
const chromium = (version, platform, mobile, model) => ({
  "sec-ch-ua": `"Chromium";v="${version}", "Google Chrome";v="${version}", "Not_A Brand";v="24"`,
  "sec-ch-ua-mobile": mobile ? "?1" : "?0",
  "sec-ch-ua-platform": `"${platform}"`,
  ...(model && { "sec-ch-ua-model": `"${model}"` }),
});

export const DEVICES = [
  { name: "Chrome on Android", weight: 10, headers: { "user-agent": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", ...chromium(142, "Android", true, "Pixel 9") } },
  { name: "Safari on iPhone", weight: 10, headers: { "user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1" } },
  { name: "Instagram on iPhone", weight: 6, headers: { "user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 402.0.0.21.105 (iPhone15,2; iOS 18_6; uk_UA; uk; scale=3.00; 1179x2556)" } },
  { name: "TikTok on Android", weight: 4, headers: { "user-agent": "Mozilla/5.0 (Linux; Android 14; SM-A546B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/140.0.7339.51 Mobile Safari/537.36 musical_ly_2024106030 BytedanceWebview/d8a21c6", ...chromium(140, "Android", true) } },
  { name: "Chrome on Windows", weight: 8, headers: { "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", ...chromium(142, "Windows", false) } },
  { name: "Edge on Windows", weight: 2, headers: { "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0", ...chromium(142, "Windows", false) } },
  { name: "Firefox on Linux", weight: 2, headers: { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0" } },
  { name: "Safari on Mac", weight: 4, headers: { "user-agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15" } },
  { name: "an Android tablet", weight: 2, headers: { "user-agent": "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36", ...chromium(141, "Android", false, "SM-X700") } },
  { name: "Samsung Internet", weight: 2, headers: { "user-agent": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", ...chromium(130, "Android", true) } },
];

/** What a browser sends with a navigation. */
export const NAVIGATION = {
  accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "sec-fetch-mode": "navigate",
  "sec-fetch-dest": "document",
  "sec-fetch-user": "?1",
  "upgrade-insecure-requests": "1",
};

export const BOTS = [
  { name: "Googlebot", headers: { "user-agent": "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) Chrome/142.0.0.0 Safari/537.36", accept: "text/html" } },
  { name: "GPTBot", headers: { "user-agent": "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)", accept: "text/html" } },
  { name: "facebookexternalhit", headers: { "user-agent": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", accept: "text/html" } },
  { name: "headless Chrome", headers: { "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36", ...NAVIGATION } },
  { name: "a Python script", headers: { "user-agent": "python-requests/2.32.3", accept: "text/html" } },
];

export const PLACES = [
  { weight: 10, language: "uk-UA,uk;q=0.9,en;q=0.8", cf: { country: "UA", region: "Kyiv City", regionCode: "30", city: "Kyiv", continent: "EU", timezone: "Europe/Kyiv", asn: 15895, asOrganization: "Kyivstar" } },
  { weight: 5, language: "uk-UA,uk;q=0.9", cf: { country: "UA", region: "Lviv", regionCode: "46", city: "Lviv", continent: "EU", timezone: "Europe/Kyiv", asn: 21497, asOrganization: "Vodafone Ukraine" } },
  { weight: 3, language: "uk,ru;q=0.7", cf: { country: "UA", region: "Odesa", regionCode: "51", city: "Odesa", continent: "EU", timezone: "Europe/Kyiv", asn: 13188, asOrganization: "Triolan" } },
  { weight: 3, language: "pl-PL,pl;q=0.9", cf: { country: "PL", region: "Mazovia", city: "Warsaw", continent: "EU", timezone: "Europe/Warsaw", asn: 5617, asOrganization: "Orange Polska" } },
  { weight: 2, language: "de-DE,de;q=0.9", cf: { country: "DE", region: "Berlin", city: "Berlin", continent: "EU", timezone: "Europe/Berlin", asn: 3320, asOrganization: "Deutsche Telekom", isEUCountry: "1" } },
  { weight: 1, language: "en-US,en;q=0.9", cf: { country: "US", region: "New York", regionCode: "NY", city: "New York", continent: "NA", timezone: "America/New_York", asn: 7922, asOrganization: "Comcast" } },
  { weight: 1, language: "en", cf: {} },
];
