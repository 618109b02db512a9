// Shows the kiosk's newest state; what is typed or pressed goes back to the kiosk and is kept nowhere.

import { createCues } from "/cues.js";
import { createKeypad } from "/keypad.js";
import { openLink } from "/link.js";
import { createPanel } from "/panel.js";
import { openPreview } from "/preview.js";
import { ENTRIES, EXPLAINED, isEnrolling, offers, PICTURED, TONES, WAITING } from "/prompts.js";
import { createReading } from "/reading.js";

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

// Before anybody chooses a language: a font that came late would move what is being read.
for (const font of document.fonts) font.load();

const link = openLink({ heard, lost });
const keypad = createKeypad({ send });
const panel = createPanel({ send, speak, texts });
const reading = createReading({ button: $("text-size") });
const cues = createCues({ sign: $("cue"), button: $("sound") });
const preview = openPreview({
  canvas: $("picture"),
  shown: (live) => document.body.toggleAttribute("data-live", live),
});

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
      if (WAITING.has(next.display.prompt)) welcome();
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
  const tries = prompt === "enter_pin" || prompt === "withdraw_pin" ? display.tries_left : null;
  const denied = prompt === "denied";

  document.body.dataset.prompt = prompt;
  document.body.dataset.tone = TONES[prompt] ?? "lost";
  document.body.dataset.mode = state?.notice.mode ?? "turnstile";
  document.body.toggleAttribute("data-entry", prompt in ENTRIES);
  const beside = panel.render(prompt, display, say, line === "open");
  document.body.toggleAttribute("data-panel", beside.filled || prompt in ENTRIES);
  preview.want(line === "open" && PICTURED.has(prompt));
  reading.render(prompt, say);
  cues.render(prompt, display, say);
  text("picture-label", say.page.preview);
  $("glyph").setAttribute("href", `#sign-${prompt}`);
  text("title", words.title);
  text("tries", tries === null || tries === undefined ? "" : triesLeft(tries));
  const invited = prompt !== "lost" && display.enrol_again ? say.page.enrol_again : "";
  text("why", beside.note || (reason === undefined ? invited : say.reason[reason]));
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
  for (const button of $("actions").querySelectorAll("button")) {
    const { touch } = button.dataset;
    button.disabled = line !== "open";
    button.hidden = !offers(touch, prompt);
    const label = touch === "not_me" && isEnrolling(prompt) ? say.page.cancel : say.page[touch];
    button.querySelector("span").textContent = label;
  }
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
  const when = new Intl.RelativeTimeFormat(`${say.language}-u-nu-latn`).format(-count, unit);
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
  $("actions").setAttribute("aria-label", say.page.actions);
  $("languages").setAttribute("aria-label", say.page.language);
  for (const button of $("languages").children) {
    button.setAttribute("aria-pressed", String(button.lang === language));
  }
}

// Whoever comes next finds the kiosk's own language, its usual size of text, and sound.
function welcome() {
  speak(texts.default);
  reading.reset();
  cues.reset();
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
        rereadConsent(messages.language);
      });
      return button;
    }),
  );
}

// The consent is read in the language that was chosen, where there is one in it.
function rereadConsent(language) {
  const { prompt, enrolment } = state?.display ?? {};
  if (prompt === "enrol_consent" && enrolment?.languages.includes(language)) {
    send({ touch: "enrol_begin", language });
  }
}

function awake() {
  clearTimeout(languageIdle);
  languageIdle = setTimeout(() => {
    welcome();
    render();
  }, LANGUAGE_IDLE_MS);
}

for (const button of $("actions").querySelectorAll("button")) {
  button.addEventListener("click", () => send({ touch: button.dataset.touch }));
}
$("sound").addEventListener("click", () => cues.toggle(say));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && line === "open") send({ touch: "not_me" });
});
document.addEventListener("pointerdown", awake);
document.addEventListener("keydown", awake);
setInterval(() => footer(), 1000);
offerLanguages();
speak(texts.default);
render();
