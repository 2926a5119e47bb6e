// The quick start of the contract (quickstart.tsx, to the letter), run for two people who chat with each other.
// React is reduced to what the example uses of it: hooks, an effect queue and a tree of elements, rendered to text.
// Usage: node quickstart.mjs URL SESSION websocket|polling|default ADA_TOKEN GRACE_TOKEN; a JSON report is the last line
// on stdout.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as client from "socket.io-client";
import ts from "typescript";
import * as uuid from "uuid";

const [url, sessionId, way, ...tokens] = process.argv.slice(2);
process.env.NEXT_PUBLIC_REALTIME_URL = url;

const GIVEN = "      transports: ['websocket'],\n";
const TRANSPORTS = { websocket: GIVEN, polling: "      transports: ['polling'],\n", default: "" };

const source = readFileSync(new URL("quickstart.tsx", import.meta.url), "utf8");
assert.equal(source.split(GIVEN).length, 2, "the example names its transports once");
const [hookSource, panelSource] = source
  .replace(GIVEN, TRANSPORTS[way])
  .split("// components/ChatPanel.tsx")
  .map((part) => {
    const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, jsx: ts.JsxEmit.ReactJSX };
    return ts.transpileModule(part, { compilerOptions }).outputText;
  });

function load(code, modules) {
  const exports = {};
  new Function("require", "exports", code)((name) => modules[name], exports);
  return exports;
}

class Screen {
  constructor(name, accessToken) {
    this.name = name;
    this.slots = [];
    this.watchers = new Set();
    const react = this.hooks();
    const element = (type, props) => ({ type, props });
    const modules = {
      react,
      "react/jsx-runtime": { jsx: element, jsxs: element },
      "socket.io-client": client,
      uuid,
      "./useAuth": { useAuth: () => ({ accessToken, user: { id: name } }) },
    };
    const { useSocket } = load(hookSource, modules);
    modules["../hooks/useSocket"] = { useSocket: (id) => (this.hook = useSocket(id)) };
    this.component = load(panelSource, modules).ChatPanel;
    this.render();
  }

  hooks() {
    const changed = (before, deps) => !before || before.deps.some((dep, index) => !Object.is(dep, deps[index]));
    return {
      useRef: (initial) => (this.slots[this.cursor] ??= { current: initial }, this.slots[this.cursor++]),
      useState: (initial) => {
        const slot = (this.slots[this.cursor++] ??= { value: initial });
        const set = (next) => {
          slot.value = typeof next === "function" ? next(slot.value) : next;
          this.render();
        };
        return [slot.value, set];
      },
      useCallback: (call, deps) => {
        const index = this.cursor++;
        if (changed(this.slots[index], deps)) this.slots[index] = { call, deps };
        return this.slots[index].call;
      },
      useEffect: (effect, deps) => {
        const index = this.cursor++;
        const before = this.slots[index];
        if (!changed(before, deps)) return;
        this.slots[index] = { deps };
        this.effects.push(() => {
          before?.cleanup?.();
          this.slots[index].cleanup = effect();
        });
      },
    };
  }

  render() {
    this.cursor = 0;
    this.effects = [];
    this.tree = this.component({ sessionId });
    for (const effect of this.effects) effect();
    for (const watcher of this.watchers) watcher();
  }

  unmount() {
    for (const slot of this.slots) slot.cleanup?.();
  }

  find(type, node) {
    if (Array.isArray(node)) return node.map((child) => this.find(type, child)).find(Boolean);
    if (!node?.props) return undefined;
    return node.type === type ? node : this.find(type, node.props.children);
  }

  messages() {
    const text = (node) => {
      if (Array.isArray(node)) return node.map(text).join("");
      return node?.props ? text(node.props.children) : String(node ?? "");
    };
    return this.tree.props.children[0].props.children.map(text);
  }

  type(text) {
    this.find("input", this.tree).props.onChange({ target: { value: text } });
  }

  say(text) {
    this.type(text);
    this.find("button", this.tree).props.onClick();
  }

  shows(...expected) {
    return new Promise((resolve) => {
      const look = () => {
        if (JSON.stringify(this.messages()) !== JSON.stringify(expected)) return;
        this.watchers.delete(look);
        resolve();
      };
      this.watchers.add(look);
      look();
    });
  }
}

const asked = (socket, event, payload) => new Promise((resolve) => socket.emit(event, payload, resolve));
const once = (socket, event) => new Promise((resolve) => socket.once(event, (message) => resolve(message)));

const [ada, grace] = tokens.map((token, index) => new Screen(["ada", "grace"][index], token));
const both = [ada, grace];
for (const screen of both) screen.type("…"); // the example gets its socket with the second rendering
const errors = [];
for (const screen of both) {
  const { socket } = screen.hook;
  socket.on("systemError", (error) => errors.push(error));
  await new Promise((resolve) => (socket.connected ? resolve() : socket.once("connect", resolve)));
  const { engine } = socket.io;
  if (way === "default" && engine.transport.name !== "websocket") await once(engine, "upgrade");
  assert.deepEqual(await asked(socket, "session.join", { sessionId }), { success: true, sessionId }); // after its own
}
const shown = (...expected) => Promise.all(both.map((screen) => screen.shows(...expected)));

const heard = once(grace.hook.socket, "chat.message.new");
ada.say("Hello everyone!");
const message = await heard;
await shown("Ada: Hello everyone!");

grace.hook.sendMessage("Hello Ada", message.id);
const reply = await once(ada.hook.socket, "chat.message.new");
assert.equal(reply.parentMessage.text, "Hello everyone!");
assert.equal(reply.parentMessage.author.firstName, "Ada");
await shown("Ada: Hello everyone!", "Grace: Hello Ada");

const idempotencyKey = () => uuid.v4();
grace.hook.socket.emit("chat.message.react", { messageId: message.id, emoji: "👍", idempotencyKey: idempotencyKey() });
await shown("Ada: Hello everyone!👍 1", "Grace: Hello Ada");

ada.hook.socket.emit("chat.message.edit", {
  messageId: message.id,
  newText: "Hello, all of you!",
  idempotencyKey: idempotencyKey(),
});
await shown("Ada: Hello, all of you!👍 1", "Grace: Hello Ada");

ada.hook.socket.emit("chat.message.delete", { messageId: message.id, idempotencyKey: idempotencyKey() });
await shown("Grace: Hello Ada");

const report = { errors, transports: both.map((screen) => screen.hook.socket.io.engine.transport.name) };
for (const screen of both) screen.unmount();
process.stdout.write(JSON.stringify(report));
