//! What a service is like where nothing was published: which channels, how many give up, how long it takes, what it
//! costs, how content people are. Made up from the service's number and a seed; only the digital take-up is real.
//!
//! Invariant: the same service and seed have the same character for ever. It never says anything about the real
//! service beyond its published volume and take-up.

use domain::catalogue::{Category, Costs, Customer, Service};
use domain::time::Day;
use domain::vocabulary::{Channel, Reason};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A log-normal distribution, by its median and the standard deviation of its logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogNormal {
    /// Half are below it.
    pub median: f64,
    /// Of the natural logarithm.
    pub sigma: f64,
}

/// What a user pays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Price {
    /// Nothing.
    Free,
    /// Always the same, in pence.
    Fixed(u64),
    /// Differs, in pence.
    Varies(LogNormal),
}

/// What a service is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Character {
    /// Share of each channel of the completed transactions; they sum to 1.
    pub channels: Vec<(Channel, f64)>,
    /// Completed of started, where people go through the service online.
    pub completion: f64,
    /// Failed of those that did not complete online; the others were abandoned.
    pub failed: f64,
    /// Failed for each completed, by program.
    pub failed_by_api: f64,
    /// Failed for each completed, through an office.
    pub failed_by_office: f64,
    /// Steps that it reports on the way; 0 = none.
    pub steps: u8,
    /// Weights of the reasons of a failure.
    pub reasons: Vec<(Reason, f64)>,
    /// How long users take online, milliseconds.
    pub duration: LogNormal,
    /// What a user pays.
    pub price: Price,
    /// Ratings for each completed online.
    pub rated: f64,
    /// Weights of the ratings 1 to 5.
    pub ratings: [f64; 5],
}

/// Fees in pence, of the size that people meet.
const FEES: [u64; 14] =
    [300, 500, 1_000, 1_300, 2_000, 2_550, 3_400, 4_000, 5_000, 6_200, 7_250, 8_200, 14_500, 27_500];

/// People stand before somebody here, whatever was published.
const AT_THE_COUNTER: [&str; 3] = [
    "home-office-passenger-arrivals-at-border",
    "dwp-jobsearch-reviews-signing-on",
    "dwp-adviser-interventions-jobsearch-advice",
];

/// Digital of all transactions in the twelve months that end before `window`, or else in the published ones nearest
/// to them; `None` if it was never published. Above 1 as published counts as 1.
#[must_use]
pub fn take_up(service: &Service, window: Day) -> Option<f64> {
    let share = |digital: u64, all: u64| (all > 0).then(|| (digital as f64 / all as f64).min(1.0));
    service
        .volumes
        .iter()
        .filter_map(|v| Some((v.window_end, share(v.digital_volume?, v.volume?)?)))
        .min_by_key(|(end, _)| ((end.0 - window.0).abs(), *end))
        .map(|(_, share)| share)
}

impl Character {
    /// Of a service with `volume` completed transactions a year. Services above `steps_volume_max` report no steps.
    #[must_use]
    pub fn of(service: &Service, window: Day, volume: u64, steps_volume_max: u64, seed: u64) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed ^ (u64::from(service.number.0) << 32));
        let digital = take_up(service, window).unwrap_or_else(|| rng.random_range(0.2..0.9));
        let channels = channels(service, digital, &mut rng);
        let price = price(service, &mut rng);
        let reports_steps = rng.random_bool(0.4);
        let steps = rng.random_range(3..=7);
        Self {
            channels,
            completion: rng.random_range(0.62..0.96),
            failed: rng.random_range(0.15..0.5),
            failed_by_api: rng.random_range(0.004..0.04),
            failed_by_office: rng.random_range(0.01..0.08),
            steps: if reports_steps && volume <= steps_volume_max { steps } else { 0 },
            reasons: reasons(price != Price::Free, &mut rng),
            duration: LogNormal { median: 60_000.0 * rng.random_range(1.5..14.0), sigma: rng.random_range(0.45..0.9) },
            price,
            rated: rng.random_range(0.008..0.03),
            ratings: ratings(&mut rng),
        }
    }
}

fn channels(service: &Service, digital: f64, rng: &mut Pcg64Mcg) -> Vec<(Channel, f64)> {
    let by_program = match service.customer {
        Some(Customer::Business | Customer::BusinessAndIndividuals) => rng.random_range(0.05..0.7),
        _ => 0.0,
    };
    let with_help = rng.random_range(0.0..0.05);
    let mut offices = [rng.random_range(0.1..1.0), rng.random_range(0.1..1.0), rng.random_range(0.0..0.4), 0.0];
    if rng.random_bool(0.1) {
        offices[3] = rng.random_range(0.0..0.2);
    }
    if AT_THE_COUNTER.contains(&service.id.as_str()) {
        offices = [0.0, 0.0, 1.0, 0.0];
    }
    let sum: f64 = offices.iter().sum();
    let office = |at: usize| (1.0 - digital) * offices[at] / sum;
    let all = [
        (Channel::Digital, digital * (1.0 - by_program) * (1.0 - with_help)),
        (Channel::AssistedDigital, digital * (1.0 - by_program) * with_help),
        (Channel::Api, digital * by_program),
        (Channel::Phone, office(0)),
        (Channel::Post, office(1)),
        (Channel::FaceToFace, office(2)),
        (Channel::Other, office(3)),
    ];
    all.into_iter().filter(|(_, share)| *share > 0.0).collect()
}

fn price(service: &Service, rng: &mut Pcg64Mcg) -> Price {
    let fee = FEES[rng.random_range(0..FEES.len())];
    let varies = LogNormal { median: rng.random_range(3_000.0..40_000.0), sigma: rng.random_range(0.6..1.3) };
    match (service.category, service.costs) {
        (Some(Category::MakingAPayment), _) => Price::Varies(varies),
        (_, Some(Costs::Fees)) => Price::Fixed(fee),
        _ => Price::Free,
    }
}

fn reasons(pays: bool, rng: &mut Pcg64Mcg) -> Vec<(Reason, f64)> {
    let usual = [
        (Reason::Validation, 0.34),
        (Reason::Eligibility, 0.24),
        (Reason::Identity, 0.16),
        (Reason::Payment, if pays { 0.2 } else { 0.0 }),
        (Reason::Technical, 0.08),
        (Reason::Other, 0.05),
    ];
    let vary = |(reason, weight): (Reason, f64)| (reason, weight * rng.random_range(0.4..1.6));
    usual.into_iter().map(vary).filter(|(_, weight)| *weight > 0.0).collect()
}

fn ratings(rng: &mut Pcg64Mcg) -> [f64; 5] {
    // From mostly cross to mostly content.
    let content: f64 = rng.random_range(0.35..1.0);
    let (cross, pleased) = ([0.3, 0.22, 0.18, 0.18, 0.12], [0.03, 0.03, 0.07, 0.25, 0.62]);
    std::array::from_fn(|at| cross[at] * (1.0 - content) + pleased[at] * content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::catalogue::Catalogue;

    const WINDOW: Day = Day::from_ymd(2014, 4, 1);

    #[test]
    fn channels_keep_the_published_take_up() {
        let catalogue = Catalogue::embedded();
        let mut published = 0;
        for service in catalogue.services() {
            let character = Character::of(service, WINDOW, 1_000, 5_000_000, 1);
            let all: f64 = character.channels.iter().map(|(_, share)| share).sum();
            let digital: f64 = character.channels.iter().filter(|(c, _)| c.is_digital()).map(|(_, s)| s).sum();
            assert!((all - 1.0).abs() < 1e-9, "{}: {all}", service.id);
            if let Some(real) = take_up(service, WINDOW) {
                published += 1;
                assert!((digital - real).abs() < 1e-9, "{}: {digital} of {real}", service.id);
            }
        }
        assert!(published > 400, "{published}");
    }

    #[test]
    fn take_up_is_of_the_window_itself_where_it_was_published() {
        let catalogue = Catalogue::embedded();
        let service = catalogue.service_by_id("dft-tax-a-vehicle").unwrap();
        let volume = service.volume(WINDOW).unwrap();
        let real = volume.digital_volume.unwrap() as f64 / volume.volume.unwrap() as f64;
        assert_eq!(take_up(service, WINDOW), Some(real));
    }

    #[test]
    fn a_character_depends_on_service_and_seed_alone() {
        let catalogue = Catalogue::embedded();
        let of = |at: usize, seed| Character::of(&catalogue.services()[at], WINDOW, 1_000, 5_000_000, seed);
        assert_eq!(of(7, 1), of(7, 1));
        assert_ne!(of(7, 1), of(7, 2));
        assert_ne!(of(7, 1).completion, of(8, 1).completion);
    }

    #[test]
    fn large_services_report_no_steps() {
        let catalogue = Catalogue::embedded();
        let steps = |volume| {
            catalogue.services().iter().filter(|s| Character::of(s, WINDOW, volume, 1_000, 1).steps > 0).count()
        };
        assert_eq!(steps(1_001), 0);
        assert!(steps(1_000) > 200);
    }
}
