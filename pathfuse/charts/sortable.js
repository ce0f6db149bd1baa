"use strict";
// Column headings of tables with several rows become buttons that sort; without a script the tables are as printed.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => [key(row.cells[column]), row]);
      rows.sort(([a], [b]) => compare(a, b, falling));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
function key(cell) {
  const data = cell.querySelector("data");
  if (!data) return cell.textContent.trim();
  return data.value === "" ? null : Number(data.value);
}
// What is not there comes last, whichever way is sorted.
function compare(a, b, falling) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" && typeof b === "number" ? a - b
    : String(a).localeCompare(String(b), "en", { numeric: true });
  return falling ? -order : order;
}
