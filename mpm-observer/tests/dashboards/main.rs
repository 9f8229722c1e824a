//! Dashboards and alert rules: in form, by Grafana's and Prometheus' own means, and against a real
//! Prometheus that watches real servers.

#[path = "../common/mod.rs"]
mod common;

mod alerts;
mod asked;
mod form;
mod incidents;
mod lab;
mod selectors;
mod tools;
mod watched;
