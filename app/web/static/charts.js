// Charts are drawn from the table behind them: what is seen and what is read aloud are the same figures.
"use strict";
(() => {
  const drawn = new Set();

  const numberIn = (cell) => (cell && cell.dataset.v !== undefined ? Number(cell.dataset.v) : null);

  function readTable(chart) {
    const table = chart.querySelector("[data-figures]");
    const rows = [...table.tBodies[0].rows].map((row) => [...row.children]);
    const isDated = rows.length > 0 && rows[0][0].dataset.v.includes("-");
    const x = rows.map((cells) =>
      isDated ? Date.parse(`${cells[0].dataset.v}T00:00:00Z`) / 1000 : Number(cells[0].dataset.v));
    return { x, step: x.length > 1 ? x[1] - x[0] : 1, labels: rows.map((cells) => cells[0].textContent), isDated,
      heads: [...table.tHead.rows[0].cells].map((head) => head.textContent),
      texts: (index) => rows.map((cells) => cells[index].textContent),
      column: (index) => rows.map((cells) => numberIn(cells[index])) };
  }

  // A token's colour as the browser resolves it, for a canvas knows no custom properties.
  function tone(chart, name) {
    const probe = document.createElement("span");
    probe.className = name;
    chart.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }

  function faded(colour, alpha) {
    const parts = colour.match(/[\d.]+/g).slice(0, 3);
    return `rgba(${parts.join(", ")}, ${alpha})`;
  }

  function axes(chart, options) {
    const family = getComputedStyle(chart).fontFamily;
    const base = { stroke: tone(chart, "tone-axis"), font: `12px ${family}`, ticks: { show: false } };
    const grid = { stroke: tone(chart, "tone-grid"), width: 1 };
    return [{ ...base, grid: { show: false }, size: 28, ...options.x }, { ...base, grid, size: 46, ...options.y }];
  }

  const axisFont = (chart) => `12px ${getComputedStyle(chart).fontFamily}`;

  const whole = (locale) => new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
  const share = (locale) => new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
  const WHOLE_STEPS = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat(); // half a person is none
  const month = (locale) => new Intl.DateTimeFormat(locale, { month: "short", timeZone: "UTC" });

  function monthTicks(self, _axis, low, high) {
    const ticks = [];
    const day = new Date(low * 1000);
    day.setUTCDate(1);
    const step = Math.max(1, Math.ceil((high - low) / 2629800 / Math.max(2, self.width / 70)));
    for (; day.getTime() / 1000 <= high; day.setUTCMonth(day.getUTCMonth() + step)) {
      if (day.getTime() / 1000 >= low) ticks.push(day.getTime() / 1000);
    }
    return ticks;
  }

  function reading(chart, table, columns) {
    const line = chart.querySelector(".reading");
    return (self) => {
      const at = self.cursor.idx;
      line.textContent = at == null ? "" :
        [table.labels[at] + (table.isDated ? "" : ` ${table.heads[0]}`),
          ...columns.map((index) => `${table.heads[index]} ${table.texts(index)[at]}`)].join(" · ");
    };
  }

  function draw(area, options, data) {
    const plot = new uPlot({
      width: area.clientWidth, height: area.clientHeight || 240, legend: { show: false }, padding: [10, 6, 0, 0],
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { size: 7 }, sync: { key: options.sync } },
      ...options.plot,
    }, data, area);
    return { area, plot };
  }

  // What lies beyond the tenure that was observed stands on a shaded ground, with the word for it.
  function shadeBeyond(from, { colour, ink, font, word }) {
    return (self) => {
      const left = self.valToPos(from, "x", true);
      const right = self.bbox.left + self.bbox.width;
      if (left >= right) return;
      self.ctx.save();
      self.ctx.fillStyle = colour;
      self.ctx.fillRect(left, self.bbox.top, right - left, self.bbox.height);
      self.ctx.fillStyle = ink;
      self.ctx.font = font;
      self.ctx.textAlign = "right";
      self.ctx.textBaseline = "top";
      self.ctx.fillText(word, right - 8 * devicePixelRatio, self.bbox.top + 6 * devicePixelRatio);
      self.ctx.restore();
    };
  }

  function retention(chart, locale) {
    const table = readTable(chart);
    const area = chart.querySelector(".chart-area");
    const accent = tone(chart, "tone-1");
    const format = share(locale);
    const line = (name, extra) => ({ stroke: tone(chart, name), width: 2, points: { show: false }, ...extra });
    const steps = uPlot.paths.stepped({ align: 1 });
    const supported = Number(chart.dataset.supported || "0");
    return [draw(area, {
      plot: {
        scales: { x: { time: false }, y: { range: [0, 1] } },
        axes: axes(chart, {
          x: { values: (_self, values) => values.map(String), splits: () => [0, 12, 24, 36, 48, 60] },
          y: { values: (_self, values) => values.map((value) => format.format(value)) },
        }),
        series: [{}, line("tone-1", { stroke: faded(accent, 0) }), line("tone-1", { stroke: faded(accent, 0) }),
          line("tone-2", { width: 1.5, dash: [5, 4], paths: steps }), line("tone-4", { width: 1.5 }), line("tone-1")],
        bands: [{ series: [1, 2], fill: faded(accent, 0.16) }],
        hooks: {
          drawClear: [shadeBeyond(supported, {
            colour: faded(tone(chart, "tone-axis"), 0.09), ink: tone(chart, "tone-axis"), word: chart.dataset.note,
            font: `${12 * devicePixelRatio}px ${getComputedStyle(chart).fontFamily}`,
          })],
          setCursor: [reading(chart, table, [1, 2, 3, 4, 5].filter((index) => table.heads[index]))],
        },
      },
    }, [table.x, table.column(3), table.column(2), table.column(5), table.column(4), table.column(1)])];
  }

  function usage(chart, locale) {
    const table = readTable(chart);
    const format = whole(locale);
    const bars = uPlot.paths.bars({ size: [0.72, 28], radius: 0.15 });
    const options = {
      x: { values: (_self, values) => values.map((value) => month(locale).format(value * 1000)), splits: monthTicks },
      y: { values: (_self, values) => values.map((value) => format.format(value)), incrs: WHOLE_STEPS },
    };
    const show = reading(chart, table, table.heads.map((_head, index) => index).slice(1));
    const kinds = {
      people: [{}, { stroke: tone(chart, "tone-1"), width: 2, points: { show: false } },
        { stroke: tone(chart, "tone-3"), width: 1.5, dash: [5, 4], points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) }],
      actions: [{}, { fill: faded(tone(chart, "tone-1"), 0.55), width: 0, points: { show: false }, paths: bars }],
    };
    return [...chart.querySelectorAll(".chart-area")].map((area) => draw(area, {
      sync: "usage",
      plot: {
        scales: { x: { time: true, range: (_self, low, high) => [low - table.step / 2, high + table.step / 2] }, y: { range: (_self, _low, high) => [0, Math.max(1, high * 1.08)] } },
        axes: axes(chart, options), series: kinds[area.dataset.part], hooks: { setCursor: [show] },
      },
    }, [table.x, ...area.dataset.columns.split(" ").map((index) => table.column(Number(index)))]));
  }

  function group(chart, locale) {
    const table = readTable(chart);
    const accent = tone(chart, "tone-1");
    const format = share(locale);
    const steps = uPlot.paths.stepped({ align: 1 });
    const line = { points: { show: false }, paths: steps };
    return [draw(chart.querySelector(".chart-area"), {
      sync: "groups",
      plot: {
        scales: { x: { time: false, range: [0, Number(chart.dataset.months)] }, y: { range: [0, 1] } },
        axes: axes(chart, {
          x: { values: (_self, values) => values.map(String), incrs: [6, 12, 24, 36, 60], space: 34 },
          y: { values: (_self, values) => values.map((value) => format.format(value)) },
        }),
        series: [{}, { ...line, stroke: faded(accent, 0) }, { ...line, stroke: faded(accent, 0) },
          { ...line, stroke: tone(chart, "tone-2"), width: 1.5, dash: [5, 4] }, { ...line, stroke: accent, width: 2 }],
        bands: [{ series: [1, 2], fill: faded(accent, 0.16) }],
        hooks: { setCursor: [reading(chart, table, [1, 2, 3, 4, 5].filter((index) => table.heads[index]))] },
      },
    }, [table.x, table.column(3), table.column(2), table.column(4), table.column(1)])];
  }

  const KINDS = { retention, usage, group };

  function drawAll() {
    for (const old of drawn) old.plot.destroy();
    drawn.clear();
    for (const chart of document.querySelectorAll("[data-chart]")) {
      for (const one of KINDS[chart.dataset.chart](chart, chart.dataset.locale)) drawn.add(one);
    }
  }

  function fit() {
    for (const { area, plot } of drawn) {
      if (area.clientWidth !== plot.width) plot.setSize({ width: area.clientWidth, height: plot.height });
    }
  }

  drawAll();
  window.addEventListener("resize", fit);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("htmx:afterSettle", drawAll);
})();
