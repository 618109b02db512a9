// What a prompt means, to whoever does not read it at once: a border with a sign and a word, and a short sound.
// Each is said by the prompt's text as well; nothing blinks.

const CUES = {
  welcome: "success",
  thanks: "success",
  paid: "success",
  enrol_done: "success",
  withdrawn: "success",
  claim_needed: "attention",
  other_way: "attention",
  other_payment: "attention",
  staff: "attention",
  gate_free: "attention",
  agree: "attention",
  enrol_again: "attention",
  withdraw_confirm: "attention",
  lost: "attention",
  denied: "refusal",
  gate_fault: "refusal",
  lane_closed: "refusal",
  not_charged: "refusal",
  enrol_under_age: "refusal",
  enrol_refused: "refusal",
};
const GESTURES = new Set(["turn_left", "turn_right", "look_up", "nod"]);
// Pitch in hertz and beginning in seconds of each tone: rising, twice the same, falling, one.
const SOUNDS = {
  success: [[660, 0], [880, 0.16]],
  attention: [[523, 0], [523, 0.24]],
  refusal: [[330, 0], [233, 0.2]],
  counted: [[1047, 0]],
};
const TONE_S = 0.14;
const RAMP_S = 0.015;
const GAIN = 0.2;
// Between sounds the sound card sleeps.
const SLEEP_MS = 1500;

export function createCues({ sign, button }) {
  let muted = false;
  let audio = null;
  let allowed = false;
  let sleep = 0;
  let shown = "starting";
  let counted = 0;

  // Browsers let a page sound once somebody has touched it, or from the start where they are told so
  // (Chromium: --autoplay-policy=no-user-gesture-required).
  async function play(name) {
    if (muted) return;
    if (audio === null) {
      audio = new AudioContext();
      await Promise.resolve();
    }
    allowed ||= audio.state === "running" || navigator.userActivation.hasBeenActive;
    if (audio.state !== "running") {
      if (!allowed) return;
      await audio.resume();
    }
    const now = audio.currentTime;
    for (const [hertz, at] of SOUNDS[name]) tone(hertz, now + at);
    clearTimeout(sleep);
    sleep = setTimeout(() => audio.suspend(), SLEEP_MS);
  }

  function tone(hertz, at) {
    const voice = new OscillatorNode(audio, { frequency: hertz });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(GAIN, at + RAMP_S);
    volume.gain.setValueAtTime(GAIN, at + TONE_S - RAMP_S);
    volume.gain.linearRampToValueAtTime(0, at + TONE_S);
    voice.connect(volume).connect(audio.destination);
    voice.start(at);
    voice.stop(at + TONE_S);
  }

  function soundOf(prompt, samples) {
    const cue = CUES[prompt];
    if (prompt !== shown && cue) return cue === "success" && CUES[shown] === "success" ? null : cue;
    const gesture = prompt !== shown && GESTURES.has(shown) && (GESTURES.has(prompt) || prompt === "checking");
    return gesture || (prompt === shown && samples > counted) ? "counted" : null;
  }

  function label(say) {
    button.querySelector("use").setAttribute("href", muted ? "#icon-sound_off" : "#icon-sound_on");
    button.querySelector("span").textContent = say.page[muted ? "sound_off" : "sound_on"];
  }

  return {
    render(prompt, display, say) {
      const cue = CUES[prompt];
      const samples = display.enrolment?.samples ?? 0;
      const sound = soundOf(prompt, samples);
      shown = prompt;
      counted = samples;
      document.body.dataset.cue = cue ?? "none";
      sign.hidden = !cue;
      if (cue) sign.querySelector("use").setAttribute("href", `#cue-${cue}`);
      const words = cue ? say.page[`cue_${cue}`] : "";
      const span = sign.querySelector("span");
      if (span.textContent !== words) span.textContent = words;
      label(say);
      if (sound) play(sound);
    },
    toggle(say) {
      muted = !muted;
      label(say);
    },
    reset() {
      muted = false;
    },
  };
}
