//! Administration of a tenant's user, its password, ACLs and quota.

use std::num::NonZeroU32;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest,
    DeleteAclsRequest,
};
use kafka_protocol::protocol::StrBytes;
use kgrca_core::model::Topic;
use kgrca_core::storage::Result;
use kgrca_core::tenancy::TenantId;

use super::super::connection::Connection;
use super::super::scram;
use super::{KafkaAdmin, TOPIC, checked, text};
use crate::kafka::topic_name;

/// Iterations of the password hash: Kafka's minimum.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
/// Protocol constants: mechanism, pattern types, operations, permissions.
const SCRAM_SHA_512: i8 = 2;
const LITERAL: i8 = 3;
const WRITE: i8 = 4;
const DESCRIBE: i8 = 8;
const ALLOW: i8 = 3;
const ANY: i8 = 1;

impl KafkaAdmin {
    /// Creates the tenant's user, or changes its password, and limits its send rate.
    pub async fn put_user(
        &self,
        tenant: &TenantId,
        password: &str,
        bytes_per_second: f64,
    ) -> Result<()> {
        let salt: [u8; 16] = rand::random();
        let credential = ScramCredentialUpsertion::default()
            .with_name(text(tenant.as_str()))
            .with_mechanism(SCRAM_SHA_512)
            .with_iterations(ROUNDS.get() as i32)
            .with_salt(Bytes::copy_from_slice(&salt))
            .with_salted_password(Bytes::copy_from_slice(&scram::salted(
                password, &salt, ROUNDS,
            )));
        let mut connection = self.connection().await?;
        let answer = connection
            .ask(
                &AlterUserScramCredentialsRequest::default().with_upsertions(vec![credential]),
                0,
            )
            .await?;
        for result in &answer.results {
            checked(
                "the tenant's user",
                result.error_code,
                result.error_message.as_deref(),
                &[],
            )?;
        }
        quota(&mut connection, tenant, Some(bytes_per_second)).await
    }

    /// Changes the send rate of the tenant's user.
    pub async fn put_rate(&self, tenant: &TenantId, bytes_per_second: f64) -> Result<()> {
        quota(
            &mut self.connection().await?,
            tenant,
            Some(bytes_per_second),
        )
        .await
    }

    /// Removes the tenant's user and its quota.
    pub async fn remove_user(&self, tenant: &TenantId) -> Result<()> {
        let mut connection = self.connection().await?;
        let credential = ScramCredentialDeletion::default()
            .with_name(text(tenant.as_str()))
            .with_mechanism(SCRAM_SHA_512);
        let answer = connection
            .ask(
                &AlterUserScramCredentialsRequest::default().with_deletions(vec![credential]),
                0,
            )
            .await?;
        for result in &answer.results {
            let gone = [ResponseError::ResourceNotFound];
            checked(
                "removing the tenant's user",
                result.error_code,
                result.error_message.as_deref(),
                &gone,
            )?;
        }
        quota(&mut connection, tenant, None).await
    }

    /// Lets the tenant's user write to and describe its input topics, each by name, and nothing
    /// else.
    pub async fn put_acls(&self, tenant: &TenantId) -> Result<()> {
        let rights = Topic::inputs()
            .into_iter()
            .flat_map(|topic| [WRITE, DESCRIBE].map(|operation| (topic, operation)));
        let creations = rights
            .map(|(topic, operation)| {
                AclCreation::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(&topic_name(tenant, topic)))
                    .with_resource_pattern_type(LITERAL)
                    .with_principal(text(&format!("User:{tenant}")))
                    .with_host(StrBytes::from_static_str("*"))
                    .with_operation(operation)
                    .with_permission_type(ALLOW)
            })
            .collect();
        let answer = self
            .connection()
            .await?
            .ask(&CreateAclsRequest::default().with_creations(creations), 2)
            .await?;
        for result in &answer.results {
            checked(
                "rights of the tenant's user",
                result.error_code,
                result.error_message.as_deref(),
                &[],
            )?;
        }
        Ok(())
    }

    /// Revokes all rights of the tenant's user.
    pub async fn remove_acls(&self, tenant: &TenantId) -> Result<()> {
        let filter = DeleteAclsFilter::default()
            .with_resource_type_filter(ANY)
            .with_pattern_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_host_filter(None)
            .with_principal_filter(Some(text(&format!("User:{tenant}"))))
            .with_operation(ANY)
            .with_permission_type(ANY);
        let answer = self
            .connection()
            .await?
            .ask(&DeleteAclsRequest::default().with_filters(vec![filter]), 2)
            .await?;
        for result in &answer.filter_results {
            checked(
                "removing rights",
                result.error_code,
                result.error_message.as_deref(),
                &[],
            )?;
        }
        Ok(())
    }
}

async fn quota(
    connection: &mut Connection,
    tenant: &TenantId,
    bytes_per_second: Option<f64>,
) -> Result<()> {
    let entity = EntityData::default()
        .with_entity_type(StrBytes::from_static_str("user"))
        .with_entity_name(Some(text(tenant.as_str())));
    let op = OpData::default()
        .with_key(StrBytes::from_static_str("producer_byte_rate"))
        .with_value(bytes_per_second.unwrap_or_default())
        .with_remove(bytes_per_second.is_none());
    let entry = EntryData::default()
        .with_entity(vec![entity])
        .with_ops(vec![op]);
    for result in connection
        .ask(
            &AlterClientQuotasRequest::default().with_entries(vec![entry]),
            1,
        )
        .await?
        .entries
    {
        checked(
            "the quota of the tenant's user",
            result.error_code,
            result.error_message.as_deref(),
            &[],
        )?;
    }
    Ok(())
}
