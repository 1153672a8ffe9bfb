//! What is done to topics and groups behind the platform's back.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tests::stack::Stack;
use tests::until::until;

use crate::act::SERVERS;

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(5))).request_timeout(Some(Duration::from_secs(5)))
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The group of the aggregators is gone, with all it had committed. Its members must be dead.
pub(crate) fn delete_group(stack: &Stack) {
    let admin = stack.admin();
    until("the group is deleted", SERVERS, || {
        let deleted = stack.tasks().block_on(admin.delete_groups(&[stack.group()], &options())).map_err(in_words)?;
        match deleted.into_iter().next() {
            Some(Err((_, code))) if code != rdkafka::types::RDKafkaErrorCode::GroupIdNotFound => Err(in_words(code)),
            _ => Ok(()),
        }
    });
}

/// Somebody sets the committed offsets back. The members must be dead.
pub(crate) fn rewind(stack: &Stack, which: u64) {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &stack.address().brokers).set("group.id", stack.group());
    let consumer: BaseConsumer = settings.create().expect("a consumer");
    until("the offsets are set back", SERVERS, || {
        let ends = stack.log().try_ends()?;
        let mut list = TopicPartitionList::new();
        for (partition, end) in (0_i32..).zip(ends) {
            let back = which.rotate_left(partition.cast_unsigned() * 5) % (end + 1);
            let offset = Offset::Offset(back.cast_signed());
            list.add_partition_offset(&stack.events_topic(), partition, offset).map_err(in_words)?;
        }
        consumer.commit(&list, CommitMode::Sync).map_err(in_words)
    });
}

/// Every pack that the live topic holds is gone.
pub(crate) fn empty_live(stack: &Stack) {
    let admin = stack.admin();
    let limit = Duration::from_secs(5);
    until("the live topic is emptied", SERVERS, || {
        let (_, end) = admin.inner().fetch_watermarks(&stack.live_topic(), 0, limit).map_err(in_words)?;
        let mut ends = TopicPartitionList::new();
        ends.add_partition_offset(&stack.live_topic(), 0, Offset::Offset(end)).map_err(in_words)?;
        let deleted = stack.tasks().block_on(admin.delete_records(&ends, &options())).map_err(in_words)?;
        deleted.elements().iter().try_for_each(|element| element.error().map_err(in_words))
    });
}

/// The live topic is deleted and made anew.
pub(crate) fn recreate_live(stack: &Stack) {
    let admin = stack.admin();
    until("the live topic is deleted", SERVERS, || {
        let topic = stack.live_topic();
        let deleted = stack.tasks().block_on(admin.delete_topics(&[&topic], &options())).map_err(in_words)?;
        match deleted.into_iter().next() {
            Some(Err((_, code))) if code != rdkafka::types::RDKafkaErrorCode::UnknownTopicOrPartition => {
                Err(in_words(code))
            }
            _ => Ok(()),
        }
    });
    until("the live topic is there again", SERVERS, || stack.try_provision(&[]).map_err(in_words));
}

/// Takes away what a schedule made.
pub(crate) fn clear(stack: &Stack) {
    let admin = stack.admin();
    let topics: Vec<String> = match admin.inner().fetch_metadata(None, Duration::from_secs(10)) {
        Ok(metadata) => metadata.topics().iter().map(|topic| topic.name().to_owned()).collect(),
        Err(_) => return,
    };
    let own: Vec<&str> =
        topics.iter().map(String::as_str).filter(|name| name.starts_with(&format!("{}-", stack.group()))).collect();
    drop(stack.tasks().block_on(admin.delete_topics(&own, &options())));
    drop(stack.tasks().block_on(admin.delete_groups(&[stack.group()], &options())));
}
