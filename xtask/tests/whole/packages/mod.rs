//! What of an image is made for another machine, or by a builder.

mod arm;
mod builders;
