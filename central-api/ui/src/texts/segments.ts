// Names of customer segments where none came with an answer: in the form of a campaign.
import type { Text } from "../app/language.svelte";

export const SEGMENTS = {
  vip: { uk: "VIP", en: "VIP" },
  loyal: { uk: "Лояльні", en: "Loyal" },
  active: { uk: "Активні", en: "Active" },
  new: { uk: "Нові", en: "New" },
  at_risk: { uk: "Під ризиком", en: "At risk" },
  lost: { uk: "Втрачені", en: "Lost" },
} as const satisfies Record<string, Text>;
