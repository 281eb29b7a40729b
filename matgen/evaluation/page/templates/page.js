// Tables whose rows stand in the page as JSON: filter, sort, turn pages, write as CSV.
"use strict";
document.querySelectorAll(".data-table").forEach((root) => {
  const find = (name) => root.querySelector(`.${name}`);
  const data = JSON.parse(find("data").textContent);
  const columns = data.columns;
  const numbered = "numbered" in root.dataset;
  const noun = root.dataset.noun;
  const body = root.querySelector("tbody");
  const heads = Array.from(root.querySelectorAll("th[data-column]"));
  const query = find("query");
  const flags = Array.from(root.querySelectorAll("select[data-column]"));
  const size = find("page-size");
  const status = find("status");
  const place = find("place");
  const buttons = { first: null, previous: null, next: null, last: null };
  for (const name of Object.keys(buttons)) buttons[name] = find(name);

  const state = { rows: [], page: 0, column: -1, descending: false, all: false };
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
    } else if (column.kind === "links") {
      found.forEach(([label, address], i) => {
        const link = raised("a", label);
        link.setAttribute("href", address);
        cell.append(i ? " " : "", link);
      });
    } else if (column.kind === "number" && "digits" in column) {
      cell.append(found.toFixed(column.digits));
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
      if (numbered) {
        const number = document.createElement("td");
        number.className = "number";
        number.append(count(row + 1));
        line.append(number);
      }
      for (const column of columns) {
        if (column.hidden || (column.extra && !state.all)) continue;
        const cell = document.createElement("td");
        cell.className = column.style;
        show(cell, column, row);
        line.append(cell);
      }
      lines.append(line);
    }
    body.replaceChildren(lines);
    status.textContent = state.rows.length === data.n
      ? `${count(data.n)} ${noun}`
      : `${count(state.rows.length)} of ${count(data.n)} ${noun} match`;
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
    if (!sorter) return;
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
        // The best first: yes before no, high numbers before low ones (where low ones are not better); text from A.
        state.descending = ["flag", "number"].includes(columns[column].kind) && !columns[column].lower;
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
  const more = find("all-columns");
  if (more) {
    more.addEventListener("click", () => {
      state.all = !state.all;
      more.setAttribute("aria-pressed", String(state.all));
      heads.forEach((head) => { head.hidden = Boolean(columns[Number(head.dataset.column)].extra) && !state.all; });
      draw();
    });
  }
  let waiting = 0;
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
  flags.forEach((select) => select.addEventListener("change", filter));
  size.addEventListener("change", draw);
  find("reset").addEventListener("click", () => {
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
  // The rows that match, in the order shown, as RFC 4180 has them; what a spreadsheet would take for a formula is quoted.
  function csv() {
    const shown = columns.filter((column) => column.kind !== "links");
    const field = (found) => {
      if (found === null || found === undefined) return "";
      const text = typeof found === "string" && /^[=+@\t\r-]/.test(found) ? `'${found}` : String(found);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const said = (column, row) => {
      const found = value(column, row);
      return column.kind === "flag" && found !== null ? (found ? "yes" : "no") : found;
    };
    const lines = state.rows.map((row) => shown.map((column) => field(said(column, row))).join(","));
    return [shown.map((column) => field(column.name)).join(","), ...lines].join("\r\n") + "\r\n";
  }
  find("download").addEventListener("click", (event) => {
    const link = document.createElement("a");
    link.download = event.currentTarget.dataset.file;
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  document.documentElement.classList.add("scripted");
  filter();
});

// A link to a card that is folded away unfolds it.
(() => {
  const unfold = () => {
    const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = wanted && wanted.closest("details:not([open])");
    if (!folded) return;
    folded.open = true;
    wanted.scrollIntoView();
  };
  window.addEventListener("hashchange", unfold);
  unfold();
})();
