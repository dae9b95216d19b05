/* Lesson 2's network on a scene that the reader makes: ten class maps, and the scores that are
   their means. */
"use strict";

(() => {
  const SIDE = 64;
  const SQUARE = 29; // what a digit stands in, its margin included
  const [PAPER, FULL] = [0.35, 0.7]; // as in course_utils/datasets/scenes.py
  const PEN = 2; // its radius, in pixels
  const { digits, mean, std, network } = window.COURSE_CLASS_MAPS;
  const root = document.getElementById("class-maps");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const scene = part("scene");
  const layers = Network.layers(network);
  const locale = document.documentElement.lang;
  const score = new Intl.NumberFormat(locale, {
    minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "negative",
  });
  const percent = new Intl.NumberFormat(locale, { style: "percent" });

  let placed = []; // {cells, top, left, colour}
  let fragments = [];
  let drawn = new Float64Array(SIDE * SIDE);
  let pen = { x: SIDE / 2, y: SIDE / 2, down: false };
  let chosen = 0; // which of the digits the arrows move

  /* Ink in `cells` enlarged by bilinear interpolation: what it covers of each pixel. */
  function stamp({ cells, top, left, side }) {
    const n = Math.sqrt(cells.length);
    const shares = (start) =>
      Array.from({ length: SIDE }, (_, pixel) => {
        const position = ((pixel + 0.5 - start) / side) * (n + 1) - 1;
        return Array.from({ length: n }, (_, k) => Math.max(0, 1 - Math.abs(position - k)));
      });
    const [rows, columns] = [shares(top), shares(left)];
    const covers = new Float64Array(SIDE * SIDE);
    for (let y = Math.max(0, Math.floor(top)); y < Math.min(SIDE, top + side); y++) {
      for (let x = Math.max(0, Math.floor(left)); x < Math.min(SIDE, left + side); x++) {
        let ink = 0;
        for (let i = 0; i < n; i++) {
          if (rows[y][i]) {
            for (let j = 0; j < n; j++) ink += rows[y][i] * columns[x][j] * cells[i * n + j];
          }
        }
        covers[y * SIDE + x] = Math.min(1, Math.max(0, (ink - PAPER) / (FULL - PAPER)));
      }
    }
    return covers;
  }

  /* The scene as bytes, channel after channel. */
  function pixels() {
    const background = [38, 34, 62];
    const sheet = Array.from({ length: 3 }, (_, c) => new Float64Array(SIDE * SIDE).fill(background[c]));
    const cover = (covers, colour) =>
      sheet.forEach((values, c) => {
        for (let k = 0; k < values.length; k++) values[k] += covers[k] * (colour[c] - values[k]);
      });
    for (const piece of [...fragments, ...placed]) cover(stamp(piece), piece.colour);
    cover(drawn, [250, 214, 120]);
    return Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, k) =>
      Math.round(sheet[Math.floor(k / (SIDE * SIDE))][k % (SIDE * SIDE)]));
  }

  /* The ten maps, their means, and how sure the network is. */
  function run(bytes) {
    const values = Float64Array.from(bytes, (byte, k) => {
      const channel = Math.floor(k / (SIDE * SIDE));
      return (byte / 255 - mean[channel]) / std[channel];
    });
    // The last layer is the linear one, applied at every position before the mean.
    const maps = Network.run(layers, { shape: [3, SIDE, SIDE], values });
    const area = maps.shape[1] * maps.shape[2];
    const each = Array.from({ length: maps.shape[0] }, (_, c) =>
      maps.values.subarray(c * area, (c + 1) * area));
    const logits = each.map((map) => map.reduce((a, b) => a + b) / area);
    return { maps: each, side: maps.shape[1], logits, shares: Network.softmax(logits) };
  }

  function paint(canvas, colourOf) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(SIDE, SIDE);
    for (let k = 0; k < SIDE * SIDE; k++) image.data.set([...colourOf(k), 255], 4 * k);
    context.putImageData(image, 0, 0);
  }

  function paintScene(bytes) {
    paint(scene, (k) => [0, 1, 2].map((c) => bytes[c * SIDE * SIDE + k]));
    if (drawing()) {
      const context = scene.getContext("2d");
      context.strokeStyle = pen.down ? "#ffffff" : "#9fd2ff";
      context.strokeRect(Math.round(pen.x) - 2.5, Math.round(pen.y) - 2.5, 5, 5);
    }
  }

  /* Red where a position speaks for the class, blue where it speaks against; one scale for all. */
  function paintMaps(bytes, { maps, side, logits, shares }) {
    const most = Math.max(...maps.map((map) => Math.max(...map.map(Math.abs))));
    const best = shares.indexOf(Math.max(...shares));
    maps.forEach((map, c) => {
      const figure = figures[c];
      paint(figure.canvas, (k) => {
        const [y, x] = [Math.floor(k / SIDE), k % SIDE];
        const value = map[Math.floor((y * side) / SIDE) * side + Math.floor((x * side) / SIDE)] / most;
        const grey = [0, 1, 2].reduce((sum, i) => sum + bytes[i * SIDE * SIDE + k], 0) / 3;
        const colour = value > 0 ? [214, 40, 50] : [50, 110, 220];
        const weight = Math.min(0.9, Math.abs(value) * 1.1);
        return colour.map((part) => part * weight + grey * (1 - weight));
      });
      figure.canvas.setAttribute("aria-label", `${root.dataset.map} ${c}: ${score.format(logits[c])}`);
      figure.score.textContent = score.format(logits[c]);
      figure.element.classList.toggle("best", c === best);
    });
    part("says").textContent = root.dataset.says
      .replace("{digit}", best)
      .replace("{share}", percent.format(shares[best]));
  }

  let waiting = 0;
  function redraw() {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      const start = performance.now();
      const bytes = pixels();
      const answer = run(bytes);
      paintScene(bytes);
      paintMaps(bytes, answer);
      // For whoever wants to compare with torch: what went in, what came out, and how fast.
      window.explorable = {
        ...answer,
        pixels: [...bytes],
        maps: answer.maps.map((map) => [...map]),
        milliseconds: performance.now() - start,
      };
    });
  }

  const figures = Array.from({ length: 10 }, (_, c) => {
    const element = document.createElement("figure");
    const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    canvas.setAttribute("role", "img");
    const caption = document.createElement("figcaption");
    const score = document.createElement("span");
    caption.append(Object.assign(document.createElement("b"), { textContent: c }), " ", score);
    element.append(canvas, caption);
    part("maps").append(element);
    return { element, canvas, score };
  });

  const drawing = () => part("draw").checked;
  const cellsOf = (text) => Array.from(text, (level) => parseInt(level, 17) / 16);
  const within = (value) => Math.max(-4, Math.min(SIDE - SQUARE + 4, value));
  let drawLots = 7;
  const random = () => (drawLots = (drawLots * 16807) % 2147483647) / 2147483647;

  function placeDigits() {
    placed = ["first", "second"].flatMap((name, which) => {
      const kind = part(name).value;
      if (kind === "") return [];
      const known = digits[kind];
      const before = placed.find((piece) => piece.name === name);
      const cells = cellsOf(known[Math.floor(random() * known.length)]);
      const colour = which ? [140, 232, 190] : [250, 214, 120];
      const [top, left] = which ? [32, 33] : [8, 4];
      return [{ top, left, ...before, name, cells, colour, side: SQUARE }];
    });
    chosen = Math.min(chosen, placed.length - 1);
    redraw();
  }

  function scatter() {
    fragments = Array.from({ length: Number(part("clutter").value) }, () => {
      const known = digits[Math.floor(random() * 10)];
      const cells = cellsOf(known[Math.floor(random() * known.length)]);
      const [row, column] = [0, 1].map(() => Math.floor(random() * 5));
      const piece = [0, 1, 2, 3].flatMap((i) => {
        const start = (row + i) * 8 + column;
        return cells.slice(start, start + 4);
      });
      const colour = [0, 1, 2].map(() => 110 + 120 * random());
      return { cells: piece, colour, side: 16, top: random() * 60 - 6, left: random() * 60 - 6 };
    });
    redraw();
  }

  /* The pen from where it was to a new place. */
  function stroke(x, y) {
    const length = Math.max(1, Math.ceil(Math.hypot(x - pen.x, y - pen.y) * 2));
    for (let step = 0; step <= length; step++) {
      const [px, py] = [pen.x + ((x - pen.x) * step) / length, pen.y + ((y - pen.y) * step) / length];
      for (let k = 0; k < SIDE * SIDE; k++) {
        const far = Math.hypot((k % SIDE) + 0.5 - px, Math.floor(k / SIDE) + 0.5 - py);
        drawn[k] = Math.max(drawn[k], Math.min(1, PEN + 0.5 - far));
      }
    }
  }

  function moveTo(x, y) {
    if (drawing()) {
      if (pen.down) stroke(x, y);
      Object.assign(pen, { x, y });
    } else if (placed[chosen]) {
      Object.assign(placed[chosen], { top: within(y - SQUARE / 2), left: within(x - SQUARE / 2) });
    }
    redraw();
  }

  const place = (event) => {
    const box = scene.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((far) => (far / box.width) * SIDE);
  };
  scene.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event);
    const distance = ({ top, left }) => Math.hypot(left + SQUARE / 2 - x, top + SQUARE / 2 - y);
    placed.forEach((piece, k) => {
      if (distance(piece) < distance(placed[chosen])) chosen = k;
    });
    scene.setPointerCapture(event.pointerId);
    Object.assign(pen, { x, y, down: true });
    moveTo(x, y);
  });
  scene.addEventListener("pointermove", (event) => {
    if (scene.hasPointerCapture(event.pointerId)) moveTo(...place(event));
  });
  scene.addEventListener("pointerup", () => (pen.down = false));
  scene.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 5 : 1;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const [dx, dy] = arrows[event.key] ?? [0, 0];
    if (event.key === " ") {
      if (drawing()) pen.down = !pen.down;
      else chosen = (chosen + 1) % Math.max(1, placed.length);
      moveTo(...(drawing() ? [pen.x, pen.y] : centre()));
    } else if (dx || dy) {
      const [x, y] = drawing() ? [pen.x, pen.y] : centre();
      moveTo(x + dx * step, y + dy * step);
    } else {
      return;
    }
    event.preventDefault();
  });
  const centre = () => {
    const { top, left } = placed[chosen] ?? { top: 0, left: 0 };
    return [left + SQUARE / 2, top + SQUARE / 2];
  };

  for (const name of ["first", "second"]) part(name).addEventListener("change", placeDigits);
  part("clutter").addEventListener("input", scatter);
  for (const name of ["draw", "move"]) part(name).addEventListener("change", redraw);
  part("clear").addEventListener("click", () => {
    drawn.fill(0);
    pen.down = false;
    part("first").value = part("second").value = "";
    part("clutter").value = 0;
    part("draw").checked = true;
    fragments = [];
    placeDigits();
  });
  scatter();
  placeDigits();
})();
