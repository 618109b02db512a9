// What belongs to each prompt: its colours, what is typed under it, and when the picture helps.

export const TONES = {
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
export const ENTRIES = {
  enter_claim: "claim",
  withdraw_claim: "claim",
  enter_pin: "pin",
  enrol_pin: "pin",
  enrol_pin_again: "pin",
  withdraw_pin: "pin",
};
// Nobody is in a passage: whoever comes next is spoken to in the kiosk's own language.
export const WAITING = new Set(["show_claim", "look_or_claim", "no_checkout", "enrol_welcome"]);
// Where the first reason is said; a welcome needs none.
export const EXPLAINED = new Set([
  "enter_pin",
  "other_way",
  "other_payment",
  "not_charged",
  "staff",
  "denied",
  "gate_free",
  "gate_fault",
  "lane_closed",
  "enrol_refused",
]);
// Where it helps to see oneself, or where one holds a code.
export const PICTURED = new Set([
  "show_claim",
  "look_or_claim",
  "look_here",
  "hold_still",
  "turn_left",
  "turn_right",
  "look_up",
  "nod",
  "claim_needed",
  "agree",
  "enrol_samples",
]);
// What enrolling or leaving has no use for is not offered there.
const ANOTHER_WAY = new Set(["enrol_samples", "enrol_again"]);

export function isEnrolling(prompt) {
  return prompt.startsWith("enrol_") || prompt.startsWith("withdraw");
}

export function offers(touch, prompt) {
  return touch !== "other_way" || !isEnrolling(prompt) || ANOTHER_WAY.has(prompt);
}
