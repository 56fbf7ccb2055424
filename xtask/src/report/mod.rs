//! Plan, events, outcome and errors as text or JSON; never touches the world.

pub mod changes;
