// An alarm to set: gauge, text, rule and limit, and in which generations it would have rung. The
// data stand in the page; what is said is said aloud when a choice has been made.
(() => {
  const LEFT = 46, RIGHT = 326, TOP = 24, BOTTOM = 172;

  // What the rule reads, by generation; after an alarm the sum starts anew.
  function statistic(rule, changes, limit) {
    let state = 0;
    return changes.map((change) => {
      const now = rule === "sum" ? Math.max(0, state + change - 0.5) : change;
      state = now >= limit ? 0 : now;
      return now;
    });
  }

  function picture(lines, limit, write, name) {
    const values = lines.flat().concat([limit, 0]);
    const low = Math.min(...values), high = Math.max(...values) * 1.08;
    const steps = Math.max(...lines.map((line) => line.length));
    const x = (n) => (LEFT + ((RIGHT - LEFT) * (n - 1)) / Math.max(steps - 1, 1)).toFixed(1);
    const y = (value) => (BOTTOM - ((BOTTOM - TOP) * (value - low)) / (high - low)).toFixed(1);
    const { text, line } = widget;
    const odd = steps > 10 ? 2 : 1;
    return line(`${LEFT},${y(0)} ${RIGHT},${y(0)}`, 0.5, 'opacity="0.5"')
      + line(`${LEFT},${y(limit)} ${RIGHT},${y(limit)}`, 1.5, 'stroke-dasharray="5 3"')
      + text(LEFT - 6, Number(y(limit)) + 4, "end", write(limit))
      + (Math.abs(y(limit) - y(0)) > 14 ? text(LEFT - 6, Number(y(0)) + 4, "end", write(0)) : "")
      + [...Array(steps).keys()].filter((n) => n % odd === 0).map((n) =>
        text(x(n + 1), BOTTOM + 17, "middle", n + 1)).join("")
      + text((LEFT + RIGHT) / 2, BOTTOM + 34, "middle", "generation after the change")
      + text(0, 12, "start", name)
      + lines.map((one) => line(one.map((value, n) => `${x(n + 1)},${y(value)}`).join(" "), 1.2)
        + one.map((value, n) => (value >= limit
          ? `<circle cx="${x(n + 1)}" cy="${y(value)}" r="4" fill="#d55e00"/>` : "")).join("")
      ).join("");
  }

  function sentence(lines, limit, rate, chain) {
    const first = lines.map((line) => line.findIndex((value) => value >= limit) + 1);
    const rang = first.filter((n) => n > 0);
    const when = rang.length
      ? `It rings in ${rang.length} of ${first.length} chains, first in generation `
        + `${rang.join(", ")}.`
      : `It rings in none of ${first.length} chains.`;
    return `${chain}: ${when} For nothing it rings ${rate} times in 100 generations.`;
  }

  function prepare(box, data) {
    if (!data.gauges.length || !data.chains.length) return null;
    const form = box.querySelector("form"), fields = form.elements;
    data.gauges.forEach((gauge, n) => fields.gauge.add(new Option(gauge.name, n)));
    data.chains.forEach((chain, n) => fields.chain.add(new Option(chain.name, n)));
    fields.chain.value = Math.min(4, data.chains.length - 1);

    // The limit that rings for nothing twice in a hundred generations, or as near as there is.
    function usual() {
      const steps = data.gauges[fields.gauge.value][fields.rule.value];
      const found = steps.findIndex(([, rate]) => rate <= 2);
      fields.limit.max = steps.length - 1;
      fields.limit.value = found < 0 ? steps.length - 1 : found;
    }

    form.addEventListener("input", ({ target }) => {
      if (target.name === "gauge" || target.name === "rule") usual();
    }, true);
    usual();
    return () => {
      const rule = fields.rule.value, gauge = data.gauges[fields.gauge.value];
      const chain = data.chains[fields.chain.value];
      const [limit, rate] = gauge[rule][fields.limit.value];
      const lines = chain.seeds.map((seed) =>
        statistic(rule, seed[rule][fields.gauge.value], limit));
      const per_cent = (value) => `${Math.round(100 * Math.exp(gauge.sign * value))}\u00a0%`;
      const write = rule === "sum" ? (value) => String(Math.round(10 * value) / 10) : per_cent;
      box.querySelector("output").textContent = write(limit);
      fields.limit.setAttribute("aria-valuetext", write(limit));
      box.querySelector("svg").innerHTML = picture(lines, limit, write,
        rule === "sum" ? "running sum, in standard deviations" : "of the run-in");
      box.querySelector(".alarm-said").textContent = sentence(lines, limit, rate, chain.name);
    };
  }

  document.addEventListener("DOMContentLoaded", () => widget.play("alarm", prepare));
})();
