// Every page: its path, its name in the navigation, and its code, fetched when it is first opened.
import type { Component } from "svelte";

import type { IconName } from "../elements/Icon.svelte";
import { settings } from "../texts/settings";
import { shell } from "../texts/shell";
import type { Text } from "./language.svelte";

export interface Route {
  /** The path; with `/*` at its end everything below it too. */
  path: string;
  title: Text;
  icon: IconName;
  /** Whether it stands in the navigation. */
  inNavigation: boolean;
  load: () => Promise<{ default: Component }>;
}

export const ROUTES: readonly Route[] = [
  { path: "/", title: shell.dispatcher, icon: "chart", inNavigation: true, load: () => import("../pages/dispatcher/Dispatcher.svelte") },
  { path: "/analytics/*", title: shell.business, icon: "business", inNavigation: true, load: () => import("../pages/business/Business.svelte") },
  { path: "/reports", title: shell.reports, icon: "mail", inNavigation: true, load: () => import("../pages/reports/Reports.svelte") },
  { path: "/settings/*", title: settings.settings, icon: "settings", inNavigation: true, load: () => import("../pages/settings/Settings.svelte") },
  { path: "/account", title: shell.account, icon: "user", inNavigation: false, load: () => import("../pages/account/Account.svelte") },
];

/** Lists of what is one site's alone; below each, an address names one thing of it. */
const LISTS = ["/analytics/campaigns"];

/** The same page for another site. What is one site's alone is left for its list: under that number the other has something else, or nothing. */
export function onSite(path: string, site: string): string {
  const list = LISTS.find((one) => path.startsWith(`${one}/`));
  return `${list ?? path}?site=${encodeURIComponent(site)}`;
}

/** The page at a path. */
export function routeOf(path: string): Route | undefined {
  const plain = path.length > 1 ? path.replace(/\/$/, "") : path;
  return ROUTES.find((route) => (route.path.endsWith("/*") ? plain === route.path.slice(0, -2) || plain.startsWith(route.path.slice(0, -1)) : plain === route.path));
}
