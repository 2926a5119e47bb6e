// What the quick start takes for granted about the build that it is part of.
declare const process: { env: Record<string, string | undefined> };
