// Requests as current Chrome sends them through Cloudflare.
const CF = JSON.stringify({ country: "UA", city: "Kyiv", region: "Kyiv City", regionCode: "30", continent: "EU", timezone: "Europe/Kyiv", asn: 15895, asOrganization: "Kyivstar", colo: "KBP", httpProtocol: "HTTP/2", tlsVersion: "TLSv1.3" });
const BROWSER = {
  "cf-blob": CF,
  // A private network's: so many landings from one public address would be a program's.
  "CF-Connecting-IP": "10.20.30.40",
  "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  "Accept-Language": "uk-UA,uk;q=0.9,en;q=0.8",
  "Sec-CH-UA": '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
  "Sec-CH-UA-Mobile": "?0",
  "Sec-CH-UA-Platform": '"Windows"',
};
export const NAVIGATION = {
  ...BROWSER,
  Accept: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  Referer: "https://www.google.com/",
  "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-User": "?1",
};
export const ASSET = { ...BROWSER, Accept: "text/css,*/*;q=0.1", Referer: "https://shop.example/", "Sec-Fetch-Dest": "style", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin" };
export const COLLECT = { ...BROWSER, Accept: "*/*", Origin: "https://shop.example", Referer: "https://shop.example/", "Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin" };
