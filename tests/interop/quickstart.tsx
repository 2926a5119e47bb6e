// hooks/useSocket.ts
import { useEffect, useRef, useCallback } from 'react';
import { io, Socket } from 'socket.io-client';
import { v4 as uuidv4 } from 'uuid';
import { useAuth } from './useAuth';

const SOCKET_URL = process.env.NEXT_PUBLIC_REALTIME_URL || 'http://localhost:3002';

export function useSocket(sessionId?: string) {
  const { accessToken, user } = useAuth();
  const socketRef = useRef<Socket | null>(null);

  useEffect(() => {
    if (!accessToken) return;

    const socket = io(`${SOCKET_URL}/events`, {
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

// components/ChatPanel.tsx
import { useEffect, useState } from 'react';
import { useSocket } from '../hooks/useSocket';
import type { ChatMessage } from '../types/realtime';

export function ChatPanel({ sessionId }: { sessionId: string }) {
  const { socket, sendMessage } = useSocket(sessionId);
  const [messages, setMessages] = useState<ChatMessage[]>([]);
  const [input, setInput] = useState('');

  useEffect(() => {
    if (!socket) return;

    socket.on('chat.message.new', (message: ChatMessage) => {
      setMessages(prev => [...prev, message]);
    });

    socket.on('chat.message.updated', (message: ChatMessage) => {
      setMessages(prev => prev.map(m => m.id === message.id ? message : m));
    });

    socket.on('chat.message.deleted', ({ messageId }) => {
      setMessages(prev => prev.filter(m => m.id !== messageId));
    });

    return () => {
      socket.off('chat.message.new');
      socket.off('chat.message.updated');
      socket.off('chat.message.deleted');
    };
  }, [socket]);

  const handleSend = () => {
    if (input.trim()) {
      sendMessage(input);
      setInput('');
    }
  };

  return (
    <div className="chat-panel">
      <div className="messages">
        {messages.map(msg => (
          <div key={msg.id} className="message">
            <strong>{msg.author.firstName}:</strong> {msg.text}
            {msg.reactionsSummary && (
              <div className="reactions">
                {Object.entries(msg.reactionsSummary).map(([emoji, count]) => (
                  <span key={emoji}>{emoji} {count}</span>
                ))}
              </div>
            )}
          </div>
        ))}
      </div>
      <div className="input-area">
        <input
          value={input}
          onChange={(e) => setInput(e.target.value)}
          onKeyPress={(e) => e.key === 'Enter' && handleSend()}
          placeholder="Type a message..."
        />
        <button onClick={handleSend}>Send</button>
      </div>
    </div>
  );
}
