// Typing a claim or a PIN: on the screen, on a keyboard, or by a hand scanner that types.

// The bounds are those of protocol.py.
const CLAIM_MIN = 4;
const PIN_MIN = 4;
const DIGITS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"];
const LETTERS = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ-"];
// A half-typed entry is wiped after so long: whoever typed it has left.
const ENTRY_IDLE_MS = 30000;
// Keys typed into no field are one code while they follow each other so closely; then they are forgotten.
const SCAN_GAP_MS = 2000;

export function createKeypad({ send }) {
  const section = document.getElementById("entry");
  const label = document.getElementById("entry-label");
  const pad = document.getElementById("keypad");
  const inputs = { claim: document.getElementById("claim"), pin: document.getElementById("pin") };
  let kind = null;
  let say = null;
  let letters = false;
  let idle = 0;
  let scanned = "";
  let forgetting = 0;

  function key(text, name, press) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.className = name;
    // The focus stays in the field, so that a keyboard can go on where a finger left off.
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("click", press);
    pad.append(button);
    return button;
  }

  function build() {
    pad.replaceChildren();
    pad.classList.toggle("letters", letters);
    pad.setAttribute("aria-label", say.keypad);
    for (const character of letters ? LETTERS : DIGITS) {
      key(character, character === "0" ? "zero" : "", () => type(character));
    }
    if (kind === "claim") {
      key(letters ? say.digits : say.letters, "switch", () => {
        letters = !letters;
        build();
        // Whoever goes from key to key goes on from here.
        pad.querySelector(".switch").focus({ preventScroll: true });
      });
    }
    key(say.delete, "delete", () => {
      inputs[kind].value = inputs[kind].value.slice(0, -1);
      touched();
    });
    key(say.enter, "enter", submit);
    touched();
  }

  function type(character) {
    const input = inputs[kind];
    if (input.value.length < input.maxLength) input.value += character;
    touched();
  }

  function touched() {
    const input = inputs[kind];
    if (kind === "pin") input.value = input.value.replace(/[^0-9]/g, "");
    const enough = input.value.trim().length >= (kind === "pin" ? PIN_MIN : CLAIM_MIN);
    pad.querySelector(".enter").disabled = !enough;
    clearTimeout(idle);
    idle = setTimeout(clear, ENTRY_IDLE_MS);
  }

  function clear() {
    clearInputs();
    if (kind !== null) pad.querySelector(".enter").disabled = true;
  }

  function submit() {
    const typed = inputs[kind].value.trim();
    if (typed.length < (kind === "pin" ? PIN_MIN : CLAIM_MIN)) return;
    clear();
    send(kind === "pin" ? { touch: "pin", pin: typed } : { touch: "claim", text: typed });
  }

  // Ask for a claim, a PIN, or (null) nothing; typing begun for something else is wiped.
  function ask(wanted, text) {
    const asked = wanted !== kind;
    if (!asked && text === say) return;
    say = text;
    if (asked) {
      kind = wanted;
      letters = false;
      clearInputs();
    }
    section.hidden = kind === null;
    if (kind === null) return;
    inputs.claim.hidden = kind !== "claim";
    inputs.pin.hidden = kind !== "pin";
    label.textContent = kind === "pin" ? say.pin_label : say.claim_label;
    label.htmlFor = kind;
    build();
    if (asked) inputs[kind].focus({ preventScroll: true });
  }

  function clearInputs() {
    clearTimeout(idle);
    inputs.claim.value = inputs.pin.value = scanned = "";
  }

  for (const input of Object.values(inputs)) {
    input.addEventListener("input", touched);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") submit();
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const printable = event.key.length === 1 && event.key !== " ";
    if (kind !== null) {
      if (printable && !Object.values(inputs).includes(event.target)) inputs[kind].focus();
      return;
    }
    if (printable) {
      scanned += event.key;
      clearTimeout(forgetting);
      forgetting = setTimeout(() => {
        scanned = "";
      }, SCAN_GAP_MS);
    } else if (event.key === "Enter" && scanned.length >= CLAIM_MIN) {
      event.preventDefault();
      send({ touch: "claim", text: scanned });
      scanned = "";
    }
  });

  return { ask, clear };
}
