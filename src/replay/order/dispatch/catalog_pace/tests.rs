use super::*;

const NOW: Duration = Duration::from_secs(7);

#[test]
fn a_reading_is_followed_by_a_rest_unless_somebody_waits() {
    let mut pace = CatalogPace::default();
    let took = Duration::from_millis(10);
    assert_eq!(pace.may_read(false, NOW), May::Read);
    pace.begin();
    assert_eq!(pace.may_read(true, NOW), May::Wait);
    pace.read(took, NOW);
    assert_eq!(pace.may_read(true, NOW), May::Read);
    assert_eq!(pace.may_read(false, NOW), May::Rest(took * REST));
    assert_eq!(pace.may_read(false, NOW), May::Wait, "its end is waited for once");
    pace.rested();
    assert_eq!(pace.may_read(false, NOW + took * REST), May::Read);
}

#[test]
fn a_target_that_does_not_let_it_read_is_asked_less_and_less_often() {
    let mut pace = CatalogPace::default();
    let mut rest = || {
        pace.failed(NOW);
        pace.rested();
        pace.may_read(false, NOW)
    };
    assert_eq!(rest(), May::Rest(FIRST_BACKOFF));
    assert_eq!(rest(), May::Rest(FIRST_BACKOFF * 2));
    let last = (0..10).map(|_| rest()).last();
    assert_eq!(last, Some(May::Rest(LONGEST_BACKOFF)));
}
