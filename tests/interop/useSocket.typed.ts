// The hook of the quick start (quickstart.tsx), with the types that `livehub events --format typescript` prints.
import { useEffect, useRef, useCallback } from 'react';
import { io, Socket } from 'socket.io-client';
import { v4 as uuidv4 } from 'uuid';
import { useAuth } from './useAuth';
import type { ClientToServerEvents, ServerToClientEvents } from '../types/realtime';

type LiveSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

const SOCKET_URL = process.env.NEXT_PUBLIC_REALTIME_URL || 'http://localhost:3002';

export function useSocket(sessionId?: string) {
  const { accessToken, user } = useAuth();
  const socketRef = useRef<LiveSocket | null>(null);

  useEffect(() => {
    if (!accessToken) return;

    const socket: LiveSocket = io(`${SOCKET_URL}/events`, {
      auth: { token: `Bearer ${accessToken}` },
      query: sessionId ? { sessionId } : {},
      transports: ['websocket'],
      reconnection: true,
    });

    socket.on('connectionAcknowledged', ({ userId }) => {
      console.log('Connected:', userId);
      if (sessionId) {
        socket.emit('session.join', { sessionId });
      }
    });

    socket.on('systemError', (error) => {
      console.error('Socket error:', error);
    });

    socketRef.current = socket;

    return () => {
      if (sessionId) {
        socket.emit('session.leave', { sessionId });
      }
      socket.disconnect();
    };
  }, [accessToken, sessionId]);

  const sendMessage = useCallback((text: string, replyTo?: string) => {
    socketRef.current?.emit('chat.message.send', {
      text,
      idempotencyKey: uuidv4(),
      replyingToMessageId: replyTo,
    });
  }, []);

  const vote = useCallback((pollId: string, optionId: string) => {
    socketRef.current?.emit('poll.vote.submit', {
      pollId,
      optionId,
      idempotencyKey: uuidv4(),
    });
  }, []);

  const askQuestion = useCallback((text: string, anonymous = false) => {
    socketRef.current?.emit('qa.question.ask', {
      text,
      isAnonymous: anonymous,
      idempotencyKey: uuidv4(),
    });
  }, []);

  const sendReaction = useCallback((emoji: string) => {
    socketRef.current?.emit('reaction.send', { emoji });
  }, []);

  return {
    socket: socketRef.current,
    sendMessage,
    vote,
    askQuestion,
    sendReaction,
  };
}
