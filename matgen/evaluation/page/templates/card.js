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

  // Browsers keep about sixteen WebGL contexts: what is out of sight gives its own up. The still picture is there instead.
  const most = 12;
  const stills = new WeakMap();
  const inSight = new Set();
  function draw(place) {
    if (drawn.has(place) || !window.$3Dmol) return;
    if (drawn.size >= most) {
      const hidden = [...drawn.keys()].find((one) => !inSight.has(one));
      if (!hidden) return;
      forget(hidden);
    }
    const scene = JSON.parse(place.closest(".matgen-card").querySelector(".matgen-scene").textContent);
    stills.set(place, [...place.childNodes]);
    place.replaceChildren();
    try {
      const viewer = window.$3Dmol.createViewer(place, { antialias: true });
      fill(viewer, scene, surface(place));
      drawn.set(place, viewer);
      place.dataset.drawn = "yes";
    } catch (error) {  // no WebGL
      place.replaceChildren(...stills.get(place));
      if (watcher) watcher.unobserve(place);
      inSight.delete(place);
    }
  }

  function forget(place) {
    const canvas = place.querySelector("canvas");
    const context = canvas && (canvas.getContext("webgl2") || canvas.getContext("webgl"));
    const lose = context && context.getExtension("WEBGL_lose_context");
    if (lose) lose.loseContext();
    place.replaceChildren(...(stills.get(place) || []));
    delete place.dataset.drawn;
    drawn.delete(place);
  }

  const watcher = "IntersectionObserver" in window
    ? new IntersectionObserver((seen) => {
      for (const one of seen) inSight[one.isIntersecting ? "add" : "delete"](one.target);
      inSight.forEach(draw);
    }, { rootMargin: "100px" })
    : null;

  const turns = { ArrowLeft: [-10, "y"], ArrowRight: [10, "y"], ArrowUp: [-10, "x"], ArrowDown: [10, "x"] };
  const zooms = { "+": 1.2, "=": 1.2, "-": 1 / 1.2 };
  function press(event) {
    const viewer = drawn.get(event.currentTarget);
    if (!viewer || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in turns) viewer.rotate(...turns[event.key]);
    else if (event.key in zooms) viewer.zoom(zooms[event.key]);
    else return;
    event.preventDefault();
    viewer.render();
  }

  // A wheel or a finger that goes over a structure scrolls the page, until the structure has been clicked.
  function letPass(event) {
    if (document.activeElement !== event.currentTarget) event.stopPropagation();
  }
  function bind(place) {
    place.addEventListener("keydown", press);
    for (const name of ["wheel", "touchstart", "touchmove"]) place.addEventListener(name, letPass, { capture: true, passive: true });
    place.addEventListener("mousedown", () => place.focus({ preventScroll: true }), { capture: true });
    if (watcher) watcher.observe(place); else draw(place);
  }

  // Pages that were not loaded from this machine over https have no clipboard of their own but the old command.
  function written(text, code) {
    const byCommand = () => {
      getSelection().selectAllChildren(code);
      return document.execCommand("copy") ? Promise.resolve() : Promise.reject(new Error("no clipboard"));
    };
    return navigator.clipboard ? navigator.clipboard.writeText(text).catch(byCommand) : byCommand();
  }

  function copy(button) {
    const code = button.parentElement.querySelector("code");
    const label = button.querySelector("span");
    const said = label.dataset.said || label.textContent;
    label.dataset.said = said;
    const show = (words) => {
      label.textContent = words;
      setTimeout(() => { label.textContent = said; }, 1500);
    };
    written(code.textContent, code).then(() => show("Copied"), () => show("Selected: press Ctrl+C"));
  }

  function attach(root) {
    for (const card of (root || document).querySelectorAll(".matgen-card")) {
      if (card.dataset.attached) continue;
      card.dataset.attached = "yes";
      const place = card.querySelector(".matgen-view");
      if (place) bind(place);
      card.querySelectorAll(".matgen-copy").forEach((button) => button.addEventListener("click", () => copy(button)));
      card.querySelectorAll("[data-action]").forEach((button) => button.addEventListener("click", () => {
        const detail = { action: button.dataset.action, formula: card.dataset.formula };
        card.dispatchEvent(new CustomEvent("matgen-card", { bubbles: true, detail }));
      }));
    }
    for (const place of [...drawn.keys(), ...inSight]) if (!place.isConnected) { forget(place); inSight.delete(place); }
  }

  function recolor() {
    for (const [place, viewer] of drawn) { viewer.setBackgroundColor(surface(place)); viewer.render(); }
  }
  dark.addEventListener("change", () => setTimeout(recolor, 50));
  const watchBody = () => new MutationObserver(recolor).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  for (const [name, value] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(name, () => { printing = value; recolor(); });
  }
  const start = () => { watchBody(); attach(document); };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
  return { attach, recolor };
})();
