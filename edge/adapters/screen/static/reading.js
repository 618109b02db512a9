// How large the text is: three steps up to 200 % (WCAG 2.2, technique G178), kept while one person is here.

const PERCENTS = [100, 150, 200];

export function createReading({ button }) {
  let step = 0;
  let say = null;
  let shown = null;

  function apply() {
    const root = document.documentElement;
    if (step === 0) delete root.dataset.size;
    else root.dataset.size = PERCENTS[step];
    if (say === null) return;
    const percent = new Intl.NumberFormat(`${say.language}-u-nu-latn`, { style: "percent" }).format(PERCENTS[step] / 100);
    button.setAttribute("aria-label", say.page.text_size.replace("{percent}", percent));
    button.querySelector("span").textContent = percent;
  }

  button.addEventListener("click", () => {
    step = (step + 1) % PERCENTS.length;
    apply();
  });

  return {
    // What is large may be longer than the screen: each prompt is read from its beginning.
    render(prompt, words) {
      if (say !== words) {
        say = words;
        apply();
      }
      if (shown !== prompt) {
        shown = prompt;
        if (step > 0) document.querySelector("main").scrollIntoView();
      }
    },
    reset() {
      step = 0;
      apply();
    },
  };
}
