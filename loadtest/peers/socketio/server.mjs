// The peer: what a team would write with npm `socket.io` to have livehub's room and chat event, and no more than that.
// It makes the same checks as livehub and sends the same events of the same size, and keeps everything in memory: no
// log, no duplicates recognised, no points, no leaderboard. What it leaves out makes it faster, never slower.
import { createHash, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import jwt from "jsonwebtoken";
import { Server } from "socket.io";

const { values: options } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "3003" },
    secret: { type: "string", default: "livehub-development-secret-that-everybody-knows" },
    recovery: { type: "boolean", default: false }, // Connection State Recovery; costs, so only where it is compared
  },
});

const TEXT_CHARS_MAX = 1000;
const SNAPSHOT_MESSAGES = 50;
const BURST_MS = 2000;
const PER_PERSON_AND_BURST_MAX = 10;
const LEEWAY_S = 30;
const TOKEN_BYTES_MAX = 8 * 1024;
const MAX_PAYLOAD_BYTES = 64 * 1024; // livehub's default
const RECOVERY_WINDOW_MS = 2 * 60 * 1000; // Socket.IO's default
const BACKLOG = 4096;
const OUTSIDE_ID = /^[A-Za-z0-9_.:-]{1,128}$/;
const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
const EMOJIS = new Set("👍 ❤️ 🎉 💡 😂 👏 🔥 🙏 🤝 🚀 🙌 ✅ 🎶 🕺 📢 📸 🌍 🧠".split(" "));
const CHAT_FIELDS = new Set(["text", "sessionId", "eventId", "idempotencyKey"]);

class Refused extends Error {
  constructor(message, statusCode = 400, code = "refused") {
    super(message);
    this.statusCode = statusCode;
    this.code = code;
  }
}

const http = createServer(answerHttp);
const io = new Server(http, {
  serveClient: false,
  httpCompression: false,
  perMessageDeflate: false, // the default; said here because it decides the figures
  maxHttpBufferSize: MAX_PAYLOAD_BYTES,
  cors: { origin: true },
  ...(options.recovery && {
    connectionStateRecovery: { maxDisconnectionDuration: RECOVERY_WINDOW_MS, skipMiddlewares: false },
  }),
});
const events = io.of("/events");
const sessions = new Map(); // id → {messages, pending, pendingBy}
const counts = { messages: 0, reactions: 0, connects: 0, refused: 0 };
const epoch = createHash("sha256").update(randomUUID()).digest("hex").slice(0, 12);
let sent = 0;

// From Socket.IO's page on performance: without this every socket keeps its HTTP request, headers and query for life.
io.engine.on("connection", (raw) => {
  raw.request = null;
});

// Like livehub, and like Socket.IO's own tutorial, an event ends with a number that says how far a client has come. With
// `--recovery` the library adds its own instead.
const offset = options.recovery ? () => [] : () => [`${epoch}-${++sent}`];

function text(claims, name, charsMax) {
  const value = claims[name] ?? "";
  if (typeof value !== "string" || value.length > charsMax) throw new Error("token_claims");
  return value;
}

function identify(token) {
  if (typeof token !== "string" || !token || token.length > TOKEN_BYTES_MAX) throw new Error("token_missing");
  const claims = jwt.verify(token.replace(/^bearer /i, ""), options.secret, {
    algorithms: ["HS256"],
    clockTolerance: LEEWAY_S,
  });
  if (typeof claims.exp !== "number" || !OUTSIDE_ID.test(text(claims, "sub", 128))) throw new Error("token_claims");
  const email = text(claims, "email", 254);
  const [firstName, ...others] = (text(claims, "name", 1000) || email.split("@")[0]).split(/\s+/);
  const shown = { id: claims.sub, firstName, lastName: others.join(" ") };
  return { shown, email, org: text(claims, "orgId", 128), role: text(claims, "role", 64) };
}

function session(id) {
  let found = sessions.get(id);
  if (!found) sessions.set(id, (found = { messages: [], pending: {}, pendingBy: new Map() }));
  return found;
}

function sessionId(socket, payload) {
  const id = payload.sessionId ?? socket.data.session;
  if (id === undefined) throw new Refused("Session ID is required", 400, "room_missing");
  if (typeof id !== "string" || !OUTSIDE_ID.test(id))
    throw new Refused("sessionId must be 1 to 128 characters of A-Z a-z 0-9 _ . : -", 400, "invalid_payload");
  return id;
}

function seated(socket, payload) {
  const id = sessionId(socket, payload);
  if (!sessions.has(id)) throw new Refused("Session not found", 404, "not_found");
  if (!socket.rooms.has(id)) throw new Refused("You must join the session first", 403, "not_joined");
  return id;
}

function join(socket, payload) {
  const id = sessionId(socket, payload);
  if (!socket.rooms.has(id)) {
    socket.join(id);
    socket.data.session = id;
    const snapshot = {
      sessionId: id,
      alerts: [],
      messages: session(id).messages,
      slide: null,
      leaderboard: { topEntries: [], currentUser: { rank: null, score: 0 } },
      activePoll: null,
      questions: [],
      teams: { teamScores: [], myTeamId: null },
    };
    socket.emit("session.snapshot", snapshot, ...offset());
  }
  return { success: true, sessionId: id };
}

function say(socket, payload) {
  for (const field in payload)
    if (!CHAT_FIELDS.has(field)) throw new Refused(`'${field}' is not a field here`, 400, "invalid_payload");
  const { text: said, idempotencyKey } = payload;
  if (typeof said !== "string") throw new Refused("text must be a string", 400, "invalid_payload");
  if (said.length > TEXT_CHARS_MAX && [...said].length > TEXT_CHARS_MAX)
    throw new Refused(`text must be at most ${TEXT_CHARS_MAX} characters`, 400, "invalid_payload");
  if (!said.trim()) throw new Refused("text must not be empty", 400, "invalid_payload");
  if (typeof idempotencyKey !== "string" || !UUID_V4.test(idempotencyKey))
    throw new Refused("idempotencyKey must be a UUID v4", 400, "invalid_payload");
  const id = seated(socket, payload);
  const message = {
    id: randomUUID(),
    text: said,
    timestamp: new Date().toISOString(),
    isEdited: false,
    editedAt: null,
    authorId: socket.data.person.shown.id,
    sessionId: id,
    author: socket.data.person.shown,
    reactionsSummary: {},
  };
  const { messages } = session(id);
  messages.push(message);
  if (messages.length > SNAPSHOT_MESSAGES) messages.shift();
  counts.messages += 1;
  events.to(id).emit("chat.message.new", message, ...offset());
  return { success: true, messageId: message.id };
}

function react(socket, payload) {
  const id = seated(socket, payload);
  if (!EMOJIS.has(payload.emoji)) throw new Refused("emoji must be one of the allowed", 400, "invalid_payload");
  const { pending, pendingBy } = session(id);
  const mine = pendingBy.get(socket.data.person.shown.id) ?? 0;
  if (mine < PER_PERSON_AND_BURST_MAX) {
    pending[payload.emoji] = (pending[payload.emoji] ?? 0) + 1;
    pendingBy.set(socket.data.person.shown.id, mine + 1);
    counts.reactions += 1;
  }
  return { success: true };
}

function answering(socket, handle) {
  return (payload, ack) => {
    let answer;
    try {
      if (typeof payload !== "object" || payload === null || Array.isArray(payload))
        throw new Refused("The payload must be an object", 400, "invalid_payload");
      answer = handle(socket, payload);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      counts.refused += 1;
      if (typeof ack !== "function") socket.emit("systemError", { message: error.message, reason: error.code });
      answer = { success: false, error: { message: error.message, statusCode: error.statusCode } };
    }
    if (typeof ack === "function") ack(answer);
  };
}

function answerHttp(request, response) {
  if (request.url === "/metrics") {
    const lines = Object.entries(counts).map(([name, value]) => `peer_${name}_total ${value}`);
    response.end([...lines, `peer_connections ${io.engine.clientsCount}`, ""].join("\n"));
  } else if (request.url === "/readyz") {
    response.end("ready\n");
  } else {
    response.writeHead(404).end();
  }
}

events.use((socket, next) => {
  try {
    socket.data.person = identify(socket.handshake.auth.token);
    next();
  } catch (error) {
    next(Object.assign(new Error("Authentication failed"), { data: { reason: error.message } }));
  }
});

events.on("connection", (socket) => {
  counts.connects += 1;
  socket.emit("connectionAcknowledged", { userId: socket.data.person.shown.id }, ...offset());
  socket.on("session.join", answering(socket, join));
  socket.on("chat.message.send", answering(socket, say));
  socket.on("reaction.send", answering(socket, react));
});

setInterval(() => {
  for (const [id, room] of sessions) {
    if (room.pendingBy.size === 0) continue;
    events.to(id).emit("reaction.burst", room.pending);
    room.pending = {};
    room.pendingBy = new Map();
  }
}, BURST_MS);

process.on("SIGTERM", () => process.exit(0));
http.listen({ host: options.host, port: Number(options.port), backlog: BACKLOG }, () => {
  console.log(`listening on ${http.address().port}`);
});
