// Requests to the server. What is to be saved waits here, and in the browser's storage, until the
// server has said that it is on the disk: neither a server that is away nor a closed tab loses it.

const FIRST_WAIT = 500; // milliseconds
const LONGEST_WAIT = 5000;

// The reply's status and content; rejects when the server cannot be reached. The token says for
// which session the page speaks: in another tab somebody else may have logged in meanwhile.
const call = async (method, path, { body, token = "" } = {}) => {
  const reply = await fetch(`/api/${path}`, {
    method,
    keepalive: method !== "GET",
    headers: { "Content-Type": "application/json", "X-Session-Token": token },
    body,
  });
  if (reply.status >= 500) throw new Error(`status ${reply.status}`);
  return { status: reply.status, content: await reply.json() };
};

const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

// Calls again, at growing intervals, for as long as the server cannot be reached.
export const insist = async (onOffline, method, path, options) => {
  for (let wait = FIRST_WAIT; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
    try {
      const reply = await call(method, path, options);
      onOffline(false);
      return reply;
    } catch {
      onOffline(true);
      await pause(wait);
    }
  }
};

const stored = (action) => {
  try {
    return action(window.localStorage);
  } catch {
    return null; // storage is switched off or full: what waits is in memory alone
  }
};

export class Saver {
  #prefix;
  #token;
  #on;
  #waiting = new Map();
  #running = false;

  // `on` has offline(isOffline), state("saving" | "saved" | "refused"), progress(content), loggedOut().
  constructor(owner, token, on) {
    this.#prefix = `jaxllm annotate/${owner}/`;
    this.#token = token;
    this.#on = on;
    stored((storage) => {
      Object.keys(storage)
        .filter((key) => key.startsWith(this.#prefix))
        .forEach((key) => this.#waiting.set(key.slice(this.#prefix.length), storage[key]));
    });
    this.flush();
  }

  // Saves `body` at `path`, in place of what still waits for the same path.
  put(path, body) {
    const text = JSON.stringify(body);
    this.#waiting.set(path, text);
    stored((storage) => storage.setItem(this.#prefix + path, text));
    this.flush();
  }

  // What still waits for this path.
  waiting(path) {
    const text = this.#waiting.get(path);
    return text === undefined ? undefined : JSON.parse(text);
  }

  async flush() {
    if (this.#running) return;
    this.#running = true;
    let state = "saved";
    while (this.#waiting.size) {
      this.#on.state("saving");
      const [path, text] = this.#waiting.entries().next().value;
      const reply = await insist(this.#on.offline, "PUT", path, {
        body: text,
        token: this.#token,
      });
      if (reply.status === 401) {
        this.#running = false;
        this.#on.loggedOut();
        return;
      }
      if (this.#waiting.get(path) === text) {
        this.#waiting.delete(path);
        stored((storage) => {
          if (storage[this.#prefix + path] === text) storage.removeItem(this.#prefix + path);
        });
      }
      if (reply.status === 200) this.#on.progress(reply.content);
      else state = "refused";
      this.#on.state(state);
    }
    this.#running = false;
  }
}
