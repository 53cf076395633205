//! Administration of a tenant's topics; [`access`] has its user, ACLs and quota.

mod access;

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, IncrementalAlterConfigsRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kgrca_core::model::Topic;
use kgrca_core::storage::{Error, ErrorKind, KafkaUrl, Result};
use kgrca_core::tenancy::TenantId;

use super::connection::Connection;
use crate::kafka::topic_name;

/// Time limit for creating and deleting topics, in milliseconds.
const PATIENCE_MS: i32 = 15_000;
/// Protocol constants: a resource type, an operation on settings.
const TOPIC: i8 = 2;
const SET: i8 = 0;

/// Administers what tenants need in a cluster. Every operation may be repeated.
pub struct KafkaAdmin(KafkaUrl);

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// Converts a protocol error code to an error, except for those that mean it is done already.
fn checked(what: &str, code: i16, message: Option<&str>, done: &[ResponseError]) -> Result<()> {
    let Some(error) = ResponseError::try_from_code(code) else {
        return Ok(());
    };
    if done.contains(&error) {
        return Ok(());
    }
    let why = message
        .map(str::to_owned)
        .unwrap_or_else(|| error.to_string());
    let kind = if error.is_retriable() {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Internal
    };
    let failed = Error::new(kind, format!("log: Kafka: {what}: {why}"));
    Err(match error {
        ResponseError::ClusterAuthorizationFailed | ResponseError::TopicAuthorizationFailed => {
            failed.hint(
                "the user in the URL of the log needs Create, Alter and Describe on the cluster \
                 and on topics with the prefix client-",
            )
        }
        ResponseError::InvalidReplicationFactor => {
            failed.hint("set ?replication= in the URL of the log to the number of brokers")
        }
        _ => failed,
    })
}

impl KafkaAdmin {
    /// An administrator of the cluster of these settings.
    pub fn new(settings: KafkaUrl) -> Self {
        Self(settings)
    }

    async fn connection(&self) -> Result<Connection> {
        Connection::open(&self.0).await
    }

    /// Creates a tenant's topics. Existing ones get more partitions and current settings.
    pub async fn put_topics(
        &self,
        tenant: &TenantId,
        partitions: u32,
        retention_days: u32,
    ) -> Result<()> {
        let mut connection = self.connection().await?;
        let topics = Topic::ALL.map(|topic| {
            let config = |(name, value): (&str, String)| {
                CreatableTopicConfig::default()
                    .with_name(text(name))
                    .with_value(Some(text(&value)))
            };
            CreatableTopic::default()
                .with_name(TopicName(text(&topic_name(tenant, topic))))
                .with_num_partitions(partitions as i32)
                .with_replication_factor(self.0.replication)
                .with_configs(
                    self.wanted(topic, retention_days)
                        .into_iter()
                        .map(config)
                        .collect(),
                )
        });
        let request = CreateTopicsRequest::default()
            .with_topics(topics.to_vec())
            .with_timeout_ms(PATIENCE_MS);
        let answer = connection.ask(&request, 5).await?;
        let mut known = Vec::new();
        for topic in &answer.topics {
            let what = format!("topic {}", topic.name.0);
            checked(
                &what,
                topic.error_code,
                topic.error_message.as_deref(),
                &[ResponseError::TopicAlreadyExists],
            )?;
            if topic.error_code != 0 {
                known.extend(
                    Topic::ALL
                        .into_iter()
                        .filter(|t| *topic.name.0 == *topic_name(tenant, *t)),
                );
            }
        }
        if !known.is_empty() {
            let names: Vec<TopicName> = known
                .iter()
                .map(|t| TopicName(text(&topic_name(tenant, *t))))
                .collect();
            grow(&mut connection, &names, partitions).await?;
            self.configure(&mut connection, tenant, &known, retention_days)
                .await?;
        }
        Ok(())
    }

    /// The configuration that a topic should have.
    fn wanted(&self, topic: Topic, retention_days: u32) -> Vec<(&'static str, String)> {
        let mut wanted = vec![
            // The broker's clock, whoever sends; retention is based on it.
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", "2097152".to_owned()),
            (
                "min.insync.replicas",
                if self.0.replication >= 3 { "2" } else { "1" }.to_owned(),
            ),
        ];
        if topic.signal().is_compacted() {
            wanted.extend([
                ("cleanup.policy", "compact".to_owned()),
                ("min.compaction.lag.ms", "3600000".to_owned()),
            ]);
        } else {
            wanted.push((
                "retention.ms",
                (i64::from(retention_days) * 86_400_000).to_string(),
            ));
        }
        wanted
    }

    async fn configure(
        &self,
        connection: &mut Connection,
        tenant: &TenantId,
        topics: &[Topic],
        retention_days: u32,
    ) -> Result<()> {
        let config = |(name, value): (&'static str, String)| {
            AlterableConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_config_operation(SET)
                .with_value(Some(text(&value)))
        };
        let resource = |topic: &Topic| {
            AlterConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text(&topic_name(tenant, *topic)))
                .with_configs(
                    self.wanted(*topic, retention_days)
                        .into_iter()
                        .map(config)
                        .collect(),
                )
        };
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(topics.iter().map(resource).collect());
        for result in connection.ask(&request, 1).await?.responses {
            checked(
                "settings of topics",
                result.error_code,
                result.error_message.as_deref(),
                &[],
            )?;
        }
        Ok(())
    }

    /// How a tenant's topics differ from the configuration they should have, one line each.
    ///
    /// # Errors
    /// When the brokers do not answer, or a topic is missing.
    pub async fn differences(
        &self,
        tenant: &TenantId,
        partitions: u32,
        retention_days: u32,
    ) -> Result<Vec<String>> {
        let mut connection = self.connection().await?;
        let names = Topic::ALL.map(|topic| topic_name(tenant, topic));
        let topics = names
            .iter()
            .map(|n| MetadataRequestTopic::default().with_name(Some(TopicName(text(n)))))
            .collect();
        let request = MetadataRequest::default()
            .with_topics(Some(topics))
            .with_allow_auto_topic_creation(false);
        let mut found = Vec::new();
        for topic in connection.ask(&request, 9).await?.topics {
            let name = topic.name.as_ref().map(|n| &*n.0).unwrap_or("");
            checked(&format!("topic {name}"), topic.error_code, None, &[])?;
            if topic.partitions.len() != partitions as usize {
                found.push(format!(
                    "{name} has {} partitions, not {partitions}",
                    topic.partitions.len()
                ));
            }
        }
        let resource = |topic: Topic| {
            let keys = self
                .wanted(topic, retention_days)
                .into_iter()
                .map(|(name, _)| StrBytes::from_static_str(name))
                .collect();
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text(&topic_name(tenant, topic)))
                .with_configuration_keys(Some(keys))
        };
        let request =
            DescribeConfigsRequest::default().with_resources(Topic::ALL.map(resource).to_vec());
        let described = connection.ask(&request, 2).await?.results;
        for (topic, name) in Topic::ALL.into_iter().zip(&names) {
            let Some(of_topic) = described.iter().find(|r| *r.resource_name == **name) else {
                continue;
            };
            checked(
                &format!("settings of {name}"),
                of_topic.error_code,
                of_topic.error_message.as_deref(),
                &[],
            )?;
            for (key, wanted) in self.wanted(topic, retention_days) {
                let set = of_topic
                    .configs
                    .iter()
                    .find(|c| *c.name == *key)
                    .and_then(|c| c.value.as_ref());
                if set.map(|v| **v != *wanted).unwrap_or(true) {
                    let is = set.map(|v| &**v).unwrap_or("unset");
                    found.push(format!("{name}: {key} is {is}, not {wanted}"));
                }
            }
        }
        Ok(found)
    }

    /// Deletes all topics of a tenant.
    pub async fn remove_topics(&self, tenant: &TenantId) -> Result<()> {
        let names = Topic::ALL
            .map(|topic| TopicName(text(&topic_name(tenant, topic))))
            .to_vec();
        let request = DeleteTopicsRequest::default()
            .with_topic_names(names)
            .with_timeout_ms(PATIENCE_MS);
        let answer = self.connection().await?.ask(&request, 5).await?;
        for topic in &answer.responses {
            let what = format!(
                "removing topic {}",
                topic.name.as_ref().map(|n| &*n.0).unwrap_or("")
            );
            checked(
                &what,
                topic.error_code,
                topic.error_message.as_deref(),
                &[ResponseError::UnknownTopicOrPartition],
            )?;
        }
        Ok(())
    }

    /// Bytes used by a tenant's topics. Replicas are counted once.
    pub(super) async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        let prefix = format!("{tenant}.");
        let brokers = self
            .connection()
            .await?
            .ask(&MetadataRequest::default().with_topics(Some(Vec::new())), 9)
            .await?
            .brokers;
        // The largest replica counts for a partition.
        let mut sizes: BTreeMap<(TopicName, i32), u64> = BTreeMap::new();
        for broker in brokers {
            let address = format!("{}:{}", broker.host, broker.port);
            let mut connection = Connection::to(&self.0, &address).await?;
            let answer = connection
                .ask(&DescribeLogDirsRequest::default().with_topics(None), 1)
                .await?;
            for folder in &answer.results {
                checked("sizes of topics", folder.error_code, None, &[])?;
                for topic in folder
                    .topics
                    .iter()
                    .filter(|t| t.name.0.starts_with(&prefix))
                {
                    for partition in &topic.partitions {
                        let size = sizes
                            .entry((topic.name.clone(), partition.partition_index))
                            .or_default();
                        *size = (*size).max(partition.partition_size.max(0) as u64);
                    }
                }
            }
        }
        Ok(sizes.values().sum())
    }
}

async fn grow(connection: &mut Connection, topics: &[TopicName], partitions: u32) -> Result<()> {
    let topic = |name: &TopicName| {
        CreatePartitionsTopic::default()
            .with_name(name.clone())
            .with_count(partitions as i32)
            .with_assignments(None)
    };
    let request = CreatePartitionsRequest::default()
        .with_topics(topics.iter().map(topic).collect())
        .with_timeout_ms(PATIENCE_MS);
    for result in connection.ask(&request, 2).await?.results {
        // It already has that many partitions.
        checked(
            "partitions",
            result.error_code,
            result.error_message.as_deref(),
            &[ResponseError::InvalidPartitions],
        )?;
    }
    Ok(())
}
