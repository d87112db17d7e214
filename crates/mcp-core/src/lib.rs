//! BrainGrid's tools for AI assistants: does BrainGrid work for a caller.
