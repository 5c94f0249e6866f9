// How numbers and times are written.

export const num = (v, digits = 0) => (v == null || v !== v ? "–" : v.toLocaleString("en", { maximumFractionDigits: digits }));

export const rate = v => (v == null ? "–" : num(v, v < 10 ? 1 : 0));

export function bytes(v) {
  if (v == null) return ["–", ""];
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; v >= 1000 && i < 4; i++) v /= 1000;
  return [num(v, v < 10 && i > 0 ? 2 : v < 100 && i > 0 ? 1 : 0), units[i]];
}

export const size = v => bytes(v).join(" ");

export function age(s) {
  if (s == null || s < 0) return "never";
  if (s < 60) return Math.floor(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min" + (s < 600 ? " " + Math.floor(s % 60) + " s" : "");
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
}

export function value(v) {
  if (v.value === true || v.value === false) return v.value ? "on" : "off";
  const text = typeof v.value === "number" ? num(v.value, 3) : String(v.value);
  return v.unit ? text + " " + v.unit : text;
}

export const plural = (n, one, many = one + "s") => num(n) + " " + (n === 1 ? one : many);

export const clock = t => new Date(t).toLocaleTimeString("en-GB");
