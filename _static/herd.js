// Herds to play with: a hundred herds of cats, drawn here, generation after generation. The next
// herd is drawn from the last one, with or without fresh cats, or from all cats that there ever
// were. Beside them stands what the law says; nothing moves unless a reader asks for it.
(() => {
  const HERDS = 100;
  const PACE = 70; // milliseconds a generation
  const SVG = "http://www.w3.org/2000/svg";
  const percent = (x) => (x > 0 && x < 0.001 ? "< 0.1\u00a0%"
    : `${(100 * x).toFixed(x > 0.1 && x < 0.9 ? 0 : 1)}\u00a0%`);

  // Numbers from 0 to 1 that depend on the seed alone: Marsaglia's xorshift of 32 bits (2003).
  function generator(seed) {
    let x = seed >>> 0 || 1;
    const next = () => {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      return (x >>> 0) / 4294967296;
    };
    for (let i = 0; i < 20; i += 1) next(); // or small seeds would begin alike
    return next;
  }

  function binomial(n, p, random) {
    if (p <= 0 || p >= 1) return p <= 0 ? 0 : n;
    let found = 0;
    for (let i = 0; i < n; i += 1) found += random() < p;
    return found;
  }

  // Blue cats in each generation of one herd.
  function chain({ cats, blue, fresh }, way, generations, random) {
    const counts = [blue];
    let pool = blue; // blue cats that there ever were
    for (let n = 1; n <= generations; n += 1) {
      const last = counts[n - 1] / cats;
      let next;
      if (way === "fresh") {
        next = binomial(cats - fresh, last, random) + binomial(fresh, blue / cats, random);
      } else {
        next = binomial(cats, way === "keep" ? pool / (cats * n) : last, random);
      }
      pool += next;
      counts.push(next);
    }
    return counts;
  }

  function draw(setting, way, generations, seed, herds = HERDS) {
    const random = generator(seed);
    return Array.from({ length: herds }, () => chain(setting, way, generations, random));
  }

  function element(name, attributes, parent) {
    const made = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    parent.append(made);
    return made;
  }

  // A hundred small herds: as high as each is blue, the height is blue; struck out where none is.
  function smallHerds(svg) {
    return Array.from({ length: HERDS }, (_, k) => {
      const [x, y] = [3 + 22 * (k % 10), 3 + 22 * Math.floor(k / 10)];
      const group = element("g", {}, svg);
      element("rect", { x, y, width: 18, height: 18, class: "yellow" }, group);
      const blue = element("rect", { x, width: 18, class: "blue" }, group);
      element("path", { d: `M${x} ${y + 18}l18 -18`, class: "strike" }, group);
      if (k === 0) {
        element("rect", { x: x - 2, y: y - 2, width: 22, height: 22, class: "chosen" }, group);
      }
      return (share) => {
        group.setAttribute("class", share > 0 ? "alive" : "lost");
        blue.setAttribute("y", y + 18 * (1 - share));
        blue.setAttribute("height", 18 * share);
      };
    });
  }

  // The share of herds without a blue cat by generation: a line for the law, one for those here.
  function curve(svg, law, shares, n) {
    const x = (i) => 56 + (364 * i) / (law.length - 1);
    const y = (share) => 112 - 100 * share;
    const line = (values) => values.map((value, i) => `${x(i)},${y(value)}`).join(" ");
    svg.replaceChildren();
    element("path", { d: "M56 12V112H420" }, svg);
    element("polyline", { points: line(law), class: "law" }, svg);
    element("polyline", { points: line(shares.slice(0, n + 1)), class: "these" }, svg);
    element("circle", { cx: x(n), cy: y(shares[n]), r: 4 }, svg);
    const write = (text, left, top, anchor) => {
      element("text", { x: left, y: top, "text-anchor": anchor }, svg).textContent = text;
    };
    write("100 %", 52, 18, "end");
    write("0 %", 52, 116, "end");
    write("0", 56, 128, "middle");
    write("generation", 230, 128, "middle");
    write(law.length - 1, 420, 128, "end");
  }

  function play(box) {
    const setting = JSON.parse(box.querySelector("script[type='application/json']").textContent);
    const find = (what) => box.querySelector(what);
    const [time, button, said] = [find("input[type=range]"), find(".play-run"), find(".play-said")];
    const generations = setting.laws.replace.values.length - 1;
    const cats = [...find(".play-herd-one").querySelectorAll("circle")];
    const small = smallHerds(find(".play-herd-all"));
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    let { seed } = setting;
    let herds;
    let none; // of the herds, by generation: the share without a blue cat
    let timer = null;

    const way = () => find("input[type=radio]:checked").value;

    function redraw() {
      herds = draw(setting, way(), generations, seed);
      none = Array.from({ length: generations + 1 }, (_, n) => (
        herds.filter((herd) => herd[n] === 0).length / HERDS));
      show();
    }

    function show() {
      const [n, law] = [Number(time.value), setting.laws[way()]];
      const blue = herds[0][n];
      cats.forEach((cat, i) => cat.setAttribute("class", i < blue ? "blue" : "yellow"));
      small.forEach((paint, k) => paint(herds[k][n] / setting.cats));
      curve(find(".play-law svg"), law.values, none, n);
      find("output").textContent = n;
      time.setAttribute("aria-valuetext", `generation ${n}, ${blue} blue cats`);
      said.textContent = `Generation ${n}: ${blue} of the ${setting.cats} cats of the large herd are `
        + `blue. Without a blue cat: ${Math.round(HERDS * none[n])} of these ${HERDS} herds; `
        + `${law.origin}: ${percent(law.values[n])}. ${law.told}`;
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      button.textContent = still.matches ? "Ten generations on" : "Play";
      said.setAttribute("aria-live", "polite");
      show();
    }

    function step(by) {
      time.value = Math.min(generations, Number(time.value) + by);
      show();
      if (Number(time.value) === generations) stop();
    }

    button.addEventListener("click", () => {
      if (timer !== null) { stop(); return; }
      if (Number(time.value) === generations) time.value = 0;
      if (still.matches) { step(10); return; }
      said.setAttribute("aria-live", "off"); // or each generation would be read aloud
      button.textContent = "Pause";
      timer = setInterval(() => step(1), PACE);
    });
    find(".play-new").addEventListener("click", () => {
      seed = Math.floor(4294967296 * Math.random());
      redraw();
    });
    time.addEventListener("input", () => {
      if (timer !== null) stop();
      said.setAttribute("aria-live", "off");
      show();
    });
    time.addEventListener("change", stop);
    box.querySelectorAll("input[type=radio]").forEach((one) => one.addEventListener("change", redraw));
    still.addEventListener("change", stop);
    redraw();
    stop();
    find("form").hidden = false;
    box.classList.add("ready");
  }

  window.herds = { draw };
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".play-herd").forEach(play);
  });
})();
