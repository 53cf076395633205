//! Plans, their limits and prices, and invoices.

mod invoice;
mod metric;
mod plan;

pub use invoice::{Invoice, Line, MonthUsage, days_in_month, invoice};
pub use metric::Metric;
pub use plan::{Overage, Overrides, Plan, find, plans};
