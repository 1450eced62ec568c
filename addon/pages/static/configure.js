// The configure page: reads the form, builds the addon URL, and keeps all of it in the browser.
// What is typed leaves it only for /api/configs: in the body that saves it, and in the header that
// proves whose it is. No URL that is requested holds any of it.

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const KEY = /^[!-~]{1,512}$/;
const PASSWORD = /^[!-~](?:[ -~]{6,126})[!-~]$/;
const GIGABYTE = 2 ** 30;
const LONGEST_SEGMENT = 4096;
const LONG_URL = 500; // from here on some apps and shells cut links
const MOST_WORDS = 50;
const LONGEST_WORD = 64;

const at = (id) => document.getElementById(id);
const page = at("page");
const { base, prefix, savedId } = page.dataset;
const known = new Set(page.dataset.languages.split(" "));
const tokensNeedAuth = page.dataset.tokensNeedAuth === "true";
const languageNames = new Intl.DisplayNames(["en"], { type: "language" });
const LIMITS = ["perResolution", "maxStreams"];
const usualLimit = Object.fromEntries(LIMITS.map((id) => [id, Number(at(id).value)]));
const usualExcluded = readChips("excludeQualities");
const languageHelp = Object.fromEntries(
  ["languages", "onlyLanguages"].map((id) => [id, at(`${id}-said`).textContent]),
);

let given = {}; // the configuration that was brought, with whatever this page does not know
let others = []; // stores in it that have no card here
const originals = new Map(); // of the cards, by card
let initial = null; // the segment that the form made when it was filled
let credential = null; // header that opens a saved configuration
let shortUrl = ""; // manifest URL of what is saved, as long as the form says the same
const touched = new Set();

const cards = () => [...at("stores").children];
const inCard = (card, what) => card.querySelector(`[data-${what}]`);
const value = (input) => (input ? input.value.trim() : "");
const words = (id) => value(at(id)).split(",").map((word) => word.trim()).filter(Boolean);
const isObject = (thing) => typeof thing === "object" && thing !== null && !Array.isArray(thing);
const same = (one, two) => JSON.stringify(one) === JSON.stringify(two);

// Reading the form

function readStore(card) {
  const original = originals.get(card) ?? {};
  const { auth: oldAuth, t: oldKey, ...unknown } = original;
  const auth = inCard(card, "auth") ? value(inCard(card, "auth")).toLowerCase() : oldAuth;
  const key = inCard(card, "key") ? value(inCard(card, "key")) : oldKey;
  return { ...unknown, c: card.dataset.code, ...(auth && { auth }), ...(key && { t: key }) };
}

function readChips(name) {
  return [...document.querySelectorAll(`input[name="${name}"]:checked`)].map((chip) => chip.value);
}

function readFilter() {
  const filter = isObject(given.filter) ? { ...given.filter } : {};
  const put = (name, now, usual) => {
    if (same(now, usual)) delete filter[name];
    else filter[name] = now;
  };
  put("resolutions", readChips("resolutions"), []);
  put("excludeQualities", readChips("excludeQualities"), usualExcluded);
  put("languages", words("languages").map((word) => word.toLowerCase()), []);
  put("onlyLanguages", words("onlyLanguages").map((word) => word.toLowerCase()), []);
  put("excludeKeywords", words("excludeKeywords"), []);
  put("minSize", Math.round(Number(at("minSize").value) * GIGABYTE), 0);
  put("maxSize", Math.round(Number(at("maxSize").value) * GIGABYTE), 0);
  for (const id of LIMITS) put(id, Number(at(id).value || usualLimit[id]), usualLimit[id]);
  return filter;
}

function readConfig() {
  const { stores, cached, sort, filter, ...unknown } = given;
  const used = cards().filter((card) => inCard(card, "use").checked);
  const order = sortSelects().map((select) => select.value).filter(Boolean);
  const wanted = readFilter();
  return {
    stores: [...used.map(readStore), ...others],
    ...(at("cached").checked && { cached: true }),
    ...(order.length > 0 && { sort: order.join(",") }),
    ...(Object.keys(wanted).length > 0 && { filter: wanted }),
    ...unknown,
  };
}

function encode(config) {
  const bytes = new TextEncoder().encode(JSON.stringify(config));
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const manifestUrl = (segment) => `${base}/stremio/torz/${segment}/manifest.json`;

// Checking it: each function returns what is wrong, or an empty text

function authProblem(card) {
  const auth = value(inCard(card, "auth"));
  if (auth && !UUID.test(auth.toLowerCase())) {
    return "Invalid auth format, expected UUID: 8-4-4-4-12 digits and letters a to f.";
  }
  if (!auth && tokensNeedAuth) return "Enter the UUID that the operator gave you.";
  if (!auth && !value(inCard(card, "key"))) {
    return inCard(card, "key") ? "Enter your UUID, or an own key below." : "Enter your UUID.";
  }
  return "";
}

function keyProblem(card) {
  const key = value(inCard(card, "key"));
  if (key && !KEY.test(key)) return "A key has no blanks and no letters beyond ASCII.";
  return !key && !inCard(card, "auth") ? "Enter your key." : "";
}

function languageProblem(id) {
  const bad = words(id).find((word) => !known.has(word.toLowerCase().split("-")[0]));
  return bad ? `“${bad}” is no language code that we know. Use two letters, such as en or de.` : "";
}

function wordsProblem(id) {
  if (words(id).length > MOST_WORDS) return `At most ${MOST_WORDS} words.`;
  return words(id).some((word) => word.length > LONGEST_WORD) ? `A word has at most ${LONGEST_WORD} letters.` : "";
}

function numberProblem(id) {
  const input = at(id);
  if (input.validity.valid) return "";
  const { min, max } = input;
  return max ? `A whole number from ${min} to ${max}.` : "A number, zero or more.";
}

function maxSizeProblem() {
  const least = Number(at("minSize").value);
  const most = Number(at("maxSize").value);
  return numberProblem("maxSize") || (most && most < least ? "Less than the smallest file." : "");
}

/** Show each problem beside its field, once the field was touched; return whether all is well. */
function check() {
  const problems = new Map();
  for (const card of cards()) {
    const isUsed = inCard(card, "use").checked;
    if (inCard(card, "auth")) problems.set(inCard(card, "auth"), isUsed ? authProblem(card) : "");
    if (inCard(card, "key")) problems.set(inCard(card, "key"), isUsed ? keyProblem(card) : "");
  }
  for (const id of ["languages", "onlyLanguages"]) {
    problems.set(at(id), languageProblem(id) || wordsProblem(id));
  }
  problems.set(at("excludeKeywords"), wordsProblem("excludeKeywords"));
  for (const id of ["minSize", ...LIMITS]) problems.set(at(id), numberProblem(id));
  problems.set(at("maxSize"), maxSizeProblem());
  for (const [input, problem] of problems) say(input, touched.has(input) ? problem : "");
  return [...problems.values()].every((problem) => !problem);
}

function say(input, problem) {
  const line = at(`${input.id}-error`);
  if (line.textContent !== problem) line.textContent = problem;
  line.hidden = !problem;
  if (problem) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

// Filling the form

function addChip(group, word) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "checkbox", value: word });
  const text = document.createElement("span");
  input.name = group.dataset.chips;
  label.className = "chip";
  text.textContent = word;
  label.append(input, text);
  group.append(label);
  return input;
}

function fillChips(name, chosen) {
  const group = document.querySelector(`[data-chips="${name}"]`);
  const left = new Map(chosen.map((word) => [word.toLowerCase(), word]));
  for (const input of group.querySelectorAll("input")) {
    input.checked = left.delete(input.value.toLowerCase());
  }
  for (const word of left.values()) addChip(group, word).checked = true;
}

function fillStores(stores) {
  const free = new Map(cards().map((card) => [card.dataset.code, card]));
  const placed = [];
  others = [];
  originals.clear();
  for (const store of stores) {
    const card = free.get(store.c);
    if (card && free.delete(store.c)) placed.push([card, store]);
    else others.push(store);
  }
  for (const card of free.values()) inCard(card, "use").checked = false;
  for (const [card, store] of placed.reverse()) {
    inCard(card, "use").checked = true;
    originals.set(card, store);
    const [auth, key] = [inCard(card, "auth"), inCard(card, "key")];
    if (auth) auth.value = store.auth ?? "";
    if (key) key.value = store.t ?? "";
    for (const input of [auth, key].filter(Boolean)) touched.add(input);
    at("stores").prepend(card);
  }
}

function fillSort(sort) {
  const asked = sort.split(",").map((word) => word.trim());
  const selects = sortSelects();
  const offered = new Set(Array.from(selects[0].options, (option) => option.value));
  const found = [...new Set(asked.filter((word) => word && offered.has(word)))];
  selects.forEach((select, place) => {
    select.value = found[place] ?? "";
  });
}

function fill(config) {
  given = config;
  const filter = isObject(config.filter) ? config.filter : {};
  fillStores(config.stores ?? []);
  at("cached").checked = Boolean(config.cached);
  fillSort(config.sort ?? "");
  fillChips("resolutions", filter.resolutions ?? []);
  fillChips("excludeQualities", filter.excludeQualities ?? usualExcluded);
  for (const id of ["languages", "onlyLanguages", "excludeKeywords"]) {
    at(id).value = (filter[id] ?? []).join(", ");
  }
  for (const id of ["minSize", "maxSize"]) at(id).value = filter[id] ? filter[id] / GIGABYTE : "";
  for (const id of LIMITS) at(id).value = filter[id] ?? usualLimit[id];
  sayWhatIsKept();
}

function sayWhatIsKept() {
  const stores = [...new Set(others.map((store) => store.c || "none"))];
  const line = at("kept");
  line.hidden = stores.length === 0;
  line.textContent = `Kept as it was, though this page has no card for it: ${stores.join(", ")}.`;
}

// Showing the link

const sortSelects = () => [...at("sorts").querySelectorAll("[data-sort]")];

function showLayout() {
  const all = cards();
  all.forEach((card, place) => {
    inCard(card, "fields").hidden = !inCard(card, "use").checked;
    const [up, down] = card.querySelectorAll("[data-move]");
    up.disabled = place === 0;
    down.disabled = place === all.length - 1;
    up.parentElement.hidden = all.length < 2;
  });
  const selects = sortSelects();
  selects.forEach((select, place) => {
    select.parentElement.hidden = place > 0 && !select.value && !selects[place - 1].value;
  });
  for (const [id, usual] of Object.entries(languageHelp)) {
    const named = languageProblem(id) ? [] : words(id).map((word) => languageNames.of(word.split("-")[0]));
    at(`${id}-said`).textContent = named.length > 0 ? named.join(", ") : usual;
  }
}

function setStatus(id, text, kind = "") {
  at(id).textContent = text;
  at(id).className = `status ${kind}`.trim();
}

function showUrl(url) {
  at("ready").hidden = !url;
  at("url").value = url;
  if (!url) return;
  at("install").href = url.replace(/^https?:/, "stremio:");
  at("web").href = `https://web.stremio.com/#/addons?addon=${encodeURIComponent(url)}`;
}

function showQr(picture) {
  at("qr-figure").hidden = !picture;
  if (picture) at("qr").src = picture;
}

/** Take in the form as it is now. */
function refresh() {
  showLayout();
  const isWell = check();
  const config = readConfig();
  const segment = encode(config);
  const isUnchanged = segment === initial;
  if (!isUnchanged && shortUrl && !savedId) {
    shortUrl = "";
    initial = null;
  }
  const problem = config.stores.length === 0
    ? "Choose a store, and your link stands here."
    : isWell ? tooLong(segment) : "Your link stands here once all fields are right.";
  at("saving").hidden = at("settings").hidden || (Boolean(problem) && !savedId);
  at("save").disabled = Boolean(problem);
  if (savedId) setStatus("save-status", problem, "bad");
  if (savedId || shortUrl) return;
  at("save-fields").hidden = false;
  at("change-later").hidden = true;
  showQr(isUnchanged ? at("qr").getAttribute("src") : "");
  if (problem) {
    setStatus("status", problem, config.stores.length > 0 ? "bad" : "");
    showUrl("");
    return;
  }
  const url = manifestUrl(segment);
  setStatus("status", url.length > LONG_URL ? "Ready. It is long: a short link is safer to copy." : "Ready to install.", "good");
  showUrl(url);
}

function tooLong(segment) {
  return segment.length > LONGEST_SEGMENT ? "That is too much for a link." : "";
}

// Saved configurations

async function call(method, id, body) {
  const response = await fetch(`${prefix}/api/configs${id ? `/${id}` : ""}`, {
    method,
    cache: "no-store",
    headers: { ...(body && { "Content-Type": "application/json" }), ...credential },
    body: body && JSON.stringify(body),
  });
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

async function attempt(button, statusId, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    const text = error instanceof TypeError ? "The server does not answer." : `${error.message}.`;
    setStatus(statusId, text, "bad");
  } finally {
    button.disabled = false;
  }
}

/** Return the body of a save; null, with the reason beside the field, when the password will not do. */
function readSave() {
  const password = at("password").value;
  const isFine = !password || PASSWORD.test(password);
  say(at("password"), isFine ? "" : "8 to 128 plain characters (ASCII), no blanks around them.");
  return isFine ? { config: readConfig(), ...(password && { password }) } : null;
}

function showSaved(answer) {
  shortUrl = answer.manifestUrl;
  initial = encode(readConfig());
  showUrl(shortUrl);
  showQr(answer.qr);
}

async function save() {
  const body = readSave();
  if (!body) return;
  const wasPassword = credential?.["X-Edit-Password"];
  const answer = await call(savedId ? "PUT" : "POST", savedId, body);
  showSaved(answer);
  if (savedId) {
    if (body.password && wasPassword) credential = { "X-Edit-Password": body.password };
    setStatus("save-status", "Saved. What is installed follows within seconds.", "good");
    return;
  }
  setStatus("status", "Your short link is ready to install.", "good");
  const canBeChanged = body.password || body.config.stores.some((store) => store.auth);
  at("save-fields").hidden = true;
  at("change-later").hidden = !canBeChanged;
  at("change-link").href = answer.configureUrl;
  setStatus("save-status", canBeChanged ? "" : "It has neither a UUID nor a password, so nobody can change it.");
}

async function unlock() {
  const proof = value(at("proof"));
  say(at("proof"), "");
  credential = UUID.test(proof.toLowerCase())
    ? { Authorization: `Bearer ${proof.toLowerCase()}` }
    : { "X-Edit-Password": at("proof").value };
  try {
    const answer = await call("GET", savedId);
    at("proof").value = "";
    at("unlock").hidden = true;
    at("settings").hidden = false;
    at("saving").hidden = false;
    fill(answer.config);
    showSaved(answer);
    refresh();
  } catch (error) {
    say(at("proof"), error instanceof TypeError ? "Wrong, or the server does not answer." : `${error.message}.`);
  }
}

let isDeleteSure = false;

async function remove() {
  if (!isDeleteSure) {
    isDeleteSure = true;
    at("delete").textContent = "Really delete";
    setStatus("save-status", "It stops working at once, wherever it is installed.", "bad");
    return;
  }
  await call("DELETE", savedId);
  at("form").hidden = true;
  at("saving").hidden = true;
  showUrl("");
  setStatus("status", "Deleted.", "good");
}

async function copy() {
  const field = at("url");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // over plain http there is nothing else
  }
  setStatus("status", "Copied.", "good");
}

// Wiring

/** A second store usually wants the same UUID. */
function offerAuth(card) {
  const auth = inCard(card, "auth");
  const other = cards().map((one) => value(inCard(one, "auth"))).find((text) => UUID.test(text.toLowerCase()));
  if (auth && !auth.value && inCard(card, "use").checked && other) auth.value = other;
}

at("form").addEventListener("input", (event) => {
  if (event.target.matches("[data-use]")) offerAuth(event.target.closest(".store"));
  refresh();
});
at("form").addEventListener("focusout", (event) => {
  if (event.target.matches("input") && event.target.value) touched.add(event.target);
  refresh();
});
at("form").addEventListener("submit", (event) => event.preventDefault());
at("stores").addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (!button) return;
  const card = button.closest(".store");
  const place = cards().indexOf(card) + Number(button.dataset.move);
  const left = cards().filter((one) => one !== card);
  at("stores").insertBefore(card, left[place] ?? null);
  refresh();
  (button.disabled ? card.querySelector("[data-move]:not(:disabled)") : button).focus();
});
at("copy").addEventListener("click", copy);
at("save").addEventListener("click", () => attempt(at("save"), "save-status", save));

if (savedId) {
  shortUrl = manifestUrl(`c.${savedId}`);
  showUrl(shortUrl);
  setStatus("status", "Ready to install.", "good");
  at("unlock-button").addEventListener("click", () => attempt(at("unlock-button"), "status", unlock));
  at("proof").addEventListener("keydown", (event) => {
    if (event.key === "Enter") at("unlock-button").click();
  });
  at("delete").addEventListener("click", () => attempt(at("delete"), "save-status", remove));
} else {
  fill(page.dataset.config ? JSON.parse(page.dataset.config) : {});
  if (given.stores) initial = encode(readConfig());
  const [only, ...more] = cards();
  if (!given.stores && more.length === 0) inCard(only, "use").checked = true;
  refresh();
}
