// Tooltips, the what-if panel, saving certificates, and printing with the tables open (but for the very long ones).
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);

  // what a mark says, where the pointer is
  const tip = byId("tip");
  const show = (event) => {
    const mark = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    if (!mark) { tip.hidden = true; return; }
    tip.textContent = mark.getAttribute("data-tip");
    tip.hidden = false;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 12, room))}px`;
    const below = event.clientY + 18;
    const fits = below + tip.offsetHeight < window.innerHeight;
    tip.style.top = `${fits ? below : Math.max(8, event.clientY - tip.offsetHeight - 12)}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  for (const moved of ["wheel", "touchmove"]) {
    document.addEventListener(moved, () => { tip.hidden = true; }, { passive: true });
  }

  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => {
      const text = byId(button.dataset.save).textContent;
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.download = `${button.dataset.save}.json`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }

  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      if (details.querySelector("pre") || details.querySelectorAll("tr").length > 150) continue;
      details.open = true;
      details.dataset.printed = "";
    }
  });
  window.addEventListener("afterprint", () => {
    for (const details of document.querySelectorAll("details[data-printed]")) {
      details.open = false;
      delete details.dataset.printed;
    }
  });

  const game = JSON.parse(byId("game").textContent);
  if (!game) return;

  const words = (v) => {
    if (v === null || Number.isNaN(v)) return "–";
    if (!Number.isFinite(v)) return "unbounded";
    return Math.abs(v) >= 10000 ? Math.round(v).toLocaleString("en") : String(Number(v.toPrecision(4)));
  };
  const trueRank = game.quality.map((q, i) =>
    1 + game.quality.filter((p, j) => p > q || (p === q && game.tieOrder[j] < game.tieOrder[i])).length);
  const inputs = ["tune", "steepness", "cost", "items"].map(byId);
  const itemsAt = (slider) => (slider === 0 ? 0 : Math.round(50 * Math.pow(400, (slider - 1) / 99)));

  const settings = () => ({
    tune: Number(inputs[0].value),
    steepness: Number(inputs[1].value),
    cost: Number(inputs[2].value) === 0 ? 1 : Math.pow(10, Number(inputs[2].value)),
    items: game.measurable ? itemsAt(Number(inputs[3].value)) : 0,
  });

  const start = () => {
    inputs[0].max = game.mostTune;
    inputs[0].step = game.tune % 100 === 0 ? 100 : "any";
    inputs[0].value = game.tune;
    inputs[1].value = 1;
    inputs[2].value = 0;
    inputs[3].value = 0;
    inputs[3].disabled = !game.measurable;
  };

  const svg = (name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };

  function drawGraph(solved, paying) {
    const n = game.names.length;
    const pitch = n > 12 ? 15 : 24;
    const left = 150, top = 14, width = 400;
    const picture = svg("svg", {
      viewBox: `0 0 ${width} ${top + pitch * n + 12}`, role: "img",
      "aria-label": `Overtaking graph at these settings: ${paying.length} overtakes pay`,
    });
    const y = (i) => top + pitch * solved.ranks[i];
    solved.order.forEach((i, r) => {
      const name = game.names[i].length > 15 ? `${game.names[i].slice(0, 14)}…` : game.names[i];
      const strong = paying.includes(i) ? "tick strong" : "tick";
      picture.append(
        svg("text", { x: left - 10, y: y(i) + 3.5, class: strong, "text-anchor": "end" }, `${r + 1}  ${name}`),
        svg("circle", { cx: left, cy: y(i), r: 3, class: "knot" }));
    });
    for (const i of paying) {
      const best = solved.best[i];
      const reach = left + Math.min(width - left - 8, 22 + 0.62 * Math.abs(y(i) - y(best.target)));
      picture.append(svg("path", {
        d: `M${left + 4},${y(i)}C${reach},${y(i)} ${reach},${y(best.target)} ${left + 5},${y(best.target)}`,
        class: "arc pays", "marker-end": "url(#head)",
        "data-tip": `${game.names[i]} passes ${game.names[best.target]} with ${words(best.effort)} steps at a cost of ` +
          `${words(best.cost)}: prize gain ${words(best.gain)}`,
      }));
    }
    byId("whatif-graph").replaceChildren(picture);
  }

  function drawTable(solved, seen) {
    const rows = solved.order.map((i, r) => {
      const best = solved.best[i];
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = game.names[i];
      row.append(head);
      const cells = [
        r + 1, trueRank[i], solved.score[i].toFixed(4), words(solved.margins[i]),
        ...(best ? [game.names[best.target], words(best.effort), words(best.cost), words(best.gain)] : ["–", "–", "–", "–"]),
        seen && r + 1 < solved.order.length ? `${(100 * seen.above[r]).toFixed(1)}%` : "–",
      ];
      for (const value of cells) {
        const cell = document.createElement("td");
        cell.textContent = value;
        row.append(cell);
      }
      return row;
    });
    byId("whatif-table").tBodies[0].replaceChildren(...rows);
  }

  function update() {
    const now = settings();
    byId("tune-value").textContent = `${Math.round(now.tune).toLocaleString("en")} steps`;
    byId("steepness-value").textContent = now.steepness.toFixed(2);
    byId("cost-value").textContent = `× ${now.cost.toPrecision(3)}`;
    byId("items-value").textContent = game.measurable
      ? (now.items ? `${now.items.toLocaleString("en")} items` : "measured exactly") : "scores are no shares";
    inputs.forEach((input, k) => {
      input.setAttribute("aria-valuetext", byId(`${input.id}-value`).textContent);
    });
    const solved = truerank.solve(game, now);
    const tolerance = 1e-9 * (solved.prizes[0] - solved.prizes[solved.prizes.length - 1]);
    const paying = solved.order.filter((i) => solved.margins[i] < -tolerance);
    const seen = now.items ? truerank.observed(game, solved, now.items) : null;
    const margin = Math.min(...solved.margins);
    const tau = truerank.kendall(game, solved);
    const verdict = paying.length === 0
      ? "Nobody gains by climbing: this board is an equilibrium"
      : `${paying.length} of ${game.names.length} developers gain by climbing` +
        (game.settled ? ": there is no pure equilibrium" : " from here; whether another equilibrium exists takes the solver");
    const noisy = seen
      ? ` A test of ${now.items.toLocaleString("en")} items would show a board at expected tau-b ${words(seen.tau)} if nobody reacted.`
      : "";
    byId("whatif-answer").textContent =
      `${verdict}. Stability margin ${words(margin)}; tau-b of the board with the true ranking ${words(tau)}.${noisy}`;
    drawGraph(solved, paying);
    drawTable(solved, seen);
  }

  start();
  for (const input of inputs) input.addEventListener("input", update);
  byId("knobs").addEventListener("reset", (event) => { event.preventDefault(); start(); update(); });
  byId("knobs").addEventListener("submit", (event) => event.preventDefault());
  const apart = truerank.disagreement(game);
  byId("whatif-check").textContent = apart <= 1e-9
    ? `Checked on loading: at ${game.checks.length} settings this browser and the Python solver differ by at most ${apart.toExponential(1)}.`
    : `CAUTION: this browser and the Python solver differ by ${apart}; do not rely on the panel.`;
  update();
})();
