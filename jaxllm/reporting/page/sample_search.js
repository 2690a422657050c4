// Which samples match: by task and outcome from the scores alone, by words from chunk after chunk.
"use strict";

const sampleSearch = (() => {
  const AHEAD = 24; // chunks that are on their way
  const BREATH = 100; // milliseconds after which the page is drawn, and told what was found
  const OUTCOMES = [
    ["all", "all_answers", () => true],
    ["gained", "gained_right", (left, right) => left === false && right === true],
    ["lost", "lost_right", (left, right) => left === true && right === false],
    ["wrong", "wrong_right", (left, right) => right === false],
    ["right", "right_right", (left, right) => right === true],
    ["both", "both_wrong", (left, right) => left === false && right === false],
  ];

  const isAskedFor = (wanted, { category }, task) =>
    wanted === "" || wanted === `t${task}` || wanted === `c${category}`;

  // [task, place] of the samples of the tasks and outcome that `wanted` names.
  const byOutcome = (index, wanted, left, right) => {
    const test = OUTCOMES.find(([name]) => name === wanted.outcome)[2];
    const isRight = (score) => (typeof score === "number" ? score >= index.rightFrom : null);
    const found = [];
    index.tasks.forEach((one, task) => {
      if (!isAskedFor(wanted.task, one, task)) return;
      for (let place = 0; place < one.samples; place += 1) {
        if (test(isRight(left[task][place]), isRight(right[task][place]))) {
          found.push([task, place]);
        }
      }
    });
    return found;
  };

  const matcher = (words) => {
    if (words.toLowerCase() === words.toUpperCase()) return (text) => text.includes(words);
    const pattern = new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
    return (text) => pattern.test(text);
  };

  const holds = (has, at, { questions, answers }) => {
    const [, prompt, gold] = questions.questions[at];
    const given = answers.map((one) => one?.answers[at]).filter(Boolean);
    return has(gold) || given.some(([output, prediction, , ownPrompt]) =>
      has(output) || (prediction !== null && has(prediction)) || has(ownPrompt ?? prompt));
  };

  // Those of `candidates` that hold the words. `load(task, chunk)` brings a chunk; `tell(found,
  // share)` hears how far it is, and answers whether it goes on.
  const byWords = async (words, candidates, chunkSize, load, tell) => {
    const has = matcher(words);
    const chunks = [...Map.groupBy(candidates, ([task, place]) =>
      `${task}-${Math.floor(place / chunkSize)}`).values()];
    const ask = ([[task, place]]) => load(task, Math.floor(place / chunkSize));
    const coming = chunks.slice(0, AHEAD).map(ask);
    const found = [];
    let drawn = performance.now();
    for (const [number, candidates] of chunks.entries()) {
      const chunk = await coming.shift();
      if (number + AHEAD < chunks.length) coming.push(ask(chunks[number + AHEAD]));
      const inAll = [chunk.questions, ...chunk.answers].some((one) => one && has(one.beginning));
      found.push(...candidates.filter(([, place]) =>
        inAll || holds(has, place % chunkSize, chunk)));
      if (performance.now() - drawn > BREATH) {
        if (!tell(found, (number + 1) / chunks.length)) return found;
        await new Promise((resume) => setTimeout(resume));
        drawn = performance.now();
      }
    }
    return found;
  };

  return { OUTCOMES, byOutcome, byWords };
})();
