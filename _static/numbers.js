// Numbers of the text: pointed at or focused they say what they are; a click copies their address.
// Without this script they are links to themselves with a title.
(() => {
  const NUMBERS = "data.number > a";
  let tip = null, shown = null, leaving = 0;

  function hide() {
    tip?.remove();
    shown?.removeAttribute("aria-describedby");
    tip = shown = null;
  }

  function say(link, last) {
    clearTimeout(leaving);
    hide();
    shown = link;
    if (link.title) {
      link.dataset.told = link.title;
      link.removeAttribute("title");  // or the browser would show it as well
    }
    tip = document.createElement("div");
    tip.id = tip.className = "number-told";
    tip.setAttribute("role", "tooltip");
    tip.textContent = `${link.dataset.told}\n${last}`;
    document.body.append(tip);
    link.setAttribute("aria-describedby", tip.id);
    const box = link.getClientRects()[0], below = box.bottom + 6;
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${below + tip.offsetHeight < innerHeight ? below : box.top - tip.offsetHeight - 6}px`;
  }

  async function copy(event) {
    const link = event.target.closest(NUMBERS);
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.replaceState(null, "", link.href);
    try {
      await navigator.clipboard.writeText(link.href);
      say(link, "Link copied");
    } catch {  // no permission, or no secure page
      say(link, link.href);
    }
  }

  function come(event) {
    const link = event.target.closest?.(NUMBERS);
    if (link && link !== shown) say(link, "Click: copy link");
    else if (event.target === tip || link) clearTimeout(leaving);
  }

  function go() {
    leaving = setTimeout(hide, 200);  // time to reach what is said, and to select from it
  }

  document.addEventListener("pointerover", come);
  document.addEventListener("focusin", come);
  document.addEventListener("pointerout", (event) => { if (event.target === tip || event.target.closest?.(NUMBERS)) go(); });
  document.addEventListener("focusout", go);
  document.addEventListener("click", copy);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true });
})();
