//! One function per step.
