"use strict";
/* Data that comes in scripts, sortable tables, run times, light and dark. The page opens from disk: nothing is fetched. */

const segrepro = {
  _waiting: new Map(),

  /** Called by every data file: hands its value to whoever asked for that kind. */
  receive(kind, value) {
    this._waiting.get(kind)?.(value);
  },

  /** Call `use` with every value of a kind that comes from now on. */
  on(kind, use) {
    this._waiting.set(kind, use);
  },

  /** Load a data file and return its value; one of a kind at a time. */
  load(kind, source) {
    const earlier = this._loading?.[kind] ?? Promise.resolve();
    const later = earlier.catch(() => {}).then(() => new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = () => script.remove();
      script.onerror = () => {
        script.remove();
        reject(new Error(`${source} is missing from the page's folder`));
      };
      this.on(kind, resolve);
      document.head.append(script);
    }));
    this._loading = { ...this._loading, [kind]: later };
    return later;
  },

  /** Return a new element with attributes and children. */
  element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("--")) made.style.setProperty(key, value);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  },
};

/** Sort a table's rows by a column: numbers by value, text by letters, empty cells last, equals in their order. */
function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const numeric = table.tHead.rows[0].cells[column].classList.contains("number");
  const keyed = [...body.rows].map((row) => {
    const text = row.cells[column].textContent.trim();
    return { row, text, key: numeric ? parseFloat(text) : text };
  });
  const compare = numeric ? (x, y) => x.key - y.key : (x, y) => x.key.localeCompare(y.key, "en", { numeric: true });
  keyed.sort((x, y) => (x.text === "") - (y.text === "") || (descending ? -compare(x, y) : compare(x, y)) || 0);
  body.append(...keyed.map(({ row }) => row));
  for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
  table.tHead.rows[0].cells[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort");
      // numbers are mostly looked at from the highest down
      sortTable(table, column, sorted ? sorted === "ascending" : head.classList.contains("number"));
    });
  });
}

function duration(seconds) {
  if (seconds === null) return "";
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const [large, small, unit] = seconds < 3599.5 ? ["min", "s", 1] : ["h", "min", 60];
  const whole = Math.round(seconds / unit);
  return `${Math.floor(whole / 60)} ${large} ${String(whole % 60).padStart(2, "0")} ${small}`;
}

/** Return a small table; columns are [title, is number, value of a row]. */
function plainTable(columns, rows) {
  const { element } = segrepro;
  const head = columns.map(([title, number]) => element("th", { scope: "col", class: number ? "number" : "" }, title));
  const lines = rows.map((row) => element("tr", {}, ...columns.map(
    ([, number, value]) => element("td", { class: number ? "number" : "" }, value(row)))));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines));
}

function showTimes(times) {
  const place = document.getElementById("times");
  if (!place || !times?.rules.length) return;
  const whole = (value, unit) => (value === null ? "" : `${Math.round(value)} ${unit}`);
  place.querySelector("[data-part=rules]").append(plainTable([
    ["rule", false, (row) => row.rule],
    ["jobs", true, (row) => String(row.jobs)],
    ["time", true, (row) => duration(row.seconds)],
    ["CPU time", true, (row) => duration(row.cpu_seconds)],
    ["memory, most", true, (row) => whole(row.memory_mb, "MB")],
  ], times.rules));
  place.querySelector("[data-part=slowest]").append(plainTable([
    ["slowest jobs", false, (row) => [row.rule, row.job].filter(Boolean).join(": ")],
    ["time", true, (row) => duration(row.seconds)],
  ], times.slowest));
  place.hidden = false;
}

function makeThemeSwitch(button) {
  const root = document.documentElement;
  const key = "segrepro-theme";
  const stored = localStorage.getItem(key);
  if (stored) root.dataset.theme = stored;
  button.addEventListener("click", () => {
    const dark = getComputedStyle(root).colorScheme === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem(key, root.dataset.theme);
  });
}

segrepro.on("times", showTimes);
segrepro.on("marks", (marks) => { segrepro.marks = marks; });
document.querySelectorAll("table.sortable").forEach(makeSortable);
makeThemeSwitch(document.getElementById("theme"));
