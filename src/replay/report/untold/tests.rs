use super::*;

const FEW: &str = "too few calls: 3 with both durations, and 30 are needed";

fn untold(shapes: &[(Verdict, &str, f64)]) -> Untold {
    Untold::among(shapes.iter().map(|&(verdict, why, total_ms)| Told { verdict, why, total_ms }))
}

#[test]
fn where_each_shape_is_told_there_is_nothing_to_say() {
    let told = untold(&[(Verdict::Same, "1.00 times", 10.0), (Verdict::Improved, "", 0.0)]);
    assert_eq!(told, Untold { of: 2, ..Untold::default() });
    assert!(!told.is_most());
}

#[test]
fn a_run_of_which_nothing_can_be_told_says_so_with_the_reason_of_most() {
    let cold = "cold: 4 of 4 calls ran in the target's first moments";
    let few = "too few calls: 4 with both durations, and 30 are needed";
    let all = [cold, FEW, few].map(|why| (Verdict::CannotTell, why, 1.0));
    let all = untold(&all);
    assert!(all.is_most());
    assert_eq!(
        all.words.as_deref(),
        Some("nothing can be told: 3 of 3 shapes can't be judged, mostly: too few calls")
    );
    let nothing = untold(&[]);
    assert_eq!(nothing.extent, Extent::All);
    assert_eq!(nothing.words.as_deref(), Some("nothing can be told: there is no query shape"));
}

#[test]
fn how_much_is_told_is_a_matter_of_time_and_not_of_how_many_shapes() {
    let mut shapes = vec![(Verdict::CannotTell, FEW, 1.0); 99];
    shapes.push((Verdict::Same, "", 900.0));
    let part = untold(&shapes);
    assert!(!part.is_most());
    assert_eq!(part.words.as_deref(), Some("99 of 100 shapes, 10 % of the time, can't be judged"));
    shapes[99].2 = 1.0;
    let most = untold(&shapes);
    assert!(most.is_most());
    assert_eq!(
        most.words.as_deref(),
        Some(
            "hardly anything can be told: 99 of 100 shapes, 99 % of the time, can't be judged, \
             mostly: too few calls"
        )
    );
    // Without a duration, by their number.
    let without = [(Verdict::CannotTell, FEW, 0.0), (Verdict::Same, "", 0.0)];
    assert_eq!(untold(&without).time_share, 0.5);
}
