//! Which images a limit selects and in which order they are scored, independent of the order in the file.

use mbn::data::{evaluation_order, subset};

/// Labels of 1000 images of ten classes, mixed, or sorted by class; every tenth class is rare.
fn labels(sorted: bool) -> Vec<u8> {
    let mut labels: Vec<u8> = (0..1000).map(|i| if i % 100 == 0 { 9 } else { (i % 9) as u8 }).collect();
    if sorted {
        labels.sort_unstable();
    }
    labels
}

fn counts(indices: &[u32], labels: &[u8]) -> [usize; 10] {
    let mut counts = [0; 10];
    indices.iter().for_each(|i| counts[usize::from(labels[*i as usize])] += 1);
    counts
}

#[test]
fn a_limit_keeps_the_classes_in_proportion_whatever_the_files_order() {
    let all: Vec<u32> = (0..1000).collect();
    for labels in [labels(false), labels(true)] {
        let whole = counts(&all, &labels);
        for limit in [100, 300, 999] {
            let chosen = subset(&all, &labels, limit);
            assert!(chosen.is_sorted() && chosen.windows(2).all(|pair| pair[0] != pair[1]));
            assert_eq!(chosen.len(), limit);
            for (found, all) in counts(&chosen, &labels).iter().zip(whole) {
                let share = all as f64 * limit as f64 / 1000.0;
                assert!((*found as f64 - share).abs() <= 1.0, "{limit}: {found} of {share}");
            }
        }
        assert_eq!(subset(&all, &labels, 0), all);
        assert_eq!(subset(&all, &labels, 1000), all);
    }
}

#[test]
fn a_subset_is_drawn_at_random_once_for_all_and_among_what_is_given() {
    let given: Vec<u32> = (0..1000).filter(|i| i % 2 == 1).collect();
    let labels = labels(false);
    let chosen = subset(&given, &labels, 200);
    assert_eq!(chosen, subset(&given, &labels, 200));
    assert!(chosen.iter().all(|i| given.contains(i)));
    assert_ne!(chosen, given[..200]);
    let smaller = subset(&given, &labels, 50);
    assert!(smaller.iter().all(|i| chosen.contains(i)), "a smaller subset is part of a larger one");
}

#[test]
fn the_order_of_evaluation_mixes_and_loses_nothing() {
    let all: Vec<u32> = (0..500).collect();
    let mut order = evaluation_order(&all);
    assert_ne!(order, all);
    assert_eq!(order, evaluation_order(&all));
    // Of a file sorted by class, batches of 50 have all ten classes mixed.
    let classes = |batch: &[u32]| batch.iter().map(|i| i / 50).collect::<std::collections::HashSet<_>>().len();
    assert!(order.chunks(50).all(|batch| classes(batch) >= 7));
    order.sort_unstable();
    assert_eq!(order, all);
}
