/** The site of the benchmark, with the defaults that a shop would have. */
export const SETTINGS = { site: "bench", hosts: ["shop.example"] };
export const SECRETS = { UD_COOKIE_KEYS: `k1:${"b".repeat(32)}`, UD_INGEST_KEY: "edge:secret", UD_HASH_KEY: "h".repeat(32) };
