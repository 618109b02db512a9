// Beside the prompt: what is to be paid, how far an enrolment is, the consent, a QR code, and what is chosen.

import { ENROL_CHOICES } from "/enrol.js";
import { money } from "/money.js";
import { PAY_CHOICES } from "/pay.js";
import { drawQr } from "/qr.js";

const CHOICES = { ...PAY_CHOICES, ...ENROL_CHOICES };
// A finger on its way to what was there before presses nothing of what has just appeared.
const SETTLE_MS = 400;
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

export function createPanel({ send, speak, texts }) {
  let drawn = "";
  let coded = "";
  let consent = "";

  function choices(prompt, display, say, open) {
    const offered = CHOICES[prompt]?.(display, say, texts, speak) ?? [];
    const box = $("choices");
    const key = JSON.stringify([prompt, say.language, offered]);
    box.hidden = offered.length === 0;
    box.dataset.count = offered.length;
    if (key === drawn) {
      for (const button of box.children) button.disabled = !open || button.dataset.settling === "";
      return offered.length > 0;
    }
    const same = [...box.children].map((button) => button.dataset.choice).join() === offered.map((one) => one.id).join()
      && drawn.startsWith(JSON.stringify(prompt).replace(/^/, "["));
    const focused = same ? document.activeElement?.dataset?.choice : undefined;
    drawn = key;
    box.setAttribute("aria-label", say.page.choices);
    const buttons = offered.map((one) => build(one, open, same));
    box.replaceChildren(...buttons);
    if (focused) buttons.find((button) => button.dataset.choice === focused)?.focus({ preventScroll: true });
    if (!same) setTimeout(() => settle(buttons), SETTLE_MS);
    return offered.length > 0;
  }

  function build(one, open, settled) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.choice = one.id;
    button.disabled = !open || !settled;
    if (!settled) button.dataset.settling = "";
    if (one.lang) button.lang = one.lang;
    if (one.pressed !== undefined) button.setAttribute("aria-pressed", String(one.pressed));
    if (one.icon) button.append(icon(one.icon));
    const label = document.createElement("span");
    label.textContent = one.label;
    button.append(label);
    if (one.detail) {
      const detail = document.createElement("small");
      detail.textContent = one.detail;
      button.append(detail);
    }
    button.addEventListener("click", () => {
      one.before?.();
      if (one.act) one.act();
      else send(one.touch);
    });
    return button;
  }

  function settle(buttons) {
    for (const button of buttons) {
      delete button.dataset.settling;
      button.disabled = document.body.dataset.prompt === "lost";
    }
  }

  function qr(display, say) {
    const rows = display.qr_rows ?? [];
    const key = rows.join("\n");
    $("qr").hidden = rows.length === 0;
    $("card").hidden = rows.length === 0 || !display.card_name;
    if (key !== coded) {
      coded = key;
      drawQr($("qr-code"), rows);
      drawQr($("card-code"), rows);
    }
    $("qr-code").setAttribute("aria-label", say.page.qr);
    $("qr-text").textContent = display.qr_text ?? "";
    $("qr-text").hidden = !display.qr_text;
    $("card-name").textContent = display.card_name ?? "";
    $("card-title").textContent = say.page.card_title;
    $("card-keep").textContent = say.page.card_keep;
    return rows.length > 0;
  }

  function reading(prompt, display, say) {
    const text = (prompt === "enrol_consent" && display.enrolment?.consent_text) || "";
    $("consent").hidden = text === "";
    if (text !== consent) {
      consent = text;
      const paragraphs = text.split(/\n\s*\n/).filter((words) => words.trim());
      $("consent").replaceChildren(
        ...paragraphs.map((words) => {
          const paragraph = document.createElement("p");
          paragraph.dir = "auto";
          paragraph.textContent = words;
          return paragraph;
        }),
      );
      $("consent").scrollTop = 0;
    }
    $("consent").setAttribute("aria-label", say.page.consent_label);
    return text !== "";
  }

  function checkout(display, say) {
    const asked = display.checkout;
    $("checkout").hidden = !asked;
    if (!asked) return;
    $("merchant").textContent = asked.merchant;
    $("amount").textContent = money(say.language, asked.amount_minor, asked.currency);
    $("reference").textContent = asked.reference;
  }

  function progress(prompt, display, say) {
    const shown = display.enrolment;
    const counted = Boolean(shown && shown.step > 0 && shown.steps > 0);
    $("progress").hidden = !counted;
    if (counted) $("progress").textContent = fill(say.page.step, shown);
    const sampling = prompt === "enrol_samples" && shown && shown.samples_wanted > 0;
    $("samples").hidden = !sampling;
    if (!sampling) return;
    const words = fill(say.page.samples, { taken: shown.samples, wanted: shown.samples_wanted });
    if ($("samples-text").textContent !== words) $("samples-text").textContent = words;
    $("samples-dots").replaceChildren(...Array.from({ length: shown.samples_wanted }, (_, at) => {
      const dot = document.createElement("i");
      dot.className = at < shown.samples ? "taken" : "";
      return dot;
    }));
  }

  return {
    render(prompt, display, say, open) {
      checkout(display, say);
      progress(prompt, display, say);
      const parts = [qr(display, say), reading(prompt, display, say), choices(prompt, display, say, open)];
      const note = display.enrolment?.note;
      return { filled: parts.some(Boolean), note: note ? say.note[note] : "" };
    },
  };
}

function fill(words, values) {
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}
