// Explores the class activation maps of one image: all classes are here, so that nothing is asked
// of the kernel. The pointer or the arrow keys choose a cell; what is chosen goes back to Python.

const SHOWN = 5; // classes that a cell is said to argue for

function render({ model, el }) {
  const words = model.get("words");
  const names = model.get("names");
  const [classes, rows, columns] = model.get("shape");
  const [height, width] = model.get("size");
  const [[top, down], [left, right]] = model.get("places"); // where the cells are drawn
  const centres = model.get("centres"); // of what they read
  const [fieldHeight, fieldWidth] = model.get("field");
  const maps = new Float32Array(bytes(model, "maps"));
  const colours = new Uint8Array(bytes(model, "colours"));
  const pixels = new Uint8Array(bytes(model, "pixels"));
  const logits = model.get("logits");
  const chances = model.get("chances");
  const ranked = [...logits.keys()].sort((a, b) => logits[b] - logits[a]);
  const shown = (value) => value.toLocaleString(model.get("language"), { maximumSignificantDigits: 3 });
  const said = (text, values) => text.replace(/\{(\w+)\}/g, (_whole, name) => values[name]);
  const places = { y: shares(height, rows, top, down), x: shares(width, columns, left, right) };

  const root = add(el, "div", { className: "explorer" });
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves the arrow keys to us
  const controls = add(root, "div", { className: "controls" });
  const list = add(controls, "datalist", { id: `classes-${Math.random().toString(36).slice(2)}` });
  for (const number of ranked) add(list, "option", { value: names[number] });
  const chosen = field(words.class, { type: "search" });
  const rank = field(words.rank, { type: "number", min: 1, max: classes });
  const compared = field(words.compare, { type: "search", placeholder: words.none });
  for (const one of [chosen, compared]) one.setAttribute("list", list.id);
  const opacity = field(words.opacity, { type: "range", min: 0, max: 1, step: 0.05 });
  const panels = add(root, "div", { className: "panels" });
  const views = [panel(), panel()];
  const scale = add(root, "div", { className: "scale" });
  const [low, bar, high] = ["span", "canvas", "span"].map((tag) => add(scale, tag));
  bar.setAttribute("aria-hidden", "true");
  Object.assign(bar, { width: 256, height: 12 });
  const strip = bar.getContext("2d").createImageData(256, 12);
  for (let i = 0; i < 256 * 12; i++)
    strip.data.set([...colours.subarray(3 * (i % 256), 3 * (i % 256) + 3), 255], 4 * i);
  bar.getContext("2d").putImageData(strip, 0, 0);
  const readout = add(root, "p", { className: "readout" });
  readout.setAttribute("aria-live", "polite");

  function field(text, attributes) {
    const label = add(controls, "label", {}, `${text} `);
    return add(label, "input", attributes);
  }

  function panel() {
    const figure = add(panels, "figure");
    const canvas = add(figure, "canvas", { width, height, tabIndex: 0 });
    canvas.setAttribute("role", "application");
    const caption = add(figure, "figcaption");
    const context = canvas.getContext("2d");
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width - 0.5;
      const y = ((event.clientY - box.top) / box.height) * height - 0.5;
      point(nearest(y, top, down, rows), nearest(x, left, right, columns));
    });
    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      const step = steps[event.key];
      if (!step) return;
      event.preventDefault();
      const [row, column] = cell() ?? [0, 0];
      point(clamp(row + step[0], rows), clamp(column + step[1], columns));
    });
    canvas.addEventListener("focus", () => cell() ?? point(rows >> 1, columns >> 1));
    return { figure, canvas, caption, context, image: context.createImageData(width, height) };
  }

  function cell() {
    const number = model.get("cell");
    return number < 0 ? null : [Math.floor(number / columns), number % columns];
  }

  function point(row, column) {
    if (model.get("cell") !== row * columns + column) save("cell", row * columns + column);
  }

  function save(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  function redraw() {
    const started = performance.now();
    const numbers = [model.get("chosen"), model.get("compared")];
    const of = (number) => maps.subarray(number * rows * columns, (number + 1) * rows * columns);
    const largest = Math.max(1e-12, ...numbers.filter((n) => n >= 0).map((n) => extreme(of(n))));
    numbers.forEach((number, which) => {
      const view = views[which];
      view.figure.hidden = number < 0;
      if (number < 0) return;
      paint(view, of(number), largest);
      mark(view.context);
      const values = { name: names[number], logit: shown(logits[number]), chance: percent(number) };
      view.caption.textContent = said(words.caption, values);
      view.canvas.setAttribute("aria-label", said(words.picture, values));
    });
    chosen.value = names[numbers[0]];
    rank.value = ranked.indexOf(numbers[0]) + 1;
    compared.value = numbers[1] < 0 ? "" : names[numbers[1]];
    opacity.value = model.get("opacity");
    [low.textContent, high.textContent] = [shown(-largest), shown(largest)];
    readout.textContent = reading();
    root.dataset.milliseconds = (performance.now() - started).toFixed(1);
  }

  function percent(number) {
    const options = { style: "percent", maximumFractionDigits: 1 };
    return chances[number].toLocaleString(model.get("language"), options);
  }

  function paint({ context, image }, map, largest) {
    const most = model.get("opacity");
    for (let y = 0, at = 0; y < height; y++) {
      const [upper, lower, further] = [places.y.before[y], places.y.after[y], places.y.share[y]];
      for (let x = 0; x < width; x++, at++) {
        const [before, after, share] = [places.x.before[x], places.x.after[x], places.x.share[x]];
        const above = map[upper * columns + before] * (1 - share) + map[upper * columns + after] * share;
        const below = map[lower * columns + before] * (1 - share) + map[lower * columns + after] * share;
        const value = (above * (1 - further) + below * further) / largest; // in [-1, 1]
        const colour = 3 * Math.round((value + 1) * 127.5);
        const weight = most * Math.abs(value);
        for (let c = 0; c < 3; c++)
          image.data[4 * at + c] = pixels[at] * (1 - weight) + colours[colour + c] * weight;
        image.data[4 * at + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
  }

  function mark(context) {
    const place = cell();
    if (!place) return;
    const outlines = [
      [model.get("places"), down, right, []],
      [centres, fieldHeight, fieldWidth, [6, 4]],
    ];
    for (const [sides, tall, wide, dashes] of outlines) {
      const [y, x] = sides.map(([offset, jump], side) => offset + jump * place[side] + 0.5);
      const box = [x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2];
      const [x0, y0, x1, y1] = box.map((v, i) => Math.min(Math.max(v, 1), (i % 2 ? height : width) - 1));
      for (const [style, thick, dash] of [["black", 3, []], ["white", 1.5, dashes]]) {
        Object.assign(context, { strokeStyle: style, lineWidth: thick });
        context.setLineDash(dash);
        context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      }
    }
  }

  function reading() {
    const place = cell();
    if (!place) return words.point;
    const value = (number) => maps[number * rows * columns + model.get("cell")];
    const order = [...names.keys()].sort((a, b) => value(b) - value(a));
    const listed = (numbers) => numbers.map((n) => `${names[n]} ${shown(value(n))}`).join(", ");
    return said(words.reading, {
      row: place[0] + 1,
      column: place[1] + 1,
      height: shown(Math.min(fieldHeight, height)),
      width: shown(Math.min(fieldWidth, width)),
      best: listed(order.slice(0, SHOWN)),
      worst: listed(order.slice(-2).reverse()),
    });
  }

  const called = (text) => {
    const wanted = text.trim().toLocaleLowerCase();
    const number = /^\d+$/.test(wanted) ? Number(wanted) : -1;
    const found = names.findIndex((name) => name.toLocaleLowerCase() === wanted);
    return found >= 0 ? found : number < classes ? number : -1;
  };
  chosen.addEventListener("change", () => {
    const number = called(chosen.value);
    number < 0 ? redraw() : save("chosen", number);
  });
  compared.addEventListener("change", () => save("compared", called(compared.value)));
  rank.addEventListener("change", () => save("chosen", ranked[clamp(rank.value - 1, classes)]));
  opacity.addEventListener("input", () => save("opacity", Number(opacity.value)));
  const changes = ["chosen", "compared", "opacity", "cell"].map((name) => `change:${name}`);
  for (const change of changes) model.on(change, redraw);
  redraw();
  return () => changes.forEach((change) => model.off(change, redraw));
}

function add(parent, tag, attributes = {}, text = "") {
  const child = Object.assign(document.createElement(tag), attributes);
  if (text) child.append(text);
  return parent.appendChild(child);
}

function bytes(model, name) {
  const view = model.get(name);
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

const clamp = (place, number) => Math.min(Math.max(Math.round(place), 0), number - 1);
const nearest = (pixel, offset, jump, number) => clamp((pixel - offset) / jump, number);
const extreme = (map) => map.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

// Between which cells each pixel lies, and how far from the first.
function shares(length, number, offset, jump) {
  const all = [...Array(length).keys()];
  const place = all.map((pixel) => Math.min(Math.max((pixel - offset) / jump, 0), number - 1));
  const before = place.map(Math.floor);
  return {
    before,
    after: before.map((cell) => Math.min(cell + 1, number - 1)),
    share: place.map((one, pixel) => one - before[pixel]),
  };
}

export default { render };
