// See it happen: a prompt and a generation to choose, each token as dark as it surprises
// generation 0. The texts are a script, since a page opened from disk may not fetch.
(() => {
  const percent = (x) => `${(100 * x).toFixed(1)}\u00a0%`;

  function fill(place, passage, levels) {
    const pieces = passage.pieces.map(([text, bits]) => {
      const piece = document.createElement("span");
      piece.textContent = text;
      if (bits !== null) {
        piece.className = `surprise-${levels.filter((level) => bits >= level).length}`;
        piece.title = `${bits.toFixed(1)} bits`;
      }
      return piece;
    });
    place.replaceChildren(...pieces);
  }

  // The share of distinct words, up to the generation shown; the words beside it say the same.
  function line(svg, shares, n) {
    const top = Math.max(...shares) || 1;
    const x = (i) => 34 + (196 * i) / Math.max(shares.length - 1, 1);
    const y = (share) => 76 - (64 * share) / top;
    const points = shares.slice(0, n + 1).map((share, i) => `${x(i)},${y(share)}`);
    svg.innerHTML = `<path d="M34 12V76H230"/><polyline points="${points.join(" ")}"/>`
      + `<circle cx="${x(n)}" cy="${y(shares[n])}" r="4"/>`
      + `<text x="30" y="18" text-anchor="end">${Math.round(100 * top)}\u00a0%</text>`
      + '<text x="230" y="10" text-anchor="end">share of distinct words</text>'
      + '<text x="30" y="80" text-anchor="end">0</text><text x="34" y="92">0</text>'
      + '<text x="132" y="92" text-anchor="middle">generation</text>'
      + `<text x="230" y="92" text-anchor="end">${shares.length - 1}</text>`;
  }

  function summary(sample, distinct, n) {
    const bits = (passage) => `${passage.bits.toFixed(1)} bits`;
    const against = `a token of the human text, ${bits(sample.human)}`;
    return `Generation ${n}: on average a token of this text surprises generation 0 by `
      + `${bits(sample.generations[n])}; ${against}. Of the words that generation ${n} wrote `
      + `for all prompts, ${percent(distinct[n])} are distinct.`;
  }

  function play(box) {
    const { samples, distinct } = window.explorerTexts[box.id];
    const find = (what) => box.querySelector(what);
    const levels = box.dataset.levels.split(" ").map(Number);
    const prompt = find("select");
    const time = find("input[type=range]");
    samples.forEach((sample, k) => {
      const words = sample.prompt.replaceAll("¶", " ").trim().split(/\s+/).slice(0, 6);
      prompt.add(new Option(`${k + 1}: ${words.join(" ")} …`, k));
    });
    time.max = distinct.length - 1;

    function draw() {
      const n = Number(time.value);
      const sample = samples[Number(prompt.value)];
      find("output").textContent = n;
      time.setAttribute("aria-valuetext", `generation ${n}`);
      find(".explorer-prompt").textContent = `Prompt: ${sample.prompt}`;
      find(`#${CSS.escape(box.id)}-shown`).textContent = `generation ${n}`;
      fill(find("[data-passage=human]"), sample.human, levels);
      fill(find("[data-passage=first]"), sample.generations[0], levels);
      fill(find("[data-passage=shown]"), sample.generations[n], levels);
      find(".explorer-said").textContent = summary(sample, distinct, n);
      line(find("svg"), distinct, n);
    }

    prompt.addEventListener("change", draw);
    time.addEventListener("input", draw);
    draw();
    find(".explorer-play").hidden = false;
    box.classList.add("ready");
  }

  function load(box) {
    const script = document.createElement("script");
    script.src = box.dataset.texts;
    script.addEventListener("load", () => play(box));
    script.addEventListener("error", () => {
      box.querySelector(".explorer-failed").textContent =
        "The other prompts could not be loaded. Here is one:";
    });
    document.head.append(script);
  }

  // A screen before the reader comes to it; a page that is not read so far stays light.
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      load(target);
    }
  }, { rootMargin: "100% 0px" });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".explorer").forEach((box) => near.observe(box));
  });
})();
