// States in words and marks.
export const cap = s => s.charAt(0).toUpperCase() + s.slice(1);

export const device = d => (d.reason === "paused" ? ["warn", "Paused"] : d.state === "online" ? ["ok", "Good"] : d.state === "starting" ? ["idle", "Starting"] : ["bad", cap(d.state)]);

// A bridge that tries again is as down as one that waits for its next try.
export function bridge(b) {
  if (b.paused && b.state === "up") return ["warn", "Paused"];
  if (b.state === "up") return ["ok", "Link up"];
  if (b.state === "stalled") return ["warn", "Stalled"];
  if (b.state === "down" || b.attempts > 1) return ["bad", "Link down"];
  return ["idle", cap(b.state)];
}
