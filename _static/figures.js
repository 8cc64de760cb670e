// Cards of figures: absolute addresses in citations, and a button that copies them.
// The gallery: search by words, choice of chapter. Pages with code: a button for all of it.
(() => {
  function address(block) {
    const url = new URL(block.dataset.page, document.baseURI).href.split("#")[0];
    const text = block.textContent;
    if (block.dataset.kind === "BibTeX" && !/\burl\b/.test(text)) {
      block.textContent = text.replace(/\n}$/, `\n  url          = {${url}},\n}`);
    } else if (block.dataset.kind === "CSL-JSON") {
      const items = JSON.parse(text);
      items[0].URL = items[0].URL || url;
      block.textContent = JSON.stringify(items, null, 1);
    }
  }

  async function copy(button) {
    const block = button.parentElement.querySelector(".figure-cite");
    try {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "copied";
    } catch {  // no permission, or no secure page: select it, so that a key copies it
      getSelection().selectAllChildren(block);
      button.textContent = "press Ctrl-C";
    }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  }

  function gallery(form) {
    const items = [...document.querySelectorAll(".gallery > li")];
    function filter() {
      const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const item of items) {
        const here = (!form.chapter.value || item.dataset.chapter === form.chapter.value)
          && words.every((word) => item.dataset.words.includes(word));
        item.hidden = !here;
        shown += here;
      }
      form.querySelector("output").textContent = `${shown} of ${items.length} figures`;
    }
    form.addEventListener("input", filter);
    filter();
  }

  function allCode() {
    const cells = [...document.querySelectorAll("main details.hide")];
    const title = document.querySelector("article h1");
    if (!cells.length || !title) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "all-code";
    const say = (open) => {
      button.textContent = open ? "Hide all code" : "Show all code";
      button.setAttribute("aria-pressed", String(open));
    };
    say(false);
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-pressed") !== "true";
      cells.forEach((cell) => { cell.open = open; });
      say(open);
    });
    title.insertAdjacentElement("afterend", button);
  }

  // A table that is wider than its place scrolls by keys as well, if it can be focused.
  const scrollable = new ResizeObserver((entries) => {
    for (const box of new Set(entries.map((entry) => entry.target.closest("div")))) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".pst-scrollable-table-container").forEach((box) => {
      scrollable.observe(box);
      if (box.firstElementChild) scrollable.observe(box.firstElementChild);
    });
    document.querySelectorAll(".figure-cite").forEach(address);
    document.querySelectorAll(".figure-copy").forEach((button) => {
      button.addEventListener("click", () => copy(button));
    });
    const form = document.querySelector(".gallery-search");
    if (form) gallery(form);
    allCode();
  });
})();
