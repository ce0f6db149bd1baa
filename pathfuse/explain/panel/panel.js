"use strict";
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
