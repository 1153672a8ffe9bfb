//! Treemaps: areas in proportion, as square as may be, drawn as SVG whose words keep their size.
//!
//! Invariant: rectangles cover the whole and do not overlap, and each area is its value's share. A label never leaves its
//! tile: name and number, short name and number, number, nothing, whichever fits. It works without a script.

use maud::{Markup, html};

use crate::figures::{Tile, Treemap};
use crate::{format, parts};

/// A rectangle in a plane of any size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// Divides a rectangle among values in their order (Bruls, Huizing, van Wijk: squarified treemaps). Best with the largest
/// first; a value of 0 gets no area.
#[must_use]
pub fn squarify(values: &[u64], inside: Rect) -> Vec<Rect> {
    let total: f64 = values.iter().map(|value| *value as f64).sum();
    let mut out = Vec::with_capacity(values.len());
    if total <= 0.0 {
        out.resize(values.len(), Rect { w: 0.0, h: 0.0, ..inside });
        return out;
    }
    let scale = inside.w * inside.h / total;
    let areas: Vec<f64> = values.iter().map(|value| *value as f64 * scale).collect();
    let mut free = inside;
    let mut from = 0;
    while from < areas.len() {
        let side = free.w.min(free.h);
        let mut to = from + 1;
        while to < areas.len() && worst(&areas[from..=to], side) <= worst(&areas[from..to], side) {
            to += 1;
        }
        let last = to == areas.len();
        free = row(&areas[from..to], free, last, &mut out);
        from = to;
    }
    out
}

/// The worst ratio of sides in a row of areas along a side.
fn worst(areas: &[f64], side: f64) -> f64 {
    let sum: f64 = areas.iter().sum();
    let (mut least, mut most) = (f64::MAX, 0.0_f64);
    for area in areas {
        (least, most) = (least.min(*area), most.max(*area));
    }
    if least <= 0.0 || sum <= 0.0 || side <= 0.0 {
        return f64::MAX;
    }
    let (side, sum) = (side * side, sum * sum);
    (side * most / sum).max(sum / (side * least))
}

/// Lays a row along the shorter side; what is left over.
fn row(areas: &[f64], free: Rect, last: bool, out: &mut Vec<Rect>) -> Rect {
    let sum: f64 = areas.iter().sum();
    let upright = free.w >= free.h;
    let (side, depth_max) = if upright { (free.h, free.w) } else { (free.w, free.h) };
    // The last row takes what is left: rounding leaves no gap.
    let depth = if last { depth_max } else { (sum / side.max(f64::MIN_POSITIVE)).min(depth_max) };
    let mut at = 0.0;
    for area in areas {
        let length = if sum > 0.0 { side * area / sum } else { 0.0 };
        out.push(if upright {
            Rect { x: free.x, y: free.y + at, w: depth, h: length }
        } else {
            Rect { x: free.x + at, y: free.y, w: length, h: depth }
        });
        at += length;
    }
    if upright {
        Rect { x: free.x + depth, w: free.w - depth, ..free }
    } else {
        Rect { y: free.y + depth, h: free.h - depth, ..free }
    }
}

/// Height of a map, in pixels.
const HEIGHT: f64 = 470.0;
/// Width of a character at 16 pixels, on the safe side of the font's mean.
const CHAR: f64 = 8.4;
const LINE: f64 = 19.0;
const BIG_CHAR: f64 = 13.6;
const BIG_LINE: f64 = 31.0;

/// The map as SVG; `width` is what it has on a desk, in pixels, by which words are chosen. Ids begin with `id`.
pub(crate) fn svg(map: &Treemap, id: &str, width: f64) -> Markup {
    let groups = groups(&map.tiles);
    let sums: Vec<u64> = groups.iter().map(|group| group.iter().map(|tile| tile.volume).sum()).collect();
    let outer = squarify(&sums, Rect { x: 0.0, y: 0.0, w: width, h: HEIGHT });
    html! {
        svg.tm height=(HEIGHT) role="group" aria-label=(format!("Treemap: {}; the same figures are in the table below", map.title)) {
            @for (i, (group, area)) in groups.iter().zip(outer).enumerate() {
                @let values: Vec<u64> = group.iter().map(|tile| tile.volume).collect();
                @for (j, (tile, rect)) in group.iter().zip(squarify(&values, area)).enumerate() { (tile_svg(tile, &format!("{id}-{i}-{j}"), rect, width, map.volume)) }
                @if group.len() > 1 { rect.tm-dept x=(percent(area.x, width)) y=(pixels(area.y)) width=(percent(area.w, width)) height=(pixels(area.h)) {} }
            }
        }
    }
}

/// The narrowest drawing of each class of windows, in pixels: wide ones, those of at most 1100 and those of at most 544.
const WINDOWS: [(&str, f64); 3] = [("t0", f64::INFINITY), ("t1", 480.0), ("t2", 288.0)];
/// A drawing may be so much narrower than it was laid out for before the next class of windows begins.
const FIT: f64 = 0.83;

/// Tiles of one department that follow one another are one area.
fn groups(tiles: &[Tile]) -> Vec<&[Tile]> {
    tiles.chunk_by(|a, b| a.department.is_some() && a.department == b.department).collect()
}

fn percent(part: f64, whole: f64) -> String {
    format!("{:.3}%", 100.0 * part / whole)
}

fn pixels(n: f64) -> String {
    format!("{n:.1}")
}

/// A tile. Its name begins with the words that are seen in this window, and goes on with the exact figure.
fn tile_svg(tile: &Tile, id: &str, rect: Rect, width: f64, whole: u64) -> Markup {
    let colour = tile.department.as_ref().map_or(5, parts::colour);
    // As many words as fit into a window of each width; `explorer.css` shows those of this one.
    let labels = WINDOWS
        .map(|(class, shown)| (class, label(tile, Rect { w: rect.w * (shown / width).min(FIT), ..rect }, whole)));
    let is_named = labels.iter().all(|(_, lines)| words(lines).starts_with(&tile.name));
    html! {
        a href=(tile.href) aria-labelledby=(format!("{id}w {id}x")) {
            svg x=(percent(rect.x, width)) y=(pixels(rect.y)) width=(percent(rect.w, width)) height=(pixels(rect.h)) {
                title { (title(tile)) }
                rect width="100%" height="100%" class=(format!("f{colour}")) {}
                g id=(format!("{id}w")) {
                    @for (class, lines) in labels {
                        g class=(class) { @for line in lines {
                            text x="10" y=(line.y) class=(format!("on{colour}{}{}", if line.number { " num" } else { "" }, if line.big { " big" } else { "" })) { (line.text) " " }
                        } }
                    }
                }
                desc id=(format!("{id}x")) { @if is_named { (exact(tile)) } @else { (title(tile)) } }
            }
        }
    }
}

/// `Stamp Duty Reserve Tax transactions, HM Revenue and Customs: 1,540,077,106 a year`
fn title(tile: &Tile) -> String {
    let sign = if department(tile).is_some() { ", " } else { ": " };
    format!("{}{sign}{}", tile.name, exact(tile))
}

/// The same without the name.
fn exact(tile: &Tile) -> String {
    let of = department(tile).map(|name| format!("{name}: ")).unwrap_or_default();
    format!("{of}{} a year", format::exact(tile.volume))
}

/// The department, unless the name says it.
fn department(tile: &Tile) -> Option<&str> {
    let name = tile.department.as_ref()?.name.as_str();
    (!tile.name.starts_with(name)).then_some(name)
}

fn words(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ")
}

struct Line {
    y: u32,
    text: String,
    number: bool,
    big: bool,
}

/// The words that fit.
fn label(tile: &Tile, rect: Rect, whole: u64) -> Vec<Line> {
    let number = format::short(tile.volume);
    let is_big = rect.w >= 240.0 && rect.h >= 150.0;
    let (char, height, first) = if is_big { (BIG_CHAR, BIG_LINE, 30.0) } else { (CHAR, LINE, 20.0) };
    let room = ((rect.w - 18.0) / char).floor().max(0.0) as usize;
    let lines_max = ((rect.h - 8.0) / height).floor().max(0.0) as usize;
    let line =
        |at: usize, text: String, number| Line { y: (first + height * at as f64) as u32, text, number, big: is_big };
    for (name, most) in [(&tile.name, 3), (&tile.short_name, 2)] {
        let Some(words) = wrap(name, room, most) else { continue };
        if number.chars().count() <= room && words.len() < lines_max {
            let count = words.len();
            let mut lines: Vec<Line> = words.into_iter().enumerate().map(|(at, text)| line(at, text, false)).collect();
            lines.push(line(count, number, true));
            let share = format::percent(tile.volume, whole).filter(|_| is_big && count + 3 < lines_max);
            lines.extend(share.map(|share| Line { big: false, ..line(count + 1, format!("{share} of all"), false) }));
            return lines;
        }
    }
    if number.chars().count() <= room && lines_max >= 1 { vec![line(0, number, true)] } else { Vec::new() }
}

/// Breaks a name at its spaces; `None` if it does not fit.
fn wrap(name: &str, room: usize, lines_max: usize) -> Option<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split_whitespace() {
        let length = word.chars().count();
        if length > room {
            return None;
        }
        match lines.last_mut().filter(|line| line.chars().count() + 1 + length <= room) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    (!lines.is_empty() && lines.len() <= lines_max).then_some(lines)
}

/// The same figures as a table.
pub(crate) fn table(map: &Treemap) -> Markup {
    html! {
        table {
            caption.vh { (map.title) }
            thead { tr { th scope="col" { "Tile" } th scope="col" { "Department" } th.n scope="col" { "A year" } th.n scope="col" { "Share" } th.n scope="col" { "Services" } } }
            tbody { @for tile in &map.tiles { tr {
                th scope="row" { a href=(tile.href) { (tile.name) } }
                td { @if let Some(department) = &tile.department { (department.short_name) } @else { "several" } }
                td.n { (format::exact(tile.volume)) }
                td.n { (format::percent(tile.volume, map.volume).unwrap_or_else(|| "0%".to_owned())) }
                td.n { (tile.services) }
            } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: Rect = Rect { x: 0.0, y: 0.0, w: 800.0, h: 470.0 };

    /// Values without a crate for random ones: a fixed generator, many shapes.
    fn shapes() -> Vec<Vec<u64>> {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        let mut shapes: Vec<Vec<u64>> = (0..500)
            .map(|_| {
                let length = 1 + next() % 40;
                let scale = 1 + next() % 24;
                let mut values: Vec<u64> =
                    (0..length).map(|_| (next() % (1 << scale)) + u64::from(next() % 5 > 0)).collect();
                if next() % 4 > 0 {
                    values.sort_unstable_by(|a, b| b.cmp(a));
                }
                values
            })
            .collect();
        shapes.push(vec![u64::MAX / 4, 1, 1]);
        shapes.push(vec![0, 0, 7]);
        shapes
    }

    #[test]
    fn areas_are_in_proportion_inside_the_whole_and_do_not_overlap() {
        for values in shapes() {
            let rects = squarify(&values, PLANE);
            assert_eq!(rects.len(), values.len());
            let total: f64 = values.iter().map(|v| *v as f64).sum();
            let whole = PLANE.w * PLANE.h;
            for (value, rect) in values.iter().zip(&rects) {
                let share = if total > 0.0 { *value as f64 / total } else { 0.0 };
                assert!((rect.w * rect.h / whole - share).abs() < 1e-6, "{values:?}: {rect:?} for {value}");
                assert!(rect.x >= -1e-6 && rect.y >= -1e-6 && rect.w >= 0.0 && rect.h >= 0.0, "{values:?}: {rect:?}");
                assert!(rect.x + rect.w <= PLANE.w + 1e-6 && rect.y + rect.h <= PLANE.h + 1e-6, "{values:?}: {rect:?}");
            }
            let covered: f64 = rects.iter().map(|rect| rect.w * rect.h).sum();
            assert!(total == 0.0 || (covered - whole).abs() < 1e-3, "{values:?}");
            for (i, a) in rects.iter().enumerate() {
                for b in &rects[i + 1..] {
                    let wide = (a.x + a.w).min(b.x + b.w) - a.x.max(b.x);
                    let high = (a.y + a.h).min(b.y + b.h) - a.y.max(b.y);
                    assert!(wide < 1e-6 || high < 1e-6, "{values:?}: {a:?} over {b:?}");
                }
            }
        }
    }

    #[test]
    fn tiles_are_as_square_as_may_be() {
        let rects = squarify(&[6, 6, 4, 3, 2, 2, 1], Rect { x: 0.0, y: 0.0, w: 6.0, h: 4.0 });
        // The example of the paper: the first column holds two tiles of 3 by 2.
        assert_eq!((rects[0].w, rects[0].h), (3.0, 2.0));
        assert_eq!((rects[1].x, rects[1].y), (0.0, 2.0));
        let worst = rects.iter().map(|r| (r.w / r.h).max(r.h / r.w)).fold(0.0, f64::max);
        assert!(worst < 3.0, "{worst}");
    }

    fn tile() -> Tile {
        Tile {
            name: "Passenger arrivals at the UK border".into(),
            short_name: "Border arrivals".into(),
            href: "/services/x".into(),
            department: None,
            volume: 136_200_000,
            services: 1,
            others: false,
        }
    }

    #[test]
    fn a_link_is_called_what_is_seen_and_then_what_it_is_exactly() {
        let map = |name: &str, volume| {
            let tile = Tile { name: name.into(), volume, ..tile() };
            Treemap { title: "All".into(), address: String::new(), volume: 1_000_000_000, tiles: vec![tile] }
        };
        let wide = svg(&map("Customs", 136_200_000), "tm", 800.0).into_string();
        assert!(wide.contains("aria-labelledby=\"tm-0-0w tm-0-0x\""), "{wide}");
        assert!(wide.contains("<desc id=\"tm-0-0x\">136,200,000 a year</desc>"), "the name is seen: {wide}");
        let long = "A name that is far too long for any tile of any window that there is, for it goes on and on and on";
        let narrow = svg(&map(long, 7), "tm", 800.0).into_string();
        assert!(narrow.contains(&format!("<desc id=\"tm-0-0x\">{long}: 7 a year</desc>")), "{narrow}");
    }

    #[test]
    fn words_degrade_from_name_to_short_name_to_number_to_nothing() {
        let words = |w, h| {
            let lines = label(&tile(), Rect { x: 0.0, y: 0.0, w, h }, 1_000_000_000);
            lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("|")
        };
        assert_eq!(words(300.0, 200.0), "Passenger arrivals|at the UK border|136m|13.6% of all");
        assert_eq!(words(200.0, 100.0), "Passenger arrivals at|the UK border|136m");
        assert_eq!(words(200.0, 50.0), "Border arrivals|136m");
        assert_eq!(words(90.0, 70.0), "Border|arrivals|136m");
        assert_eq!(words(60.0, 40.0), "136m");
        assert_eq!(words(60.0, 20.0), "");
        assert_eq!(words(40.0, 40.0), "");
    }
}
