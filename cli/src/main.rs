//! kgrca
fn main() {}
