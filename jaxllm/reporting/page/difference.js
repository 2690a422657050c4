// What of a prediction is not in the gold answer, and the other way round, by characters.
"use strict";

// A list of [kind, text], kind being "same", "only" (in `one`) or "other"; null where the texts are
// too long or have too little in common for it to be worth reading. Longest common subsequence.
const difference = (() => {
  const MOST = 4_000_000; // steps, each a byte
  const LEAST = 0.3; // of the longer text that has to be the same

  const paths = (one, other) => {
    const width = other.length + 1;
    let below = new Uint16Array(width);
    const turns = new Uint8Array(one.length * width);
    for (let i = one.length - 1; i >= 0; i -= 1) {
      const here = new Uint16Array(width);
      for (let j = other.length - 1; j >= 0; j -= 1) {
        const [down, right] = [below[j], here[j + 1]];
        const same = one[i] === other[j];
        here[j] = same ? below[j + 1] + 1 : Math.max(down, right);
        turns[i * width + j] = same ? 0 : down >= right ? 1 : 2;
      }
      below = here;
    }
    return turns;
  };

  const walk = (one, other) => {
    const turns = paths(one, other);
    const pieces = [];
    const add = (kind, sign) => {
      const last = pieces.at(-1);
      if (last?.[0] === kind) last[1].push(sign);
      else pieces.push([kind, [sign]]);
    };
    let [i, j] = [0, 0];
    while (i < one.length || j < other.length) {
      const turn =
        i === one.length ? 2 : j === other.length ? 1 : turns[i * (other.length + 1) + j];
      if (turn === 0) add("same", one[i]);
      else add(turn === 1 ? "only" : "other", turn === 1 ? one[i] : other[j]);
      i += turn !== 2;
      j += turn !== 1;
    }
    return pieces;
  };

  // Between two changes a single sign is the same by chance (の, は); it is read as changed too.
  const join = (pieces) => {
    const joined = [];
    let [only, other] = ["", ""];
    const flush = () => {
      if (only) joined.push(["only", only]);
      if (other) joined.push(["other", other]);
      [only, other] = ["", ""];
    };
    pieces.forEach(([kind, signs], place) => {
      const text = signs.join("");
      const inside = (only || other) && place < pieces.length - 1;
      if (kind === "only") only += text;
      else if (kind === "other") other += text;
      else if (signs.length === 1 && inside) [only, other] = [only + text, other + text];
      else {
        flush();
        joined.push(["same", text]);
      }
    });
    flush();
    return joined;
  };

  return (one, other) => {
    const [first, second] = [Array.from(one), Array.from(other)]; // whole characters
    if ((first.length + 1) * (second.length + 1) > MOST) return null;
    const pieces = join(walk(first, second));
    const same = pieces.filter(([kind]) => kind === "same");
    const shared = same.reduce((sum, [, text]) => sum + Array.from(text).length, 0);
    return shared < LEAST * Math.max(first.length, second.length) ? null : pieces;
  };
})();
