//! One file per yardstick.
