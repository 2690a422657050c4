// The list of answers: filtered, two runs side by side. Every text goes in as text, never as HTML.
"use strict";

(() => {
  const PAGE = 20;
  const OUTCOMES = [
    ["all", "all answers", () => true],
    ["gained", "wrong left, right right", (left, right) => left === false && right === true],
    ["lost", "right left, wrong right", (left, right) => left === true && right === false],
    ["wrong", "wrong right", (left, right) => right === false],
    ["right", "right right", (left, right) => right === true],
    ["both", "both wrong", (left, right) => left === false && right === false],
  ];

  const element = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  const option = (value, text) => {
    const node = element("option", "", text);
    node.value = value;
    return node;
  };

  const isRight = (answer, data) =>
    answer === null || answer.score === null ? null : answer.score >= data.rightFrom;

  const answerBox = (title, answer, data) => {
    const box = element("div");
    const heading = element("h4", "", title);
    box.append(heading);
    if (answer === null) {
      box.append(element("p", "note", "not asked"));
      return box;
    }
    const right = isRight(answer, data);
    if (right !== null) {
      const verdict = right ? "✓ right" : "✗ wrong";
      const graded = answer.score === 0 || answer.score === 1 ? "" : ` · ${answer.score.toFixed(2)}`;
      heading.append(element("span", `outcome ${right ? "right" : "wrong"}`, verdict + graded));
    }
    const prediction = data.texts[answer.prediction];
    const shown = element("p", "text", prediction || "(empty)");
    shown.lang = "ja";
    box.append(shown);
    const output = data.texts[answer.output];
    if (output !== prediction) {
      const details = element("details");
      const raw = element("p", "text prompt", output);
      raw.lang = "ja";
      details.append(element("summary", "", "whole output"), raw);
      box.append(details);
    }
    if (answer.finish === "length") {
      box.append(element("p", "note", "stopped at the limit of new tokens"));
    }
    return box;
  };

  const card = (entry, state, data) => {
    const { task, sample } = entry;
    const item = element("li");
    const asked = [sample.answers[state.right], sample.answers[state.left]].find(Boolean);
    item.append(element("h3", "", `${task.name} · ${sample.id} · ${task.metric}`));
    const pair = element("div", "pair");
    const question = element("div", "asked");
    const prompt = element("p", "text prompt", asked ? data.texts[asked.prompt] : "");
    const gold = element("p", "text", data.texts[sample.gold]);
    prompt.lang = gold.lang = "ja";
    prompt.tabIndex = 0;
    question.append(element("h4", "", "Prompt"), prompt, element("h4", "", "Gold"), gold);
    pair.append(question);
    const columns = state.left === state.right ? [state.left] : [state.left, state.right];
    columns.forEach((run) => {
      pair.append(answerBox(data.runs[run].label, sample.answers[run], data));
    });
    item.append(pair);
    return item;
  };

  const start = (board) => {
    const data = JSON.parse(board.querySelector(".sample-data").textContent);
    const form = board.querySelector(".filters");
    const list = board.querySelector(".cards");
    const more = board.querySelector(".more");
    const count = board.querySelector(".count");
    const entries = data.tasks.flatMap((task) =>
      task.samples.map((sample) => ({ task, sample })));
    let matching = [];
    let shown = 0;

    form.task.append(option("", "all tasks"));
    data.tasks.forEach((task) => form.task.append(option(task.name, task.name)));
    data.runs.forEach((run, index) => {
      form.left.append(option(index, run.label));
      form.right.append(option(index, run.label));
    });
    OUTCOMES.forEach(([name, text]) => form.outcome.append(option(name, text)));
    const first = (role) => data.runs.findIndex((run) => run.role === role);
    form.left.value = String(Math.max(0, first("base")));
    form.right.value = String(first("tuned") < 0 ? data.runs.length - 1 : first("tuned"));

    const holds = (entry, state, search) => {
      const answers = [entry.sample.answers[state.left], entry.sample.answers[state.right]];
      if (!state.test(isRight(answers[0], data), isRight(answers[1], data))) return false;
      if (!search) return true;
      const places = answers.filter(Boolean)
        .flatMap((answer) => [answer.prompt, answer.output]).concat(entry.sample.gold);
      return places.some((place) => data.texts[place].toLowerCase().includes(search));
    };

    const state = () => ({
      left: Number(form.left.value), right: Number(form.right.value),
      test: OUTCOMES.find(([name]) => name === form.outcome.value)[2],
    });

    const showMore = () => {
      const now = state();
      matching.slice(shown, shown + PAGE).forEach((entry) => list.append(card(entry, now, data)));
      shown = Math.min(matching.length, shown + PAGE);
      more.hidden = shown === matching.length;
    };

    const filter = () => {
      const now = state();
      const search = form.search.value.trim().toLowerCase();
      matching = entries.filter((entry) =>
        (!form.task.value || entry.task.name === form.task.value) && holds(entry, now, search));
      shown = 0;
      list.replaceChildren();
      const total = data.tasks.reduce((sum, task) => sum + task.total, 0);
      count.textContent = `${matching.length} of ${entries.length} samples on this page` +
        (total > entries.length ? `; ${total} were asked` : "");
      showMore();
    };

    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    more.addEventListener("click", showMore);
    filter();
  };

  document.querySelectorAll(".board").forEach(start);
})();
