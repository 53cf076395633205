//! Plans, their limits and prices, and invoices.

mod invoice;
mod plan;

pub use invoice::{Invoice, Line, MonthUsage, days_in_month, invoice};
pub use plan::{Overage, Overrides, Plan, find, plans};
