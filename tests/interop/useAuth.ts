// What the quick start takes for granted about the app that it is part of.
export function useAuth(): { accessToken: string | null; user: { id: string; permissions: string[] } | null } {
  return { accessToken: null, user: null };
}
