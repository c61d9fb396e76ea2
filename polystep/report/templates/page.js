"use strict";
// Works without it: links then lead to the runs at the end of the page.

// Tables sort by the first number of a cell where its column holds numbers, else by text; unknown values come last.
for (const table of document.querySelectorAll("section.table table")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    heading.querySelector("button")?.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => [key(row.cells[column]), row]);
      keyed.sort(([a], [b]) => compare(a, b, descending ? -1 : 1));
      body.append(...keyed.map(([, row]) => row));
    });
  });
}

function key(cell) {
  const text = cell.textContent.trim();
  if (!cell.classList.contains("n")) return text === "—" ? null : text;
  const found = text.replaceAll(",", "").match(/[+-]?\d[\d.]*(e[+-]?\d+)?/i);
  return found ? Number(found[0]) : null;
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
}

for (const search of document.querySelectorAll("section.table input")) {
  const rows = search.closest("section").querySelectorAll("tbody tr");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

// #g3,g7 in the address shows the tables that list these groups of runs in a dialog.
const dialog = document.querySelector("dialog");

function showRuns() {
  const names = decodeURIComponent(location.hash.slice(1)).split(",");
  const lists = new Set(names.map((name) => document.getElementById(name)?.closest(".group")).filter(Boolean));
  if (lists.size === 0) {
    dialog.close();
    return;
  }
  dialog.querySelector(".body").replaceChildren(...[...lists].flatMap((list) => {
    const heading = document.createElement("h4");
    heading.textContent = list.querySelector("summary").textContent;
    const copy = list.querySelector(".inside").cloneNode(true);
    const rows = [...copy.querySelectorAll("tr[id]")];
    if (rows.length > 1) rows.find((row) => names.includes(row.id)).classList.add("asked");
    copy.querySelectorAll("[id]").forEach((row) => row.removeAttribute("id"));
    return [heading, copy];
  }));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  dialog.querySelector(".asked")?.scrollIntoView({ block: "center" });
}

dialog.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => {
  if (/^#g\d/.test(location.hash)) history.replaceState(null, "", location.pathname + location.search);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#g"]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  // Following the link would scroll to the end of the page, and the reader would lose the place.
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  showRuns();
});
addEventListener("popstate", showRuns);
if (location.hash) showRuns();
