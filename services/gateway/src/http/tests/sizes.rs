//! What a first view costs: the page and all that it needs to be shown, as it is sent.

use std::collections::BTreeSet;

use domain::catalogue::Catalogue;

use super::server::Server;

const FIRST_VIEW_MAX: usize = 100 * 1_024;

/// Bytes of an answer as it is sent.
async fn bytes(server: &Server, path: &str) -> usize {
    let (status, head, _) = server.get_with(path, "Accept-Encoding: gzip\r\n").await;
    assert_eq!(status, 200, "{path}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    length.parse().expect("a number")
}

/// Addresses of assets in a text: of a page, or of a script that imports others.
fn assets(text: &str) -> BTreeSet<String> {
    let named = |open: &'static str| text.split(open).skip(1).filter_map(|rest| rest.split('"').next());
    let names = named("\"/assets/").chain(named("from \"./"));
    // The font's licence is only linked to.
    names.filter(|name| !name.starts_with("licence")).map(|name| format!("/assets/{name}")).collect()
}

async fn first_view(server: &Server, page: &str) -> usize {
    let mut all = bytes(server, page).await;
    let (_, _, html) = server.get(page).await;
    let (mut todo, mut done) = (assets(&html), BTreeSet::new());
    assert!(todo.len() > 4, "{todo:?}");
    while let Some(asset) = todo.pop_first() {
        all += bytes(server, &asset).await;
        if asset.ends_with(".js") {
            todo.extend(assets(&server.get(&asset).await.2).into_iter().filter(|name| !done.contains(name)));
        }
        done.insert(asset.clone());
        todo.remove(&asset);
    }
    all
}

#[tokio::test]
async fn every_first_view_is_below_100_kilobytes() {
    let server = Server::start().await;
    server.completed_everywhere();
    let catalogue = Catalogue::embedded();
    let mut pages: Vec<String> = [
        "/",
        "/wall",
        "/services",
        "/services?q=tax",
        "/services/hmrc-self-assessment",
        "/compare?services=hmrc-self-assessment,dft-tax-a-vehicle",
        "/explorer",
        "/explorer/all-services",
        "/explorer/all-services?by=service",
        "/explorer/all-services?by=service&limit=100&skip=300",
        "/explorer/high-volume",
        "/explorer/search?q=licence",
        "/explorer/treemap",
        "/govuk",
        "/about-the-data",
    ]
    .map(str::to_owned)
    .to_vec();
    pages.extend(catalogue.departments().iter().map(|department| format!("/departments/{}", department.id)));
    pages.extend(catalogue.agencies().iter().map(|agency| format!("/agencies/{}", agency.id)));
    let (mut over, mut largest) = (Vec::new(), (0, String::new()));
    for page in pages {
        let bytes = first_view(&server, &page).await;
        if bytes > FIRST_VIEW_MAX {
            over.push(format!("{page}: {bytes}"));
        }
        largest = largest.max((bytes, page));
    }
    println!("largest first view: {largest:?}");
    assert!(over.is_empty(), "{over:#?}");
}
