//! More keys than memory, in short; `cargo cap` is the long form.

use integration::capped::{self, Plan, Told};
use integration::servers;

fn run(told: Told, cap: u64, keys: u64) {
    let install = servers::get("redis-7.0").expect("the server can be had");
    let mut said = Vec::new();
    let plan = Plan { cap, told, keys };
    let figures = capped::keys(&install, &plan, &mut |line| said.push(line));
    let figures = figures.unwrap_or_else(|error| panic!("{error:#}\n{}", said.join("\n")));
    assert!(figures.needed > 2 * figures.cap, "{figures:?}");
}

#[test]
fn keys_beyond_the_cap_are_summed_up_until_they_are_gone() {
    run(Told::Flag, 72 << 20, 5_000_000);
}

#[test]
fn a_limit_of_the_process_is_found_and_kept() {
    run(Told::Limit, 144 << 20, 5_000_000);
}

#[test]
fn collections_beyond_the_cap_lose_their_elements_until_there_is_room() {
    let install = servers::get("redis-8.0").expect("the server can be had");
    let mut said = Vec::new();
    let plan = Plan {
        cap: 72 << 20,
        told: Told::Flag,
        keys: 9_000_000,
    };
    let done = capped::collections(&install, &plan, &mut |line| said.push(line));
    done.unwrap_or_else(|error| panic!("{error:#}\n{}", said.join("\n")));
}
