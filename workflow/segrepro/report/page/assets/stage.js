"use strict";
/* The picture under its label maps: slider, difference, side by side. Maps are painted from labels, so that canvases
   stay readable on a page from disk, and the label below the pointer can be told. */

segrepro.Stage = class {
  static BACKGROUND_OPACITY = 0.5; // of the other labels': the picture stays to be seen where nothing is
  static FADED = 0.2; // labels other than the class that is filtered for

  // Okabe and Ito's colours; what each says of a pixel, given whether A and B are right and equal.
  static DIFFERENCES = [
    { key: "a", colour: [86, 180, 233], text: "only A is right" },
    { key: "b", colour: [230, 159, 0], text: "only B is right" },
    { key: "differ", colour: [204, 121, 167], text: "both wrong, and different" },
    { key: "same", colour: [60, 60, 60], text: "both wrong, and alike" },
  ];

  /** @param part finds a part of the explorer by its name */
  constructor(part) {
    this.part = part;
    this.at = 50;
    this.mode = "slider";
    const stage = part("stage");
    stage.addEventListener("pointerdown", (event) => {
      if (this.mode !== "slider" || event.button !== 0) return;
      stage.setPointerCapture(event.pointerId);
      this.slideToPointer(event);
      part("handle").focus({ preventScroll: true });
      event.preventDefault();
    });
    stage.addEventListener("pointermove", (event) => {
      if (stage.hasPointerCapture(event.pointerId)) this.slideToPointer(event);
      this.tell(event, stage);
    });
    part("stage-b").addEventListener("pointermove", (event) => this.tell(event, part("stage-b")));
    for (const name of ["stage", "stage-b"]) {
      part(name).addEventListener("pointerleave", () => { part("readout").textContent = ""; });
    }
    this.slideTo(this.at);
  }

  slideToPointer(event) {
    const box = this.part("stage").getBoundingClientRect();
    this.slideTo((100 * (event.clientX - box.left)) / box.width);
  }

  /** Put the border between A and B at a percentage of the width. */
  slideTo(percent) {
    this.at = Math.min(100, Math.max(0, percent));
    const slider = this.mode === "slider";
    this.part("stage").style.setProperty("--at", `${this.at}%`);
    this.part("canvas-a").style.clipPath = slider ? `inset(0 ${100 - this.at}% 0 0)` : "";
    this.part("canvas-b").style.clipPath = slider ? `inset(0 0 0 ${this.at}%)` : "";
    const handle = this.part("handle");
    handle.setAttribute("aria-valuenow", Math.round(this.at));
    handle.setAttribute("aria-valuetext", `${Math.round(this.at)} percent A`);
  }

  setMode(mode) {
    this.mode = mode;
    this.part("stages").className = `stages ${mode}`;
    this.part("canvas-a").hidden = mode === "difference";
    this.part("canvas-b").hidden = mode !== "slider";
    this.part("canvas-d").hidden = mode !== "difference";
    this.part("handle").hidden = mode !== "slider";
    this.part("tag-b").hidden = mode === "beside";
    this.part("stage-b").hidden = mode !== "beside";
    this.slideTo(this.at);
  }

  setOpacity(share) {
    for (const name of ["canvas-a", "canvas-b", "canvas-beside", "canvas-d"]) this.part(name).style.opacity = share;
  }

  /**
   * Paint a picture.
   * @param scene photo (URL), alt, width, height, maps {truth, a, b} of labels, isTruth {a, b}, classes of the split,
   *   void, only (a label or null), names {a, b}
   */
  show(scene) {
    this.scene = scene;
    const { width, height, maps } = scene;
    for (const name of ["stage", "stage-b"]) this.part(name).style.setProperty("--aspect", width / height);
    for (const name of ["photo", "photo-b"]) {
      if (this.part(name).getAttribute("src") !== scene.photo) this.part(name).src = scene.photo;
    }
    this.part("photo").alt = scene.alt;
    this.paint("canvas-a", maps.a);
    this.paint("canvas-b", maps.b);
    this.paint("canvas-beside", maps.b);
    this.counts = this.paintDifference();
    this.seen = new Uint8Array(256); // 1 for each label that is shown
    for (const labels of [maps.truth, maps.a, maps.b]) {
      for (let i = 0; i < labels.length; i += 1) this.seen[labels[i]] = 1;
    }
  }

  /** Return a pixel as canvases keep it on little-endian machines, which all are that browsers run on. */
  static pixel(red, green, blue, alpha) {
    return ((Math.round(alpha) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }

  put(name, pixels) {
    const { width, height } = this.scene;
    const canvas = this.part(name);
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
  }

  paint(name, labels) {
    const { classes, only } = this.scene;
    const colours = new Uint32Array(256);
    for (const { label, colour } of classes) {
      const value = parseInt(colour.slice(1), 16);
      let opacity = label === 0 ? this.constructor.BACKGROUND_OPACITY : 1;
      if (only !== null && label !== only) opacity *= this.constructor.FADED;
      colours[label] = this.constructor.pixel(value >> 16, (value >> 8) & 255, value & 255, 255 * opacity);
    }
    const pixels = new Uint32Array(labels.length);
    for (let i = 0; i < labels.length; i += 1) pixels[i] = colours[labels[i]];
    this.put(name, pixels);
  }

  /** Paint where A and B differ and who is right; return the pixels of each kind, and `scored` of all. */
  paintDifference() {
    const { maps, width, height, only } = this.scene;
    const kinds = this.constructor.DIFFERENCES;
    const counts = { scored: 0, a: 0, b: 0, differ: 0, same: 0 };
    const pixels = new Uint32Array(width * height);
    const colours = kinds.map(({ colour: [red, green, blue] }) => this.constructor.pixel(red, green, blue, 255));
    for (let i = 0; i < maps.truth.length; i += 1) {
      const truth = maps.truth[i];
      const a = maps.a[i];
      const b = maps.b[i];
      if (truth === this.scene.void) continue;
      counts.scored += 1;
      if (a === truth && b === truth) continue;
      if (only !== null && truth !== only && a !== only && b !== only) continue;
      let kind = 3;
      if (a === truth) kind = 0;
      else if (b === truth) kind = 1;
      else if (a !== b) kind = 2;
      counts[kinds[kind].key] += 1;
      pixels[i] = colours[kind];
    }
    this.put("canvas-d", pixels);
    return counts;
  }

  /** Say which labels are below the pointer. */
  tell(event, stage) {
    if (!this.scene) return;
    const { width, height, maps, classes } = this.scene;
    const box = stage.getBoundingClientRect();
    const x = Math.floor((width * (event.clientX - box.left)) / box.width);
    const y = Math.floor((height * (event.clientY - box.top)) / box.height);
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const name = (map) => classes.find((entry) => entry.label === map[y * width + x])?.name ?? "?";
    this.part("readout").textContent = `x ${x}, y ${y}: truth ${name(maps.truth)} · A ${name(maps.a)} · B ${name(maps.b)}`;
  }
};
