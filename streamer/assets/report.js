// Read-outs under the pointer, and with the arrow keys; the page is whole without them.
"use strict";
(() => {
  const clock = (seconds) => {
    const tenths = Math.round(Math.max(seconds, 0) * 10);
    const hours = Math.floor(tenths / 36000), minutes = Math.floor(tenths / 600) % 60, rest = ((tenths % 600) / 10).toFixed(1);
    const last = rest.padStart(4, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${last}` : `${minutes}:${last}`;
  };

  // A line's points: each but the first of a stretch is told from the one before it.
  const pointsOf = (path) => path.getAttribute("d").split("M").filter(Boolean).map((stretch) => {
    const [start, steps] = stretch.split("l");
    let [x, y] = start.match(/-?\d+/g).map(Number);
    const points = [[x, y]];
    const numbers = steps ? steps.match(/-?\d+/g).map(Number) : [];
    for (let i = 0; i + 1 < numbers.length; i += 2) points.push([(x += numbers[i]), (y += numbers[i + 1])]);
    return points;
  });

  const valueAt = (stretches, x) => {
    for (const points of stretches) {
      if (x < points[0][0] - 4 || x > points[points.length - 1][0] + 4) continue;
      return points.reduce((best, one) => (Math.abs(one[0] - x) < Math.abs(best[0] - x) ? one : best))[1];
    }
    return null;
  };

  const readout = document.createElement("div"), cursor = document.createElement("div");
  readout.className = "readout";
  readout.setAttribute("role", "status");
  cursor.className = "cursor";
  const hide = () => { readout.remove(); cursor.remove(); };

  const show = (box, area, share, text) => {
    const outer = box.getBoundingClientRect(), inner = area.getBoundingClientRect();
    const x = inner.left - outer.left + share * inner.width;
    readout.textContent = text;
    cursor.style.left = `${x}px`;
    box.append(cursor, readout);
    const half = readout.offsetWidth / 2;
    readout.style.left = `${Math.min(Math.max(x, half), outer.width - half)}px`;
  };

  const follow = (box, area, textAt) => {
    let share = 0.5;
    const move = (to) => { share = Math.min(Math.max(to, 0), 1); show(box, area(), share, textAt(share)); };
    box.addEventListener("pointermove", (event) => {
      const inner = area().getBoundingClientRect();
      const to = (event.clientX - inner.left) / inner.width;
      if (to < 0 || to > 1) hide(); else move(to);
    });
    box.addEventListener("pointerleave", hide);
    box.addEventListener("blur", hide);
    box.addEventListener("keydown", (event) => {
      if (event.target !== box) return;
      const step = { ArrowLeft: -0.01, ArrowRight: 0.01 }[event.key];
      if (step) { event.preventDefault(); move(share + step); }
      if (event.key === "Escape") hide();
    });
  };

  const timeAt = (box, share) => clock(Number(box.dataset.start) + share * Number(box.dataset.seconds));

  for (const plot of document.querySelectorAll(".plot")) {
    let curves = null;
    follow(plot, () => plot.querySelector("svg"), (share) => {
      curves ??= [...plot.querySelectorAll(".curve:has(.mean)")].map((row) =>
        [row.querySelector(".label").textContent, pointsOf(row.querySelector(".mean"))]);
      const known = curves.map(([name, stretches]) => [name, valueAt(stretches, share * 2000)]).filter(([, y]) => y !== null);
      known.sort((a, b) => a[1] - b[1]);
      const text = known.slice(0, 2).map(([name, y]) => `${name} ${Math.round(100 - y / 2)} %`).join(", ");
      return `${timeAt(plot, share)}  ${text}`;
    });
  }
  for (const lines of document.querySelectorAll(".lines")) {
    follow(lines, () => lines.querySelector(".bar"), (share) => timeAt(lines, share));
  }
})();
