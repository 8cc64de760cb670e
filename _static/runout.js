// When does human text run out? Three assumptions to change, and when demand meets the stock, by
// the law that stands in the page. What is said is said aloud when a slider comes to rest.
(() => {
  const FIRST = 2022, LAST = 2042, LEFT = 44, RIGHT = 330, TOP = 24, BOTTOM = 172;
  const LOW = 12, HIGH = 16.5;  // of the axis of tokens, powers of ten

  // The normal law; Abramowitz and Stegun 7.1.26, right to seven digits.
  function normal(z) {
    const x = Math.abs(z) / Math.SQRT2, t = 1 / (1 + 0.3275911 * x);
    const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741
      + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-x * x);
    return z > 0 ? 1 - tail / 2 : tail / 2;
  }

  // Each slider moves a mean; the spreads stay as they are.
  function moved({ law, usual }, { overtraining, quality, growth }) {
    return {
      ...law,
      gap: law.gap + Math.log10(quality / usual.quality)
        - Math.log10(overtraining / usual.overtraining) / 2,
      pace: law.pace + Math.log10(growth / usual.growth),
    };
  }

  function chance(data, choice, year) {
    const { gap, gap_sd, pace, pace_sd } = moved(data, choice), t = year - data.start;
    const spread = Math.hypot(gap_sd, t * pace_sd);
    const of = (node) => normal((t * pace - (gap - node)) / spread);
    return data.nodes.reduce((sum, node) => sum + of(node), 0) / data.nodes.length;
  }

  function quantile(data, choice, share) {
    let low = data.start - 15, high = data.start + 100;
    while (high - low > 1e-4) {
      const middle = (low + high) / 2;
      if (chance(data, choice, middle) < share) low = middle; else high = middle;
    }
    return (low + high) / 2;
  }

  function picture(data, choice, [early, half, late]) {
    const { gap } = moved(data, choice), middle = data.nodes[Math.floor(data.nodes.length / 2)];
    const largest = data.largest + Math.log10(choice.overtraining / data.usual.overtraining) / 2;
    const stock = gap - middle + largest, t = (year) => year - data.start;
    const clip = (value, low, high) => Math.min(Math.max(value, low), high);
    const x = (year) =>
      LEFT + ((RIGHT - LEFT) * (clip(year, FIRST, LAST) - FIRST)) / (LAST - FIRST);
    const y = (log) => BOTTOM - ((BOTTOM - TOP) * (clip(log, LOW, HIGH) - LOW)) / (HIGH - LOW);
    const at = (value) => value.toFixed(1);
    const text = (px, py, anchor, words) => widget.text(at(px), at(py), anchor, words);
    const line = (points, width, more) =>
      widget.line(points.map(([px, py]) => `${at(px)},${at(py)}`).join(" "), width, more);
    const years = [...Array(81).keys()].map((k) => FIRST + (k * (LAST - FIRST)) / 80);
    const demand = (year) => largest
      + t(year) * (data.law.pace + data.stock_growth + Math.log10(choice.growth / data.usual.growth));
    const have = (year) => stock + t(year) * data.stock_growth;
    const shown = (of) => years.filter((year) => of(year) >= LOW && of(year) <= HIGH)
      .map((year) => [x(year), y(of(year))]);
    const past = shown(demand).at(-1);
    return [13, 14, 15, 16].map((log) => line([[LEFT, y(log)], [RIGHT, y(log)]], 0.5, 'opacity="0.4"')
      + text(LEFT - 5, y(log) + 4, "end", (10 ** (log - 12)).toLocaleString("en"))).join("")
      + [2024, 2028, 2032, 2036, 2040].map((year) =>
        text(x(year), BOTTOM + 30, "middle", year)).join("")
      + text(0, 12, "start", "tokens, in trillions")
      + `<rect x="${x(early).toFixed(1)}" y="${TOP}" width="${(x(late) - x(early)).toFixed(1)}" `
      + `height="${BOTTOM - TOP + 12}" fill="currentcolor" opacity="0.15"/>`
      + line([[x(half), TOP], [x(half), BOTTOM + 12]], 1, 'stroke-dasharray="4 3"')
      + line(shown(have), 2.5, "") + text(RIGHT, y(have(LAST)) + 16, "end", "stock")
      + line(shown(demand), 2.5, 'stroke-dasharray="8 3"')
      + (past ? text(past[0] - 6, past[1] + 4, "end", "demand") : "")
      + text((LEFT + RIGHT) / 2, BOTTOM + 43, "middle", "year; shaded: four chances in five");
  }

  function sentence([early, half, late], soon) {
    const told = (year) => (year > 2060 ? "after 2060" : year.toFixed(1));
    return `Demand meets the stock by ${told(half)} as likely as not, and four times in five `
      + `between ${told(early)} and ${told(late)}. `
      + `The chance that it has by the end of 2026 is ${(100 * soon).toFixed(0)}\u00a0%.`;
  }

  function prepare(box, data) {
    const ranges = [...box.querySelectorAll("input")];
    return () => {
      const choice = {};
      for (const range of ranges) {
        const value = data.choices[range.name][Number(range.value)];
        choice[range.name] = value;
        range.previousElementSibling.textContent = value;
        range.setAttribute("aria-valuetext", value);
      }
      const years = [0.1, 0.5, 0.9].map((share) => quantile(data, choice, share));
      box.querySelector("svg").innerHTML = picture(data, choice, years);
      box.querySelector(".runout-said").textContent = sentence(years, chance(data, choice, 2027));
    };
  }

  window.runout = { chance, quantile };  // for tests
  document.addEventListener("DOMContentLoaded", () => widget.play("runout", prepare));
})();
