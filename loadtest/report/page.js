"use strict";
// Shows what `data-chart` holds for the x under the pointer; charts over time move together.
(() => {
  const tip = document.createElement("div");
  tip.id = "tip";
  document.body.append(tip);
  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const clear = () => {
    tip.style.display = "none";
    document.querySelectorAll(".dot").forEach((dot) => dot.remove());
    document.querySelectorAll(".cursor").forEach((line) => { line.style.display = "none"; });
  };
  const nearest = (xs, percent) => {
    let best = 0;
    xs.forEach((x, index) => { if (Math.abs(x - percent) < Math.abs(xs[best] - percent)) best = index; });
    return best;
  };
  const read = (figure) => (figure.chart ??= JSON.parse(figure.dataset.chart));
  const mark = (figure, percent) => {
    const chart = read(figure), plot = figure.querySelector(".plot"), index = nearest(chart.x, percent);
    const cursor = figure.querySelector(".cursor");
    cursor.style.display = "block";
    cursor.style.left = chart.x[index] + "%";
    for (const line of chart.lines) {
      if (line.y[index] === null) continue;
      const dot = element("i", "dot t" + line.colour);
      dot.style.left = chart.x[index] + "%";
      dot.style.top = line.y[index] + "%";
      plot.append(dot);
    }
    return index;
  };
  const show = (figure, index, event) => {
    const chart = read(figure);
    tip.replaceChildren(element("b", "", chart.at[index]));
    for (const line of chart.lines) {
      if (line.text[index] === null) continue;
      const row = element("div");
      row.append(element("span", "t" + line.colour, line.name), element("span", "", line.text[index]));
      tip.append(row);
    }
    tip.style.display = "block";
    const left = event.clientX + 16;
    tip.style.left = (left + tip.offsetWidth > innerWidth - 8 ? event.clientX - tip.offsetWidth - 16 : left) + "px";
    tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + "px";
  };
  const move = (event) => {
    clear();
    const plot = event.target.closest?.(".plot");
    const figure = plot?.closest("figure[data-chart]");
    if (!figure) return;
    const box = plot.getBoundingClientRect();
    const percent = ((event.clientX - box.left) / box.width) * 100;
    const index = mark(figure, percent);
    if (figure.dataset.linked) {
      const others = document.querySelectorAll("figure[data-linked]");
      others.forEach((other) => { if (other !== figure) mark(other, percent); });
    }
    show(figure, index, event);
  };
  document.addEventListener("pointermove", move);
  document.addEventListener("pointerdown", move);
  document.addEventListener("pointerleave", clear);
})();
