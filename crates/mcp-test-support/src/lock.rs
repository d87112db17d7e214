//! Locking that goes on after a test panicked while it held the lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The guard, whoever panicked before.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
