// What moves on a report: charts, tables that sort and filter. It loads nothing; without it every figure still stands on the page.
"use strict";
(() => {
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const NONE = "rgba(0, 0, 0, 0)";
  const formats = {
    percent: (value) => `${(100 * value).toFixed(Math.abs(value) < 0.1 ? 2 : 1)} %`.replace("-", "−"),
    amount: (value) => value.toLocaleString("en-US", { maximumFractionDigits: 0 }),
    price: (value) => value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 }),
    ratio: (value) => value.toFixed(2).replace("-", "−"),
  };

  // A chart is given as columns on one list of days; a null has no point.
  class Chart {
    constructor(plot, data, first) {
      this.data = data;
      this.plot = plot;
      this.legend = plot.parentElement.querySelector(".legend");
      this.adjusted = true;
      this.at = null;
      this.chart = LightweightCharts.createChart(plot, {
        autoSize: true,
        layout: { attributionLogo: first, panes: { separatorColor: colour("line") } },
        timeScale: { borderVisible: false, minBarSpacing: 0.02, rightOffset: 2, lockVisibleTimeRangeOnResize: true },
        rightPriceScale: { borderVisible: false, minimumWidth: 72 },
        crosshair: { mode: 0 },
        handleScale: { mouseWheel: true },
        localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
      });
      this.series = data.series.map((given) => this.add(given));
      this.draw();
      this.paint();
      if (data.view && data.days.length > data.view) this.show(data.days.length - data.view, data.days.length);
      else this.show(0, data.days.length);
      this.chart.panes().forEach((pane, k) => pane.setStretchFactor(data.panes[k]));
      if (data.log) this.series[0].priceScale().applyOptions({ mode: 1 });
      this.chart.subscribeCrosshairMove((event) => this.tell(event.logical === undefined || event.time === undefined ? null : event.logical));
      this.tell(null);
      plot.addEventListener("keydown", (event) => this.key(event));
    }

    add(given) {
      const types = { candles: "CandlestickSeries", line: "LineSeries", area: "AreaSeries", bars: "HistogramSeries", points: "LineSeries" };
      const format = { type: "custom", formatter: formats[given.format], minMove: 0.0001 };
      const series = this.chart.addSeries(LightweightCharts[types[given.type]], { priceLineVisible: false, lastValueVisible: false, priceFormat: format, title: "" }, given.pane || 0);
      if (given.level !== undefined) this.level = series.createPriceLine({ price: given.level, lineStyle: 1, lineWidth: 1, axisLabelVisible: false, color: colour("muted") });
      return series;
    }

    factor(k) {
      if (!this.adjusted || !this.data.factors) return 1;
      let found = 1;
      for (const [until, value] of this.data.factors) if (k < until) { found = value; break; }
      return found;
    }

    points(given) {
      const days = this.data.days;
      const scale = given.priced ? (k) => this.factor(k) : () => 1;
      if (given.type === "candles") {
        return days.map((time, k) => (given.close[k] === null ? { time } : { time, open: given.open[k] * scale(k), high: given.high[k] * scale(k), low: given.low[k] * scale(k), close: given.close[k] * scale(k) }));
      }
      if (given.spans) {
        // Stretches from one day to another: between them the line is there and cannot be seen.
        const out = [];
        for (const [from, to, start, end, tone] of given.spans) {
          const [a, b] = [start * scale(from), end * scale(to)];
          for (let k = from; k <= to; k += 1) out.push({ k, time: days[k], value: to === from ? a : a + ((b - a) * (k - from)) / (to - from), color: k === to ? NONE : colour(tone) });
        }
        const unique = new Map();
        for (const point of out) { const before = unique.get(point.k); if (!before || before.color === NONE) unique.set(point.k, point); }
        return [...unique.values()].sort((a, b) => a.k - b.k).map(({ time, value, color }) => ({ time, value, color }));
      }
      return days.map((time, k) => (given.values[k] === null ? { time } : { time, value: given.values[k] * scale(k), ...(given.tones ? { color: colour(given.tones[k] || given.tone) } : {}) }));
    }

    draw() {
      this.data.series.forEach((given, k) => this.series[k].setData(this.points(given)));
      if (!this.data.markers) return;
      const made = this.data.markers.map(([k, position, shape, tone, text]) => ({ time: this.data.days[k], position, shape, color: colour(tone), text }));
      if (this.markers) this.markers.setMarkers(made);
      else this.markers = LightweightCharts.createSeriesMarkers(this.series[0], made);
    }

    paint() {
      this.chart.applyOptions({
        layout: { background: { color: colour("paper") }, textColor: colour("muted"), panes: { separatorColor: colour("line") } },
        grid: { vertLines: { visible: false }, horzLines: { color: colour("soft") } },
        crosshair: { vertLine: { color: colour("muted") }, horzLine: { color: colour("muted") } },
      });
      this.data.series.forEach((given, k) => {
        const tone = colour(given.tone || "accent");
        const all = {
          candles: { upColor: colour("up"), wickUpColor: colour("up"), downColor: colour("down"), wickDownColor: colour("down"), borderVisible: false },
          line: { color: tone, lineWidth: given.width || 2, lineStyle: given.dashed ? 2 : 0, crosshairMarkerVisible: !given.spans },
          area: { lineColor: tone, topColor: `${tone}22`, bottomColor: `${tone}66`, lineWidth: 1, invertFilledArea: true },
          bars: { color: tone },
          points: { color: tone, lineVisible: false, pointMarkersVisible: true, pointMarkersRadius: 3 },
        };
        this.series[k].applyOptions(all[given.type]);
      });
      if (this.level) this.level.applyOptions({ color: colour("muted") });
    }

    show(from, to) {
      this.chart.timeScale().setVisibleLogicalRange({ from: from - 0.5, to: to + 0.5 });
    }

    tell(logical) {
      const days = this.data.days;
      const k = logical === null ? days.length - 1 : Math.max(0, Math.min(days.length - 1, Math.round(logical)));
      this.at = logical === null ? null : k;
      this.legend.replaceChildren();
      const strong = document.createElement("b");
      strong.textContent = days[k];
      this.legend.append(strong);
      this.data.series.forEach((given) => {
        if (!given.name) return;
        const mark = document.createElement("i");
        mark.style.background = colour(given.type === "candles" ? "up" : given.tone || "accent");
        const value = given.type === "candles" ? ["open", "high", "low", "close"].map((part) => `${part} ${given[part][k] === null ? "–" : formats[given.format](given[part][k] * this.factor(k))}`).join("  ") : given.values && given.values[k] !== null ? formats[given.format](given.values[k]) : given.spans ? "" : "–";
        this.legend.append(mark, `${given.name} ${value}`);
      });
    }

    key(event) {
      const last = this.data.days.length - 1;
      const range = this.chart.timeScale().getVisibleLogicalRange();
      if (!range || event.ctrlKey || event.metaKey || event.altKey) return;
      const width = range.to - range.from;
      const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -Math.ceil(width / 2), PageDown: Math.ceil(width / 2), Home: -last, End: last };
      if (event.key in moves) {
        const k = Math.max(0, Math.min(last, (this.at === null ? Math.min(last, Math.round(range.to)) : this.at) + moves[event.key]));
        if (k < range.from || k > range.to) this.show(Math.max(0, k - width / 2), Math.max(0, k - width / 2) + width);
        this.tell(k);
        const given = this.data.series[0];
        const value = (given.close || given.values)[k];
        if (value !== null) this.chart.setCrosshairPosition(value * (given.priced ? this.factor(k) : 1), this.data.days[k], this.series[0]);
      } else if (event.key === "+" || event.key === "-") {
        const middle = this.at === null ? (range.from + range.to) / 2 : this.at;
        const wide = Math.min(last + 1, Math.max(10, width * (event.key === "+" ? 0.6 : 1.6)));
        this.show(Math.max(0, middle - wide / 2), Math.min(last + 1, middle + wide / 2));
      } else if (event.key === "Escape") {
        this.chart.clearCrosshairPosition();
        this.tell(null);
      } else return;
      event.preventDefault();
    }
  }

  const charts = [];
  for (const plot of document.querySelectorAll(".plot")) {
    const chart = new Chart(plot, JSON.parse(document.getElementById(plot.dataset.chart).textContent), charts.length === 0);
    charts.push(chart);
    for (const button of plot.parentElement.querySelectorAll("button[data-view]")) {
      button.addEventListener("click", () => {
        const count = chart.data.days.length;
        chart.show(button.dataset.view === "all" ? 0 : Math.max(0, count - Number(button.dataset.view)), count);
      });
    }
    for (const button of plot.parentElement.querySelectorAll("button[data-basis]")) {
      button.addEventListener("click", () => {
        chart.adjusted = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!chart.adjusted));
        chart.draw();
        chart.tell(chart.at);
      });
    }
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts) { chart.paint(); chart.draw(); chart.tell(chart.at); }
  });

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const value = (row, k) => {
      const text = row.cells[k].textContent;
      const number = Number(text.replace(/[, %]/g, "").replace("−", "-"));
      return row.cells[k].classList.contains("number") && !Number.isNaN(number) ? number : text;
    };
    [...table.tHead.rows[0].cells].forEach((head, k) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const rising = head.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const sign = rising ? 1 : -1;
        rows.sort((a, b) => { const [x, y] = [value(a, k), value(b, k)]; return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y))); });
        body.append(...rows);
      });
    });
    const search = document.querySelector(`input[data-filters="${table.id}"]`);
    if (!search) continue;
    const count = search.closest(".tools").querySelector("output");
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${rows.length}`;
    };
    search.addEventListener("input", filter);
    filter();
  }
  root.dataset.ready = String(charts.length);
})();
