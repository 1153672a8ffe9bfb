//! Who has which partition, when members of the group come and go at bad moments.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use tests::check;
use tests::events::Mix;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until_so};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new("members::partitions_that_nobody_has_are_adopted", orphans_are_adopted)]
}

/// Two members come anew between the halves of a rebalance: one had given up what the other was not given yet.
fn orphans_are_adopted(shared: &Shared) {
    let stack = Stack::new(shared, "orphans");
    stack.provision();
    leave_orphans(&stack);
    let aggregators = [stack.aggregator(1), stack.aggregator(2)];
    let (log, mut truth) = (stack.log(), Truth::default());
    let events = Mix::new(41, "orphans").with_repeats(5_000, 10);
    log.write(&events);
    log.flush();
    truth.take(&events);
    check::exact(&truth, &stack.sql(), PATIENCE);
    let said = aggregators.each_ref().map(|it| std::fs::read_to_string(it.log()).expect("a log")).concat();
    assert!(said.contains("nobody in the group has these partitions"), "nothing had to be adopted: {said}");
    for mut aggregator in aggregators {
        assert_eq!(aggregator.stop(), "code 0");
    }
}

/// A member that takes what it is given and never gives anything up.
#[derive(Default)]
struct Keeps {
    given: Mutex<Vec<i32>>,
    is_asked_to_give: AtomicBool,
}

impl ClientContext for Keeps {}

impl ConsumerContext for Keeps {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let given =
                list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect();
            *self.given.lock().expect("nobody panics with it") = given;
            consumer.incremental_assign(list).expect("it takes them");
        } else {
            self.is_asked_to_give.store(true, Ordering::Release);
        }
    }
}

/// Leaves the group of the events in the middle of a rebalance, with two members of the names of the first two aggregators.
fn leave_orphans(stack: &Stack) {
    let member = |number: u32| {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &stack.address().brokers).set("group.id", stack.group());
        settings.set("group.instance.id", format!("orphans-{number}")).set("session.timeout.ms", "6000");
        settings.set("partition.assignment.strategy", "cooperative-sticky").set("enable.auto.commit", "false");
        let member: BaseConsumer<Keeps> = settings.create_with_context(Keeps::default()).expect("a member");
        member.subscribe(&[&stack.events_topic()]).expect("it joins");
        member
    };
    let turn = |member: &BaseConsumer<Keeps>| drop(member.poll(Duration::from_millis(20)));
    let first = member(1);
    until_so("the first has all partitions", PATIENCE, || {
        turn(&first);
        first.context().given.lock().expect("nobody panics with it").len() == 12
    });
    let second = member(2);
    until_so("the first has to give some up", PATIENCE, || {
        turn(&first);
        turn(&second);
        first.context().is_asked_to_give.load(Ordering::Acquire)
    });
    // A member that ends would give them up in order: these two are gone without a word.
    std::mem::forget((first, second));
}
