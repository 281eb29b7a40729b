// The periodic tables: one tab stop each, arrows go from element to element. Scrolling to what has come.
"use strict";
window.matgenShow = (element) => {
  const top = element.getBoundingClientRect().top;
  if (top >= 0 && top < innerHeight / 2) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
};
(() => {
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const place = (button) => [parseInt(button.style.gridRowStart, 10), parseInt(button.style.gridColumnStart, 10)];
  const elements = (table) => [...table.querySelectorAll("button:enabled")];

  // The nearest element in a direction, along the row or the column of the focused one.
  function next(table, from, key) {
    const [row, column] = place(from);
    if (key === "Home" || key === "End") {
      const line = elements(table).filter((one) => place(one)[0] === row).sort((a, b) => place(a)[1] - place(b)[1]);
      return line.at(key === "Home" ? 0 : -1);
    }
    const [down, right] = steps[key];
    const ahead = (one) => {
      const [r, c] = place(one);
      return down ? (c === column ? (r - row) * down : 0) : (r === row ? (c - column) * right : 0);
    };
    return elements(table).filter((one) => ahead(one) > 0).sort((a, b) => ahead(a) - ahead(b))[0];
  }

  document.addEventListener("focusin", (event) => {
    const table = event.target.closest(".periodic");
    if (!table) return;
    for (const one of table.querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
    event.target.tabIndex = 0;
  });

  document.addEventListener("keydown", (event) => {
    const table = event.target.closest(".periodic");
    if (!table || event.ctrlKey || event.altKey || event.metaKey) return;
    if (!(event.key in steps) && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    next(table, event.target, event.key)?.focus();
  });
})();
