//! What a service reports about itself.

use dev::Service;

/// The sum over all label sets of a metric; `None` if it is not there.
#[must_use]
pub fn value(service: &Service, name: &str) -> Option<f64> {
    let text = service.metrics().ok()?;
    let mut sum = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((metric, number)) = line.rsplit_once(' ') else { continue };
        if metric.split('{').next() == Some(name) {
            *sum.get_or_insert(0.0) += number.parse::<f64>().ok()?;
        }
    }
    sum
}
