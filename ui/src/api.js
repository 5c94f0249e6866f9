// What the page asks of the gateway. An error is the API's problem document.

export async function ask(method, path, body) {
  const raw = typeof body === "string";
  const r = await fetch("api/v1/" + path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": raw ? "text/plain" : "application/json" },
    body: body === undefined || raw ? body : JSON.stringify(body),
  });
  if (r.status === 204) return null;
  const doc = await r.json().catch(() => ({ title: "the gateway answers " + r.status }));
  if (r.ok) return doc;
  throw Object.assign(new Error(doc.title), { status: r.status, detail: doc.detail });
}

export const get = path => ask("GET", path);

export const query = args => {
  const q = new URLSearchParams();
  for (const k in args) if (args[k] !== "" && args[k] != null) q.set(k, args[k]);
  return "?" + q;
};
