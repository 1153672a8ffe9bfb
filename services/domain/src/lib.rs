//! Vocabulary and arithmetic.
