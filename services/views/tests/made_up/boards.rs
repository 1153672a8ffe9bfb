//! The wallboard, and what the data are.

use domain::time::MINUTE_MS;
use views::figures::*;

use super::{USUAL, books, context, overview, row, wobble};

pub(crate) fn wall(context: Context) -> Wall {
    let minutes = (context.now_ms - context.today.start_ms()) / MINUTE_MS;
    let mut total = overview(context.clone()).total;
    total.minutes = (0..=minutes as u64)
        .map(|i| {
            let shape = [4, 4, 4, 4, 5, 6, 9, 30, 139, 193, 188, 194, 190, 182, 186];
            Some(shape[(i / 60) as usize] * 100 + wobble(3, i, 400))
        })
        .collect();
    Wall { total, usual: USUAL, tiles: (0..6).map(row).collect(), context }
}

pub(crate) fn about() -> About {
    About {
        context: context(),
        services_known: 820,
        departments_known: 20,
        services_today: 431,
        late_after_days: 7,
        future_minutes: 5,
        minutes_kept_days: 9,
        books: Some(books()),
    }
}
