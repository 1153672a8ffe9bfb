//! Every page, as the server makes it: complete, readable without a script, and safe under `default-src 'self'`.
//!
//! The pages are left in the target folder (`tmp/pages`), beside their assets and their JSON twins, to be looked at.

mod made_up;

use std::fs;
use std::path::Path;

use made_up::*;
use views::figures::{Overview, ServicePage, Wall};
use views::{about, ask, compare as comparison, errors, lists, overview, service, services, wall};

fn all() -> Vec<(&'static str, String)> {
    vec![
        ("index", overview::page(&overview(silent()))),
        ("overview-behind", overview::page(&overview(behind()))),
        ("overview-empty", overview::page(&overview_empty())),
        ("service", service::page(&service_page(context()))),
        ("service-year", {
            let mut page = service_page(context());
            page.past = Some(series(&context(), &[("span", "12m"), ("period", "week"), ("show", "share")]));
            service::page(&page)
        }),
        ("service-away", service::page(&ServicePage { past: None, ..service_page(context()) })),
        ("compare", comparison::page(&compare(&[("services", "a,b,c"), ("departments", "dft")]))),
        ("compare-add", comparison::page(&compare(&[("services", "a,b,c"), ("add", "job"), ("scale", "absolute")]))),
        ("service-never", service::page(&service_never())),
        ("department", lists::department_page(&department_page())),
        ("services", services::page(&service_list(""))),
        ("services-found", services::page(&service_list("hmrc"))),
        ("services-none", services::page(&service_list("moon"))),
        ("wall", wall::page(&wall(context()))),
        ("wall-behind", wall::page(&wall(behind()))),
        ("wall-silent", wall::page(&wall(silent()))),
        ("overview-usual", overview::page(&usual_overview())),
        ("wall-usual", wall::page(&usual_wall())),
        ("about-the-data", about::page(&about())),
        ("not-found", errors::page(404, "there is no service called “<script>”", &[], &context())),
        ("refused", errors::page(400, "x", &[ask::Broken::new("sort", "is one of name, cost")], &context())),
        ("failed", errors::page(503, "the figures cannot be read at present", &[], &context())),
    ]
}

#[test]
fn every_page_is_left_to_be_looked_at() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("assets")).expect("a folder");
    for (name, page) in all() {
        fs::write(dir.join(format!("{name}.html")), &page).expect("a page");
        for address in addresses(&page) {
            let name = address.strip_prefix("/assets/").expect("only assets are linked by file");
            let asset = views::asset(name).unwrap_or_else(|| panic!("{address} is not served"));
            fs::write(dir.join(&address[1..]), &asset.bytes).expect("an asset");
        }
    }
    for name in ["format", "chart", "hover", "live", "words", "paint", "page"] {
        let address = views::assets::href(&format!("{name}.js"));
        let asset = views::asset(&address["/assets/".len()..]).expect("a script");
        fs::write(dir.join(&address[1..]), &asset.bytes).expect("a script");
    }
    let json = serde_json::to_string(&overview(context())).expect("JSON");
    fs::write(dir.join("overview.json"), json).expect("JSON");
    let json = serde_json::to_string(&service_page(context())).expect("JSON");
    fs::write(dir.join("service.json"), json).expect("JSON");
    let json = serde_json::to_string(&wall(context())).expect("JSON");
    fs::write(dir.join("wall.json"), json).expect("JSON");
}

fn usual_overview() -> Overview {
    let mut o = overview(context());
    o.usual = usual(o.total.today.expect("a total"));
    o.usual_day = Some(usual_day(o.context.today));
    o
}

fn usual_wall() -> Wall {
    let mut w = wall(silent());
    w.usual = usual(w.total.today.expect("a total"));
    w
}

/// What a page links as `href` or `src` under `/assets/`.
fn addresses(page: &str) -> Vec<&str> {
    page.split('"').filter(|text| text.starts_with("/assets/")).collect()
}

#[test]
fn no_page_has_an_inline_script_a_style_attribute_or_anything_from_elsewhere() {
    for (name, page) in all() {
        for tag in page.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap_or("");
            assert!(!tag.contains(" style="), "{name}: <{tag}>");
            assert!(!tag.contains(" on"), "{name}: <{tag}>");
            if tag.starts_with("script") {
                assert!(tag.contains(" src=\"/assets/"), "{name}: <{tag}>");
            }
            if tag.starts_with("link") || tag.starts_with("img") {
                assert!(!tag.contains("://"), "{name}: <{tag}>");
            }
        }
    }
}

#[test]
fn every_page_with_data_says_where_it_comes_from_and_that_it_is_simulated() {
    for (name, page) in all() {
        if ["not-found", "failed"].contains(&name) {
            continue;
        }
        assert!(page.contains("Open Government Licence v3.0"), "{name}");
        assert!(page.to_lowercase().contains("simulated"), "{name}");
    }
    let mut plain = overview(context());
    plain.context.simulated = false;
    plain.context.open_government_data = false;
    let page = overview::page(&plain);
    assert!(!page.contains("simulated") && !page.contains("Open Government Licence"));
}

#[test]
fn a_figure_stands_where_it_is_looked_for_with_its_exact_value() {
    let o = overview(context());
    let page = overview::page(&o);
    let today = o.total.today.expect("a total");
    assert!(page.contains(&format!("data-figure=\"all/today\" data-value=\"{today}\"")));
    let w = wall(context());
    let page = wall::page(&w);
    assert!(page.contains(&format!("data-figure=\"all/today\" data-value=\"{today}\"")), "{page}");
}

#[test]
fn what_is_missing_is_said_in_words_and_never_0() {
    let page = service::page(&service_never());
    assert!(page.contains("no events yet"));
    for tag in page.split("data-figure=").skip(1) {
        let text = tag.split('>').nth(1).and_then(|rest| rest.split('<').next()).unwrap_or("");
        assert_ne!(text, "0", "{tag}");
        assert!(!tag.split('>').next().unwrap_or("").contains("data-value"), "{tag}");
    }
    let page = overview::page(&overview_empty());
    assert!(page.contains("no events yet") && page.contains("no events in this hour"));
    assert!(page.contains("the books cannot be read"));
}

#[test]
fn the_usual_range_follows_from_the_history_given() {
    let o = overview(context());
    assert!(overview::page(&o).contains("too little history for a usual range: 1 of 4 Tuesdays"));
    assert!(wall::page(&wall(context())).contains("1 of 4 Tuesdays"));
    let page = overview::page(&usual_overview());
    assert!(!page.contains("too little history"));
    assert!(page.contains("above the usual Tuesday by 14:32"), "the comparison");
    assert!(wall::page(&usual_wall()).contains("2% above"), "the comparison on the wall");
}

#[test]
fn the_four_states_say_different_things() {
    let page = |context| overview::page(&overview(context));
    assert!(page(context()).contains("<b data-part=\"fresh-finding\">Figures of 14:32:06.</b>"));
    assert!(page(behind()).contains("Figures are those of 14:29, 3 minutes ago. The pipeline is not keeping up."));
    assert!(
        page(silent()).contains(
            "Passenger arrivals at the UK border: nothing since 14:09; its longest usual pause is 2 seconds."
        )
    );
    assert!(wall::page(&wall(behind())).contains("Figures stopped at 14:29"));
    assert!(wall::page(&wall(silent())).contains("silent 23 min"));
    assert!(wall::page(&wall(context())).contains("Sources on time"));
}

#[test]
fn a_page_and_its_json_twin_come_from_one_value_and_the_twin_reads_back() {
    let o = overview(silent());
    let json = serde_json::to_string(&o).expect("JSON");
    assert!(json.contains("\"today\":\"2026-01-20\""));
    assert_eq!(serde_json::from_str::<Overview>(&json).expect("reads back"), o);
    let s = service_page(context());
    let json = serde_json::to_string(&s).expect("JSON");
    assert_eq!(serde_json::from_str::<ServicePage>(&json).expect("reads back"), s);
    let w = wall(context());
    let json = serde_json::to_string(&w).expect("JSON");
    assert_eq!(serde_json::from_str::<Wall>(&json).expect("reads back"), w);
}

#[test]
fn names_cannot_write_into_a_page() {
    let mut s = service_page(context());
    s.service.names.name = "<b>\"&".into();
    s.service.url = Some("javascript:alert(1)".into());
    let page = service::page(&s);
    assert!(page.contains("&lt;b&gt;&quot;&amp;"));
    assert!(!page.contains("href=\"javascript:"), "only web addresses are linked");
}
