/* Lesson 1's classifier over a sheet: one window at a time, then all of them in one pass. */
"use strict";

(() => {
  const SIDE = 20; // of the window
  const STEP = 2; // all strides of the network together
  const CELL = 8; // of the map of answers, in pixels of its picture
  const SCALE = 3; // of the sheet's picture
  const COLOURS = [
    "#1f77b4", "#d9772b", "#2a8f3c", "#c23b3b", "#8560b5",
    "#8c5f4f", "#c558a8", "#6b6f76", "#9a9a1f", "#1796a6",
  ];
  const { sheets, network } = window.COURSE_SLIDING_WINDOW;
  const layers = Network.layers(network);
  const root = document.getElementById("sliding-window");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const locale = document.documentElement.lang;
  const percent = new Intl.NumberFormat(locale, { style: "percent" });
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  const say = (text, values) =>
    Object.entries(values).reduce((said, [name, value]) => said.replace(`{${name}}`, value), text);

  let ink, rows, columns; // of the sheet
  let high, wide, answers; // of the map: for each cell, ten shares, or nothing yet
  let window_ = { row: 0, column: 0 };

  const bars = Array.from({ length: 10 }, (_, digit) => {
    const row = document.createElement("div");
    const bar = document.createElement("i");
    const share = document.createElement("span");
    bar.style.background = COLOURS[digit];
    row.append(`${digit} `, bar, share);
    part("bars").append(row);
    return { row, bar, share };
  });

  function open(which) {
    const sheet = sheets[which];
    [rows, columns] = sheet.shape;
    ink = Float64Array.from(atob(sheet.ink), (letter) => letter.charCodeAt(0) / 255);
    [high, wide] = [rows, columns].map((length) => (length - SIDE) / STEP + 1);
    answers = Array(high * wide);
    const [row, column] = sheet.corners[0];
    moveTo(row, column);
  }

  const sharesOf = (scores) => Network.softmax(Array.from(scores));

  function ask() {
    const values = new Float64Array(SIDE * SIDE);
    for (let k = 0; k < values.length; k++) {
      values[k] = ink[(window_.row + Math.floor(k / SIDE)) * columns + window_.column + (k % SIDE)];
    }
    return Array.from(Network.run(layers, { shape: [1, SIDE, SIDE], values }).values);
  }

  /* Every window in one pass: the network takes the sheet as it is. */
  function askEverywhere() {
    const start = performance.now();
    const { values } = Network.run(layers, { shape: [1, rows, columns], values: ink });
    const milliseconds = performance.now() - start;
    for (let cell = 0; cell < high * wide; cell++) {
      const scores = Array.from({ length: 10 }, (_, c) => values[c * high * wide + cell]);
      answers[cell] = { scores, shares: sharesOf(scores) };
    }
    redraw({ everywhere: milliseconds });
  }

  function paintSheet() {
    const context = part("sheet").getContext("2d");
    const image = context.createImageData(columns * SCALE, rows * SCALE);
    for (let y = 0, k = 0; y < rows * SCALE; y++) {
      for (let x = 0; x < columns * SCALE; x++, k += 4) {
        const grey = 255 * (1 - ink[Math.floor(y / SCALE) * columns + Math.floor(x / SCALE)]);
        image.data.set([grey, grey, grey, 255], k);
      }
    }
    context.putImageData(image, 0, 0);
    context.lineWidth = 3;
    context.strokeStyle = "#c2185b";
    const [x, y, side] = [window_.column, window_.row, SIDE].map((length) => length * SCALE);
    context.strokeRect(x + 1.5, y + 1.5, side - 3, side - 3);
  }

  function paintMap() {
    const context = part("map").getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, wide * CELL, high * CELL);
    const best = answers.map((known) => known && known.shares.indexOf(Math.max(...known.shares)));
    answers.forEach((known, cell) => {
      context.globalAlpha = known.shares[best[cell]] ** 2;
      context.fillStyle = COLOURS[best[cell]];
      context.fillRect((cell % wide) * CELL, Math.floor(cell / wide) * CELL, CELL, CELL);
    });
    context.globalAlpha = 1;
    context.font = "bold 20px sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = "#000000";
    // Colours alone would not do: in the middle of each block of cells, the digit.
    for (let y = 1; y < high; y += 4) {
      for (let x = 1; x < wide; x += 4) {
        const known = answers[y * wide + x];
        const digit = best[y * wide + x];
        if (known && known.shares[digit] > 0.5) {
          context.fillText(digit, (x + 0.5) * CELL, (y + 0.5) * CELL + 1);
        }
      }
    }
    context.lineWidth = 3;
    context.strokeStyle = "#c2185b";
    const [x, y] = [window_.column, window_.row].map((length) => (length / STEP) * CELL);
    context.strokeRect(x, y, CELL, CELL);
  }

  function redraw({ everywhere } = {}) {
    const start = performance.now();
    const scores = ask();
    const shares = sharesOf(scores);
    const cell = (window_.row / STEP) * wide + window_.column / STEP;
    const before = answers[cell]?.scores ?? scores;
    const difference = Math.max(...scores.map((score, c) => Math.abs(score - before[c])));
    answers[cell] ??= { scores, shares };
    paintSheet();
    paintMap();
    const best = shares.indexOf(Math.max(...shares));
    bars.forEach(({ row, bar, share }, digit) => {
      bar.style.width = `${6 * shares[digit]}em`;
      share.textContent = percent.format(shares[digit]);
      row.classList.toggle("best", digit === best);
    });
    part("says").textContent = say(root.dataset.says, {
      digit: best,
      share: percent.format(shares[best]),
    });
    const asked = answers.filter(Boolean).length;
    part("asked").textContent = everywhere
      ? say(root.dataset.everywhere, { number: number.format(asked), time: number.format(everywhere) })
      : say(root.dataset.asked, { number: number.format(asked), all: number.format(high * wide) });
    const { row, column } = window_;
    window.explorable = {
      sheet: part("which").selectedIndex, row, column, scores, difference, asked,
      map: answers[cell].scores, everywhere, milliseconds: performance.now() - start,
    };
  }

  function moveTo(row, column) {
    const even = (place, most) => STEP * Math.round(Math.max(0, Math.min(most, place)) / STEP);
    window_ = { row: even(row, rows - SIDE), column: even(column, columns - SIDE) };
    redraw();
  }

  const sheet = part("sheet");
  const place = (event) => {
    const box = sheet.getBoundingClientRect();
    const scale = columns / box.width;
    moveTo((event.clientY - box.top) * scale - SIDE / 2, (event.clientX - box.left) * scale - SIDE / 2);
  };
  sheet.addEventListener("pointerdown", (event) => {
    sheet.setPointerCapture(event.pointerId);
    place(event);
  });
  sheet.addEventListener("pointermove", (event) => {
    if (sheet.hasPointerCapture(event.pointerId)) place(event);
  });
  sheet.addEventListener("keydown", (event) => {
    const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!(event.key in arrows)) return;
    event.preventDefault();
    const step = event.shiftKey ? 5 * STEP : STEP;
    const [down, right] = arrows[event.key];
    moveTo(window_.row + down * step, window_.column + right * step);
  });
  part("which").addEventListener("change", (event) => open(event.target.selectedIndex));
  part("everywhere").addEventListener("click", askEverywhere);
  open(0);
})();
