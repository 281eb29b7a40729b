// The cards of candidates: structures drawn by 3Dmol when they come into sight, commands copied, buttons told to the page.
"use strict";
window.matgenCards = window.matgenCards || (() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();
  let printing = false;

  // The surface of the card itself says whether it is dark: pages have switches of their own.
  function surface(place) {
    if (printing) return "#ffffff";
    const card = place.closest(".matgen-card");
    return getComputedStyle(card).getPropertyValue("--mc-card").trim() || "#ffffff";
  }

  function edges(cell) {
    const corner = (i, j, k) => {
      const sum = [0, 1, 2].map((axis) => i * cell[0][axis] + j * cell[1][axis] + k * cell[2][axis]);
      return { x: sum[0], y: sum[1], z: sum[2] };
    };
    const lines = [];
    for (const [a, b] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      lines.push([corner(0, a, b), corner(1, a, b)], [corner(a, 0, b), corner(a, 1, b)], [corner(a, b, 0), corner(a, b, 1)]);
    }
    return lines;
  }

  function fill(viewer, scene, background) {
    viewer.clear();
    viewer.setBackgroundColor(background);
    const atoms = scene.atoms.map(([elem, x, y, z], index) => ({ elem, x, y, z, index, serial: index, bonds: [], bondOrder: [] }));
    for (const [one, other] of scene.bonds) {
      atoms[one].bonds.push(other); atoms[one].bondOrder.push(1);
      atoms[other].bonds.push(one); atoms[other].bondOrder.push(1);
    }
    viewer.addModel().addAtoms(atoms);
    for (const [elem, { color, radius }] of Object.entries(scene.elements)) {
      viewer.setStyle({ elem }, { sphere: { color, radius: 0.45 * radius }, stick: { color, radius: 0.09 } });
    }
    for (const [start, end] of edges(scene.cell)) viewer.addLine({ start, end, color: "#7d868f" });
    viewer.zoomTo();
    viewer.rotate(20, "y");
    viewer.rotate(12, "x");
    viewer.zoom(0.9);
    viewer.render();
  }

  // Browsers keep about sixteen WebGL contexts: the ones drawn first are given up for those in sight.
  const most = 12;
  function draw(place) {
    if (drawn.has(place) || !window.$3Dmol) return;
    const scene = JSON.parse(place.closest(".matgen-card").querySelector(".matgen-scene").textContent);
    try {
      const viewer = window.$3Dmol.createViewer(place, { antialias: true });
      fill(viewer, scene, surface(place));
      drawn.set(place, viewer);
      place.dataset.drawn = "yes";
    } catch (error) {
      place.textContent = "This browser has no WebGL: open the CIF file instead.";
    }
    if (drawn.size > most) forget(drawn.keys().next().value);
  }

  function forget(place) {
    const canvas = place.querySelector("canvas");
    const context = canvas && (canvas.getContext("webgl2") || canvas.getContext("webgl"));
    const lose = context && context.getExtension("WEBGL_lose_context");
    if (lose) lose.loseContext();
    place.replaceChildren();
    delete place.dataset.drawn;
    drawn.delete(place);
    if (watcher) { watcher.unobserve(place); watcher.observe(place); }
  }

  const watcher = "IntersectionObserver" in window
    ? new IntersectionObserver((seen) => seen.forEach((one) => { if (one.isIntersecting) draw(one.target); }), { rootMargin: "100px" })
    : null;

  function turn(event) {
    const by = { ArrowLeft: [-10, "y"], ArrowRight: [10, "y"], ArrowUp: [-10, "x"], ArrowDown: [10, "x"] }[event.key];
    const viewer = drawn.get(event.currentTarget);
    if (!by || !viewer) return;
    event.preventDefault();
    viewer.rotate(...by);
    viewer.render();
  }

  function copy(button) {
    const text = button.parentElement.querySelector("code").textContent;
    const said = button.textContent;
    const show = (words) => {
      button.textContent = words;
      setTimeout(() => { button.textContent = said; }, 1500);
    };
    const written = navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject(new Error("no clipboard"));
    written.then(() => show("Copied"), () => {
      // Where the clipboard is shut, the command is marked for the keys of the user.
      getSelection().selectAllChildren(button.parentElement.querySelector("code"));
      show("Marked: press Ctrl+C");
    });
  }

  function attach(root) {
    for (const card of (root || document).querySelectorAll(".matgen-card")) {
      if (card.dataset.attached) continue;
      card.dataset.attached = "yes";
      const place = card.querySelector(".matgen-view");
      if (place) {
        place.addEventListener("keydown", turn);
        if (watcher) watcher.observe(place); else draw(place);
      }
      card.querySelectorAll(".matgen-copy").forEach((button) => button.addEventListener("click", () => copy(button)));
      card.querySelectorAll("[data-action]").forEach((button) => button.addEventListener("click", () => {
        const detail = { action: button.dataset.action, formula: card.dataset.formula };
        card.dispatchEvent(new CustomEvent("matgen-card", { bubbles: true, detail }));
      }));
    }
    for (const place of [...drawn.keys()]) if (!place.isConnected) drawn.delete(place);
  }

  function recolor() {
    for (const [place, viewer] of drawn) { viewer.setBackgroundColor(surface(place)); viewer.render(); }
  }
  dark.addEventListener("change", () => setTimeout(recolor, 50));
  for (const [name, value] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(name, () => { printing = value; recolor(); });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => attach(document));
  else attach(document);
  return { attach, recolor };
})();
