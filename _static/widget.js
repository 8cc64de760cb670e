// What the things to play with have in common: they draw at every input, what they say is said
// aloud once a choice is made, and without a script they stay hidden.
window.widget = (() => {
  const text = (x, y, anchor, words) =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="12" fill="currentcolor">`
    + `${words}</text>`;
  const line = (points, width, more = "") =>
    `<polyline points="${points}" fill="none" stroke="currentcolor" stroke-width="${width}" `
    + `${more}/>`;

  // `prepare` gets box and data and returns what draws, or nothing where there is nothing to show.
  function play(kind, prepare) {
    document.querySelectorAll(`div.${kind}`).forEach((box) => {
      const data = box.querySelector("script");
      const draw = prepare(box, data && JSON.parse(data.textContent));
      if (!draw) return;
      const form = box.querySelector("form");
      form.addEventListener("input", draw, true);
      form.addEventListener("change", () => {
        draw();
        box.querySelector(`.${kind}-heard`).textContent =
          box.querySelector(`.${kind}-said`).textContent;
      }, true);
      draw();
      box.hidden = false;
    });
  }

  return { text, line, play };
})();
