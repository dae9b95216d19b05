/* The layers of the lessons' networks in plain JavaScript.

   A map is {shape: [channels, rows, columns], values}, its numbers in that order. */
"use strict";

const Network = {
  /* The layers of a stored network, each a convolution: {shape: [out, in, side, side], stride,
     padding, relu, pool, weight, bias}. */
  layers({ layers, weights }) {
    const bytes = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
    const halves = new DataView(bytes.buffer);
    let at = 0;
    const read = (count) =>
      Float64Array.from({ length: count }, () => Network.half(halves.getUint16(2 * at++, true)));
    return layers.map((layer) => ({
      ...layer,
      weight: read(layer.shape.reduce((a, b) => a * b)),
      bias: read(layer.shape[0]),
    }));
  },

  /* The number that 16 bits stand for. */
  half(bits) {
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
    return bits >> 15 ? -size : size;
  },

  /* A convolution, and the ReLU behind it if the layer has one. */
  convolve(map, layer) {
    const { shape: [count, , side], stride, padding, weight, bias, relu } = layer;
    const { shape: [channels, rows, columns], values } = Network.padded(map, padding);
    const high = Math.floor((rows - side) / stride) + 1;
    const wide = Math.floor((columns - side) / stride) + 1;
    const [area, size] = [high * wide, channels * side * side];
    const answer = new Float64Array(count * area);
    const places = new Int32Array(size); // of what a kernel sees, from its first cell on
    for (let k = 0; k < size; k++) {
      const [channel, i, j] = [Math.floor(k / side / side), Math.floor(k / side) % side, k % side];
      places[k] = (channel * rows + i) * columns + j;
    }
    const seen = new Float64Array(size);
    for (let y = 0, at = 0; y < high; y++) {
      for (let x = 0; x < wide; x++, at++) {
        const start = (y * columns + x) * stride;
        for (let k = 0; k < size; k++) seen[k] = values[start + places[k]];
        // Two kernels at a time: each number seen is read once for both.
        for (let out = 0; out < count; out += 2) {
          const [first, second] = [out * size, (out + 1) * size];
          let a = bias[out];
          let b = bias[out + 1];
          for (let k = 0; k < size; k++) {
            a += weight[first + k] * seen[k];
            b += weight[second + k] * seen[k];
          }
          answer[out * area + at] = relu && a < 0 ? 0 : a;
          answer[(out + 1) * area + at] = relu && b < 0 ? 0 : b;
        }
      }
    }
    return { shape: [count, high, wide], values: answer };
  },

  /* A map with zeros around it. */
  padded({ shape: [channels, rows, columns], values }, padding) {
    const [high, wide] = [rows + 2 * padding, columns + 2 * padding];
    const answer = new Float64Array(channels * high * wide);
    for (let row = 0; row < channels * rows; row++) {
      const at = (Math.floor(row / rows) * high + (row % rows) + padding) * wide + padding;
      answer.set(values.subarray(row * columns, (row + 1) * columns), at);
    }
    return { shape: [channels, high, wide], values: answer };
  },

  /* What the layers make of a map. */
  run: (layers, map) =>
    layers.reduce((given, layer) => {
      const answer = Network.convolve(given, layer);
      return layer.pool ? Network.pooled(answer) : answer;
    }, map),

  /* The largest number of each 2×2 square. */
  pooled({ shape: [channels, rows, columns], values }) {
    const high = rows >> 1;
    const wide = columns >> 1;
    const answer = new Float64Array(channels * high * wide);
    for (let c = 0, k = 0; c < channels; c++) {
      for (let y = 0; y < high; y++) {
        for (let x = 0; x < wide; x++, k++) {
          const at = (c * rows + 2 * y) * columns + 2 * x;
          answer[k] = Math.max(
            values[at], values[at + 1], values[at + columns], values[at + columns + 1],
          );
        }
      }
    }
    return { shape: [channels, high, wide], values: answer };
  },

  /* Scores as shares that add up to one. */
  softmax(scores) {
    const most = Math.max(...scores);
    const sizes = scores.map((score) => Math.exp(score - most));
    const total = sizes.reduce((a, b) => a + b);
    return sizes.map((size) => size / total);
  },
};
