//! End to end over the real protocols.
