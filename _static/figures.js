// Figures: a click enlarges, a button copies a citation, a link leads to the code. The gallery,
// the list of numbers and the ledger: search by words, choice of chapter and the like.
(() => {
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

  function enlarge(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;  // a tab of its own, as asked
    event.preventDefault();
    const small = event.currentTarget.querySelector("img");
    const dialog = document.createElement("dialog");
    dialog.className = "figure-large";
    dialog.setAttribute("aria-label", "The figure, large");
    dialog.innerHTML = '<form method="dialog"><button>close</button></form>';
    const large = dialog.appendChild(new Image());
    large.src = event.currentTarget.href;
    large.alt = small.alt;
    dialog.addEventListener("click", (on) => { if (on.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => dialog.remove());
    document.querySelector("article").append(dialog);
    dialog.showModal();
  }

  // What is chosen stands in the address, so that a choice can be linked to.
  function gallery(form) {
    const items = [...document.querySelectorAll(form.dataset.items || ".gallery > li")];
    const fields = [...form.elements].filter((field) => field.name);
    const asked = new URLSearchParams(location.search);
    function filter() {
      const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = [...form.querySelectorAll("select")].filter((select) => select.value);
      let shown = 0;
      for (const item of items) {
        const here = chosen.every((select) => item.dataset[select.name].split(" ").includes(select.value))
          && words.every((word) => item.dataset.words.includes(word));
        item.hidden = !here;
        shown += here;
      }
      form.querySelector("output").textContent = `${shown} of ${items.length} ${form.dataset.what || "figures"}`;
    }
    form.addEventListener("input", () => {
      const chosen = new URLSearchParams(fields.filter((field) => field.value).map((field) => [field.name, field.value]));
      history.replaceState(null, "", chosen.size ? `?${chosen}` : location.pathname);
      filter();
    });
    for (const field of fields) field.value = asked.get(field.name) ?? "";
    filter();
  }

  // The code of a page lies folded at its end: whoever comes for it finds it open.
  function code() {
    const fold = document.getElementById("page-code");
    if (!fold) return;
    const open = () => {
      if (location.hash !== "#page-code") return;
      fold.open = true;
      fold.scrollIntoView();
    };
    addEventListener("hashchange", open);
    document.querySelectorAll(".figure-code").forEach((link) => {
      link.addEventListener("click", () => setTimeout(open));
    });
    open();
  }

  // A table that is wider than its place scrolls by keys as well, if it can be focused.
  const SCROLLING = ".pst-scrollable-table-container, .text_html:has(> table)";
  const scrollable = new ResizeObserver((entries) => {
    for (const box of new Set(entries.map((entry) => entry.target.closest(SCROLLING)))) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  });

  // In print every picture is there, also one that was never scrolled to.
  addEventListener("beforeprint", () => {
    document.querySelectorAll("img").forEach((image) => { image.loading = "eager"; });
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(SCROLLING).forEach((box) => {
      scrollable.observe(box);
      if (box.firstElementChild) scrollable.observe(box.firstElementChild);
    });
    document.querySelectorAll(".figure-copy").forEach((button) => {
      button.addEventListener("click", () => copy(button));
    });
    document.querySelectorAll("a.figure-whole").forEach((link) => {
      link.addEventListener("click", enlarge);
    });
    const form = document.querySelector(".gallery-search");
    if (form) gallery(form);
    code();
  });
})();
