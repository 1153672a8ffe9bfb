//! Figures to pages.
