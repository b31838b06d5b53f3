use crate::compare::comparison::tests::worse;

#[test]
fn what_the_reports_hold_stays_text_and_data() {
    let mut comparison = worse();
    let hostile = "</script><script>alert(1)</script><!-- {{script}}";
    comparison.shapes[0].query = Some(hostile.to_owned());
    comparison.baseline.file = format!("{hostile}.json");
    let page = comparison.page().unwrap();
    assert_eq!(page.matches("</script>").count(), 2, "{page}");
    assert_eq!(page.matches("</noscript>").count(), 1);
    let data = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["shapes"][0]["query"], hostile);
    assert!(page.contains("<noscript><pre>baseline   &lt;/script&gt;"), "{page}");
    assert!(page.contains("default-src 'none'") && !page.contains("unsafe"), "{page}");
}
