//! Keyscape against real servers, scripted masters and a bad network: one binary, one module a
//! subject. The servers are fetched on first use.

mod admin;
mod advice;
mod alerts;
mod analytics;
mod analyze;
mod announced;
mod bridge;
mod capped;
mod clients;
mod clusters;
mod compat;
mod cuts;
mod dashboards;
mod growth;
mod harmless;
mod heat;
mod hostile;
mod lifecycle;
mod merged;
mod metrics;
mod partings;
mod patterns;
mod preflight;
mod register;
mod rereads;
mod scene;
mod sentinels;
mod tidy;
mod tools;
mod trouble;
mod truth;
mod verify;
mod watching;
mod weights;
mod whatif;
