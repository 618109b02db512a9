// Enrolling and leaving: what is chosen at each step.

import { done } from "/pay.js";

const WAYS = ["button", "smile", "nod"];

// Answers weigh the same: none is larger or brighter than another.
export const ENROL_CHOICES = {
  enrol_welcome: (display, say, texts, speak) => [
    ...(display.enrolment?.languages ?? []).map((language) => ({
      id: `begin-${language}`,
      lang: language,
      label: texts.languages[language]?.page.begin ?? say.page.begin,
      detail: texts.languages[language]?.name ?? new Intl.DisplayNames(language, { type: "language" }).of(language),
      touch: { touch: "enrol_begin", language },
      before: () => speak(language),
    })),
    { id: "withdraw", label: say.page.withdraw, touch: { touch: "withdraw" } },
  ],
  enrol_consent: (display, say) => [
    { id: "yes", label: say.page.consent_yes, touch: { touch: "consent", given: true } },
    { id: "no", label: say.page.consent_no, touch: { touch: "consent", given: false } },
  ],
  enrol_age: (display, say) =>
    [true, false].map((ofAge) => ({
      id: String(ofAge),
      label: say.page[ofAge ? "age_yes" : "age_no"].replace("{age}", display.enrolment?.minimum_age ?? ""),
      touch: { touch: "age", of_age: ofAge },
    })),
  enrol_agree_by: (display, say) =>
    WAYS.map((by) => ({ id: by, icon: `by_${by}`, label: say.page[`by_${by}`], touch: { touch: "agree_by", by } })),
  enrol_again: (display, say) => [{ id: "again", label: say.page.again, touch: { touch: "samples_again" } }],
  enrol_done: (display, say) => [
    { id: "print", label: say.page.print, act: () => window.print() },
    ...done(display, say),
  ],
  enrol_under_age: done,
  enrol_refused: done,
  withdraw_confirm: (display, say) => [
    { id: "yes", label: say.page.withdraw_yes, touch: { touch: "withdraw_confirm" } },
    { id: "no", label: say.page.withdraw_no, touch: { touch: "not_me" } },
  ],
  withdrawn: done,
};
