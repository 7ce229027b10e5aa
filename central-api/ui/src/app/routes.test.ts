import { expect, test } from "vitest";

import { onSite } from "./routes";

test("another site has the same page, but not the one campaign that was open", () => {
  expect(onSite("/", "second")).toBe("/?site=second");
  expect(onSite("/analytics/customers", "second")).toBe("/analytics/customers?site=second");
  expect(onSite("/settings/keys", "a&b")).toBe("/settings/keys?site=a%26b");
  expect(onSite("/analytics/campaigns", "second")).toBe("/analytics/campaigns?site=second");
  expect(onSite("/analytics/campaigns/1", "second")).toBe("/analytics/campaigns?site=second");
});
