"use strict";
(() => {
  const text = document.getElementById("figures").textContent;
  const plots = [...document.querySelectorAll("[data-figure]")];
  const selects = [...document.querySelectorAll("select[data-axis]")];
  const chosen = [0, 1];
  const printed = 660; // pixels: what A4 and Letter leave between the margins
  const config = {
    displaylogo: false,
    // Named one by one: Plotly's own choice has a button that sends the chart away.
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };

  // Plotly writes into what it draws: each drawing starts from the text.
  const spec = (name) => {
    const figure = JSON.parse(text)[name];
    const { labels, spreads } = figure.layout.meta || {};
    if (!labels) return figure;
    for (const trace of figure.data) {
      const { columns, margins, side } = trace.meta || {};
      if (columns) [trace.x, trace.y] = chosen.map((i) => columns[i]);
      if (margins) Object.assign(trace, margins[chosen[side === "x" ? 0 : 1]]);
      delete trace.meta;
    }
    const { xaxis, yaxis } = figure.layout;
    [xaxis.title.text, yaxis.title.text] = chosen.map((i) => labels[i]);
    const [across, up] = chosen.map((i) => spreads[i]);
    const [least, most] = [Math.min(across, up), Math.max(across, up)];
    yaxis.scaleanchor = most < 5 * least || least === 0 ? "x" : false;
    delete figure.layout.meta;
    return figure;
  };

  const draw = (plot) => {
    const { data, layout } = spec(plot.dataset.figure);
    return Plotly.react(plot, data, layout, config);
  };

  for (const select of selects) {
    select.addEventListener("change", () => {
      const axis = Number(select.dataset.axis);
      chosen[axis] = Number(select.value);
      for (const other of selects) {
        if (other.dataset.axis === select.dataset.axis) other.value = select.value;
      }
      plots.filter((plot) => plot.dataset.chosen).forEach(draw);
    });
  }
  for (const plot of plots) {
    if (plot.parentElement.querySelector("select")) plot.dataset.chosen = "yes";
    draw(plot);
  }
  // Not the window: a scroll bar that appears changes the width too.
  let printing = false;
  const resized = new ResizeObserver((entries) => {
    if (!printing) for (const { target } of entries) Plotly.Plots.resize(target);
  });
  plots.forEach((plot) => resized.observe(plot));
  // The page is laid out for paper only after this event: its width is not there to be asked for.
  window.addEventListener("beforeprint", () => {
    printing = true;
    for (const plot of plots) Plotly.relayout(plot, { width: printed });
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
  });
})();
