//! From a request to figures: [`params`] reads what was asked for, [`period`] and [`filter`] check it, [`sql`] joins fragments of the
//! catalogue into a statement with bound values, [`table`] runs it and computes ratios, [`figure`] writes numbers without a float.
//! [`cohorts`], [`customers`] and [`creatives`] read what [`crate::statistics`] computes with, [`touches`] who
//! began what others closed.

pub mod cohorts;
pub mod compare;
pub mod counted;
pub mod creatives;
pub mod csv;
pub mod customers;
pub mod figure;
pub mod filter;
pub mod params;
pub mod period;
pub mod rolled;
pub mod scope;
pub mod search;
pub mod series;
pub mod session;
pub mod sheet;
pub mod spend;
pub mod spend_rows;
pub mod sql;
pub mod table;
pub mod touches;
mod visitors;
pub mod xlsx;
