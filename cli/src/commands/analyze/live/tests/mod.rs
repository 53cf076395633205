//! Reading an API server that has many objects, refuses, is busy, slow, or has forgotten.

mod lists;
mod rights;
