use super::*;

const YEAR_TO_MARCH_2014: Day = Day::from_ymd(2014, 4, 1);

fn volume(service: &Service) -> Option<u64> {
    service.volume(YEAR_TO_MARCH_2014)?.volume
}

#[test]
fn the_year_to_march_2014_is_what_was_published() {
    let catalogue = Catalogue::embedded();
    let volumes: Vec<u64> = catalogue.services().iter().filter_map(volume).collect();
    assert_eq!(volumes.len(), 680);
    assert_eq!(volumes.iter().sum::<u64>(), 1_556_593_308);
}

#[test]
fn all_published_services_are_there_and_one_of_our_own() {
    let catalogue = Catalogue::embedded();
    let of = |origin| catalogue.services().iter().filter(|service| service.origin == origin).count();
    assert_eq!((of(Origin::Published), of(Origin::Own)), (820, 1));
    let own = catalogue.service_by_id(GOV_UK).unwrap();
    assert_eq!((own.number, own.name.as_str()), (ServiceNumber(821), "GOV.UK"));
    assert_eq!(catalogue.department(own.department).unwrap().name, "Cabinet Office");
}

#[test]
fn numbers_of_services_never_move() {
    let catalogue = Catalogue::embedded();
    let number = |id| catalogue.service_by_id(id).unwrap().number.0;
    assert_eq!(number("ago-bona-vacantia-referrals-of-estates-company-assets"), 1);
    assert_eq!(number("moj-social-security-child-support-tribunal-claims"), 820);
    let names: Vec<String> = catalogue.services().iter().map(|s| format!("{} {}", s.number.0, s.id)).collect();
    // A change here would give old records another owner: append instead.
    assert_eq!(xxhash_rust::xxh3::xxh3_64(names[..821].join("\n").as_bytes()), NUMBERED);
    let names: Vec<&str> = catalogue.departments().iter().map(|department| department.id.as_str()).collect();
    assert_eq!(
        names[..20].join(" "),
        "ago beis bis co dcms defra dfe dfid dft dh dhsc dit dwp fco hmrc hmt home-office mhclg mod moj"
    );
}

const NUMBERED: u64 = 12_864_171_140_002_312_461;

#[test]
fn the_sixty_largest_services_have_distinct_short_names() {
    let catalogue = Catalogue::embedded();
    let mut largest: Vec<&Service> = catalogue.services().iter().filter(|s| volume(s).is_some()).collect();
    largest.sort_by_key(|service| std::cmp::Reverse(volume(service)));
    for service in &largest[..60] {
        assert!(service.short_name.is_some(), "{}", service.id);
    }
    let mut short: Vec<&str> = catalogue.services().iter().filter_map(|s| s.short_name.as_deref()).collect();
    let all = short.len();
    short.sort_unstable();
    short.dedup();
    assert_eq!(short.len(), all);
    assert_eq!(largest[0].label(), "Stamp Duty");
}

#[test]
fn every_department_has_a_sandbox_outside_the_listed_services() {
    let catalogue = Catalogue::embedded();
    assert_eq!(catalogue.sandboxes().len(), catalogue.departments().len());
    let sandbox = catalogue.service_by_id("sandbox-hmrc").unwrap();
    assert_eq!((sandbox.number, sandbox.department), (ServiceNumber(60_015), 15));
    assert_eq!(sandbox.name, "Sandbox of HM Revenue and Customs");
    assert!(sandbox.number.is_sandbox());
    assert!(catalogue.services().iter().all(|service| service.number.is_public()));
}

#[test]
fn every_entry_is_found_by_number_and_by_id() {
    let catalogue = Catalogue::embedded();
    for service in catalogue.services().iter().chain(catalogue.sandboxes()) {
        assert_eq!(catalogue.service(service.number), Some(service));
        assert_eq!(catalogue.service_by_id(&service.id), Some(service));
        assert!(service.agency.is_none_or(|agency| catalogue.agency(agency).is_some()));
    }
    for department in catalogue.departments() {
        assert_eq!(catalogue.department(department.number), Some(department));
        assert_eq!(catalogue.department_by_id(&department.id), Some(department));
    }
    let owned: usize = catalogue.departments().iter().map(|d| catalogue.services_of(d.number).count()).sum();
    assert_eq!(owned, catalogue.services().len());
    assert_eq!(catalogue.service(ServiceNumber::UNKNOWN), None);
    assert_eq!(catalogue.service_by_id("nobody"), None);
}

#[test]
fn a_missing_figure_is_none_and_never_nought() {
    let catalogue = Catalogue::embedded();
    let all = || catalogue.services().iter().flat_map(|service| &service.volumes);
    assert!(all().any(|volume| volume.volume.is_none()));
    assert!(all().any(|volume| volume.volume == Some(0)));
    assert_eq!(all().filter(|v| v.volume.is_some_and(|n| v.digital_volume.is_some_and(|d| d > n))).count(), 7);
}

const DEPARTMENTS: &str = "number,id,abbreviation,name\n1,a,A,Ministry of A\n2,b,B,Ministry of B\n";
const AGENCIES: &str = "number,id,abbreviation,name\n1,x,,Agency X\n";
const SERVICES: &str = "number,id,name,short_name,department,agency,category,customer,costs,counts,origin\n\
                        3,a-one,\"One, of A\",One,a,x,booking,charity,fees,outcome,published\n\
                        5,a-two,Two,,b,,,,,,published\n";
const VOLUMES: &str = "service,window,volume,digital_volume\n3,2014-04,10,\n3,2014-07,,4\n";

fn parse(services: &str, volumes: &str) -> Result<Catalogue, Error> {
    Catalogue::parse(&Files { departments: DEPARTMENTS, agencies: AGENCIES, services, volumes })
}

#[test]
fn a_service_needs_neither_agency_nor_classes() {
    let catalogue = parse(SERVICES, VOLUMES).unwrap();
    let one = catalogue.service_by_id("a-one").unwrap();
    assert_eq!(one.name, "One, of A");
    assert_eq!((one.category, one.costs), (Some(Category::Booking), Some(Costs::Fees)));
    assert_eq!(one.latest_volume().unwrap().volume, Some(10));
    let two = catalogue.service_by_id("a-two").unwrap();
    assert_eq!((two.department, two.agency, two.category, two.short_name.as_deref()), (2, None, None, None));
    assert_eq!(two.latest_volume(), None);
}

#[test]
fn each_broken_rule_is_named_with_its_place() {
    let service = |from: &str, to: &str| parse(&SERVICES.replace(from, to), VOLUMES).unwrap_err().to_string();
    let cases = [
        (service("3,a-one", "0,a-one"), "services.csv, line 2, column number: 0 is reserved or out of range"),
        (service("5,a-two", "60000,a-two"), "services.csv, line 3, column number: 60000 is reserved or out of range"),
        (service("5,a-two", "3,a-two"), "services.csv, line 3, column number: \"3\" is out of order: numbers ascend"),
        (service("a-two", "a-one"), "services.csv, line 3, column id: \"a-one\" stands here a second time"),
        (
            service("a-two", "sandbox-a"),
            "services.csv, line 3, column id: \"sandbox-a\" is an id of a sandbox, which every department has without being listed",
        ),
        (service(",b,", ",c,"), "services.csv, line 3, column department: \"c\" stands in no other file"),
        (service(",x,", ",y,"), "services.csv, line 2, column agency: \"y\" stands in no other file"),
        (
            service(",One,", ",sixteen letters!,"),
            "services.csv, line 2, column short_name: \"sixteen letters!\" is longer than 15 characters",
        ),
        (
            service("charity", "nobody"),
            "services.csv, line 2, column customer: \"nobody\" is not one of business, individuals, business-and-individuals, charity",
        ),
        (service(",,published", ",,"), "services.csv, line 3, column origin: must not be empty"),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
    let volumes = |from: &str, to: &str| parse(SERVICES, &VOLUMES.replace(from, to)).unwrap_err().to_string();
    let cases = [
        (volumes("3,2014-04", "4,2014-04"), "volumes.csv, line 2, column service: \"4\" stands in no other file"),
        (
            volumes("2014-07", "2014-04"),
            "volumes.csv, line 3, column window: \"2014-04\" is out of order: numbers ascend",
        ),
        (
            volumes("2014-07", "2014-13"),
            "volumes.csv, line 3, column window: \"2014-13\" is not a date of the form 2014-04",
        ),
        (volumes(",,4", ",,"), "volumes.csv, line 3, column volume: must not be empty"),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
}
