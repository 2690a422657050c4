// The pieces of a board's samples: from the page itself, or from script files beside it.
// A page that is a file may fetch nothing, but it may run a script, and a piece is one:
// samplePieces.deliver(NAME, VALUE).
"use strict";

const samplePieces = (() => {
  const delivered = new Map();

  const load = (folder, name) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${folder}${name}.js`;
      script.onload = () => {
        script.remove();
        if (delivered.has(name)) resolve(delivered.get(name));
        else reject(new Error(script.src));
        delivered.delete(name);
      };
      script.onerror = () => {
        script.remove();
        reject(new Error(script.src));
      };
      document.head.append(script);
    });

  // The store of one board: `get(name)` is a promise, `forget(test)` frees what is no longer shown.
  const open = (board) => {
    const carried = board.closest(".board")?.querySelector(".sample-data");
    if (carried) {
      const pieces = JSON.parse(carried.textContent);
      return { get: async (name) => pieces[name], forget: () => {} };
    }
    const folder = board.dataset.pieces;
    const pieces = new Map();
    return {
      get: (name) => {
        if (!pieces.has(name)) {
          const piece = load(folder, name);
          pieces.set(name, piece);
          piece.catch(() => pieces.delete(name)); // another try may find it
        }
        return pieces.get(name);
      },
      forget: (test) => [...pieces.keys()].filter(test).forEach((name) => pieces.delete(name)),
    };
  };

  return { open, deliver: (name, value) => delivered.set(name, value) };
})();
