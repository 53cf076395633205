//! kgrca
