// Keeps a page up to date: when the server tells of a change, the page is asked for again and its live parts are
// replaced. Draws charts from the tables behind them. Without it the pages say the same, as of when they were loaded.
"use strict";
(() => {
  const say = document.getElementById("live"), parts = () => document.querySelectorAll("[data-live][id]:not(#live)");
  const colors = ["#2f81c7", "#b7791f", "#2e9e5b", "#d1453b"], dashes = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
  const plots = new Map();

  function draw() {
    if (!window.uPlot) return;
    const style = getComputedStyle(document.body), fg = style.color, grid = style.getPropertyValue("--line");
    for (const figure of document.querySelectorAll("figure.chart")) {
      const table = document.querySelector("#" + figure.dataset.table + " table");
      const rows = [...table.tBodies[0].rows];
      if (rows.length < 2) continue;
      const data = [rows.map(r => Date.parse(r.querySelector("time").dateTime) / 1000)];
      const heads = [...table.tHead.rows[0].cells].slice(1);
      heads.forEach((_, i) => data.push(rows.map(r => Number(r.cells[i + 1].textContent.replaceAll(",", "")))));
      const old = plots.get(figure);
      if (old) { old.setData(data); continue; }
      const axis = { stroke: fg, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
      // As the tables and the pages: 24 hours, in UTC. A step of the axis, its text, and what a change of the year, month,
      // day, hour or minute adds.
      const day = "{YYYY}-{MM}-{DD}";
      const times = [[86400, day, null, null, null, null, null, null, 1],
        [60, "{HH}:{mm}", "\n" + day, null, "\n" + day, null, null, null, 1],
        [1, ":{ss}", "\n" + day + " {HH}:{mm}", null, "\n" + day + " {HH}:{mm}", null, "\n{HH}:{mm}", null, 1]];
      const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800];
      const box = figure.insertBefore(document.createElement("div"), figure.querySelector("details"));
      box.setAttribute("aria-hidden", "true"); // the table says the same
      plots.set(figure, new uPlot({
        width: figure.clientWidth, height: 220, cursor: { drag: { x: false, y: false } },
        tzDate: s => uPlot.tzDate(new Date(s * 1000), "Etc/UTC"),
        scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
        series: [{ label: table.tHead.rows[0].cells[0].textContent + " (UTC)", value: day + " {HH}:{mm}:{ss}" }].concat(heads.map((h, i) => ({ label: h.textContent, stroke: colors[i], dash: dashes[i], width: 2 }))),
        axes: [{ ...axis, values: times, incrs: steps }, { ...axis, size: 70 }],
      }, data, box));
    }
  }
  addEventListener("resize", () => plots.forEach((p, figure) => p.setSize({ width: figure.clientWidth, height: 220 })));

  // What a pointer goes for stays where it is: an answer waits until the pointer has rested, or a press has ended. It
  // does not wait for long, as some never rest, and the end of a press may be lost.
  let aimed = -Infinity, pressed = false;
  for (const kind of ["pointermove", "pointerdown", "pointerup", "pointercancel"]) {
    addEventListener(kind, e => { aimed = performance.now(); pressed = e.buttons > 0; }, { passive: true });
  }
  async function rest() {
    const from = performance.now();
    for (;;) {
      const now = performance.now(), wait = pressed ? from + 30000 - now : Math.min(aimed + 500, from + 3000) - now;
      if (wait <= 0) return;
      await new Promise(done => setTimeout(done, Math.min(wait, 100)));
    }
  }

  let asking = false, again = false, next = 0, timer = 0;
  async function refresh() {
    if (document.hidden || asking) { again = true; return; }
    const wait = next - performance.now();
    if (wait > 0) { clearTimeout(timer); timer = setTimeout(refresh, wait); return; }
    asking = true; again = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { redirect: "manual", credentials: "same-origin", signal: AbortSignal.timeout(30000) });
      if (answer.type === "opaqueredirect") { location.reload(); return; } // the session is over
      const text = await answer.text();
      next = performance.now() + Math.max(1000, 5 * (performance.now() - began)); // a slow server is asked less
      if (answer.ok) {
        await rest();
        const fresh = new DOMParser().parseFromString(text, "text/html");
        for (const part of parts()) {
          const now = fresh.getElementById(part.id);
          const held = part.contains(document.activeElement) && part !== document.activeElement;
          const marked = getSelection().toString() && part.contains(getSelection().anchorNode);
          if (now && !held && !marked && part.innerHTML !== now.innerHTML) part.innerHTML = now.innerHTML;
        }
        draw();
      }
    } catch { /* the stream of events says that the server is away */ }
    asking = false;
    next = Math.max(next, began + 1000);
    if (again || document.querySelector("[data-going]")) refresh(); // no event tells how far a change is
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) refresh(); });

  draw();
  if (!parts().length) return;
  const events = new EventSource("/v1/events" + (say.dataset.of ? "?" + say.dataset.of : ""));
  let stopped = false;
  events.addEventListener("bye", () => { stopped = true; });
  // What changed before the stream was open, or while it was lost, no event tells.
  events.onopen = () => { stopped = false; say.textContent = say.dataset.live; say.className = ""; refresh(); };
  events.onerror = () => {
    say.className = "bad";
    const data = say.dataset;
    say.textContent = events.readyState === EventSource.CLOSED ? data.off : stopped ? data.stopped : data.lost;
    if (events.readyState === EventSource.CLOSED) setInterval(refresh, 5000);
  };
  setInterval(refresh, 10000); // what stands still changes too: it waits for longer
  for (const kind of ["tick", "dead", "halt", "storage", "action", "lost"]) events.addEventListener(kind, refresh);
})();
