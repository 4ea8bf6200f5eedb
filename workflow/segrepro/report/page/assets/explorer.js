"use strict";
/* The explorer: which picture, which two systems, in which order. Layer 0 is the truth, layer n the n-th system. */

segrepro.Explorer = class {
  static KEPT = 12; // pictures whose maps stay in memory

  constructor(section) {
    this.section = section;
    this.root = section.querySelector(".explorer");
    this.folders = JSON.parse(section.dataset.splits);
    this.part = (name) => this.root.querySelector(`[data-part="${name}"]`);
    this.control = (name) => this.root.querySelector(`[data-control="${name}"]`);
    this.stage = new segrepro.Stage(this.part);
    this.list = new segrepro.PictureList(this.part("list"), (item) => this.row(item), (place) => this.choose(place));
    this.only = null;
    this.root.hidden = false;
    this.control("split").append(...this.folders.map((folder) => new Option(folder.split("/").pop(), folder)));
    this.control("split").closest("label").hidden = this.folders.length === 1;
    this.listen();
    this.stage.setOpacity(this.control("opacity").value / 100);
    this.setMode("slider");
    this.open(this.folders[0]);
  }

  listen() {
    const on = (name, event, act) => this.control(name).addEventListener(event, act);
    on("split", "change", () => this.open(this.control("split").value));
    on("a", "change", () => this.compare(this.layer("a"), this.b));
    on("b", "change", () => this.compare(this.a, this.layer("b")));
    on("swap", "click", () => this.compare(this.b, this.a));
    on("class", "change", () => this.filter());
    on("sort", "change", () => this.filter());
    on("find", "input", () => this.filter());
    on("opacity", "input", () => this.stage.setOpacity(this.control("opacity").value / 100));
    this.root.querySelectorAll("[data-mode]").forEach((button) => {
      button.addEventListener("click", () => this.setMode(button.dataset.mode));
    });
    this.part("ranking").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const layer = Number(button.dataset.layer);
      if (button.textContent === "A") this.compare(layer, this.b);
      else this.compare(this.a, layer);
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  layer(name) {
    return Number(this.control(name).value);
  }

  /** Open a split: the two best systems that have not seen its pictures, where they differ most. */
  async open(folder) {
    try {
      const split = await segrepro.load("split", `${folder}/index.js`);
      const shares = await segrepro.codec.shares(split);
      split.pictures.forEach((picture, index) => { picture.index = index; });
      Object.assign(this, { folder, split, shares, maps: new Map(), current: null });
    } catch (error) {
      this.part("count").textContent = error.message;
      return;
    }
    const names = this.names();
    for (const name of ["a", "b"]) this.control(name).replaceChildren(...names.map((text, i) => new Option(text, i)));
    const classes = this.split.classes.filter(({ label }) => label !== this.split.void);
    this.control("class").replaceChildren(
      new Option("all", ""), ...classes.map(({ name, label }) => new Option(name, label)));
    const clean = this.split.systems
      .map((system, i) => ({ layer: i + 1, miou: system.miou, seen: this.leaks(system.name) }))
      .sort((x, y) => x.seen - y.seen || y.miou - x.miou);
    this.compare(clean[1]?.layer ?? 0, clean[0].layer);
  }

  leaks(system) {
    return (segrepro.marks?.[system]?.[this.split.name] ?? 0) > 0;
  }

  names() {
    return ["ground truth", ...this.split.systems.map(({ name }) => (this.leaks(name) ? `${name} †` : name))];
  }

  compare(a, b) {
    Object.assign(this, { a, b });
    this.control("a").value = a;
    this.control("b").value = b;
    this.filter();
  }

  setMode(mode) {
    // a handle that is taken away would take the keyboard's focus, and with it the shortcuts, out of the explorer
    if (mode !== "slider" && document.activeElement === this.part("handle")) this.part("list").focus();
    this.stage.setMode(mode);
    this.root.querySelectorAll("[data-mode]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    });
    this.legend();
  }

  /** IoU of a layer on a picture, in percent: of the class that is filtered for, or the mean of those in the truth. */
  iou(picture, layer) {
    if (!picture.classes.length) return null;
    if (layer === 0) return 100;
    const values = picture.iou[layer - 1];
    const parts = this.only === null
      ? values.reduce((sum, value) => sum + value, 0) / values.length
      : values[picture.classes.indexOf(this.only)];
    return (100 * parts) / this.split.parts;
  }

  /** List the pictures that are asked for, in the order that is asked for. */
  filter() {
    const chosen = this.control("class").value;
    this.only = chosen === "" ? null : Number(chosen);
    const find = this.control("find").value.trim().toLowerCase();
    const items = this.split.pictures.filter((picture) => (this.only === null || picture.classes.includes(this.only))
      && picture.id.toLowerCase().includes(find));
    const iou = (picture, layer) => this.iou(picture, layer) ?? -1;
    const keys = {
      differing: (p) => -this.shares(p.index, this.a, this.b),
      "a-worst": (p) => iou(p, this.a),
      "a-best": (p) => -iou(p, this.a),
      "b-worst": (p) => iou(p, this.b),
      gain: (p) => iou(p, this.a) - iou(p, this.b),
      id: () => 0,
    };
    const key = keys[this.control("sort").value];
    this.items = items
      .map((picture) => ({ picture, key: key(picture) }))
      .sort((x, y) => x.key - y.key || x.picture.index - y.picture.index)
      .map(({ picture }) => picture);
    const total = this.split.pictures.length;
    this.part("count").textContent = items.length === total
      ? `${total} pictures` : `${items.length} of ${total} pictures`;
    const place = Math.max(0, this.items.indexOf(this.current));
    this.list.show(this.items, this.items.length ? place : -1);
    if (this.items.length) this.choose(place);
  }

  row(picture) {
    const { element } = segrepro;
    const number = (value) => (value === null ? "–" : value.toFixed(1));
    const pair = (name, layer) => {
      const value = this.iou(picture, layer);
      return element("span", { class: "pair" }, name,
        element("span", { class: "meter" }, element("i", { "--fill": value ?? 0 })), number(value));
    };
    const share = (100 * this.shares(picture.index, this.a, this.b)).toFixed(1);
    const photo = element("img", { src: `${this.folder}/${encodeURIComponent(picture.file)}`, alt: "", decoding: "async" });
    return element("div", { title: picture.id }, photo,
      element("span", {}, element("span", { class: "name" }, picture.id), pair("A", this.a), pair("B", this.b)),
      element("span", { class: "share" }, `${share}%`, element("br"), element("small", {}, "differs")));
  }

  async choose(place) {
    if (place < 0 || place >= this.items.length) return;
    this.list.select(place);
    const picture = this.items[place];
    this.current = picture;
    const [a, b] = [this.a, this.b];
    try {
      const [truth, left, right] = await this.layers(picture, [0, a, b]);
      if (this.current !== picture || this.a !== a || this.b !== b) return; // the reader has gone on
      this.show(picture, { truth, a: left, b: right });
    } catch (error) {
      this.part("readout").textContent = error.message;
      return;
    }
    for (const near of [place + 1, place - 1]) this.items[near] && this.packed(this.items[near]).catch(() => {});
  }

  /** Load a picture's maps, still packed; the latest `KEPT` pictures stay in memory. */
  packed(picture) {
    const { maps, folder } = this;
    const known = maps.get(picture.index) ?? segrepro.load("labels", `${folder}/${picture.index + 1}.js`);
    maps.delete(picture.index);
    maps.set(picture.index, known); // the latest is the last
    known.catch(() => maps.delete(picture.index));
    if (maps.size > this.constructor.KEPT) maps.delete(maps.keys().next().value);
    return known;
  }

  async layers(picture, wanted) {
    const { layers } = await this.packed(picture);
    return Promise.all(wanted.map((layer) => segrepro.codec.labels(layers[layer], picture.width)));
  }

  show(picture, maps) {
    const names = this.names();
    const percent = (layer) => {
      const value = this.iou(picture, layer);
      return layer === 0 || value === null ? names[layer] : `${names[layer]} · ${value.toFixed(1)}`;
    };
    const { width, height } = picture;
    this.stage.show({
      photo: `${this.folder}/${encodeURIComponent(picture.file)}`,
      alt: `Picture ${picture.id}`,
      width, height, maps, classes: this.split.classes, void: this.split.void, only: this.only,
    });
    this.part("tag-a").textContent = `A: ${percent(this.a)}`;
    for (const name of ["tag-b", "tag-beside"]) this.part(name).textContent = `B: ${percent(this.b)}`;
    this.part("title").textContent = picture.id;
    this.classes(picture);
    this.ranking(picture, names);
    this.legend();
  }

  swatch(colour) {
    return segrepro.element("span", { class: "swatch", "--colour": colour });
  }

  classes(picture) {
    const { element } = segrepro;
    const value = (layer, i) => (layer === 0 ? "" : ((100 * picture.iou[layer - 1][i]) / this.split.parts).toFixed(1));
    this.part("classes").replaceChildren(...picture.classes.map((label, i) => {
      const { name, colour } = this.split.classes.find((entry) => entry.label === label);
      return element("tr", {}, element("td", {}, this.swatch(colour), name),
        element("td", { class: "number" }, value(this.a, i)), element("td", { class: "number" }, value(this.b, i)));
    }));
  }

  ranking(picture, names) {
    const { element } = segrepro;
    const ranked = this.split.systems
      .map((_, i) => ({ layer: i + 1, value: this.iou(picture, i + 1) }))
      .sort((x, y) => (y.value ?? 0) - (x.value ?? 0));
    const choice = (layer, name, now) => element("button", {
      type: "button", "data-layer": layer, "aria-pressed": String(layer === now), "aria-label": `${names[layer]} as ${name}`,
    }, name);
    const list = this.part("ranking");
    // a focused button that is replaced would take the focus, and with it the shortcuts, out of the explorer
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    list.replaceChildren(...ranked.map(({ layer, value }) => element("li", {},
      choice(layer, "A", this.a), choice(layer, "B", this.b),
      element("span", { class: "name", title: names[layer] }, names[layer]),
      element("span", { class: "meter" }, element("i", { "--fill": value ?? 0 })),
      element("span", { class: "number" }, value === null ? "–" : value.toFixed(1)))));
    if (!focused) return;
    const again = [...list.querySelectorAll(`[data-layer="${focused.dataset.layer}"]`)]
      .find((button) => button.textContent === focused.textContent);
    (again ?? this.part("list")).focus({ preventScroll: true });
  }

  /** What the colours say: labels, or kinds of difference with the share of the scored pixels that each has. */
  legend() {
    const { element } = segrepro;
    const { counts, seen } = this.stage;
    if (!seen) return;
    const item = (colour, text) => element("li", {}, this.swatch(colour), text);
    const share = (kind) => (100 * counts[kind.key]) / Math.max(1, counts.scored);
    this.part("legend").replaceChildren(...(this.stage.mode === "difference"
      ? segrepro.Stage.DIFFERENCES.map((kind) => item(`rgb(${kind.colour})`, `${kind.text}: ${share(kind).toFixed(1)} %`))
      : this.split.classes.filter(({ label }) => seen[label]).map(({ name, colour }) => item(colour, name))));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input[type=search], select");
    if (event.key === "Escape" && typing) {
      this.part("list").focus();
      return;
    }
    const ranging = event.target.matches("input[type=range]");
    if (typing || (ranging && event.key.startsWith("Arrow"))) return;
    const place = this.items?.indexOf(this.current) ?? -1;
    const step = event.shiftKey ? 10 : 2;
    const sliding = event.target === this.part("handle");
    const page = Math.max(1, Math.floor(this.part("list").clientHeight / segrepro.PictureList.ROW) - 1);
    const last = (this.items?.length ?? 0) - 1;
    const clamp = (to) => this.choose(Math.min(last, Math.max(0, to)));
    const acts = {
      ArrowUp: () => clamp(place - 1),
      ArrowDown: () => clamp(place + 1),
      PageUp: () => clamp(place - page),
      PageDown: () => clamp(place + page),
      Home: () => (sliding ? this.stage.slideTo(0) : clamp(0)),
      End: () => (sliding ? this.stage.slideTo(100) : clamp(last)),
      ArrowLeft: () => this.stage.slideTo(this.stage.at - step),
      ArrowRight: () => this.stage.slideTo(this.stage.at + step),
      s: () => this.setMode("slider"),
      d: () => this.setMode("difference"),
      b: () => this.setMode("beside"),
      x: () => this.compare(this.b, this.a),
      t: () => this.showTruth(),
      o: () => this.blink(),
      "/": () => this.control("find").focus(),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** Put the truth on the right, or what was there before. */
  showTruth() {
    const before = this.before ?? 1;
    this.before = this.b;
    this.compare(this.a, this.b === 0 ? before : 0);
  }

  /** Take the overlay away, or give it back as it was. */
  blink() {
    const range = this.control("opacity");
    [range.value, this.opacity] = range.value === "0" ? [this.opacity ?? 75, range.value] : [0, range.value];
    this.stage.setOpacity(range.value / 100);
  }
};

const explorer = document.getElementById("explorer");
// after all deferred scripts: the marks of leaking systems are there
if (explorer) addEventListener("DOMContentLoaded", () => { segrepro.explorer = new segrepro.Explorer(explorer); });
