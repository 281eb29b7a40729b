// The candidate table: filter, sort and page through rows that stand in the page as JSON.
"use strict";
(() => {
  const source = document.getElementById("candidate-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const columns = data.columns;
  const body = document.querySelector("#candidates tbody");
  const heads = Array.from(document.querySelectorAll("#candidates th[data-column]"));
  const query = document.getElementById("query");
  const flags = Array.from(document.querySelectorAll("select[data-column]"));
  const size = document.getElementById("page-size");
  const status = document.getElementById("status");
  const place = document.getElementById("place");
  const buttons = { first: null, previous: null, next: null, last: null };
  for (const name of Object.keys(buttons)) buttons[name] = document.getElementById(name);

  const state = { rows: [], page: 0, column: -1, descending: false };
  const all = Array.from({ length: data.n }, (_, row) => row);
  const count = (number) => number.toLocaleString("en-US");

  // All text of a row, once as it is and once in small letters. The lines keep one column from running into the next.
  const words = columns.filter((column) => ["text", "formula", "ions", "state"].includes(column.kind));
  const texts = all.map((row) => words.map((column) => column.values[row] || "").join("\n"));
  const small = texts.map((text) => text.toLowerCase());

  function value(column, row) {
    const found = column.values[row];
    if (column.kind !== "flag") return found;
    return found === "-" ? null : found === "1" ? 1 : 0;
  }

  function raised(tag, text) {
    const element = document.createElement(tag);
    element.textContent = text;
    return element;
  }

  // Every text goes in as a text node: nothing of the input is ever read as HTML.
  function show(cell, column, row) {
    const found = value(column, row);
    if (found === null || found === undefined) return;
    if (column.kind === "flag") {
      const mark = raised("span", found ? "yes" : "no");
      mark.className = found ? "yes" : "no";
      cell.append(mark);
    } else if (column.kind === "state" && column.marked && column.marked[row] === "1") {
      const mark = raised("strong", found);
      mark.className = "rare";
      cell.append(mark);
    } else if (column.kind === "row") {
      cell.append(count(found));
    } else if (column.kind === "formula" && /^[A-Za-z0-9()]+$/.test(found)) {
      for (const piece of found.split(/(\d+)/)) {
        if (piece) cell.append(/^\d/.test(piece) ? raised("sub", piece) : piece);
      }
    } else if (column.kind === "ions") {
      found.split(" ").forEach((word, i) => {
        const parts = /^(\d*[A-Z][a-z]?)(\d*[+-])$/.exec(word);
        cell.append(i ? " " : "", ...(parts ? [parts[1], raised("sup", parts[2])] : [word]));
      });
    } else {
      cell.append(String(found));
    }
  }

  function draw() {
    const per = Number(size.value);
    const pages = Math.max(1, Math.ceil(state.rows.length / per));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const start = state.page * per;
    const lines = document.createDocumentFragment();
    for (const row of state.rows.slice(start, start + per)) {
      const line = document.createElement("tr");
      const number = document.createElement("td");
      number.className = "number";
      number.append(count(row + 1));
      line.append(number);
      for (const column of columns) {
        const cell = document.createElement("td");
        cell.className = column.style;
        show(cell, column, row);
        line.append(cell);
      }
      lines.append(line);
    }
    body.replaceChildren(lines);
    status.textContent = state.rows.length === data.n
      ? `${count(data.n)} candidates`
      : `${count(state.rows.length)} of ${count(data.n)} candidates match`;
    place.textContent = state.rows.length
      ? `rows ${count(start + 1)} to ${count(Math.min(start + per, state.rows.length))}`
      : "no rows";
    buttons.first.disabled = buttons.previous.disabled = state.page === 0;
    buttons.last.disabled = buttons.next.disabled = state.page === pages - 1;
  }

  function filter() {
    // A word with a capital letter is sought as it is written (Co is not CO), any other in small letters.
    const sought = query.value.split(/\s+/).filter(Boolean).map((word) => [word, /[A-Z]/.test(word)]);
    const wanted = flags
      .filter((select) => select.value)
      .map((select) => [columns[Number(select.dataset.column)], select.value === "yes" ? 1 : 0]);
    state.rows = all.filter((row) =>
      sought.every(([word, exact]) => (exact ? texts : small)[row].includes(word)) &&
      wanted.every(([column, answer]) => value(column, row) === answer));
    sort();
    state.page = 0;
    draw();
  }

  function sort() {
    if (state.column < 0) return;
    const column = columns[state.column];
    const sign = state.descending ? -1 : 1;
    state.rows.sort((a, b) => {
      const x = value(column, a), y = value(column, b);
      // Rows without a value come last either way; equal ones stay in the order of the file.
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return x < y ? -sign : x > y ? sign : a - b;
    });
  }

  heads.forEach((head) => {
    // No <button>: browsers leave buttons out where a printed table's head is repeated on the next page.
    const sorter = head.querySelector(".sorter");
    sorter.setAttribute("role", "button");
    sorter.tabIndex = 0;
    sorter.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      sorter.click();
    });
    sorter.addEventListener("click", () => {
      const column = Number(head.dataset.column);
      if (state.column !== column) {
        state.column = column;
        // The best first: yes before no, high numbers before low ones; text from A.
        state.descending = ["flag", "number"].includes(columns[column].kind);
      } else {
        state.descending = !state.descending;
      }
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      sort();
      state.page = 0;
      draw();
    });
  });
  let waiting = 0;
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
  flags.forEach((select) => select.addEventListener("change", filter));
  size.addEventListener("change", draw);
  document.getElementById("reset").addEventListener("click", () => {
    query.value = "";
    flags.forEach((select) => { select.value = ""; });
    state.column = -1;
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    filter();
  });
  const turn = { first: () => 0, previous: () => state.page - 1, next: () => state.page + 1, last: () => Infinity };
  for (const [name, to] of Object.entries(turn)) {
    buttons[name].addEventListener("click", () => { state.page = to(); draw(); });
  }
  document.documentElement.classList.add("scripted");
  filter();
})();
