// The exact leaderboard game in the browser: ranks, stability margins and overtakes at the free-effort profile, and
// chances that a test of so many items shows each pair in the right order. Mirrors solvers/kernels.py
// (free_profile_margins), designer/prizes.py (band_mean) and solvers/standings.py (noisy_above).
"use strict";

const truerank = (() => {
  // lower + (upper - lower) / (1 + exp(-x)), x = intercept + slope log(1 + effort), as two floats
  function scorePair(g, i, effort) {
    const x = g.intercept[i] + g.slope[i] * Math.log1p(effort);
    const small = Math.exp(-Math.abs(x));
    const part = (g.upper[i] - g.lower[i]) * (small / (1 + small));
    const base = x >= 0 ? g.upper[i] : g.lower[i];
    const shift = x >= 0 ? -part : part;
    const total = base + shift;
    const shadow = total - base;
    return [total, (base - (total - shadow)) + (shift - shadow)];
  }

  // the announced prizes made steeper, then shared within bands
  function prizesAt(g, steepness) {
    const n = g.prizes.length;
    const last = g.prizes[n - 1];
    const span = g.prizes[0] - last;
    const single = g.prizes.map((r) => last + span * Math.pow((r - last) / span, steepness));
    const shared = [];
    let start = 0;
    let least = Infinity;
    for (const size of g.bands) {
      let sum = 0;
      for (let r = start; r < start + size; r++) sum += single[r];
      least = Math.min(least, size === 1 ? single[start] : sum / size);
      for (let r = 0; r < size; r++) shared.push(least);
      start += size;
    }
    return shared;
  }

  const finite = (v) => (v === null ? Infinity : v);

  function solve(g, settings) {
    const n = g.names.length;
    const prizes = prizesAt(g, settings.steepness);
    const hi = [], lo = [], free = [], starts = [], order = [];
    for (let i = 0; i < n; i++) {
      const scale = g.scale[i] * settings.cost;
      const cap = finite(g.cap[i]);
      free.push(g.entry_fee[i] > 0 ? 0 : scale > 0 ? Math.min(g.free[i], cap) : cap);
      starts.push(g.exposure[i] + settings.tune);
      const [h, l] = scorePair(g, i, starts[i] + free[i]);
      hi.push(h);
      lo.push(l);
      order.push(i);
    }
    const ahead = (i, j) =>
      hi[i] > hi[j] || (hi[i] === hi[j] && (lo[i] > lo[j] || (lo[i] === lo[j] && g.tieOrder[i] < g.tieOrder[j])));
    order.sort((i, j) => (i === j ? 0 : ahead(i, j) ? -1 : 1));
    const margins = new Array(n).fill(Infinity);
    const ranks = new Array(n);
    const best = new Array(n).fill(null);
    for (let r = 0; r < n; r++) {
      const i = order[r];
      ranks[i] = r;
      if (!(prizes[0] - prizes[r] > 0)) continue;
      const scale = g.scale[i] * settings.cost;
      const cap = finite(g.cap[i]);
      const most = cap < Infinity ? scorePair(g, i, starts[i] + cap) : null;
      for (let t = r - 1; t >= 0; t--) {
        const gain = prizes[t] - prizes[r];
        if (gain <= 0) continue;
        const j = order[t];
        const wins = g.tieOrder[i] < g.tieOrder[j];
        if (most && (hi[j] > most[0] || (hi[j] === most[0] && (lo[j] > most[1] || (lo[j] === most[1] && !wins))))) break;
        const gap = (g.upper[i] - hi[j]) - lo[j];
        const flat = g.lower[i] === g.upper[i];
        if (gap < 0 || (gap === 0 && !(wins && flat))) break;
        if (flat && !wins) break;
        const rise = (hi[j] - g.lower[i]) + lo[j];
        let effort = 0;
        if (!flat && rise > 0) {
          effort = Math.exp((Math.log(rise / gap) - g.intercept[i]) / g.slope[i]) - 1 - starts[i];
        }
        effort = Math.min(Math.max(effort, 0), cap);
        const paid = effort - g.free[i];
        let price = g.entry_fee[i];
        if (scale > 0 && paid > 0) price += scale * (g.exponent[i] === 1 ? paid : Math.pow(paid, g.exponent[i]));
        if (price - gain < margins[i]) {
          margins[i] = price - gain;
          best[i] = { target: j, rank: r + 1, takes: t + 1, effort, cost: price, gain };
        }
      }
    }
    return { prizes, order, ranks, margins, best, score: hi, tail: lo };
  }

  // error function and its complement after Moshier, Cephes (ndtr.c)
  const P = [2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687, 4.86371970985681366614e1,
    1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
    5.57535335369399327526e2];
  const Q = [1, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
    9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3,
    5.57535340817727675546e2];
  const R = [5.64189583547755073984e-1, 1.27536670759978104416, 5.01905042251180477414, 6.16021097993053585195,
    7.40974269950448939160, 2.97886665372100240670];
  const S = [1, 2.26052863220117276590, 9.39603524938001434673, 1.20489539808096656605e1, 1.70814450747565897222e1,
    9.60896809063285878198, 3.36907645100081516050];
  const T = [9.60497373987051638749, 9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3,
    5.55923013010394962768e4];
  const U = [1, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3,
    2.26290000613890934246e4, 4.92673942608635921086e4];
  const horner = (c, x) => c.reduce((sum, k) => sum * x + k, 0);

  function erfc(a) {
    const x = Math.abs(a);
    if (x < 1) return 1 - (a * horner(T, a * a)) / horner(U, a * a);
    const tail = Math.exp(-a * a) * (x < 8 ? horner(P, x) / horner(Q, x) : horner(R, x) / horner(S, x));
    return a < 0 ? 2 - tail : tail;
  }

  const ndtr = (x) => 0.5 * erfc(-x * Math.SQRT1_2);

  // probability that i is observed above j on a test of so many items, at scores
  function observedAbove(g, score, items, i, j) {
    const scale = (s) => Math.sqrt(Math.max(s * (1 - s), 0) / items);
    const z = (score[i] - score[j]) / Math.hypot(scale(score[i]), scale(score[j]));
    return Number.isNaN(z) ? (g.tieOrder[i] < g.tieOrder[j] ? 1 : 0) : ndtr(z);
  }

  // chances that neighbours on the board are observed in that order, and the expected tau-b of the observed board
  function observed(g, solved, items) {
    const n = g.names.length;
    const above = [];
    for (let r = 0; r + 1 < n; r++) above.push(observedAbove(g, solved.score, items, solved.order[r], solved.order[r + 1]));
    let agreement = 0, untied = 0;
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const truth = Math.sign(g.quality[i] - g.quality[j]);
        if (truth === 0) continue;
        untied += 1;
        const up = observedAbove(g, solved.score, items, i, j);
        agreement += truth * (up - observedAbove(g, solved.score, items, j, i));
      }
    }
    return { above, tau: untied ? agreement / Math.sqrt(untied * ((n * (n - 1)) / 2)) : null };
  }

  // Kendall's tau-b of the published bands with true quality
  function kendall(g, solved) {
    const band = [];
    g.bands.forEach((size, b) => { for (let k = 0; k < size; k++) band.push(b); });
    let agreement = 0, one = 0, two = 0;
    const n = g.names.length;
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const shown = Math.sign(band[solved.ranks[j]] - band[solved.ranks[i]]);
        const truth = Math.sign(g.quality[i] - g.quality[j]);
        agreement += shown * truth;
        one += Math.abs(shown);
        two += Math.abs(truth);
      }
    }
    return one * two > 0 ? agreement / Math.sqrt(one * two) : null;
  }

  // the largest difference between the answers here and those of the Python solvers at the same settings (relative above 1)
  function disagreement(g) {
    let most = 0;
    for (const check of g.checks) {
      const solved = solve(g, check.settings);
      check.ranks.forEach((r, i) => { if (r !== solved.ranks[i]) most = Infinity; });
      check.margins.forEach((m, i) => {
        const differs = m === null ? (solved.margins[i] === Infinity ? 0 : Infinity) : Math.abs(m - solved.margins[i]) / Math.max(1, Math.abs(m));
        most = Math.max(most, differs);
      });
      if (check.above !== null) {
        const seen = observed(g, solved, check.settings.items);
        check.above.forEach((p, k) => { most = Math.max(most, Math.abs(p - seen.above[k])); });
        if (check.tau !== null) most = Math.max(most, Math.abs(check.tau - seen.tau));
      }
    }
    return most;
  }

  return { scorePair, prizesAt, solve, ndtr, observedAbove, observed, kendall, disagreement };
})();

if (typeof module !== "undefined") module.exports = truerank;
