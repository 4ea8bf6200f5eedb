"use strict";
/* A list of any length: only the rows in sight exist. */

segrepro.PictureList = class {
  static ROW = 60; // pixels, as in the style sheet
  static SPARE = 4; // rows above and below those in sight

  /**
   * @param box the scrolling element, a listbox
   * @param makeRow makes a row's element of an item
   * @param onSelect called with an item's place when the reader chose it
   */
  constructor(box, makeRow, onSelect) {
    Object.assign(this, { box, makeRow, onSelect, items: [], selected: -1, rows: new Map() });
    this.spacer = box.querySelector(".spacer");
    box.addEventListener("scroll", () => requestAnimationFrame(() => this.render()));
    box.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.onSelect(Number(row.dataset.place));
    });
    new ResizeObserver(() => this.render()).observe(box);
  }

  /** Show other items, or the same with other facts. */
  show(items, selected) {
    this.items = items;
    this.rows.forEach((row) => row.remove());
    this.rows.clear();
    this.spacer.style.height = `${items.length * this.constructor.ROW}px`;
    this.select(selected);
  }

  /** Mark the item at a place and bring it into sight. */
  select(place) {
    const height = this.constructor.ROW;
    this.selected = place;
    if (place >= 0) {
      const top = place * height;
      const inside = top >= this.box.scrollTop && top + height <= this.box.scrollTop + this.box.clientHeight;
      if (!inside) this.box.scrollTop = top - (this.box.clientHeight - height) / 2;
    }
    this.render();
  }

  render() {
    const { ROW, SPARE } = this.constructor;
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + SPARE);
    for (const [place, row] of this.rows) {
      if (place < first || place >= last) {
        row.remove();
        this.rows.delete(place);
      }
    }
    for (let place = first; place < last; place += 1) {
      const row = this.rows.get(place) ?? this.add(place);
      row.setAttribute("aria-selected", String(place === this.selected));
    }
    if (this.rows.has(this.selected)) this.box.setAttribute("aria-activedescendant", `picture-${this.selected}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  add(place) {
    const row = this.makeRow(this.items[place]);
    row.id = `picture-${place}`;
    row.className = "row";
    row.style.top = `${place * this.constructor.ROW}px`;
    row.dataset.place = place;
    row.setAttribute("role", "option");
    row.setAttribute("aria-setsize", this.items.length);
    row.setAttribute("aria-posinset", place + 1);
    this.rows.set(place, row);
    this.box.append(row);
    return row;
  }
};
