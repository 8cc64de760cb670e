// How much of the text is human? A share to choose, and its curve over generations. The data
// stand in the page; what is said is said aloud when the slider comes to rest.
(() => {
  const LEFT = 40, RIGHT = 326, TOP = 24, BOTTOM = 172;

  function picture({ shares, end }, now) {
    const top = Math.log(Math.max(...shares.flatMap((one) => one.seeds.flat()), 1.2) * 1.06);
    const low = Math.log(0.95);
    const x = (n) => (LEFT + ((RIGHT - LEFT) * n) / end).toFixed(1);
    const y = (ratio) =>
      (BOTTOM - ((BOTTOM - TOP) * (Math.log(ratio) - low)) / (top - low)).toFixed(1);
    const path = (values) => values.map((value, n) => `${x(n)},${y(value)}`).join(" ");
    const ticks = [1, 1.5, 2, 3, 5, 10, 20, 50].filter((tick) => Math.log(tick) <= top);
    const { text, line } = widget;
    return ticks.map((tick) =>
      line(`${LEFT},${y(tick)} ${RIGHT},${y(tick)}`, 0.5, 'opacity="0.5"')
      + text(LEFT - 6, Number(y(tick)) + 4, "end", `×${tick}`)).join("")
      + [...Array(end + 1).keys()].map((n) => text(x(n), BOTTOM + 17, "middle", n)).join("")
      + text((LEFT + RIGHT) / 2, BOTTOM + 34, "middle", "generation")
      + text(0, 12, "start", "perplexity ÷ with human text alone")
      + `<polygon points="${path(now.mean)} ${x(end)},${y(1)} ${x(0)},${y(1)}" `
      + `fill="${now.colour}" opacity="0.35"/>`
      + now.seeds.map((seed) => line(path(seed), 0.8)).join("")
      + line(path(now.mean), 2.5)
      + `<circle cx="${x(end)}" cy="${y(now.mean[end])}" r="4" fill="currentcolor"/>`;
  }

  // No line is broken between a number and its unit or interval.
  const unbroken = (text) => text.replace(/ (?=[%[])|\[[^\]]*\]/g,
    (found) => found.replaceAll(" ", "\u00a0"));

  function sentence({ end, from }, now) {
    if (now.human === "100") {
      return "All human: the chain that the others are compared with, seed by seed.";
    }
    const much = now.last.startsWith("×")
      ? `${now.last} the perplexity that a model has with human text alone`
      : `${now.last} more perplexity than with human text alone`;
    return `${now.human === "0" ? "Nothing human" : `${now.human}\u00a0% human`}: `
      + `generation ${end} has ${much}. `
      + `Between generation ${from} and generation ${end} that ratio changed by ${now.since}.`;
  }

  function prepare(box, data) {
    if (!data.shares.length) return null;
    const range = box.querySelector("input");
    range.max = data.shares.length - 1;
    range.value = Math.max(data.shares.findIndex((one) => one.human === "50"), 0);
    return () => {
      const now = data.shares[Number(range.value)];
      box.querySelector("output").textContent = `${now.human}\u00a0%`;
      range.setAttribute("aria-valuetext", `${now.human} per cent human`);
      box.querySelector("svg").innerHTML = picture(data, now);
      box.querySelector(".share-said").textContent = unbroken(sentence(data, now));
    };
  }

  document.addEventListener("DOMContentLoaded", () => widget.play("share", prepare));
})();
