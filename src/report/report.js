// Shows the figures of the mark nearest to the pointer or finger; without scripts the marks' own titles do.
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
      let near = null, least = 24 * 24;
      for (const m of marks) {
        const d = (m.x - p.x) ** 2 + (m.y - p.y) ** 2;
        if (least > d) { near = m; least = d; }
      }
      hide();
      if (!near) return;
      shown = near.mark;
      shown.classList.add("near");
      tip.textContent = near.text;
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
