// The list of samples: found by task, outcome and words, a page at a time, two runs side by side.
"use strict";

(() => {
  const PAGE = 20; // cards
  const PAUSE = 150; // milliseconds after the last letter

  const start = async (board) => {
    const store = samplePieces.open(board);
    const index = await store.get("index");
    const view = sampleForm(board, index, sampleSearch.OUTCOMES);
    const { form, count, list, pages, number, buttons } = view;
    form.outcome.closest("label").hidden = index.rightFrom === null;
    const hasAddress = "address" in board.dataset; // says what is shown
    const first = (role) => index.runs.findIndex((run) => run.role === role);
    form.left.value = String(Math.max(0, first("base")));
    form.right.value = String(first("tuned") < 0 ? index.runs.length - 1 : first("tuned"));

    let matching = []; // [task, place]
    let shown = 0; // page, from 0
    let turn = 0; // of the newest wish: older ones give up

    const state = () => ({
      task: form.task.value, left: Number(form.left.value), right: Number(form.right.value),
      outcome: form.outcome.value, search: form.search.value.trim(),
    });
    const runsOf = ({ left, right }) => (left === right ? [left] : [left, right]);

    // ---- pieces to samples

    const load = (now) => async (task, chunk) => {
      const answersOf = async (run) => {
        const known = (await store.get(`scores-${run}`))[task].length;
        return chunk * index.chunk < known ? store.get(`answers-${run}-${task}-${chunk}`) : null;
      };
      const [questions, ...answers] = await Promise.all(
        [store.get(`questions-${task}-${chunk}`), ...runsOf(now).map(answersOf)]);
      return { questions, answers };
    };

    const sampleAt = async (now, [task, place]) => {
      const { questions, answers } = await load(now)(task, Math.floor(place / index.chunk));
      const runs = await Promise.all(runsOf(now).map(async (run, column) => {
        const scores = await store.get(`scores-${run}`);
        return [index.runs[run].label, answers[column], scores[task][place]];
      }));
      const { name, metric } = index.tasks[task];
      const sample = sampleOf(questions, runs, place % index.chunk, index.rightFrom);
      return { ...sample, task: name, metric };
    };

    // ---- what is shown

    const lastPage = () => Math.max(0, Math.ceil(matching.length / PAGE) - 1);

    const tellCount = (share = 1) => {
      const sum = (name) => index.tasks.reduce((total, task) => total + task[name], 0);
      const [here, asked] = [sum("samples"), sum("total")];
      const [some, all] = [matching.length, here].map((value) => value.toLocaleString());
      const more = { asked: asked.toLocaleString(), percent: Math.floor(100 * share) };
      count.textContent = words.say("matching_samples", { some, all }) +
        (asked > here ? words.say("were_asked", more) : "") +
        (share < 1 ? words.say("searching", more) : "");
    };

    const showPage = async (page, now = state(), mine = (turn += 1)) => {
      shown = Math.min(Math.max(page, 0), lastPage());
      const some = matching.slice(shown * PAGE, (shown + 1) * PAGE);
      const samples = await Promise.all(some.map((found) => sampleAt(now, found)));
      if (mine !== turn) return;
      list.replaceChildren(...samples.map(sampleCard));
      showPromptEnds(list);
      number.value = String(shown + 1);
      number.max = String(lastPage() + 1);
      view.last.textContent = `/ ${(lastPage() + 1).toLocaleString()}`;
      buttons.forEach((button, place) =>
        (button.disabled = place < 2 ? shown === 0 : shown === lastPage()));
      pages.hidden = lastPage() === 0;
      if (hasAddress) writeAddress(now);
    };

    const filter = async (page = 0) => {
      const mine = (turn += 1);
      const now = state();
      store.forget((name) => /^(answers|scores)-/.test(name) &&
        !runsOf(now).includes(Number(name.split("-")[1])));
      const scores = [now.left, now.right].map((run) => store.get(`scores-${run}`));
      const candidates = sampleSearch.byOutcome(index, now, ...(await Promise.all(scores)));
      if (mine !== turn) return;
      if (!now.search) matching = candidates;
      else {
        let hasShown = false;
        const tell = (found, share) => {
          if (mine !== turn) return false;
          matching = found;
          tellCount(share);
          if (!hasShown && found.length) {
            hasShown = true;
            told(showPage(page, now, mine));
          }
          return true;
        };
        const found = await sampleSearch.byWords(now.search, candidates, index.chunk, load(now), tell);
        if (mine !== turn) return;
        matching = found;
      }
      tellCount();
      await showPage(page, now, mine);
    };

    const told = (work) => work.catch((error) => {
      count.textContent = words.say("unreadable_piece", { file: error.message });
    });

    // ---- the address

    const writeAddress = (now) => {
      const said = new URLSearchParams({ ...now, page: shown + 1 });
      ["task", "search"].filter((name) => !said.get(name)).forEach((name) => said.delete(name));
      history.replaceState(null, "", `#${said}`);
    };

    const readAddress = () => {
      const said = new URLSearchParams(location.hash.slice(1));
      [...form.elements].filter((field) => said.has(field.name)).forEach((field) => {
        field.value = said.get(field.name);
        if (field.selectedIndex === -1) field.selectedIndex = 0; // no such choice
      });
      const category = said.get("category"); // of one task it is no choice of its own
      if (category !== null) {
        const tasks = index.tasks.flatMap((one, task) => (one.category === category ? [task] : []));
        form.task.value = tasks.length === 1 ? `t${tasks[0]}` : tasks.length ? `c${category}` : "";
      }
      return Number(said.get("page") ?? 1) - 1 || 0;
    };

    // ---- what one does

    const goTo = async (page) => {
      await told(showPage(page));
      list.focus({ preventScroll: true });
      board.scrollIntoView({ block: "start", behavior: "instant" });
    };
    const moves = [() => 0, () => shown - 1, () => shown + 1, lastPage];
    buttons.forEach((button, place) =>
      button.addEventListener("click", () => goTo(moves[place]())));
    number.addEventListener("change", () => goTo(Number(number.value) - 1 || 0));

    const step = (by) => {
      const cards = [...list.children];
      const at = cards.findIndex((card) => card.contains(document.activeElement));
      const next = cards[Math.min(Math.max(at + by, 0), cards.length - 1)];
      next?.focus({ preventScroll: true });
      next?.scrollIntoView({ block: "start", behavior: "instant" });
    };
    const keys = {
      j: () => step(1), k: () => step(-1), n: () => goTo(shown + 1), p: () => goTo(shown - 1),
    };
    board.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.target.matches("input, select")) return;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });

    // While words are typed, what they are looked for in is read.
    const readAhead = async () => {
      const pieces = sampleSearch.read(matching, index.chunk, load(state()));
      while (!(await pieces.next()).done && document.activeElement === form.search);
    };
    form.search.addEventListener("focus", () => told(readAhead()));

    let pause = 0;
    form.addEventListener("input", (event) => {
      clearTimeout(pause);
      pause = setTimeout(() => told(filter()), event.target === form.search ? PAUSE : 0);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    words.onChange(() => {
      view.speak();
      tellCount();
      told(showPage(shown));
    });
    if (hasAddress) addEventListener("hashchange", () => told(filter(readAddress())));
    await told(filter(hasAddress ? readAddress() : 0));
    if (hasAddress && document.activeElement === document.body) {
      list.focus({ preventScroll: true });
    }
  };

  document.querySelectorAll(".samples .browser").forEach((board) => {
    start(board).catch((error) => {
      board.textContent = words.say("unreadable_piece", { file: error.message });
    });
  });
})();
