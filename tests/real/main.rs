//! Real processes under real trouble.

mod crash;
