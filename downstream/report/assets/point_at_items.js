// The map of the features: an item is shown when readers point at it or reach it with the arrow keys. A button shows
// one class only.
(() => {
  "use strict";
  for (const box of document.querySelectorAll(".embedding")) {
    const chart = box.querySelector("svg");
    const items = [...chart.querySelectorAll(".item")];
    const ring = chart.querySelector(".ring");
    const card = box.querySelector(".card");
    const pen = card.querySelector("canvas").getContext("2d");
    const sheet = box.querySelector(".sheet");
    const data = JSON.parse(box.querySelector("script").textContent);
    const positions = items.map((item) => [Number(item.getAttribute("cx")), Number(item.getAttribute("cy"))]);
    const side = chart.viewBox.baseVal.width;
    let current = -1, alone = null;

    const visible = (number) => alone === null || items[number].dataset.label === alone;

    function show(number) {
      current = number;
      const [x, y] = positions[number];
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
      const column = number % data.columns, line = Math.floor(number / data.columns);
      pen.clearRect(0, 0, data.thumbnail, data.thumbnail);
      pen.drawImage(sheet, column * data.thumbnail, line * data.thumbnail, data.thumbnail, data.thumbnail, 0, 0, data.thumbnail, data.thumbnail);
      card.querySelector("p").textContent = `${data.ids[number]}: ${data.classes[number]}, ${data.splits[number]}`;
      card.hidden = false;
      const scale = chart.clientWidth / side;
      const left = x * scale + (x > side / 2 ? -card.offsetWidth - 14 : 14);
      card.style.left = `${Math.max(0, Math.min(left, chart.clientWidth - card.offsetWidth))}px`;
      card.style.top = `${Math.max(0, Math.min(y * scale - 40, chart.clientHeight - card.offsetHeight))}px`;
    }

    function hide() {
      card.hidden = true;
      ring.setAttribute("cx", -20);
      ring.setAttribute("cy", -20);
    }

    // the visible item with the least cost, a function of its offset from a position; -1 if there is none
    function nearest(x, y, costOf) {
      let best = -1, least = Infinity;
      positions.forEach(([a, b], number) => {
        if (!visible(number)) return;
        const cost = costOf(a - x, b - y, number);
        if (cost < least) [best, least] = [number, cost];
      });
      return best;
    }

    const distance = (a, b) => Math.hypot(a, b);

    function step(dx, dy) {
      if (current < 0 || !visible(current)) return show(Math.max(nearest(side / 2, side / 2, distance), 0));
      const [x, y] = positions[current];
      const found = nearest(x, y, (a, b, number) => {
        const ahead = a * dx + b * dy, aside = Math.abs(a * dy) + Math.abs(b * dx);
        // items at the same position are reached one after the other
        if (a === 0 && b === 0) return number > current && dx + dy > 0 ? 0 : number < current && dx + dy < 0 ? 0 : Infinity;
        return ahead > 0 ? ahead + 2 * aside : Infinity;
      });
      if (found >= 0) show(found);
    }

    chart.addEventListener("pointermove", (event) => {
      const frame = chart.getBoundingClientRect();
      const scale = side / frame.width;
      const x = (event.clientX - frame.left) * scale, y = (event.clientY - frame.top) * scale;
      const found = nearest(x, y, distance);
      if (found >= 0 && Math.hypot(positions[found][0] - x, positions[found][1] - y) < 14 * Math.max(1, scale)) show(found);
      else hide();
    });
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("keydown", (event) => {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.key in ways) step(...ways[event.key]);
      else if (event.key === "Escape") hide();
      else return;
      event.preventDefault();
    });
    chart.addEventListener("focus", () => { if (chart.matches(":focus-visible")) current < 0 ? step(0, 0) : show(current); });
    chart.addEventListener("blur", hide);

    const legend = box.nextElementSibling;
    if (!legend || !legend.matches("div.legend")) continue;
    const buttons = [...legend.querySelectorAll("button")];
    for (const button of buttons) {
      button.addEventListener("click", () => {
        alone = alone === button.dataset.label ? null : button.dataset.label;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other.dataset.label === alone));
        items.forEach((item, number) => item.classList.toggle("faded", !visible(number)));
        hide();
      });
    }
  }
})();
