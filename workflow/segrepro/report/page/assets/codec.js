"use strict";
/* The counterpart of scripts.py: text -> bytes -> label maps. */

segrepro.codec = {
  /** Return the bytes that `packed` wrote, as a Uint8Array. */
  async unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  },

  /** Return the labels that `packed_labels` wrote, a byte a pixel, row by row. */
  async labels(text, width) {
    const bytes = await this.unpack(text);
    for (let i = width; i < bytes.length; i += 1) bytes[i] ^= bytes[i - width];
    return bytes;
  },

  /** Return how much any two maps of a picture differ: share(picture, layer, other) in [0, 1]; layer 0 is the truth. */
  async shares(split) {
    const bytes = await this.unpack(split.differing);
    const values = new DataView(bytes.buffer);
    const layers = split.systems.length + 1;
    const pairs = (layers * (layers - 1)) / 2;
    return (picture, a, b) => {
      if (a === b) return 0;
      const [i, j] = a < b ? [a, b] : [b, a];
      const place = picture * pairs + i * layers - (i * (i + 1)) / 2 + (j - i - 1);
      return values.getUint16(2 * place, true) / split.parts;
    };
  },
};
