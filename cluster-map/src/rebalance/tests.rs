use super::*;

/// Masters with slots of these weights, numbered through.
fn masters(weights: &[&[u64]]) -> Vec<Vec<Load>> {
    let mut number = 0;
    let mut load = |weight: &u64| {
        number += 1;
        Load {
            slot: Slot::new(number).expect("few slots"),
            weight: *weight,
            held: false,
        }
    };
    let masters = weights.iter();
    masters
        .map(|weights| weights.iter().map(&mut load).collect())
        .collect()
}

fn sums(masters: &[Vec<Load>]) -> Vec<u64> {
    let sum = |loads: &Vec<Load>| loads.iter().map(|load| load.weight).sum();
    masters.iter().map(sum).collect()
}

fn after(masters: &[Vec<Load>], moves: &[Move]) -> Vec<Vec<Load>> {
    let mut masters = masters.to_vec();
    for step in moves {
        let own = &mut masters[step.from];
        let at = own.iter().position(|load| load.slot == step.slot);
        let load = own.remove(at.expect("its own slot"));
        assert_eq!(load.weight, step.weight);
        assert!(!load.held, "{step:?}");
        masters[step.to].push(load);
    }
    masters
}

#[test]
fn what_one_has_too_much_goes_where_it_is_missing() {
    let before = masters(&[&[50, 30, 20], &[20, 20], &[10]]);
    let moves = rebalance(&before, 100);
    assert_eq!(sums(&after(&before, &moves)), [50, 60, 40]);
    assert_eq!(moves.len(), 2, "{moves:?}");
}

#[test]
fn a_new_master_gets_its_share() {
    let slots: Vec<u64> = vec![10; 300];
    let before = masters(&[&slots, &slots, &slots, &[]]);
    let sums = sums(&after(&before, &rebalance(&before, 1000)));
    let most = sums.iter().max().expect("some");
    assert!(*most <= 2270 && sums[3] >= 2180, "{sums:?}");
}

#[test]
fn what_cannot_be_better_stays() {
    for weights in [
        &[&[100u64][..], &[1], &[]][..],
        &[&[5, 5], &[5, 5]],
        &[&[0, 0, 0], &[]],
        &[&[7]],
        &[&[], &[]],
        &[],
        &[&[u64::MAX, u64::MAX], &[u64::MAX]],
    ] {
        let before = masters(weights);
        assert_eq!(rebalance(&before, 100), [], "{weights:?}");
    }
}

#[test]
fn slots_that_are_held_stay_and_others_make_up_for_them() {
    let mut before = masters(&[&[100, 40, 40], &[20], &[20]]);
    before[0][0].held = true;
    let moves = rebalance(&before, 100);
    assert_eq!(sums(&after(&before, &moves)), [100, 60, 60]);
    before[0].iter_mut().for_each(|load| load.held = true);
    assert_eq!(rebalance(&before, 100), []);
}

#[test]
fn whatever_comes_it_gets_better_within_the_limit_and_stays_so() {
    let mut dice = 1u64;
    let mut roll = move |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % below
    };
    for round in 0..400 {
        let count = usize::try_from(1 + roll(9)).expect("few");
        let mut number = 0;
        let mut before: Vec<Vec<Load>> = Vec::new();
        for _ in 0..count {
            let slots = roll(200);
            let load = |_| {
                number += 1;
                let spread = 1 + roll(14);
                Load {
                    slot: Slot::new(number).expect("few slots"),
                    weight: roll(1 << spread),
                    held: roll(20) == 0,
                }
            };
            before.push((0..slots).map(load).collect());
        }
        let limit = usize::try_from(roll(60)).expect("few");
        for limit in [limit, usize::MAX] {
            let moves = rebalance(&before, limit);
            assert!(moves.len() <= limit);
            assert_eq!(moves, rebalance(&before, limit), "round {round}");
            let result = after(&before, &moves);
            let (old, new) = (sums(&before), sums(&result));
            assert!(new.iter().max() <= old.iter().max(), "{old:?} {new:?}");
            assert!(new.iter().min() >= old.iter().min(), "{old:?} {new:?}");
            let squares = |sums: &[u64]| sums.iter().map(|sum| sum * sum).sum::<u64>();
            assert!(moves.is_empty() || squares(&new) < squares(&old));
            if moves.len() < limit {
                assert_eq!(rebalance(&result, limit), [], "round {round}: {new:?}");
            }
        }
    }
}

#[test]
fn skewed_slots_end_within_two_percent_with_few_moves() {
    // Weights as 1/n, and all the heavy ones on the first of six masters.
    let weights: Vec<u64> = (1..=6000u64).map(|n| 50_000_000 / (n + 40)).collect();
    let shares: Vec<&[u64]> = weights.chunks(1000).collect();
    let before = masters(&shares);
    let old = sums(&before);
    let moves = rebalance(&before, usize::MAX);
    let new = sums(&after(&before, &moves));
    let mean = new.iter().sum::<u64>() / 6;
    let most = new.iter().max().expect("some");
    assert!(old[0] > 3 * mean, "{old:?}");
    assert!(*most * 100 <= mean * 102, "{new:?}");
    // The 340 largest weigh what is too much there.
    assert!(moves.len() < 450, "{} moves", moves.len());
    let few = sums(&after(&before, &rebalance(&before, 20)));
    assert!(few.iter().max() < old.iter().max());
}
