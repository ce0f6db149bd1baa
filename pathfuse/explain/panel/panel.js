"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column, heads) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].sort((one, other) =>
        key(one).localeCompare(key(other), "en", { numeric: true }) * (falling ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  });
}
for (const panel of document.querySelectorAll("section.panel")) {
  const slider = panel.querySelector("input[type=range]");
  slider.addEventListener("input", () => panel.style.setProperty("--opacity", slider.value / 100));
  for (const stack of panel.querySelectorAll(".stack")) {
    let zoom = 1;
    const at = (event) => {
      const box = stack.getBoundingClientRect();
      return `${100 * (event.clientX - box.left) / box.width}% ${100 * (event.clientY - box.top) / box.height}%`;
    };
    // A click goes nearer to where it was, and after the third back to the whole.
    stack.addEventListener("click", (event) => {
      zoom = zoom >= 8 ? 1 : zoom * 2;
      for (const image of stack.querySelectorAll("img")) {
        image.style.transformOrigin = at(event);
        image.style.transform = zoom === 1 ? "" : `scale(${zoom})`;
      }
      stack.style.cursor = zoom >= 8 ? "zoom-out" : "zoom-in";
    });
  }
}
