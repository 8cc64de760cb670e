// What a detector says, corrected for its two rates of error (Rogan and Gladen). Nothing is read
// from anywhere; what is said is said aloud when a slider comes to rest.
(() => {
  const LEFT = 14, WIDE = 312;
  const x = (share) => (LEFT + WIDE * share).toFixed(1);
  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

  function corrected(said, caught, wrong) {
    return Math.min(1, Math.max(0, (said - wrong) / (caught - wrong)));
  }

  function picture(said, there) {
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((tick) =>
      `<line x1="${x(tick)}" x2="${x(tick)}" y1="10" y2="42" stroke="currentcolor" `
      + `stroke-width="0.5" opacity="0.6"/>`
      + widget.text(x(tick), 58, "middle", `${100 * tick}`)).join("");
    const dot = (share, fill) => `<circle cx="${x(share)}" cy="26" r="7" fill="${fill}" `
      + `stroke="currentcolor" stroke-width="2"/>`;
    return `${ticks}<line x1="${x(0)}" x2="${x(1)}" y1="26" y2="26" stroke="currentcolor"/>`
      + (there === null ? "" : dot(there, "currentcolor")) + dot(said, "none");
  }

  function sentence(said, caught, wrong) {
    if (caught <= wrong) return "A detector that flags as much human text as machines' text "
      + "says nothing.";
    if (said <= wrong) return "False alarms alone explain that: there may be none at all.";
    const there = corrected(said, caught, wrong);
    const half = there > 0.5 ? "more than half" : "less than half";
    return `Then ${percent(there)} is written by machines (filled), where ${percent(said)} is `
      + `flagged (hollow): ${there.toFixed(3) === "0.500" ? "half" : half}.`
      + (said > caught ? " More is flagged than such a detector could." : "");
  }

  function prepare(box) {
    const ranges = [...box.querySelectorAll("input")];
    return () => {
      const [said, caught, wrong] = ranges.map((range) => Number(range.value) / 100);
      ranges.forEach((range) => {
        range.parentElement.querySelector("output").textContent = percent(range.value / 100);
        range.setAttribute("aria-valuetext", `${range.value} per cent`);
      });
      const there = caught > wrong ? corrected(said, caught, wrong) : null;
      box.querySelector("svg").innerHTML = picture(said, there);
      box.querySelector(".prevalence-said").textContent = sentence(said, caught, wrong);
    };
  }

  document.addEventListener("DOMContentLoaded", () => widget.play("prevalence", prepare));
})();
