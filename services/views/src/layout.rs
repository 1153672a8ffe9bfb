//! The frame of every page: head, navigation, freshness line, foot.
//!
//! Invariant: no inline script, no style attribute, nothing from elsewhere, so that `default-src 'self'` suffices.
//! What the scripts need stands in `data-` attributes of `<body>`. It never shows a crest or another house's brand.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::figures::Context;
use crate::{assets, freshness};

/// Icons and hatchings, drawn once in every page.
pub(crate) const SPRITE: &str = include_str!("../web/sprite.svg");

/// Where the names and volumes come from.
pub const ATTRIBUTION: &str = "Contains public sector information licensed under the Open Government Licence v3.0. \
     Source: GOV.UK Performance Platform, Transactions Explorer (Government Digital Service).";

/// The styles of every page but the wall.
const STYLES: [&str; 6] = ["look.css", "chart.css", "forms.css", "dashboard.css", "explorer.css", "audit.css"];

/// How often pages ask again for what only the server knows.
pub(crate) const REFRESH_S: u32 = 60;

/// What differs between pages.
pub(crate) struct Frame<'a> {
    /// `<title>`, before the name of the site.
    pub(crate) title: &'a str,
    /// The entry of the navigation that is this page: its address.
    pub(crate) nav: &'a str,
    /// When, how fresh, what kind; `None` where that is not known.
    pub(crate) context: Option<&'a Context>,
    /// The topic of the live stream, if the page has live figures.
    pub(crate) topic: Option<&'a str>,
    /// The page's script, by its plain name.
    pub(crate) script: Option<&'a str>,
    /// Seconds after which the script fetches again what only the server knows.
    pub(crate) refresh_s: u32,
    /// The text in the search box.
    pub(crate) query: &'a str,
}

const NAV: [(&str, &str); 8] = [
    ("/", "Overview"),
    ("/services", "Services"),
    ("/explorer", "Explorer"),
    ("/compare", "Compare"),
    ("/govuk", "GOV.UK"),
    ("/wall", "Wall"),
    ("/audit", "Audit"),
    ("/about-the-data", "About the data"),
];

/// A whole page around its body.
pub(crate) fn page(frame: &Frame<'_>, body: &Markup) -> String {
    let context = frame.context;
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            (head(frame.title, &STYLES, frame.script))
            body data-topic=[frame.topic] data-refresh=(frame.refresh_s) data-now=[context.map(|c| c.now_ms)] data-today=[context.map(|c| c.today.to_string())]
                data-wm=[context.and_then(|c| c.freshness.wm_ms)] {
                (PreEscaped(SPRITE))
                a.skip href="#main" { "Skip to the figures" }
                (header(frame))
                @if let Some(context) = context { (freshness::line(context)) }
                main.in #main { (body) }
                (footer(context))
            }
        }
    }
    .into_string()
}

/// `<head>`; the wall has the same with another style.
pub(crate) fn head(title: &str, styles: &[&str], script: Option<&str>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) }
            link rel="preload" href=(assets::href("look.woff2")) as="font" type="font/woff2" crossorigin;
            @for style in styles { link rel="stylesheet" href=(assets::href(style)); }
            link rel="icon" href=(assets::href("icon.svg")) type="image/svg+xml";
            @if let Some(script) = script { script type="module" src=(assets::href(script)) {} }
        }
    }
}

fn header(frame: &Frame<'_>) -> Markup {
    html! {
        header.top { div.in {
            a.brand href="/" { "Government performance" }
            nav.nav aria-label="Pages" {
                @for (address, word) in NAV {
                    a href=(address) aria-current=[(address == frame.nav).then_some("page")] { (word) }
                }
            }
            form.find role="search" aria-label="On every page" action="/services" {
                input type="search" name="q" value=(frame.query) aria-label="Find a service or department" placeholder="Find a service";
                button aria-label="Search" { (crate::parts::icon("find")) }
            }
        } }
    }
}

fn footer(context: Option<&Context>) -> Markup {
    let simulated = context.is_some_and(|c| c.simulated);
    let open = context.is_some_and(|c| c.open_government_data);
    html! {
        footer.foot { div.in {
            @if simulated {
                p { b { "Simulated." } " Names and yearly volumes are real; the events are made by a simulator at those volumes, and so is every figure counted from them." }
            }
            @if open { p { (ATTRIBUTION) } }
            p { a href="/about-the-data" { "About the data" } " · " a href="/wall" { "Wallboard" } " · " a href=(assets::href("licence.txt")) { "Licence of the font" } }
        } }
    }
}
