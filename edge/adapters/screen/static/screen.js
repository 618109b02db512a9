// Shows the kiosk's newest state; what is typed or pressed goes back to the kiosk and is kept nowhere.

import { createKeypad } from "/keypad.js";
import { openLink } from "/link.js";

// What kind of state each prompt is: its colours, and whether the fence stands open.
const TONES = {
  starting: "calm",
  show_claim: "calm",
  look_or_claim: "calm",
  look_here: "busy",
  hold_still: "busy",
  turn_left: "busy",
  turn_right: "busy",
  look_up: "busy",
  nod: "busy",
  enter_claim: "calm",
  enter_pin: "calm",
  checking: "busy",
  welcome: "go",
  thanks: "go",
  claim_needed: "turn",
  other_way: "turn",
  other_payment: "turn",
  staff: "turn",
  denied: "stop",
  gate_free: "free",
  gate_fault: "fault",
  lane_closed: "fault",
  no_checkout: "calm",
  agree: "turn",
  paying: "busy",
  paid: "go",
  not_charged: "turn",
  enrol_welcome: "calm",
  enrol_consent: "calm",
  enrol_age: "calm",
  enrol_samples: "busy",
  enrol_agree_by: "calm",
  enrol_pin: "calm",
  enrol_pin_again: "calm",
  enrol_sending: "busy",
  enrol_done: "go",
  enrol_under_age: "turn",
  enrol_refused: "turn",
  enrol_again: "turn",
  withdraw_claim: "calm",
  withdraw_pin: "calm",
  withdraw_confirm: "turn",
  withdrawn: "go",
};
// Nobody is in a passage: whoever comes next is spoken to in the kiosk's own language.
const WAITING = new Set(["show_claim", "look_or_claim", "no_checkout", "enrol_welcome"]);
const ENTRIES = {
  enter_claim: "claim",
  withdraw_claim: "claim",
  enter_pin: "pin",
  enrol_pin: "pin",
  enrol_pin_again: "pin",
  withdraw_pin: "pin",
};
// Where the first reason is said; a welcome needs none.
const EXPLAINED = new Set(["enter_pin", "other_way", "other_payment", "staff", "denied", "gate_free", "gate_fault", "lane_closed"]);
// A hint stands at least so long, or nobody could read it.
const HINT_HOLD_MS = 700;
// After so long without a touch the next person gets the kiosk's own language.
const LANGUAGE_IDLE_MS = 60000;

const $ = (id) => document.getElementById(id);

const texts = await (await fetch("/messages.json")).json();
let say = texts.languages[texts.default];
let state = null;
// `opening` until the first state, `open` while they come, `lost` when they stop.
let line = "opening";
let page = null;
let stateAt = 0;
let hintAt = 0;
let hinted = null;
let waiting = 0;
let languageIdle = 0;

const link = openLink({ heard, lost });
const keypad = createKeypad({ send });

function heard(message) {
  switch (message.kind) {
    case "state":
      found(message);
      break;
    case "taken":
      note(message.touch === "help" ? say.page.help_taken : "");
      break;
    case "refused":
      note(say.refusal[message.why]);
      break;
  }
}

function found(next) {
  page ??= next.page;
  // The kiosk was updated: its page is another one now.
  if (next.page !== page) return location.reload();
  const back = line !== "open";
  line = "open";
  const before = state;
  stateAt = performance.now();
  state = next;
  if (back || before === null || next.serial !== before.serial) {
    if (before?.display.prompt !== next.display.prompt) {
      note("");
      if (WAITING.has(next.display.prompt)) speak(texts.default);
    }
    render();
  }
}

function lost() {
  line = "lost";
  keypad.clear();
  render();
}

function send(touch) {
  note("");
  if (!link.send(touch)) lost();
}

// One change of hint at a time: the newest one, once the last has stood long enough.
function hintFor(display) {
  const now = performance.now();
  const wanted = display.hint;
  if (hinted?.prompt === display.prompt && hinted.hint !== wanted && now - hintAt < HINT_HOLD_MS) {
    clearTimeout(waiting);
    waiting = setTimeout(render, HINT_HOLD_MS - (now - hintAt));
    return hinted.hint;
  }
  if (hinted?.prompt !== display.prompt || hinted.hint !== wanted) hintAt = now;
  hinted = { prompt: display.prompt, hint: wanted };
  return wanted;
}

function render() {
  const display = state?.display ?? { prompt: "starting", reasons: [] };
  const prompt = line === "lost" ? "lost" : display.prompt;
  const words = prompt === "lost" ? { title: say.page.lost_title, detail: say.page.lost_detail } : say.prompt[prompt];
  const hint = prompt === "lost" ? null : hintFor(display);
  const reason = EXPLAINED.has(prompt) ? display.reasons[0] : undefined;
  const tries = prompt === "enter_pin" ? display.tries_left : null;
  const denied = prompt === "denied";

  document.body.dataset.prompt = prompt;
  document.body.dataset.tone = TONES[prompt] ?? "lost";
  document.body.toggleAttribute("data-entry", prompt in ENTRIES);
  $("glyph").setAttribute("href", `#sign-${prompt}`);
  text("title", words.title);
  text("tries", tries === null || tries === undefined ? "" : triesLeft(tries));
  const invited = prompt !== "lost" && display.enrol_again ? say.page.enrol_again : "";
  text("why", reason === undefined ? invited : say.reason[reason]);
  text("detail", hint ? say.hint[hint] : words.detail);
  lane(prompt === "welcome" ? display.lane : null);

  $("contest").hidden = !denied;
  $("restriction").hidden = !(denied && display.restriction_reason);
  $("code").hidden = !(denied && display.contest_code);
  text("reason-label", say.page.reason_label);
  text("restriction-reason", denied ? display.restriction_reason : "");
  text("contest-label", say.page.contest_label);
  text("contest-code", denied ? display.contest_code : "");
  text("contest-detail", say.page.contest_detail);

  keypad.ask(ENTRIES[prompt] ?? null, say.page);
  for (const button of $("actions").querySelectorAll("button")) button.disabled = line !== "open";
  footer();
}

function footer() {
  const notice = state?.notice ?? { standing_age_s: null, degraded: [], photo_risk: false };
  const firstUse = notice.photo_risk_first_use ? say.page.photo_risk_first_use : "";
  text("risk", notice.photo_risk ? say.page.photo_risk : firstUse);
  const notes = notice.degraded.map((key) => say.degraded[key] ?? key);
  const list = $("degraded");
  if (list.dataset.notes !== notes.join("\n")) {
    list.dataset.notes = notes.join("\n");
    list.replaceChildren(
      ...notes.map((sentence) => {
        const item = document.createElement("li");
        item.textContent = sentence;
        return item;
      }),
    );
  }
  list.hidden = notes.length === 0;
  age(notice.standing_age_s);
}

// The age goes on rising between two states, and while the kiosk is out of touch.
function age(reported) {
  if (reported === null) return text("age", say.page.age_unknown);
  const seconds = Math.floor(reported + (performance.now() - stateAt) / 1000);
  const [count, unit] =
    seconds < 60 ? [seconds, "second"]
    : seconds < 3600 ? [Math.floor(seconds / 60), "minute"]
    : seconds < 86400 ? [Math.floor(seconds / 3600), "hour"]
    : [Math.floor(seconds / 86400), "day"];
  const when = new Intl.RelativeTimeFormat(say.language).format(-count, unit);
  text("age", say.page.age.replace("{when}", when));
}

function triesLeft(count) {
  const category = new Intl.PluralRules(say.language).select(count);
  return (say.tries_left[category] ?? say.tries_left.other).replace("{count}", count);
}

function lane(name) {
  const badge = $("lane");
  badge.hidden = !name;
  badge.dataset.lane = name ?? "";
  badge.querySelector("span").textContent = name ? say.lane[name] : "";
}

// Only what changes is written, so that a screen reader says it once.
function text(id, words) {
  const element = $(id);
  if (element.textContent !== words) element.textContent = words;
  if (element.tagName === "P" && element.id !== "note") element.hidden = words === "";
}

function note(words) {
  text("note", words);
}

function speak(language) {
  clearTimeout(languageIdle);
  say = texts.languages[language];
  document.documentElement.lang = say.language;
  document.documentElement.dir = say.direction;
  for (const button of $("actions").querySelectorAll("button")) {
    button.querySelector("span").textContent = say.page[button.dataset.touch];
  }
  $("actions").setAttribute("aria-label", say.page.actions);
  $("languages").setAttribute("aria-label", say.page.language);
  for (const button of $("languages").children) {
    button.setAttribute("aria-pressed", String(button.lang === language));
  }
}

function offerLanguages() {
  const known = Object.values(texts.languages);
  if (known.length < 2) return;
  $("languages").replaceChildren(
    ...known.map((messages) => {
      const button = document.createElement("button");
      button.type = "button";
      button.lang = messages.language;
      button.textContent = messages.name;
      button.addEventListener("click", () => {
        note("");
        speak(messages.language);
        render();
      });
      return button;
    }),
  );
}

function awake() {
  clearTimeout(languageIdle);
  languageIdle = setTimeout(() => {
    speak(texts.default);
    render();
  }, LANGUAGE_IDLE_MS);
}

for (const button of $("actions").querySelectorAll("button")) {
  button.addEventListener("click", () => send({ touch: button.dataset.touch }));
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && line === "open") send({ touch: "not_me" });
});
document.addEventListener("pointerdown", awake);
document.addEventListener("keydown", awake);
setInterval(() => footer(), 1000);
offerLanguages();
speak(texts.default);
render();
