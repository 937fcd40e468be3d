// The key of the chain that the writers of a crash storm make and its judge verifies.

export const STORM_KEY = Buffer.alloc(32, 1);
