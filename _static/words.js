// How long does a word last? A word's count decides: each copy has a Poisson number of copies in
// the next text, one on average, and the word is gone when all lines of copies have died out.
(() => {
  const percent = (p) => {
    if (p < 0.001 || p > 0.999) return p < 0.5 ? "< 0.1\u00a0%" : "> 99.9\u00a0%";
    return `${(100 * p).toFixed(p < 0.1 || p > 0.9 ? 1 : 0)}\u00a0%`;
  };
  const whole = (n) => (n < 1000 ? n : Number(n.toPrecision(3))).toLocaleString("en");

  // Chance that a word is gone after so many redraws. One minus the chance for a single copy is
  // followed, as it is small after many redraws.
  function gone(count, redraws) {
    let alive = 1;
    for (let n = 0; n < redraws; n += 1) alive = -Math.expm1(-alive);
    return (1 - alive) ** count;
  }

  // The first generation by which a word is gone with a chance of a half.
  function halfLife(count) {
    let [alive, n] = [1, 0];
    while (count * Math.log1p(-alive) < -Math.LN2) {
      alive = -Math.expm1(-alive);
      n += 1;
    }
    return n;
  }

  const forms = (word) => [...new Set([
    word, word.toLowerCase(), word.charAt(0).toUpperCase() + word.slice(1).toLowerCase(),
  ])];

  function play(box) {
    const { counts, after, least } = JSON.parse(box.querySelector("script[type='application/json']")
      .textContent);
    const known = new Map(Object.entries(counts).flatMap(([count, words]) => (
      words.split(" ").map((word) => [word, Number(count)]))));
    const rare = [...known.keys()].filter((word) => known.get(word) < least);
    const [field, said] = [box.querySelector("input"), box.querySelector(".play-said")];
    const row = box.querySelector("tbody").insertRow(0);
    row.className = "asked";
    row.hidden = true;

    function tell() {
      const word = field.value.trim();
      const found = forms(word).find((form) => known.has(form));
      row.hidden = found === undefined;
      if (!word) {
        said.textContent = "";
      } else if (found === undefined) {
        said.textContent = `“${word}” is not on the list that came with this page. It holds the `
          + `words that occur ${least} times or more, and some of the rarer ones.`;
      } else {
        const count = known.get(found);
        const cells = [found, count.toLocaleString("en"), whole(halfLife(count)),
          ...after.map((n) => percent(gone(count, n)))];
        row.replaceChildren(...cells.map((text, i) => {
          const cell = document.createElement(i ? "td" : "th");
          if (!i) cell.scope = "row";
          cell.textContent = text;
          return cell;
        }));
        said.textContent = `“${found}” occurs ${count === 1 ? "once" : `${cells[1]} times`}. It is gone with `
          + `a chance of a half within ${cells[2]} redraws.`;
      }
    }

    const pick = (words) => {
      field.value = words[Math.floor(words.length * Math.random())];
      tell();
    };
    field.addEventListener("input", tell);
    box.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    box.querySelector(".play-rare").addEventListener("click", () => pick(rare));
    box.querySelector(".play-any").addEventListener("click", () => pick([...known.keys()]));
    box.querySelector("form").hidden = false;
    tell();
  }

  window.words = { gone, halfLife };
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".play-words").forEach(play);
  });
})();
