// Stock socket.io-clients under remote control: commands come as JSON lines, and everything that a client is told goes
// out as JSON lines. The tests are in Python; what is tested is the client from npm, so this file adds nothing to it.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();

const tell = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);

const commands = {
  open({ client, url, options }) {
    const socket = io(url, { forceNew: true, ...options });
    // `_pid` is private to the client, and to tests that pretend to be it.
    const state = () => ({ sid: socket.id, pid: socket._pid, recovered: socket.recovered, transport: transport() });
    const report = (kind, ...args) => tell({ client, kind, args });
    const transport = () => socket.io.engine?.transport?.name ?? null;
    socket.onAny((name, ...args) => report("event", name, ...args));
    socket.on("connect", () => report("connect", state()));
    socket.on("connect_error", (error) => report("connect_error", error.message, error.data ?? null));
    socket.on("disconnect", (reason) => report("disconnect", reason));
    socket.io.on("open", () => socket.io.engine.once("upgrade", (upgraded) => report("upgrade", upgraded.name)));
    socket.io.on("close", (reason) => report("engine_close", reason));
    socket.io.on("reconnect", (attempt) => report("reconnect", attempt));
    sockets.set(client, socket);
  },
  emit({ client, args }) {
    sockets.get(client).emit(...args);
  },
  ask({ client, id, args }) {
    sockets.get(client).emit(...args, (...answer) => tell({ client, kind: "ack", id, args: answer }));
  },
  auth({ client, auth }) {
    sockets.get(client).auth = auth;
  },
  connect({ client }) {
    sockets.get(client).connect();
  },
  disconnect({ client }) {
    sockets.get(client).disconnect();
  },
  // The transport ends without a Socket.IO goodbye: to the client this is a lost network, and it comes back by itself.
  drop({ client }) {
    sockets.get(client).io.engine.close();
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit(0));
