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

  const wasAsked = (score) => score !== false && score !== undefined;

  // [task, place] of the samples of the tasks and outcome that `wanted` names, as far as one of the
  // two runs was asked.
  const byOutcome = (index, wanted, left, right) => {
    const test = OUTCOMES.find(([name]) => name === wanted.outcome)[2];
    const isRight = (score) => (typeof score === "number" ? score >= index.rightFrom : null);
    const found = [];
    index.tasks.forEach((one, task) => {
      if (!isAskedFor(wanted.task, one, task)) return;
      for (let place = 0; place < one.samples; place += 1) {
        const scores = [left[task][place], right[task][place]];
        if (scores.some(wasAsked) && test(...scores.map(isRight))) found.push([task, place]);
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
    const [id, prompt, gold] = questions.questions[at];
    const given = answers.map((one) => one?.answers[at]).filter(Boolean);
    return has(id) || has(gold) || given.some(([output, prediction, , ownPrompt]) =>
      has(output) || (prediction !== null && has(prediction)) || has(ownPrompt ?? prompt));
  };

  // Samples by their chunks, each with its pieces, some of which are on their way before they are
  // wanted. `load(task, chunk)` brings them.
  const read = async function* (samples, chunkSize, load) {
    const chunks = [...Map.groupBy(samples, ([task, place]) =>
      `${task}-${Math.floor(place / chunkSize)}`).values()];
    const ask = ([[task, place]]) => load(task, Math.floor(place / chunkSize));
    const coming = chunks.slice(0, AHEAD).map(ask);
    for (const [number, some] of chunks.entries()) {
      const pieces = await coming.shift();
      if (number + AHEAD < chunks.length) coming.push(ask(chunks[number + AHEAD]));
      yield [some, pieces, (number + 1) / chunks.length];
    }
  };

  // Those of the samples that hold the words. `tell(found, share)` hears how far it is, and answers
  // whether it goes on.
  const byWords = async (words, samples, chunkSize, load, tell) => {
    const has = matcher(words);
    const found = [];
    let drawn = performance.now();
    for await (const [some, pieces, share] of read(samples, chunkSize, load)) {
      const inAll = [pieces.questions, ...pieces.answers].some((one) => one && has(one.beginning));
      found.push(...some.filter(([, place]) => inAll || holds(has, place % chunkSize, pieces)));
      if (performance.now() - drawn > BREATH) {
        if (!tell(found, share)) break;
        await new Promise((resume) => setTimeout(resume));
        drawn = performance.now();
      }
    }
    return found;
  };

  return { OUTCOMES, byOutcome, read, byWords };
})();
