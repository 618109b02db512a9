// A till to try the API by hand. The token stays in this page's memory and goes with it.
const by = (id) => document.getElementById(id);
const LOOK_MS = 500;
let checkout = null;
let refundKey = null;

const key = () => crypto.randomUUID();

async function call(method, path, body, idempotency) {
  const headers = { Authorization: `Bearer ${by("token").value}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (idempotency) headers["Idempotency-Key"] = idempotency;
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${said.error}: ${said.detail}`);
  return said;
}

function show(said) {
  checkout = said;
  by("state").textContent = said.state + (said.reason ? ` (${said.reason})` : "");
  by("answer").textContent = JSON.stringify(said, null, 2);
  by("cancel").disabled = said.state !== "open";
  by("refund").disabled = said.state !== "paid";
}

async function attempt(what) {
  try {
    await what();
  } catch (error) {
    by("state").textContent = error.message;
  }
}

by("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = {
    amount_minor: Number(by("amount").value),
    currency: by("currency").value,
    reference: by("reference").value,
  };
  refundKey = key();
  attempt(async () => show(await call("POST", "/checkouts", body, key())));
});
by("cancel").addEventListener("click", () =>
  attempt(async () => show(await call("POST", `/checkouts/${checkout.checkout}/cancel`))));
by("refund").addEventListener("click", () =>
  attempt(async () => {
    await call("POST", `/checkouts/${checkout.checkout}/refund`, {}, refundKey);
    show(await call("GET", `/checkouts/${checkout.checkout}`));
  }));
setInterval(() => {
  if (checkout && ["open", "paying"].includes(checkout.state)) {
    attempt(async () => show(await call("GET", `/checkouts/${checkout.checkout}`)));
  }
}, LOOK_MS);
