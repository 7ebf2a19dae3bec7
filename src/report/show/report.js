// Shows the values of the mark nearest to the pointer and of marks that overlap it. Without scripts, the marks' titles do.
(() => {
  const tip = document.getElementById("tip");
  let shown = null;
  const hide = () => {
    if (shown) shown.classList.remove("near");
    shown = null;
    tip.hidden = true;
  };
  for (const chart of document.querySelectorAll("svg.chart")) {
    const marks = Array.from(chart.querySelectorAll(".mark:not(.key)"), (mark) => {
      const at = mark.transform.baseVal.getItem(0).matrix;
      const title = mark.querySelector("title");
      const text = title.textContent;
      title.remove();
      mark.setAttribute("aria-label", text);
      return { mark, text, x: at.e, y: at.f };
    });
    const show = (event) => {
      const matrix = chart.getScreenCTM();
      if (!matrix) return;
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
      const far = (m, x, y) => (m.x - x) ** 2 + (m.y - y) ** 2;
      const [near] = marks.filter((m) => 24 * 24 > far(m, p.x, p.y)).sort((a, b) => far(a, p.x, p.y) - far(b, p.x, p.y));
      hide();
      if (!near) return;
      // Overlapping marks are listed, too, from top to bottom.
      const heap = marks.filter((m) => 6 * 6 > far(m, near.x, near.y)).sort((a, b) => a.y - b.y);
      shown = near.mark;
      shown.classList.add("near");
      tip.textContent = heap.map((m) => m.text).join("\n");
      tip.hidden = false;
      tip.style.left = "0";
      const { width, height } = tip.getBoundingClientRect();
      const left = Math.min(event.clientX + 12, innerWidth - width - 4);
      const above = event.clientY - height - 12;
      tip.style.left = Math.max(4, left) + "px";
      tip.style.top = (above > 4 ? above : event.clientY + 20) + "px";
    };
    chart.addEventListener("pointermove", show);
    chart.addEventListener("pointerdown", show);
    chart.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  }
  addEventListener("scroll", hide, { passive: true });
})();
