//! Remembers verified principals as encrypted sessions, in memory and in Redis.
