// What an app does with the typed socket beyond the quick start: the contract's examples, checked by the compiler only.
import { io, type Socket } from 'socket.io-client';
import type {
  Ack,
  ChatMessage,
  ClientToServerEvents,
  DirectMessage,
  LeaderboardEntry,
  Poll,
  PollResults,
  Question,
  SendMessagePayload,
  ServerToClientEvents,
} from '../types/realtime';

type LiveSocket = Socket<ServerToClientEvents, ClientToServerEvents>;
const socket: LiveSocket = io('http://localhost:3002/events', { auth: { token: 'Bearer …' } });
const idempotencyKey = '0b2f3c4d-5e6f-4a1b-8c2d-3e4f5a6b7c8d';

// With an ack, without one, and with a deadline for it.
const payload: SendMessagePayload = { text: 'Hello everyone!', idempotencyKey, replyingToMessageId: undefined };
socket.emit('chat.message.send', payload);
socket.emit('chat.message.send', { ...payload, sessionId: 'sess_abc123' }, (response) => {
  if (response.success) {
    const messageId: string = response.messageId;
    const again: boolean = response.replayed ?? false;
    console.log('Message sent:', messageId, again);
  } else {
    const wait: number | undefined = response.error.retryAfterMs;
    console.error('Failed:', response.error.message, response.error.statusCode, wait);
  }
});
socket.timeout(5_000).emit('chat.message.send', payload, (error, response) => {
  if (!error && response.success) console.log(response.messageId.toUpperCase());
});
export async function ask(): Promise<string> {
  const response: Ack<{ questionId: string }> = await socket.emitWithAck('qa.question.ask', {
    text: 'Why?',
    isAnonymous: true,
    idempotencyKey,
  });
  return response.success ? response.questionId : response.error.message;
}

// An event whose payload may be missing.
socket.emit('leaderboard.request');
socket.emit('leaderboard.request', null, (response) => {
  if (response.success) {
    const entries: LeaderboardEntry[] = response.data.topEntries;
    console.log(entries.map((entry) => `${entry.rank}. ${entry.user.firstName}: ${entry.score}`));
  }
});
socket.emit('session.join', { sessionId: 'sess_abc123' }, (response) => {
  if (response.success) console.log(response.sessionId);
});

socket.emit('poll.create', { question: 'Which?', options: [{ text: 'One' }, { text: 'Two' }], idempotencyKey });
socket.emit('qna.question.moderate', { questionId: idempotencyKey, status: 'approved', idempotencyKey });

// What the server sends. The offset is there for those who want it.
socket.on('connectionAcknowledged', ({ userId }, offset) => console.log(userId.length, offset?.length));
socket.on('systemError', ({ message, reason }) => console.error(message.length, reason.length));
socket.on('session.snapshot', ({ sessionId }) => console.log(sessionId.length));
socket.on('chat.message.new', (message: ChatMessage) => {
  for (const [emoji, count] of Object.entries(message.reactionsSummary ?? {})) console.log(emoji, count.toFixed());
  console.log(message.parentMessage?.author.firstName ?? message.author.firstName);
});
socket.on('poll.opened', (poll: Poll) => console.log(poll.options.map((option) => option.text)));
socket.on('poll.results.updated', (results: PollResults) => {
  const own: string | null = results.userVotedForOptionId;
  console.log(own, results.poll.isActive, results.poll.options[0]?.voteCount);
});
socket.on('qa.question.new', (question: Question) => {
  const status: 'pending' | 'approved' | 'dismissed' = question.status;
  console.log(status, question._count.upvotes.toFixed());
});
socket.on('dm.new', (message: DirectMessage) => console.log(message.isRead, message.conversationId));
socket.on('reaction.burst', (counts: Record<string, number>) => console.log(Object.keys(counts)));
socket.on('disconnect', (reason: string) => console.log(reason));
