// What this isolate has seen since it started. Shown by the health page; nothing personal.
export const counters = { passed: 0, captured: 0, capture_failed: 0, replaced: 0, collected: 0, collect_refused: 0, events_rejected: 0, events_queued: 0, events_posted: 0, events_lost: 0 };

/** One line for the operator's log. `detail` must hold nothing that came from a visitor. */
export function report(message, detail = {}) {
  console.error(JSON.stringify({ level: "error", message, ...detail }));
}
