// The crystal that is chosen in the table, drawn by 3Dmol from data that stand in the page as JSON.
"use strict";
(() => {
  const source = document.getElementById("crystal-data");
  if (!source || !window.$3Dmol) return;
  const scenes = JSON.parse(source.textContent);
  const place = document.getElementById("crystal-view");
  const words = document.getElementById("crystal-words");
  const title = document.getElementById("crystal-title");
  const legend = document.getElementById("crystal-legend");
  const choices = Array.from(document.querySelectorAll(".crystal-choice"));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let viewer = null;
  let shown = null;
  let printing = false;
  const isDark = () => dark.matches && !printing;

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

  function draw(scene) {
    viewer.clear();
    color();
    const atoms = scene.atoms.map(([elem, x, y, z], index) => ({ elem, x, y, z, index, serial: index, bonds: [], bondOrder: [] }));
    for (const [one, other] of scene.bonds) {
      atoms[one].bonds.push(other); atoms[one].bondOrder.push(1);
      atoms[other].bonds.push(one); atoms[other].bondOrder.push(1);
    }
    const model = viewer.addModel();
    model.addAtoms(atoms);
    for (const [elem, { color, radius }] of Object.entries(scene.elements)) {
      viewer.setStyle({ elem }, { sphere: { color, radius: 0.45 * radius }, stick: { color, radius: 0.09 } });
    }
    for (const [start, end] of edges(scene.cell)) viewer.addLine({ start, end, color: isDark() ? "#a4adb6" : "#59626b" });
    viewer.zoomTo();
    viewer.rotate(20, "y");
    viewer.rotate(12, "x");
    viewer.zoom(0.9);
    viewer.render();
  }

  function color() {
    viewer.setBackgroundColor(isDark() ? "#1b2025" : "#ffffff");
  }

  function choose(button) {
    const scene = scenes[Number(button.dataset.place)];
    choices.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    title.textContent = button.textContent;
    words.textContent = scene.words;
    legend.replaceChildren(...Object.entries(scene.elements).map(([symbol, { color }]) => {
      const item = document.createElement("span");
      const dot = document.createElement("i");
      dot.style.background = color;
      item.append(dot, symbol);
      return item;
    }));
    try {
      viewer = viewer || window.$3Dmol.createViewer(place, { antialias: true, id: "crystal-canvas" });
      draw(scene);
      shown = button;
    } catch (error) {
      viewer = null;
      words.textContent = `${scene.words}. It cannot be drawn here: this browser has no WebGL. Open the CIF file instead.`;
    }
  }

  choices.forEach((button, index) => {
    button.addEventListener("click", () => choose(button));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const next = step && choices[index + step];
      if (!next) return;
      event.preventDefault();
      next.focus();
      choose(next);
    });
  });
  // The arrow keys turn what is shown.
  place.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: [-10, "y"], ArrowRight: [10, "y"], ArrowUp: [-10, "x"], ArrowDown: [10, "x"] }[event.key];
    if (!turn || !viewer) return;
    event.preventDefault();
    viewer.rotate(...turn);
    viewer.render();
  });
  dark.addEventListener("change", () => { if (viewer && shown) choose(shown); });
  for (const [name, value] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(name, () => {
      printing = value;
      if (viewer) { color(); viewer.render(); }
    });
  }
  if (choices.length) choose(choices[0]);
})();
