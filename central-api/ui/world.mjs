// The world's countries as SVG paths by ISO 3166-1 alpha-2, made at build time from Natural Earth's public-domain outlines, so that the
// browser gets neither a projection nor a topology to compute. Imported as "virtual:world".
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { geoNaturalEarth1, geoPath } from "d3-geo";
import { iso31661NumericToAlpha2 } from "iso-3166";
import { feature } from "topojson-client";

const WIDTH = 800;
const HEIGHT = 400;

/** Outlines `{ width, height, countries: { UA: "M…" } }`; Antarctica, where nobody buys, is left out. */
function outlines() {
  const topology = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("world-atlas/countries-110m.json"), "utf8"));
  const countries = feature(topology, topology.objects.countries).features.filter((country) => country.id !== "010");
  const projection = geoNaturalEarth1().fitSize([WIDTH, HEIGHT], { type: "FeatureCollection", features: countries });
  const draw = geoPath(projection).digits(1);
  const paths = {};
  for (const country of countries) {
    // Two countries without a number of ISO's are told by name.
    const code = iso31661NumericToAlpha2[country.id] ?? { Kosovo: "XK" }[country.properties.name] ?? country.properties.name;
    paths[code] = draw(country);
  }
  return { width: WIDTH, height: HEIGHT, countries: paths };
}

/** The plug-in for Vite. */
export function world() {
  const id = "virtual:world";
  return {
    name: "world-outlines",
    resolveId: (source) => (source === id ? `\0${id}` : undefined),
    load: (resolved) => (resolved === `\0${id}` ? `export default JSON.parse(${JSON.stringify(JSON.stringify(outlines()))})` : undefined),
  };
}
