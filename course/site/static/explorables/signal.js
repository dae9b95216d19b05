/* Lesson 3's networks before any training: how large the signal is on its way in, and the gradient
   on its way back. Everything was measured beforehand; the page only draws. */
"use strict";

(() => {
  const { depths, slopes, travelled, errors } = window.COURSE_SIGNAL;
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 190;
  const MARGIN = { left: 62, right: 12, top: 12, bottom: 26 };
  const SECONDS = 1.6; // a way through the deepest network
  const root = document.getElementById("signal");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const locale = document.documentElement.lang;
  const number = new Intl.NumberFormat(locale, { maximumSignificantDigits: 2 });
  const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
  const say = (text, values) =>
    Object.entries(values).reduce((said, [name, value]) => said.replace(`{${name}}`, value), text);
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // One scale a panel for all networks, so that they can be compared.
  const panels = ["forward", "backward"].map((name, which) => {
    const all = Object.values(travelled).flatMap((each) => each[which]).map(Math.log10);
    return { name, which, least: Math.floor(Math.min(...all)), most: Math.ceil(Math.max(...all)) };
  });
  const longest = depths.at(-1) - 1;
  let now, before; // the networks that are shown

  function element(name, attributes, text = "") {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  function scales(panel, width) {
    const wide = width - MARGIN.left - MARGIN.right;
    const high = HEIGHT - MARGIN.top - MARGIN.bottom;
    return {
      x: (k) => MARGIN.left + (wide * k) / (longest - 1),
      y: (value) =>
        MARGIN.top + high * (1 - (Math.log10(value) - panel.least) / (panel.most - panel.least)),
    };
  }

  /* 0.1, 1 … 1000 as they are said; beyond, as powers of ten. */
  function powerOf(power) {
    if (power >= -1 && power <= 3) return (10 ** power).toLocaleString(locale, { useGrouping: false });
    return `10${[...String(power)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit] ?? "⁻").join("")}`;
  }

  function drawPanel(panel) {
    const svg = part(panel.name);
    const width = svg.clientWidth || 320;
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const { x, y } = scales(panel, width);
    const marks = [];
    for (let power = panel.least; power <= panel.most; power++) {
      const [at, left] = [y(10 ** power), MARGIN.left];
      marks.push(
        element("line", { x1: left, x2: width - MARGIN.right, y1: at, y2: at, class: "grid" }),
        element("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, powerOf(power)),
      );
    }
    for (let k = 0; k < longest; k += 9) {
      marks.push(element("text", { x: x(k), y: HEIGHT - 8, "text-anchor": "middle" }, k + 1));
    }
    const line = (values, kind) =>
      element("polyline", { points: values.map((value, k) => `${x(k)},${y(value)}`).join(" "), class: kind });
    if (before) marks.push(line(before[panel.which], "before"));
    marks.push(line(now[panel.which], `now ${panel.name}`));
    marks.push(element("circle", { r: 7, class: panel.name, visibility: "hidden" }));
    svg.replaceChildren(svg.querySelector("title"), ...marks);
  }

  /* A dot along the signal from input to output, then along the gradient back. */
  let travelling = 0;
  function send() {
    cancelAnimationFrame(travelling);
    if (still.matches) return;
    const values = now;
    const length = (values[0].length / longest) * SECONDS * 1000;
    const start = performance.now();
    const dots = panels.map((panel) => part(panel.name).querySelector("circle"));
    const step = (time) => {
      const gone = (time - start) / length;
      panels.forEach((panel, which) => {
        const share = which ? 2 - gone : gone;
        const { x, y } = scales(panel, part(panel.name).clientWidth);
        const k = Math.max(0, share) * (values[which].length - 1);
        const value = values[which][Math.min(values[which].length - 1, Math.round(k))];
        const shown = share >= 0 && share <= 1 && gone <= 2;
        dots[which].setAttribute("visibility", shown ? "visible" : "hidden");
        dots[which].setAttribute("cx", x(k));
        dots[which].setAttribute("cy", y(value));
      });
      if (gone < 2) travelling = requestAnimationFrame(step);
    };
    travelling = requestAnimationFrame(step);
  }

  function redraw() {
    const start = performance.now();
    const depth = depths[part("depth").value];
    const slope = slopes[part("slope").value];
    const name = `${depth} ${part("shortcut").checked ? "residual" : "plain"} ${slope}`;
    if (travelled[name] !== now) [before, now] = [now, travelled[name]];
    part("depth-says").textContent = depth;
    part("slope-says").textContent = slope.toLocaleString(locale);
    panels.forEach(drawPanel);
    const [first, last] = [now[1][0], now[1].at(-1)];
    part("says").textContent = say(first >= last ? root.dataset.larger : root.dataset.smaller, {
      ratio: number.format(Math.max(first, last) / Math.min(first, last)),
    });
    const found = [...(errors[name] ?? [])].sort((a, b) => a - b);
    const middle = (found[Math.floor((found.length - 1) / 2)] + found[Math.ceil((found.length - 1) / 2)]) / 2;
    part("error").textContent = found.length
      ? say(root.dataset.error, {
          median: percent.format(middle), number: found.length,
          least: percent.format(found[0]), most: percent.format(found.at(-1)),
        })
      : root.dataset.unknown;
    window.explorable = { name, values: now, milliseconds: performance.now() - start };
    send();
  }

  for (const name of ["depth", "slope", "shortcut"]) part(name).addEventListener("input", redraw);
  part("send").addEventListener("click", send);
  addEventListener("resize", () => panels.forEach(drawPanel));
  part("depth").max = depths.length - 1;
  part("slope").max = slopes.length - 1;
  redraw();
})();
