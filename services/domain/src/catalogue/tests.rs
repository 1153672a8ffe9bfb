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

const KEYWORDS: &str = "service,keywords\n";
const VERSION: &str = "version,as_of,what\n1,2018-09-19,the first\n";
const DEPARTMENTS: &str = "number,id,abbreviation,name,from,until,successor\n\
                           1,a,A,Ministry of A,,,\n2,b,B,Ministry of B,2016-07-14,,\n3,c,C,Ministry of C,,2016-07-14,b\n";
const AGENCIES: &str = "number,id,abbreviation,name,from,until,successor\n1,x,,Agency X,,,\n";
const SERVICES: &str = "number,id,name,short_name,department,agency,category,customer,costs,counts,origin,closed,chosen\n\
                        3,a-one,\"One, of A\",One,a,x,booking,charity,fees,outcome,published,,\n\
                        5,a-two,Two,,b,,,,,,published,,yes\n";
const OWNERS: &str =
    "service,department,agency,role,from,until\n5,c,x,owner,,2016-07-14\n5,a,,also,2015-01-01,2016-01-01\n";
const VOLUMES: &str = "service,window,volume,digital_volume\n3,2014-04,10,\n3,2014-07,,4\n";

fn parse(services: &str, volumes: &str) -> Result<Catalogue, Error> {
    parse_owned(services, OWNERS, volumes)
}

fn parse_owned(services: &str, owners: &str, volumes: &str) -> Result<Catalogue, Error> {
    Catalogue::parse(&Files::from_texts([VERSION, DEPARTMENTS, AGENCIES, services, owners, KEYWORDS, volumes]))
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
        (service(",b,", ",d,"), "services.csv, line 3, column department: \"d\" stands in no other file"),
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

#[test]
fn the_owners_of_a_service_follow_one_another_and_the_last_is_that_of_today() {
    let owners = |text: &str| {
        let text = format!("service,department,agency,role,from,until\n{text}");
        parse_owned(SERVICES, &text, VOLUMES).map(|_| ()).unwrap_err().to_string()
    };
    let overlap = "a period ends after it begins, and the owners of a service follow one another";
    let cases = [
        ("9,a,,owner,,2016-07-14\n", "line 2, column service: \"9\" stands in no other file".to_owned()),
        ("5,d,,owner,,2016-07-14\n", "line 2, column department: \"d\" stands in no other file".to_owned()),
        ("5,a,y,owner,,2016-07-14\n", "line 2, column agency: \"y\" stands in no other file".to_owned()),
        ("5,a,,boss,,2016-07-14\n", "line 2, column role: \"boss\" is not one of owner, also".to_owned()),
        (
            "5,a,,owner,,2016-02-30\n",
            "line 2, column until: \"2016-02-30\" is not a date of the form 2014-04-01".to_owned(),
        ),
        ("5,a,,owner,,\n", "line 2, column until: must not be empty".to_owned()),
        ("5,a,,owner,2016-07-14,2016-07-14\n", format!("line 2, column until: \"2016-07-14\": {overlap}")),
        (
            "5,a,,owner,,2016-07-14\n5,c,,owner,2016-07-13,2017-01-01\n",
            format!("line 3, column from: \"2016-07-13\": {overlap}"),
        ),
        (
            "5,a,,owner,,2016-07-14\n3,a,,owner,,2016-07-14\n",
            "line 3, column service: \"3\" is out of order: numbers ascend".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(owners(text), format!("owners.csv, {expected}"));
    }
}

#[test]
fn a_service_has_the_owner_of_then_or_of_today_and_may_have_further_parents() {
    let catalogue = parse(SERVICES, VOLUMES).unwrap();
    let two = catalogue.service_by_id("a-two").unwrap();
    let day = Day::from_ymd;
    assert_eq!(two.owner(None), Owner { department: 2, agency: None });
    assert_eq!(two.owner(Some(day(2016, 7, 13))), Owner { department: 3, agency: Some(1) });
    assert_eq!(two.owner(Some(day(2016, 7, 14))), Owner { department: 2, agency: None });
    let also = |day| two.parents_on(day).filter(|parent| parent.role == Parent::Also).count();
    assert_eq!((also(day(2015, 6, 1)), also(day(2016, 6, 1))), (1, 0));
}

#[test]
fn what_was_of_bis_decc_dh_and_dclg_is_of_their_successors_today() {
    let catalogue = Catalogue::embedded();
    for closed in catalogue.departments().iter().filter(|department| department.life.until.is_some()) {
        assert_eq!(catalogue.services_of(closed.number).count(), 0, "{}", closed.id);
    }
    let then = |id: &str, y, m, d| {
        let service = catalogue.service_by_id(id).unwrap();
        catalogue.department(service.owner(Some(Day::from_ymd(y, m, d))).department).unwrap().id.clone()
    };
    let land = "bis-annual-returns";
    assert_eq!([then(land, 2016, 7, 13), then(land, 2016, 7, 14)], ["bis", "beis"]);
    for service in catalogue.services() {
        let owner = service.owner(Some(Day::from_ymd(2012, 1, 1)));
        let department = catalogue.department(owner.department).unwrap();
        let prefix = service.id.split('-').next().unwrap();
        let fits = department.id.starts_with(prefix) || matches!(prefix, "beis" | "mod" | "gov") || prefix == "dfe";
        assert!(fits, "{} was listed first by {prefix}, and {} owned it in 2012", service.id, department.id);
    }
}

#[test]
fn a_difference_names_what_is_added_renamed_moved_and_closed() {
    let old = parse(SERVICES, VOLUMES).unwrap();
    let services = SERVICES.replace(
        "5,a-two,Two,,b,,,,,,published,,yes",
        "5,a-two,Two of B,,a,x,,,,,published,2026-04-01,yes\n8,b-new,New,,b,,,,,,own,,",
    );
    let new = parse(&services, VOLUMES).unwrap();
    let difference = Difference::between(&old, &new);
    let lines: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "moved    service a-two (5): Ministry of B -> Ministry of A, Agency X",
            "renamed  service a-two (5): Two -> Two of B",
            "closed   service a-two (5) on 2026-04-01",
            "added    service b-new (8): New, of Ministry of B",
        ]
    );
    assert_eq!(difference.refusals, []);
    assert_eq!(Difference::between(&new, &new).changes, []);
}

#[test]
fn ids_and_numbers_that_would_change_go_away_or_be_used_again_are_refused() {
    let old = parse(SERVICES, VOLUMES).unwrap();
    let refused = |from: &str, to: &str, volumes: &str| {
        let owners = OWNERS.replace("\n5,", "\n6,");
        let owners = if from.starts_with("5,") && to.starts_with("6,") { owners.as_str() } else { OWNERS };
        let new = parse_owned(&SERVICES.replace(from, to), owners, volumes).unwrap();
        Difference::between(&old, &new).refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(
        refused("5,a-two", "5,a-three", VOLUMES),
        "service number 5 is that of a-two and cannot become that of a-three"
    );
    assert_eq!(refused("5,a-two", "6,a-two", VOLUMES), "service a-two has number 5 and cannot get 6");
    assert_eq!(
        refused(
            "3,a-one,\"One, of A\",One,a,x,booking,charity,fees,outcome,published,,\n",
            "",
            "service,window,volume,digital_volume\n"
        ),
        "service a-one (3) is missing: nothing is ever removed, close it with a day instead"
    );
}
